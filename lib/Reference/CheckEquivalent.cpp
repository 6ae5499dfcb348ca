//===- CheckEquivalent.cpp - interpret before and after ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Reference/Inputs.h"
#include "permalloy/Reference/Passes.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

namespace permalloy::reference {
#define GEN_PASS_DEF_CHECKEQUIVALENT
#include "permalloy/Reference/Passes.h.inc"
} // namespace permalloy::reference

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

namespace {

/// Holds what SymbolicShapes says against what really happens.
class ShapeChecker {
public:
  ShapeChecker(func::FuncOp function, Symbols symbols)
      : function(function), symbols(std::move(symbols)) {}

  LogicalResult check(Operation *op, ArrayRef<Tensor> results) {
    if (op->getParentOp() != function) // inside a kernel: other symbols
      return success();
    for (auto [value, tensor] : llvm::zip(op->getResults(), results))
      for (auto [d, dim] : llvm::enumerate(shapes.dims(value)))
        if (std::optional<int64_t> derived = valueOf(dim); derived && *derived != tensor.dim(d))
          return op->emitError("dimension ") << d << " is derived as " << dim.str() << " = "
                                             << *derived << " but is " << tensor.dim(d);
    return success();
  }

private:
  std::optional<int64_t> valueOf(tfm::DimExprAttr dim) {
    std::string ignored; // a fresh symbol has no value here
    return evaluate(dim, symbols, ignored);
  }

  func::FuncOp function;
  Symbols symbols;
  SymbolicShapes shapes;
};

/// Sizes for which to run when none are given: 2, 3, 4, ... tell dimensions apart, 1 is where
/// broadcasting hides.
SmallVector<Symbols> defaultSizes(func::FuncOp function) {
  SmallVector<Symbols> result(2);
  for (auto [i, name] : llvm::enumerate(dimensionNames(function))) {
    result[0][name] = i + 2;
    result[1][name] = 1;
  }
  if (dimensionNames(function).empty())
    result.pop_back();
  return result;
}

std::string str(const Symbols &sizes) {
  std::vector<std::string> items;
  for (auto &entry : sizes)
    items.push_back((entry.getKey() + "=" + Twine(entry.getValue())).str());
  llvm::sort(items);
  return llvm::join(items, ",");
}

std::string textOf(Operation *op) {
  std::string text;
  llvm::raw_string_ostream os(text);
  op->print(os, OpPrintingFlags().useLocalScope());
  return text;
}

struct CheckEquivalentPass : public reference::impl::CheckEquivalentBase<CheckEquivalentPass> {
  using CheckEquivalentBase::CheckEquivalentBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    OpPassManager manager(ModuleOp::getOperationName());
    if (succeeded(parsePassPipeline(pipeline, manager, llvm::nulls())))
      manager.getDependentDialects(registry);
  }

  void runOnOperation() override {
    OwningOpRef<ModuleOp> after = getOperation().clone();
    markAllAnalysesPreserved();
    if (failed(runPipelineOn(*after)) || (idempotent && failed(checkIdempotent(*after))))
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isPrivate() || function.isExternal())
        continue;
      auto other = after->lookupSymbol<func::FuncOp>(function.getName());
      if (!other) {
        mlir::emitError(function.getLoc(), "is gone after the pipeline");
        return signalPassFailure();
      }
      if (failed(compareFunction(function, other)))
        signalPassFailure();
    }
  }

private:
  LogicalResult runPipelineOn(ModuleOp module);
  LogicalResult checkIdempotent(ModuleOp once);
  FailureOr<SmallVector<Symbols>> sizeSets(func::FuncOp function);
  LogicalResult compareFunction(func::FuncOp before, func::FuncOp after);
  LogicalResult compareAt(func::FuncOp before, func::FuncOp after, const Symbols &sizes);
};

LogicalResult CheckEquivalentPass::runPipelineOn(ModuleOp module) {
  PassManager manager(&getContext(), ModuleOp::getOperationName());
  std::string message;
  llvm::raw_string_ostream os(message);
  if (failed(parsePassPipeline(pipeline, manager, os)))
    return mlir::emitError(getOperation().getLoc(), "cannot parse pipeline '")
           << pipeline << "': " << StringRef(message).trim();
  if (failed(manager.run(module)))
    return mlir::emitError(getOperation().getLoc(), "pipeline '") << pipeline << "' failed";
  return success();
}

LogicalResult CheckEquivalentPass::checkIdempotent(ModuleOp once) {
  OwningOpRef<ModuleOp> twice = once.clone();
  if (failed(runPipelineOn(*twice)))
    return failure();
  std::string first = textOf(once), second = textOf(*twice);
  if (first == second)
    return success();
  SmallVector<StringRef> a, b;
  StringRef(first).split(a, '\n');
  StringRef(second).split(b, '\n');
  size_t line = 0;
  while (line < a.size() && line < b.size() && a[line] == b[line])
    ++line;
  InFlightDiagnostic error = mlir::emitError(getOperation().getLoc(), "pipeline '")
                             << pipeline << "' changes the IR when run again";
  error.attachNote() << "once:  " << (line < a.size() ? a[line] : "(nothing)");
  error.attachNote() << "twice: " << (line < b.size() ? b[line] : "(nothing)");
  return error;
}

FailureOr<SmallVector<Symbols>> CheckEquivalentPass::sizeSets(func::FuncOp function) {
  if (sizes.empty())
    return defaultSizes(function);
  SmallVector<Symbols> result;
  SmallVector<StringRef> texts;
  StringRef(sizes).split(texts, ';');
  for (StringRef text : texts) {
    std::string error;
    FailureOr<Symbols> parsed = parseSizes(text, error);
    if (failed(parsed))
      return mlir::emitError(function.getLoc(), error);
    result.push_back(*parsed);
  }
  return result;
}

LogicalResult CheckEquivalentPass::compareFunction(func::FuncOp before, func::FuncOp after) {
  FailureOr<SmallVector<Symbols>> sets = sizeSets(before);
  if (failed(sets))
    return failure();
  for (const Symbols &set : *sets)
    if (failed(compareAt(before, after, set)))
      return failure();
  return success();
}

LogicalResult CheckEquivalentPass::compareAt(func::FuncOp before, func::FuncOp after,
                                             const Symbols &sizes) {
  FailureOr<SmallVector<Tensor>> inputs = randomInputs(before, sizes, seed);
  if (failed(inputs))
    return failure();
  auto run = [&](func::FuncOp function, StringRef when) -> FailureOr<SmallVector<Tensor>> {
    ShapeChecker checker(function, sizes);
    auto results = interpret(function, *inputs, {[&](Operation *op, ArrayRef<Tensor> tensors) {
                               return checker.check(op, tensors);
                             }});
    if (failed(results))
      mlir::emitRemark(function.getLoc(), "while interpreting it ")
          << when << " the pipeline at sizes '" << str(sizes) << "'";
    return results;
  };
  FailureOr<SmallVector<Tensor>> expected = run(before, "before"), actual = failure();
  if (failed(expected) || failed(actual = run(after, "after")))
    return failure();
  if (expected->size() != actual->size())
    return mlir::emitError(before.getLoc(), "gives ")
           << expected->size() << " results before and " << actual->size() << " after the pipeline";
  for (unsigned i = 0; i < expected->size(); ++i)
    if (Difference difference = compare((*actual)[i], (*expected)[i], {rtol, atol}))
      return mlir::emitError(before.getLoc(), "result ")
             << resultName(before, i) << " differs after '" << pipeline << "' at sizes '"
             << str(sizes) << "': " << difference.message;
  return success();
}

} // namespace
