//===- Inputs.h - arrays for a model's inputs --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_INPUTS_H
#define PERMALLOY_LIB_DRIVER_INPUTS_H

#include "Commands.h"

#include "permalloy/Runtime/Artifact.h"
#include "permalloy/Support/Npy.h"

#include <map>

namespace permalloy {

/// A size for some of a model's named dimensions.
using Sizes = std::map<std::string, int64_t>;

/// Every combination of `--dim name=4`, `name=1,3,8` settings, the first name varying slowest; one
/// empty combination when there is none.
Result<std::vector<Sizes>> parseSizes(const std::vector<std::string> &settings);

/// A value for every symbol of a model whose inputs have these sizes; the rest follows what their axes stand for
/// (InputRoles.h). Symbols that no input binds get 1.
Result<std::vector<int64_t>> symbolValues(const artifact::Manifest &manifest, const Sizes &sizes);

/// "input_ids[1, 16], attention_mask[1, 16]".
std::string shapesText(std::span<const NamedArray> arrays);

/// One array for each input of the model, in its order: files first, then random values where
/// `settings.random` allows them. Which symbols exist and how large they may be is the manifest's.
Result<std::vector<NamedArray>> makeInputs(const Artifact &artifact, const InputSettings &settings,
                                           const Sizes &sizes);

/// Which end of a padded row holds no tokens.
enum class Padding { right, left, none };

/// How values are made up.
struct RandomSettings {
  uint64_t seed = 0;
  uint64_t past = 0; ///< earlier positions that the model is given keys and values of
  Padding padding = Padding::right;
};

/// Random values that suit an input of this name: masks of 0 and 1 with padding (row r hides r / 8
/// of its places, the first row none), token types 0 and 1, positions counting up from `past` (and
/// from 0 behind padding on the left), other integers small enough for any vocabulary, floats in
/// [-1, 1).
Array randomArray(const std::string &name, artifact::DType dtype, std::vector<int64_t> dims,
                  const RandomSettings &settings = {});

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_INPUTS_H
