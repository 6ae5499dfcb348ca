//===- PlanTokenReduction.cpp - how many tokens blocks give up --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Cleanup/Assumptions.h"
#include "EncoderBlocks.h"
#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/TokenReduction.h"
#include "permalloy/Transforms/TokenScore.h"
#include "llvm/Support/MemoryBuffer.h"

namespace permalloy {
#define GEN_PASS_DEF_PLANTOKENREDUCTION
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class PlanTokenReduction : public permalloy::impl::PlanTokenReductionBase<PlanTokenReduction> {
public:
  using PlanTokenReductionBase::PlanTokenReductionBase;

private:
  void runOnOperation() override;
  LogicalResult checkScore(StringRef name);
  FailureOr<std::vector<TokenChoice>> chosen(const EncoderBlocks &blocks);
  FailureOr<std::vector<TokenChoice>> fromFile(const EncoderBlocks &blocks);
  void write(EncoderBlocks &blocks, ArrayRef<TokenChoice> choices);
  void explain(EncoderBlocks &blocks);
};

} // namespace

static std::string nameOf(AttentionOp op) { return nodeName(op->getLoc()); }

LogicalResult PlanTokenReduction::checkScore(StringRef name) {
  if (findTokenScore(name))
    return success();
  return emitError(getOperation().getLoc()) << "token score '" << name << "' is unknown; there are "
                                            << llvm::join(tokenScoreNames(), ", ");
}

FailureOr<std::vector<TokenChoice>> PlanTokenReduction::fromFile(const EncoderBlocks &blocks) {
  auto fail = [&](const Twine &why) { return emitError(getOperation().getLoc()) << plan.getValue() << ": " << why; };
  auto buffer = llvm::MemoryBuffer::getFile(plan, /*IsText=*/true);
  if (!buffer)
    return fail(buffer.getError().message());
  auto choices = parseTokenPlan((*buffer)->getBuffer());
  if (!choices)
    return fail(llvm::toString(choices.takeError()));
  for (const TokenChoice &choice : *choices) {
    auto it = llvm::find_if(blocks.all(), [&](const EncoderBlock &block) { return nameOf(block.attention) == choice.op; });
    if (it == blocks.all().end())
      return fail("the model has no attention \"" + choice.op + "\"");
    if (!it->reason.empty() && choice.level.count > 0)
      return fail("\"" + choice.op + "\" cannot give up tokens: " + it->reason);
    if (!choice.score.empty() && failed(checkScore(choice.score)))
      return failure();
  }
  return *choices;
}

/// A level for each block that can reduce tokens, or those of the plan.
FailureOr<std::vector<TokenChoice>> PlanTokenReduction::chosen(const EncoderBlocks &blocks) {
  if (!plan.empty()) {
    auto choices = fromFile(blocks);
    if (failed(choices) || !choices->empty() || merge.empty())
      return choices;
  }
  SmallVector<EncoderBlock> reducible = blocks.reducible();
  auto levels = parseTokenSchedule(merge, reducible.size());
  if (!levels)
    return emitError(getOperation().getLoc()) << llvm::toString(levels.takeError());
  std::vector<TokenChoice> choices;
  for (auto [block, level] : llvm::zip(reducible, *levels))
    choices.push_back({nameOf(block.attention), level, ""});
  return choices;
}

void PlanTokenReduction::write(EncoderBlocks &blocks, ArrayRef<TokenChoice> choices) {
  Builder builder(&getContext());
  for (const EncoderBlock &block : blocks.reducible()) {
    auto choice = llvm::find_if(choices, [&](const TokenChoice &each) { return each.op == nameOf(block.attention); });
    if (choice == choices.end() || choice->level.count == 0)
      continue;
    block.attention->setAttr(kTokensAttr, builder.getStringAttr(choice->level.str()));
    block.attention->setAttr(kTokenScoreAttr, builder.getStringAttr(choice->score.empty() ? score.getValue() : choice->score));
    ++numPlanned;
  }
  int64_t count = protect >= 0 ? protect.getValue() : blocks.findProtected();
  getOperation()->setAttr(kProtectedAttr, builder.getI64IntegerAttr(count));
}

void PlanTokenReduction::explain(EncoderBlocks &blocks) {
  for (const EncoderBlock &block : blocks.all())
    if (!block.reason.empty())
      block.attention->setAttr(kTokensReasonAttr, StringAttr::get(&getContext(), block.reason));
}

void PlanTokenReduction::runOnOperation() {
  func::FuncOp function = getOperation();
  bool isDone = function->hasAttr(kTokenReductionAttr) || function->hasAttr(kProtectedAttr);
  if (function.isExternal() || function.isPrivate() || isDone || (merge.empty() && plan.empty()))
    return;
  if (failed(checkScore(score)))
    return signalPassFailure();
  SymbolicShapes shapes;
  EncoderBlocks blocks(function, shapes);
  auto choices = chosen(blocks);
  if (failed(choices))
    return signalPassFailure();
  if (choices->empty() && merge.empty())
    return; // a plan of something else
  explain(blocks);
  if (blocks.rows())
    write(blocks, *choices);
  else
    function->setAttr(kProtectedAttr, IntegerAttr::get(IntegerType::get(&getContext(), 64), 0));
}
