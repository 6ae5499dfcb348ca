//===- UnsupportedReport.cpp - all that stops an import, at once -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "UnsupportedReport.h"

#include "mlir/IR/Diagnostics.h"

using namespace mlir;
using namespace permalloy;

void UnsupportedReport::add(const FlatNode &node, StringRef reason) {
  StringRef domain = node.domain.empty() ? "ai.onnx" : StringRef(node.domain);
  std::string key =
      (domain + " " + node.op + " (opset " + Twine(node.opset) + "): " + reason).str();
  auto [it, isNew] = groupOf.try_emplace(key, groups.size());
  if (isNew)
    groups.push_back({key, {}});
  groups[it->second].names.push_back(node.name);
  ++count;
}

void UnsupportedReport::emit(Location loc, size_t numNodes) const {
  constexpr size_t kShown = 8;
  InFlightDiagnostic diagnostic = emitError(loc)
                                  << count << " of " << numNodes << " nodes are unsupported";
  for (const Group &group : groups) {
    Diagnostic &note = diagnostic.attachNote(UnknownLoc::get(loc.getContext()));
    note << group.names.size() << " x " << group.what << ": ";
    for (size_t i = 0; i < std::min(kShown, group.names.size()); ++i)
      note << (i ? ", " : "") << "'" << group.names[i] << "'";
    if (group.names.size() > kShown)
      note << " and " << group.names.size() - kShown << " more";
  }
}
