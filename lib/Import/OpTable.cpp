//===- OpTable.cpp - the operators that can be imported ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

#include "OnnxVersion.h"
#include "permalloy/Import/Import.h"

using namespace llvm;
using namespace permalloy;

std::vector<const OpRow *> permalloy::allOpRows() {
  std::vector<const OpRow *> rows;
  for (auto family :
       {elementwiseRows, activationRows,    structureRows, indexingRows,       reductionRows,
        matmulRows,      normalizationRows, attentionRows, fusedAttentionRows, constantRows,
        controlRows,     convolutionRows,   rotaryRows,    selectionRows,      groupQueryRows,
        paddingRows,     fusedRotaryRows,   einsumRows,    spatialRows,        cacheUpdateRows,
        groupNormRows,   expertRows,        quantizedWeightRows, integerRows})
    for (const OpRow &row : family())
      rows.push_back(&row);
  return rows;
}

const OpRow *permalloy::findOpRow(StringRef domain, StringRef op, int64_t opset,
                                  std::string &reason) {
  static const auto *index = [] {
    auto *map = new llvm::StringMap<llvm::SmallVector<const OpRow *, 1>>();
    for (const OpRow *row : allOpRows())
      (*map)[(row->domain + "." + row->op).str()].push_back(row);
    return map;
  }();
  auto it = index->find((domain + "." + op).str());
  if (it == index->end()) {
    reason = "the operator is not supported";
    return nullptr;
  }
  const OpRow *best = nullptr, *oldest = it->second.front();
  for (const OpRow *row : it->second) {
    if (row->first <= opset && (!best || row->first > best->first))
      best = row;
    if (row->first < oldest->first)
      oldest = row;
  }
  if (!best)
    reason = "supported from opset " + std::to_string(oldest->first) + " on";
  return best;
}

static llvm::StringLiteral className(OpClass kind) {
  switch (kind) {
  case OpClass::Structure:
    return "structure";
  case OpClass::Elementwise:
    return "elementwise";
  case OpClass::Concept:
    return "concept";
  case OpClass::Decomposed:
    return "decomposed";
  case OpClass::Control:
    return "control";
  }
  return "";
}

std::vector<OnnxOpInfo> permalloy::supportedOnnxOps() {
  std::map<std::pair<StringRef, StringRef>, OnnxOpInfo> ops;
  for (const OpRow *row : allOpRows()) {
    auto [it, isNew] =
        ops.try_emplace({row->domain, row->op}, OnnxOpInfo{row->domain, row->op, row->first,
                                                           row->reviewed, className(row->kind)});
    it->second.first = std::min(it->second.first, row->first);
    it->second.reviewed = std::max(it->second.reviewed, row->reviewed);
  }
  std::vector<OnnxOpInfo> result;
  for (auto &[key, info] : ops)
    result.push_back(info);
  return result;
}

llvm::StringRef permalloy::onnxPackageVersion() { return PERMALLOY_ONNX_VERSION; }
int permalloy::newestOnnxOpset() { return PERMALLOY_ONNX_OPSET; }
