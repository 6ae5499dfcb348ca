//===- TokenKernel.cpp - moving the rows of tokens by a map -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels with one tfm.token_score (TokenScore.cpp), tfm.token_merge or tfm.token_unmerge.
//
// Merge: a block for each row of the result, its threads beside each other along the row. Each warp finds
// the tokens that go there 32 at a time, by a ballot, in order; first for what they count together, then
// for their rows, so every sum has the order of the tokens and halves are rounded once.
// Unmerge: a thread for each few neighbours of a row, which are copied, or 0 where a token went nowhere.
//
//===----------------------------------------------------------------------===//
#include "TokenKernels.h"
#include "../CPU/ElementOps.h"
#include "../CPU/TokenKernels.h"
#include "Forms.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static constexpr int64_t kWarp = 32, kMostThreads = 256, kCopyThreads = 256;

/// Elements that a thread takes at once of a row of `width`.
static int64_t partOf(int64_t width) { return width % 4 ? 1 : 4; }

static int64_t mergeThreads(int64_t width) {
  return std::min(kMostThreads, int64_t(llvm::alignTo(width / partOf(width), kWarp)));
}

namespace {

/// Loads and stores parts of a row: vectors, or single elements.
struct Parts {
  KernelBuilder &b;
  ElementOps ops;
  Element element;
  int64_t width, elements;

  Parts(KernelBuilder &b, Value tensor)
      : b(b), ops(b), element(Element::of(tensor)), width(tokenRowElements(tensor)), elements(partOf(width)) {}

  Value at(Value base, Value row, Value column) {
    return b.at(base, b.mul(b.add(b.mul(row, width), column), element.bytes()));
  }
  Value load(Value pointer) {
    return elements > 1 ? ops.loadVector(element, pointer, {}) : ops.load(element, pointer);
  }
  void store(Value value, Value pointer) {
    if (elements > 1)
      ops.storeVector(element, value, pointer, {});
    else
      ops.store(element, value, pointer);
  }
  Value spread(Value x) { return elements > 1 ? b.broadcast(x) : x; }
};

class MergeBlock {
public:
  MergeBlock(KernelFrame &frame, GpuBuilder &b, tfm::TokenMergeOp op)
      : frame(frame), b(b), warp(b), op(op), parts(b, op.getInput()), lane(b.rem(b.threadInBlock(), kWarp)) {}

  void emit();

private:
  Value overTokens(Value init, function_ref<Value(Value carried, Value token)> step);
  Value weightOf(Value token);
  Value loadPosition(Value token) {
    return b.load(b.getI64Type(), b.at(map, b.mul(b.add(before, token), 8)), 8);
  }

  KernelFrame &frame;
  GpuBuilder &b;
  WarpBuilder warp;
  tfm::TokenMergeOp op;
  Parts parts;
  Value lane, n, position, before, map; ///< before: tokens of the sequences before this one
};

} // namespace

/// Runs `step` for the tokens that go to the position, in order; the same in all lanes.
Value MergeBlock::overTokens(Value init, function_ref<Value(Value carried, Value token)> step) {
  Value last = b.sub(n, 1), one = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
  return b.loop(b.i64(0), n, kWarp, {init}, [&](Value first, ValueRange carried) {
    Value token = b.add(first, lane);
    Value isThere = b.equal(loadPosition(b.min(token, last)), position);
    Value bits = warp.ballot(arith::AndIOp::create(b, isThere, b.less(token, n)));
    Value count = arith::ExtUIOp::create(b, b.getI64Type(), LLVM::CtPopOp::create(b, bits));
    auto result = b.loop(b.i64(0), count, 1, {carried[0], bits}, [&](Value, ValueRange so) {
      Value lowest = LLVM::CountTrailingZerosOp::create(b, b.getI32Type(), so[1], /*isZeroPoison=*/true);
      Value chosen = b.add(first, arith::ExtUIOp::create(b, b.getI64Type(), lowest));
      Value rest = arith::AndIOp::create(b, so[1], arith::SubIOp::create(b, so[1], one));
      return SmallVector<Value>{step(so[0], chosen), rest};
    });
    return SmallVector<Value>{result[0]};
  })[0];
}

/// What a token counts, as f32.
Value MergeBlock::weightOf(Value token) {
  if (!op.getSizes())
    return b.f32(1);
  Element size = Element::of(op.getSizes());
  Value index = b.add(before, token);
  return parts.ops.load(size, b.at(frame.argument(op.getSizes()), b.mul(index, size.bytes())));
}

/// Sum of the rows that go to a position, each times its share of the total; the share of one alone is 1.
void MergeBlock::emit() {
  n = frame.dim(op.getInput(), 1);
  Value tokens = frame.emit(op.getTokens());
  before = b.mul(b.div(b.blockNumber(), tokens), n);
  position = b.rem(b.blockNumber(), tokens);
  map = frame.argument(op.getMap());
  Value total = b.f32(1);
  if (!op.getSum()) {
    Value sum = overTokens(b.f32(0), [&](Value sum, Value token) { return b.addf(sum, weightOf(token)); });
    total = b.select(arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0)), total, sum);
  }
  int64_t stride = mergeThreads(parts.width) * parts.elements;
  for (int64_t first = 0; first < parts.width; first += stride) {
    // All lanes come by the ballots.
    Value column = b.add(b.mul(b.threadInBlock(), parts.elements), first);
    Value exists = b.less(column, b.i64(parts.width));
    column = b.select(exists, column, b.i64(0));
    Value sum = overTokens(parts.spread(b.f32(0)), [&](Value sum, Value token) {
      Value x = parts.load(parts.at(frame.argument(op.getInput()), b.add(before, token), column));
      if (op.getSum())
        return b.addf(sum, x);
      return b.fma(x, parts.spread(arith::DivFOp::create(b, weightOf(token), total)), sum);
    });
    b.ifThen(exists, [&] {
      Value to = parts.at(frame.result(0), b.blockNumber(), column);
      parts.store(parts.ops.round(parts.element, sum), to);
    });
  }
}

static void emitUnmerge(KernelFrame &frame, GpuBuilder &b, tfm::TokenUnmergeOp op) {
  Parts parts(b, op.getInput());
  Value n = frame.dim(op.getMap(), 1), tokens = frame.dim(op.getInput(), 1);
  Value rows = frame.product(op.getMap(), 0, 2);
  int64_t inRow = parts.width / parts.elements;
  Value row = b.div(b.threadInGrid(), inRow);
  Value column = b.mul(b.rem(b.threadInGrid(), inRow), parts.elements);
  b.ifThen(b.less(row, rows), [&] {
    Value position = b.load(b.getI64Type(), b.at(frame.argument(op.getMap()), b.mul(row, 8)), 8);
    Value isInside = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position, tokens);
    Value to = parts.at(frame.result(0), row, column);
    Value from = b.add(b.mul(b.div(row, n), tokens), position);
    b.ifElse(
        isInside, [&] { parts.store(parts.load(parts.at(frame.argument(op.getInput()), from, column)), to); },
        [&] { parts.store(parts.spread(b.f32(0)), to); });
  });
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

static std::string whyNot(kern::KernelOp kernel, const GpuTarget &) {
  if (kernel.getEmitter() != kern::Emitter::Tokens)
    return "it moves no tokens";
  std::string reason;
  tokenRoot(kernel, reason);
  return reason;
}

/// Blocks, threads and scratch of the one operation.
static GpuLaunch launchOf(kern::KernelOp kernel) {
  std::string reason;
  Operation *root = tokenRoot(kernel, reason);
  SymbolicShapes shapes;
  auto number = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  DimExprAttr sequences = shapes.dim(root->getOperand(0), 0), none = number(0);
  if (auto score = dyn_cast<tfm::TokenScoreOp>(root)) {
    DimExprAttr bytes = gpuScoreScratch(score, shapes.dim(score.getMetric(), 1));
    return {unsigned(kScoreThreads), sequences, none, DimExprAttr::mul(sequences, bytes)};
  }
  int64_t width = tokenRowElements(root->getOperand(0));
  if (auto merge = dyn_cast<tfm::TokenMergeOp>(root))
    return {unsigned(mergeThreads(width)), DimExprAttr::mul(sequences, merge.getTokens()), none, none};
  DimExprAttr rows = shapes.numElements(cast<tfm::TokenUnmergeOp>(root).getMap());
  DimExprAttr threads = DimExprAttr::mul(rows, number(width / partOf(width)));
  return {unsigned(kCopyThreads), DimExprAttr::ceilDiv(threads, number(kCopyThreads)), none, none};
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  if (wanted && !wanted.empty())
    return kernel.emitError("schedule ") << wanted << ": kernels of tokens have no parameters";
  GpuLaunch launch = launchOf(kernel);
  kernel.setScheduleAttr(DictionaryAttr::get(kernel.getContext()));
  kernel.setTilesAttr(launch.blocks);
  kernel.setScratchBytesAttr(launch.scratchBytes);
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) { return launchOf(kernel); }

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  std::string reason;
  Operation *root = tokenRoot(frame.kernel(), reason);
  if (!root)
    return frame.kernel().emitError("moves no tokens: ") << reason;
  if (auto score = dyn_cast<tfm::TokenScoreOp>(root))
    emitGpuTokenScore(frame, b, score);
  else if (auto merge = dyn_cast<tfm::TokenMergeOp>(root))
    MergeBlock(frame, b, merge).emit();
  else
    emitUnmerge(frame, b, cast<tfm::TokenUnmergeOp>(root));
  return success();
}

const GpuForm codegen::kTokensForm = {"tokens", whyNot, schedule, launch, emit};
