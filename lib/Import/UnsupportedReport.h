//===- UnsupportedReport.h - all that stops an import, at once ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_IMPORT_UNSUPPORTEDREPORT_H
#define PERMALLOY_LIB_IMPORT_UNSUPPORTEDREPORT_H

#include "Flatten.h"

namespace permalloy {

/// Collects nodes that cannot be imported, by operator and reason, and says them in one error:
///
///   error: 3 of 120 nodes are unsupported
///   note: 2 x ai.onnx NonZero (opset 17): the operator is not supported: 'nz_1', 'nz_2'
///   note: 1 x ai.onnx Attention (opset 23): softcap 30: 'attn_0'
class UnsupportedReport {
public:
  void add(const FlatNode &node, llvm::StringRef reason);
  bool empty() const { return groups.empty(); }
  void emit(mlir::Location loc, size_t numNodes) const;

private:
  struct Group {
    std::string what;
    llvm::SmallVector<std::string> names;
  };
  std::vector<Group> groups;
  llvm::StringMap<size_t> groupOf;
  size_t count = 0;
};

} // namespace permalloy

#endif
