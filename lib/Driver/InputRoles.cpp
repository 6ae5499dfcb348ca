//===- InputRoles.cpp - what the axes of a model's inputs stand for *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "InputRoles.h"

#include <algorithm>

namespace permalloy {

using artifact::DType;
using artifact::Manifest;
using artifact::Symbol;
using artifact::TensorInfo;

const char *roleName(Role role) {
  static constexpr const char *names[] = {"", "batch", "sequence", "past", "total"};
  return names[static_cast<int>(role)];
}

bool isPastInput(const TensorInfo &input) {
  return input.name.find("past") != std::string::npos && input.dims.size() >= 4;
}

static Role axisRole(const TensorInfo &input, size_t axis, bool hasPast) {
  size_t rank = input.dims.size();
  if (isPastInput(input))
    return axis == rank - 4 ? Role::batch : axis == rank - 2 ? Role::past : Role::none;
  bool integers = input.dtype == DType::i64 || input.dtype == DType::i32;
  bool mask = input.name.find("mask") != std::string::npos;
  if (rank != 2 || (!integers && !mask))
    return Role::none;
  if (axis == 0)
    return Role::batch;
  return mask && hasPast ? Role::total : Role::sequence;
}

std::vector<Role> symbolRoles(const Manifest &manifest) {
  bool hasPast = std::ranges::any_of(manifest.inputs, isPastInput);
  std::vector<Role> roles;
  for (const Symbol &symbol : manifest.inputSymbols())
    roles.push_back(axisRole(manifest.inputs[symbol.input], symbol.axis, hasPast));
  return roles;
}

std::vector<int64_t> sizesByRole(const Manifest &manifest,
                                 const std::function<std::optional<int64_t>(const Symbol &)> &said,
                                 std::map<Role, int64_t> byRole) {
  std::vector<Role> roles = symbolRoles(manifest);
  std::vector<std::optional<int64_t>> values;
  for (size_t i = 0; i < roles.size(); ++i) {
    values.push_back(said(manifest.symbols[i]));
    if (values[i] && roles[i] != Role::none)
      byRole.try_emplace(roles[i], *values[i]);
  }
  auto settle = [&](size_t i) {
    const Symbol &symbol = manifest.symbols[i];
    if (values[i])
      return;
    if (auto known = byRole.find(roles[i]); known != byRole.end()) {
      values[i] = known->second;
      return;
    }
    bool small = roles[i] == Role::batch || (roles[i] == Role::none && i == 0);
    values[i] = std::clamp<int64_t>(small ? 2 : 16, symbol.min, symbol.max);
    if (roles[i] != Role::none)
      byRole[roles[i]] = *values[i];
  };
  for (size_t i = 0; i < roles.size(); ++i)
    if (roles[i] != Role::total)
      settle(i);
  byRole.try_emplace(Role::total, byRole[Role::past] + byRole[Role::sequence]);
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < roles.size(); ++i) {
    settle(i);
    sizes.push_back(*values[i]);
  }
  sizes.resize(manifest.symbols.size(), 1); // the capacity of caches, which no input has
  return sizes;
}

} // namespace permalloy
