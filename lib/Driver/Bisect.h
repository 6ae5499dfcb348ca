//===- Bisect.h - the first node that computes something else ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Node k of the graph (in its topological order) is tested by cutting the model behind it, so that
// its value is the only output, compiling this part as the whole was compiled, and comparing with
// onnxruntime. A wrong value makes later ones wrong, so the first wrong node is found by halving:
// about log2(nodes) compilations. Cutting also keeps fusion from reaching across the cut; where
// every part is right but the whole is not, that is said.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_BISECT_H
#define PERMALLOY_LIB_DRIVER_BISECT_H

#include "Commands.h"
#include "Peer.h"

namespace permalloy {

/// Prints the first node whose value differs from onnxruntime's on `inputs` by more than `tolerance`.
Status bisect(const VerifyCommand &command, Peer &peer, std::span<const NamedArray> inputs,
              double tolerance);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_BISECT_H
