//===- Quantization.h - which weights stand as codes -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `--quantize` gives every weight that can take it a level (Levels.h), but for those that lose too much: layers that choose experts,
// small weights, tables of positions; and a head of fewer than 8 bits only where it is asked for by name. What was decided stands in
// the plan (Precision.h) like precisions, and `apply-quantization` carries it out.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TRANSFORMS_QUANTIZATION_H
#define PERMALLOY_TRANSFORMS_QUANTIZATION_H

#include "permalloy/Transforms/Levels.h"
#include "permalloy/Transforms/Precision.h"

namespace permalloy {

/// What `--quantize` and `--solver` ask for.
struct QuantizationRequest {
  std::string level;                         ///< of layers and tables: a format's name
  std::string head;                          ///< of layers that give logits; empty: `level`, or w8 where that has fewer than 8 bits
  std::string solver = kDefaultSolver.str();
  int64_t minElements = 1 << 16;             ///< weights of fewer stay as they are
  const KernelCosts *costs = nullptr;        ///< says what is slower; null: formats have bounds of their own

  /// Reads "w4g32" or "w4g32,head=w4g32"; f32 for the head leaves it. The message of an error says what there is.
  static llvm::Expected<QuantizationRequest> parse(llvm::StringRef text, llvm::StringRef solver = kDefaultSolver);
  /// As `parse` reads it.
  std::string str() const;
};

/// Calls `body` for each linear layer, and each gather of rows, from a stored weight, in program order.
void forEachSite(mlir::ModuleOp module, llvm::function_ref<void(WeightSite )> body);
/// Gives the choices of `plan` for sites of the module the formats that are asked for, adds choices for tables, and says of the
/// others why not.
void addFormats(mlir::ModuleOp module, const QuantizationRequest &request, PrecisionPlan &plan);
/// Why the sites of a choice cannot take its format and solver; empty where they can.
std::string whyNotFormat(mlir::ModuleOp module, const PrecisionChoice &choice);

} // namespace permalloy

#endif
