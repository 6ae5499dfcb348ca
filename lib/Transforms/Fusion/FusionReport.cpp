//===- FusionReport.cpp - what was raised, what stopped the rest -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Cleanup/Assumptions.h"
#include "../Rewriting.h"
#include "Kern/Kern.h"
#include "Match.h"
#include "MatchRotary.h"
#include "permalloy/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

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
  void explainNorm(ReduceOp mean);
  void explainCosine(UnaryOp cosine);

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
  if (auto padding = function->getAttrOfType<StringAttr>(kPaddingAttr))
    os << "  padding: " << padding.getValue() << '\n';
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
  if (isa<AttentionOp, KvAppendOp, LayerNormOp, RmsNormOp, RotaryOp, LinearOp, MoeOp>(op))
    ++counts[op->getName().stripDialect().str()];
  if (auto linear = dyn_cast<LinearOp>(op); linear && linear.getActivation() != Activation::None)
    ++counts["linear with " + stringifyActivation(linear.getActivation()).str()];
  if (auto unary = dyn_cast<UnaryOp>(op);
      unary && llvm::is_contained({UnaryKind::GeluErf, UnaryKind::GeluTanh, UnaryKind::Silu}, unary.getKind()))
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

/// A mean of squares: of x - mean(x) in a layer norm, else of x in an RMS norm.
void Reporter::explainNorm(ReduceOp mean) {
  std::string reason;
  if (matchLayerNorm(mean, shapes, reason))
    return line(mean, "variance without layer_norm", "raise-layer-norm has not run");
  std::string other;
  if (matchRmsNorm(mean, shapes, other))
    return line(mean, "mean of squares without rms_norm", "raise-rms-norm has not run");
  line(mean, "mean of squares without layer_norm or rms_norm", reason + "; " + other);
}

/// A cosine that no rotary embedding takes its table from: the reason of the last sum or concatenation below it.
void Reporter::explainCosine(UnaryOp cosine) {
  SetVector<Operation *> below;
  below.insert(cosine);
  std::string reason = "no head is multiplied with it";
  for (size_t i = 0; i < below.size() && i < 64; ++i)
    for (Operation *user : below[i]->getUsers()) {
      if (isa<RotaryOp>(user))
        return;
      if (!isa<TfmDialect>(user->getDialect()) || isa<LinearOp, MatmulOp, AttentionOp>(user))
        continue;
      below.insert(user);
      if (isa<ConcatOp, BinaryOp>(user) && matchRotary(user->getResult(0), shapes, reason))
        reason = "raise-rotary has not run";
    }
  line(cosine, "cosine without rotary", reason);
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
      explainNorm(mean);
  }
  if (auto unary = dyn_cast<UnaryOp>(op); unary && unary.getKind() == UnaryKind::Cos)
    return explainCosine(unary);
  if (auto unary = dyn_cast<UnaryOp>(op); unary && unary.getKind() == UnaryKind::Sigmoid)
    for (Operation *user : op->getUsers())
      if (auto product = dyn_cast<BinaryOp>(user); product && matchSilu(product))
        line(op, "sigmoid without silu", "raise-silu has not run");
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
