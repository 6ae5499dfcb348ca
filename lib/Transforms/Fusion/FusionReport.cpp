//===- FusionReport.cpp - what was raised, what stopped the rest -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Cleanup/Assumptions.h"
#include "../Rewriting.h"
#include "Kern/Kern.h"
#include "Match.h"
#include "permalloy/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"

namespace permalloy {
#define GEN_PASS_DEF_FUSIONREPORT
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class Reporter {
public:
  Reporter(func::FuncOp function, raw_ostream &os) : function(function), os(os) {}
  void print();

private:
  void count(Operation *op);
  void explain(Operation *op);
  void line(Operation *op, StringRef what, StringRef reason);
  void explainSoftmax(SoftmaxOp op);
  void explainProduct(MatmulOp op);
  void explainPasts();

  func::FuncOp function;
  raw_ostream &os;
  SymbolicShapes shapes;
  /// Counts by name, in text order.
  std::map<std::string, unsigned> counts;
};

} // namespace

void Reporter::print() {
  function.walk([&](Operation *op) { count(op); });
  os << '@' << function.getName() << ": ";
  llvm::interleaveComma(counts, os, [&](auto &entry) { os << entry.second << ' ' << entry.first; });
  os << (counts.empty() ? "nothing raised\n" : "\n");
  function.walk([&](Operation *op) { explain(op); });
  explainPasts();
}

/// Pasts that are copied at every step, together where the reason is the same.
void Reporter::explainPasts() {
  llvm::MapVector<StringAttr, SmallVector<StringRef>> reasons;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto reason = function.getArgAttrOfType<StringAttr>(i, kern::kNoCacheAttr)) {
      auto name = function.getArgAttrOfType<StringAttr>(i, TfmDialect::kNameAttr);
      reasons[reason].push_back(name ? name.getValue() : "an input");
    }
  for (auto &[reason, names] : reasons)
    os << "  " << names.size() << " without cache, first \"" << names.front() << "\": " << reason.getValue() << '\n';
}

void Reporter::count(Operation *op) {
  if (isa<AttentionOp, KvAppendOp, LayerNormOp, LinearOp>(op))
    ++counts[op->getName().stripDialect().str()];
  if (auto linear = dyn_cast<LinearOp>(op); linear && linear.getActivation() != Activation::None)
    ++counts["linear with " + stringifyActivation(linear.getActivation()).str()];
  if (auto unary = dyn_cast<UnaryOp>(op);
      unary && (unary.getKind() == UnaryKind::GeluErf || unary.getKind() == UnaryKind::GeluTanh))
    ++counts[stringifyUnaryKind(unary.getKind()).str()];
}

void Reporter::line(Operation *op, StringRef what, StringRef reason) {
  os << "  " << what << " at \"" << nodeName(op->getLoc()) << "\": " << reason << '\n';
}

void Reporter::explainSoftmax(SoftmaxOp op) {
  std::string reason = "its result is no left operand of a matrix product";
  SmallVector<Value> forms = {op.getResult()}; // the softmax and what a guard makes of it
  for (Operation *user : op.getResult().getUsers())
    if (isa<SelectOp>(user))
      forms.push_back(user->getResult(0));
  for (Value form : forms)
    for (Operation *user : form.getUsers())
      if (auto product = dyn_cast<MatmulOp>(user); product && product.getLhs() == form)
        if (matchAttention(product, shapes, reason))
          reason = "raise-attention has not run";
  line(op, "softmax without attention", reason);
}

/// The products that an erf or tanh ends in: up to four operations below it.
static void productsBelow(Operation *op, unsigned depth, SmallVectorImpl<BinaryOp> &products) {
  for (Operation *user : op->getUsers()) {
    auto binary = dyn_cast<BinaryOp>(user);
    if (!binary || depth == 0)
      continue;
    productsBelow(binary, depth - 1, products); // outermost first
    if (binary.getKind() == BinaryKind::Mul)
      products.push_back(binary);
  }
}

/// A product with a parameter that did not become a linear layer.
void Reporter::explainProduct(MatmulOp op) {
  auto isParameter = [](Value value) {
    return isa_and_nonnull<GetWeightOp, ConstantOp>(value.getDefiningOp());
  };
  if (isParameter(op.getLhs()))
    line(op, "matmul without linear", "the weight is its left operand");
  else if (isParameter(op.getRhs()) && cast<RankedTensorType>(op.getRhs().getType()).getRank() != 2)
    line(op, "matmul without linear", "the weight does not have rank 2");
  else if (isParameter(op.getRhs()))
    line(op, "matmul without linear",
         op.getTransposeA() ? "its left operand is transposed" : "raise-linear has not run");
}

void Reporter::explain(Operation *op) {
  std::string reason;
  if (auto product = dyn_cast<MatmulOp>(op))
    return explainProduct(product);
  if (auto softmax = dyn_cast<SoftmaxOp>(op))
    return explainSoftmax(softmax);
  if (auto mean = dyn_cast<ReduceOp>(op); mean && mean.getKind() == ReduceKind::Mean) {
    auto square = mean.getInput().getDefiningOp<BinaryOp>();
    if (square && (square.getKind() == BinaryKind::Pow ||
                   (square.getKind() == BinaryKind::Mul && square.getLhs() == square.getRhs())))
      line(op, "variance without layer_norm",
           matchLayerNorm(mean, shapes, reason) ? "raise-layer-norm has not run" : reason);
  }
  if (auto unary = dyn_cast<UnaryOp>(op);
      unary && (unary.getKind() == UnaryKind::Erf || unary.getKind() == UnaryKind::Tanh)) {
    SmallVector<BinaryOp> products;
    productsBelow(op, 4, products);
    if (products.empty() && unary.getKind() == UnaryKind::Tanh)
      return;
    std::string first = "it ends in no product";
    for (BinaryOp product : llvm::reverse(products))
      first = matchGelu(product, reason) ? "raise-gelu has not run" : reason;
    line(op, stringifyUnaryKind(unary.getKind()).str() + " without gelu", first);
  }
}

void permalloy::printFusionReport(ModuleOp module, raw_ostream &os) {
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isExternal())
      Reporter(function, os).print();
}

namespace {
class FusionReport : public permalloy::impl::FusionReportBase<FusionReport> {
  using FusionReportBase::FusionReportBase;
  void runOnOperation() override {
    printFusionReport(getOperation(), toStderr ? llvm::errs() : llvm::outs());
    markAllAnalysesPreserved();
  }
};
} // namespace
