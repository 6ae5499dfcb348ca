//===- Interpret.h - a model through the reference interpreter ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_INTERPRET_H
#define PERMALLOY_LIB_DRIVER_INTERPRET_H

#include "permalloy/Support/Npy.h"

#include <optional>

namespace permalloy {

/// A model as imported, before any pass, run by the reference interpreter.
class InterpretedModel {
public:
  /// Nothing after an error, which was reported.
  static std::optional<InterpretedModel> import(const std::string &path);
  ~InterpretedModel();
  InterpretedModel(InterpretedModel &&) noexcept;

  /// The outputs for `inputs`, which are found by name. Nothing after an error, which was reported.
  std::optional<std::vector<NamedArray>> run(std::span<const NamedArray> inputs);

private:
  struct State;
  explicit InterpretedModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_INTERPRET_H
