//===- Flatten.h - one list of nodes from graph and functions ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_IMPORT_FLATTEN_H
#define PERMALLOY_LIB_IMPORT_FLATTEN_H

#include "mlir/IR/Location.h"
#include "onnx.pb.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"

namespace permalloy {

struct FlatGraph;

/// A node after model-local functions have been inlined. Values have names that are unique in the
/// model; "" is an absent input or an unused output. Attributes that refer to those of a function
/// call are resolved.
struct FlatNode {
  std::string name;   ///< `call/inner`; `op_N` when the model gives none
  std::string domain; ///< "" for ai.onnx
  std::string op;
  int64_t opset = 0; ///< of the domain; 0 when the model does not import the domain
  llvm::SmallVector<std::string, 4> inputs;
  llvm::SmallVector<std::string, 2> outputs;
  llvm::StringMap<const onnx::AttributeProto *> attributes;
  /// Attributes that are graphs: branches of If, the body of Loop.
  llvm::StringMap<std::shared_ptr<FlatGraph>> graphs;
};

/// A graph inside of a node. Its nodes may read values of the graphs around it.
struct FlatGraph {
  std::vector<FlatNode> nodes;
  std::vector<std::string> inputs, outputs;
  llvm::StringMap<const onnx::TensorProto *> initializers;
};

/// Opset versions by domain ("" for ai.onnx).
using OpsetMap = llvm::StringMap<int64_t>;

/// "" for the names of the default domain.
llvm::StringRef normalizeDomain(llvm::StringRef domain);

/// Inlines model-local functions, nested ones too. A function of the model goes before an operator
/// of the same name. Fails, with an error at `loc`, on recursive functions, calls that do not fit,
/// and models that unfold beyond a million nodes.
llvm::FailureOr<std::vector<FlatNode>> flatten(const onnx::ModelProto &model,
                                               const OpsetMap &opsets, mlir::Location loc);

} // namespace permalloy

#endif
