//===- Binding.h - from the caller's tensors to symbol values ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_BINDING_H
#define PERMALLOY_RUNTIME_BINDING_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Artifact/Status.h"
#include "permalloy/Runtime/Memory.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace permalloy {

/// A tensor the caller gives, aligned to its element.
struct InputTensor {
  artifact::DType dtype = artifact::DType::f32;
  std::vector<int64_t> dims;
  const void *data = nullptr; ///< may be null when it has no elements
  /// Elements between neighbours of each axis; empty: dense and row-major.
  std::vector<int64_t> strides = {};
  /// Whose memory `data` is: this process' or that of the GPU that the session runs on.
  int device = kHostMemory;
};

/// Checks dtype, rank, size, address and number of strides of one tensor for the input `info`.
Status checkInput(const artifact::TensorInfo &info, const InputTensor &tensor);

/// Checks number, dtype and rank of `inputs` (in the manifest's order) and reads each symbol's
/// value off the axis that binds it; values outside the symbol's range are refused. Symbols
/// that no input binds get 1.
Status bindSymbols(const artifact::Manifest &manifest, std::span<const InputTensor> inputs,
                   std::vector<int64_t> &symbolValues);

/// Compares every dimension of every input with the value of its expression.
Status checkDims(const artifact::Manifest &manifest, std::span<const InputTensor> inputs,
                 std::span<const int64_t> exprValues);

/// Index of the tensor called `name`; an error lists the names there are. `role`: "input",
/// "output".
Result<size_t> findTensor(std::span<const artifact::TensorInfo> tensors, const std::string &name,
                          const std::string &role);

/// Bytes of a tensor with these dimensions; -1 when that exceeds 63 bits or a dimension is
/// negative.
int64_t tensorBytes(artifact::DType dtype, std::span<const int64_t> dims);

/// "[2, 7]".
std::string shapeText(std::span<const int64_t> dims);

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_BINDING_H
