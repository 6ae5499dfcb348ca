//===- InputRoles.h - what the axes of a model's inputs stand for -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Exporters name dimensions as they like: the TorchScript exporter's `past` and `total` are
// torch.export's `s15` and `s53`, and the mask's batch is `s43` beside `s10`. What an axis stands
// for follows from its input's name and place:
//
//   input_ids, position_ids, ...   integers [batch, sequence]
//   attention_mask                 [batch, total] beside past inputs, else [batch, sequence]
//   past_key_values.0.key, ...     [..., batch, heads, past, width]
//
// Sizes may be given by these names as well as by the model's own, and symbols that nobody mentions
// follow those of the same role; `total` is past + sequence.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_INPUTROLES_H
#define PERMALLOY_LIB_DRIVER_INPUTROLES_H

#include "permalloy/Artifact/Format.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace permalloy {

enum class Role { none, batch, sequence, past, total };

/// "batch", "sequence", "past", "total"; "" for none.
const char *roleName(Role role);

/// Whether the input carries keys or values of earlier positions.
bool isPastInput(const artifact::TensorInfo &input);

/// For each symbol of the manifest, the role of the axis that binds it.
std::vector<Role> symbolRoles(const artifact::Manifest &manifest);

/// A size for each symbol. `said` gives what is known of a symbol, `byRole` sizes of roles; the
/// rest follows symbols of the same role, else a small default within the symbol's range (2 for a
/// batch or the first symbol, 16 for others).
std::vector<int64_t>
sizesByRole(const artifact::Manifest &manifest,
            const std::function<std::optional<int64_t>(const artifact::Symbol &)> &said,
            std::map<Role, int64_t> byRole);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_INPUTROLES_H
