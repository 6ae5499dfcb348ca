//===- Precision.h - which products run in bf16 ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A plan says for each operation with products (linear layer, attention, mixture of experts) its level (Levels.h): whether its
// operands are f32 or bf16, or in f32 and multiplied as sums of two numbers of bf16 ("bf16x3", linear layers) or, by GPUs, rounded
// to tf32 ("tf32", linear layers and attention), and in which format the weight of a layer or of a table is stored; sums are f32 in any case. `plan-precision` and `plan-quantization` write it as
// attributes, which can be printed and edited, `apply-quantization` and `apply-precision` carry it out. As a file it is JSON:
//
//   {"plan": [{"op": "node_linear_3", "kind": "linear", "level": "bf16"},
//             {"op": "node_linear_4", "kind": "linear", "level": "w4g32", "solver": "rtn"},
//             {"op": "node_linear_5", "kind": "linear", "level": "f32", "reason": "..."}]}
//
// An operation is named by the ONNX node that it came from. Operations of one kind and one node (the parts of a projection
// that was cut) have one line. What a plan leaves out stays f32.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TRANSFORMS_PRECISION_H
#define PERMALLOY_TRANSFORMS_PRECISION_H

#include "Tfm/PrecisionAttr.h"
#include "permalloy/Transforms/TokenReduction.h"
#include "Tfm/Tfm.h"
#include "mlir/IR/BuiltinOps.h"

#include <optional>
#include <string>
#include <vector>

namespace permalloy {

/// The attribute beside kPrecisionAttr that says why not bf16.
inline constexpr llvm::StringLiteral kPrecisionReasonAttr = "tfm.precision_reason";

/// The graph input of a module with switches: one bool for each choice of the plan.
inline constexpr llvm::StringLiteral kSwitchInput = "permalloy.precision";

/// One line of a plan.
struct PrecisionChoice {
  std::string op;        ///< ONNX node
  std::string kind;      ///< mnemonic: linear, attention, moe, matmul, gather
  std::string precision; ///< "f32", "bf16", "bf16x3" or "tf32"
  std::string reason;    ///< why not what was asked for; may be empty
  unsigned count = 1;    ///< operations of this node
  std::string format = {}, solver = {}; ///< of the weight (Levels.h); empty: as it is
  double elements = 0, bits = 0;        ///< of a weight in a format, as read from a module: how many, and bits of all as stored

  std::string level() const; ///< precision and format as one word
  /// As measured by --precision auto: error of the outputs when this alone is bf16, and time saved in microseconds.
  std::optional<double> error = {}, saved = {};
};

struct PrecisionPlan {
  std::vector<PrecisionChoice> choices;
  /// Lines of kind "tokens", which plan-token-reduction reads.
  std::vector<TokenChoice> tokens = {};
  /// Of --precision auto: what was allowed, and what the whole plan has.
  std::optional<double> maxError, error;
  /// Of a module with switches: what has none and stays f32, with the reason.
  std::vector<PrecisionChoice> kept;
  /// Of a compilation: whether any of its targets multiplies bf16x3. Elsewhere these layers compute f32, and `print` says so.
  bool splits = true;
  /// What was asked for of all, "bf16" or "tf32": `print` says of it how many have it, also where none does.
  std::string asked = "bf16";

  /// Reads JSON; the message of an error says what a plan looks like.
  static llvm::Expected<PrecisionPlan> parse(llvm::StringRef text);
  std::string toJson() const;
  /// One line for each level but f32, "bf16: 6 attention, 36 linear", with the sizes of weights in formats, and one for each
  /// reason of those that are not what was asked for.
  void print(llvm::raw_ostream &os) const;
  const PrecisionChoice *find(llvm::StringRef op, llvm::StringRef kind) const;
};

/// Whether `op` multiplies tensors of floats: what a plan is about.
bool hasProducts(mlir::Operation *op);
/// Why the operands of an operation with products cannot be bf16; empty where they can.
std::string whyNotBf16(mlir::Operation *op);
/// Why GPUs cannot be allowed to round them to tf32; empty where they can.
std::string whyNotTf32(mlir::Operation *op);
/// The ONNX node that names an operation in a plan.
std::string precisionName(mlir::Operation *op);

/// Writes kPrecisionAttr on every operation with products, kLevelAttr and kSolverAttr where there is a format. Emits an error
/// where the plan names one that the module has not, or asks for a level that it cannot have.
llvm::LogicalResult annotatePrecision(mlir::ModuleOp module, const PrecisionPlan &plan);
/// The plan of all that can and should have a precision: "bf16", "tf32", or "f32": nothing. Routers of experts and what they depend on
/// stay f32; with bf16 the layers among that are bf16x3 where K allows, and the experts of raised mixtures are bf16.
PrecisionPlan uniformPlan(mlir::ModuleOp module, llvm::StringRef precision);
/// Gives @main another input, kSwitchInput, that says of each choice of the plan returned whether it runs in bf16: every
/// product that can is there twice, and a select takes the one or the other. So one compilation measures any plan. What
/// uniformPlan has not in bf16, and what stands in branches and bodies of loops, keeps f32 and is in PrecisionPlan::kept.
llvm::FailureOr<PrecisionPlan> addPrecisionSwitches(mlir::ModuleOp module);
/// What stands in the attributes of a module, in program order.
PrecisionPlan readPrecision(mlir::ModuleOp module);

} // namespace permalloy

#endif
