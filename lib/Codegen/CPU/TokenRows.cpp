//===- TokenRows.cpp - moving the rows of tokens by a map -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The emitter of kernels with one tfm.token_score, tfm.token_merge or tfm.token_unmerge. A merge first lists the tokens that go
// to each position (a counting sort by the map), then writes each row once, so that halves are rounded once, too:
//
//   starts [tokens + 1]   where the tokens of each position begin in the list
//   list   [n]            tokens, by position, in order
//
// Tiles of a merge are blocks of columns of a sequence, each with a list of its own: some hundreds of integers beside kilobytes of rows.
//
//===----------------------------------------------------------------------===//
#include "ElementOps.h"
#include "TokenKernels.h"
#include "permalloy/Codegen/CPU/Emitters.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

int64_t codegen::tokenRowElements(Value tensor) {
  int64_t result = 1;
  for (int64_t extent : cast<RankedTensorType>(tensor.getType()).getShape().drop_front(2))
    result *= extent;
  return result;
}

namespace {

/// Columns of a tile of a merge, rows of a tile of an unmerge.
constexpr int64_t kColumns = 256, kRows = 16;

/// Calls `body` for the vectors of columns [begin, end) of a row; the last may be shorter.
void forEachColumn(KernelBuilder &b, int64_t elements, function_ref<void(Value column, unsigned lanes)> body, Value begin,
                   Value end) {
  int64_t lanes = b.target().lanes(), whole = elements / lanes * lanes;
  b.loop(begin, b.min(end, b.i64(whole)), lanes, [&](Value column) { body(column, lanes); });
  if (whole < elements)
    b.ifThen(b.less(b.i64(whole), end), [&] { body(b.i64(whole), elements - whole); });
}

class MergeEmitter {
public:
  MergeEmitter(KernelFrame &frame, tfm::TokenMergeOp op)
      : frame(frame), b(frame.builder()), ops(b), op(op), element(Element::of(op.getInput())), width(tokenRowElements(op.getInput())) {}

  void emit();

private:
  void listTokens();
  Value weightOf(Value token);
  Value totalOf(Value begin, Value end);
  void mergeInto(Value position, Value firstColumn);

  Value word(Value base, Value index) { return b.at(base, b.mul(index, 8)); }
  Value loadWord(Value base, Value index) { return b.load(b.getI64Type(), word(base, index), 8); }
  void storeWord(Value value, Value base, Value index) { b.store(value, word(base, index), 8); }
  /// Runs `body` for every token that goes somewhere.
  void forEachMoved(function_ref<void(Value token, Value position)> body);

  KernelFrame &frame;
  KernelBuilder &b;
  ElementOps ops;
  tfm::TokenMergeOp op;
  Element element;
  int64_t width;
  Value n, tokens;                    ///< counts, before and after
  Value input, map, sizes, result;    ///< of this sequence
  Value starts, list;                 ///< scratch
};

} // namespace

void MergeEmitter::forEachMoved(function_ref<void(Value token, Value position)> body) {
  b.loop(b.i64(0), n, 1, [&](Value token) {
    Value position = loadWord(map, token);
    Value isInside = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position, tokens);
    b.ifThen(isInside, [&] { body(token, position); });
  });
}

void MergeEmitter::listTokens() {
  Value zero = b.i64(0);
  b.loop(zero, b.add(tokens, 1), 1, [&](Value i) { storeWord(zero, starts, i); });
  forEachMoved([&](Value, Value position) { storeWord(b.add(loadWord(starts, position), 1), starts, position); });
  // Where each position ends; filling from the last token on leaves where it begins.
  Value all = b.loop(zero, tokens, 1, {zero}, [&](Value i, ValueRange carried) {
    Value end = b.add(carried[0], loadWord(starts, i));
    storeWord(end, starts, i);
    return SmallVector<Value>{end};
  })[0];
  storeWord(all, starts, tokens);
  b.loop(zero, n, 1, [&](Value i) {
    Value token = b.sub(b.sub(n, 1), i), position = loadWord(map, token);
    Value isInside = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position, tokens);
    b.ifThen(isInside, [&] {
      Value place = b.sub(loadWord(starts, position), 1);
      storeWord(place, starts, position);
      storeWord(token, list, place);
    });
  });
}

/// What a token counts, as f32.
Value MergeEmitter::weightOf(Value token) {
  if (!op.getSizes())
    return b.f32(1);
  Element size = Element::of(op.getSizes());
  return ops.load(size, b.at(sizes, b.mul(token, size.bytes())));
}

Value MergeEmitter::totalOf(Value begin, Value end) {
  return b.loop(begin, end, 1, {b.f32(0)}, [&](Value i, ValueRange carried) {
    return SmallVector<Value>{b.addf(carried[0], weightOf(loadWord(list, i)))};
  })[0];
}

/// Sum of the rows that go to a position, each times its share of the total; the share of one alone is 1.
void MergeEmitter::mergeInto(Value position, Value firstColumn) {
  Value begin = loadWord(starts, position), end = loadWord(starts, b.add(position, 1));
  Value to = b.at(result, b.mul(position, width * element.bytes()));
  Value inverse = b.f32(1);
  if (!op.getSum()) {
    Value total = totalOf(begin, end), isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, total, b.f32(0));
    inverse = b.select(isZero, b.f32(1), total);
  }
  Value last = b.min(b.add(firstColumn, kColumns), b.i64(width));
  auto write = [&](Value column, unsigned lanes) {
    Value sum = b.loop(begin, end, 1, {b.splat(0)}, [&](Value i, ValueRange carried) {
      Value token = loadWord(list, i);
      Value row = b.at(input, b.mul(b.add(b.mul(token, width), column), element.bytes()));
      Value values = ops.loadLanes(element, row, lanes);
      if (op.getSum())
        return SmallVector<Value>{b.addf(carried[0], values)};
      Value share = arith::DivFOp::create(b, weightOf(token), inverse);
      return SmallVector<Value>{b.fma(values, b.broadcast(share), carried[0])};
    })[0];
    ops.storeLanes(element, ops.round(element, sum), b.at(to, b.mul(column, element.bytes())), lanes);
  };
  forEachColumn(b, width, write, firstColumn, last);
}

void MergeEmitter::emit() {
  n = frame.dim(op.getInput(), 1);
  tokens = frame.emit(op.getTokens());
  starts = b.scratch();
  list = b.at(starts, b.mul(b.add(tokens, 1), 8));
  int64_t blocks = llvm::divideCeil(width, kColumns), bytes = width * element.bytes();
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    Value sequence = b.div(tile, blocks), column = b.mul(b.rem(tile, blocks), kColumns), before = b.mul(sequence, n);
    input = b.at(frame.argument(op.getInput()), b.mul(before, bytes));
    map = b.at(frame.argument(op.getMap()), b.mul(before, 8));
    if (op.getSizes())
      sizes = b.at(frame.argument(op.getSizes()), b.mul(before, Element::of(op.getSizes()).bytes()));
    result = b.at(frame.result(0), b.mul(b.mul(sequence, tokens), bytes));
    listTokens();
    b.loop(b.i64(0), tokens, 1, [&](Value position) { mergeInto(position, column); });
  });
}

/// Rows are copied, as 0 where a token went nowhere.
static void emitUnmerge(KernelFrame &frame, tfm::TokenUnmergeOp op) {
  KernelBuilder &b = frame.builder();
  ElementOps ops(b);
  Element element = Element::of(op.getInput());
  int64_t width = tokenRowElements(op.getInput()), bytes = width * element.bytes();
  Value n = frame.dim(op.getMap(), 1), tokens = frame.dim(op.getInput(), 1), rows = frame.product(op.getMap(), 0, 2);
  Value input = frame.argument(op.getInput()), map = frame.argument(op.getMap()), result = frame.result(0);
  auto copyRow = [&](Value row) {
    Value position = b.load(b.getI64Type(), b.at(map, b.mul(row, 8)), 8), to = b.at(result, b.mul(row, bytes));
    Value isInside = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, position, tokens);
    Value from = b.at(input, b.mul(b.add(b.mul(b.div(row, n), tokens), position), bytes));
    auto forEach = [&](function_ref<Value(Value offset, unsigned lanes)> value) {
      auto write = [&](Value column, unsigned lanes) {
        Value offset = b.mul(column, element.bytes());
        ops.storeLanes(element, value(offset, lanes), b.at(to, offset), lanes);
      };
      forEachColumn(b, width, write, b.i64(0), b.i64(width));
    };
    b.ifElse(
        isInside, [&] { forEach([&](Value offset, unsigned lanes) { return ops.loadLanes(element, b.at(from, offset), lanes); }); },
        [&] { forEach([&](Value, unsigned) { return b.splat(0); }); });
  };
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    Value first = b.mul(tile, kRows);
    b.loop(first, b.min(b.add(first, kRows), rows), 1, copyRow);
  });
}

//===----------------------------------------------------------------------===//
// The emitter
//===----------------------------------------------------------------------===//

static std::string whyNotRows(Value input, Value map) {
  Element element = Element::of(input);
  if (!element.isFloat() || element.isDouble())
    return "its rows are not of f32, f16 or bf16";
  if (!getElementTypeOrSelf(map.getType()).isInteger(64))
    return "its map is not of i64";
  auto behind = cast<RankedTensorType>(input.getType()).getShape().drop_front(2);
  return llvm::any_of(behind, ShapedType::isDynamic) ? "the size of its rows is not known" : "";
}

Operation *codegen::tokenRoot(kern::KernelOp kernel, std::string &reason) {
  auto body = kernel.getBlock().without_terminator();
  Operation *op = llvm::hasSingleElement(body) ? &*body.begin() : nullptr;
  if (!op || !llvm::all_of(op->getOperands(), llvm::IsaPred<BlockArgument>)) {
    reason = "it does more than one operation on tokens";
    return nullptr;
  }
  if (auto score = dyn_cast<tfm::TokenScoreOp>(op))
    reason = whyNotTokenScore(score);
  else if (auto merge = dyn_cast<tfm::TokenMergeOp>(op))
    reason = merge.getSizes() && Element::of(merge.getSizes()).isDouble() ? "its sizes are of f64" : whyNotRows(merge.getInput(), merge.getMap());
  else if (auto unmerge = dyn_cast<tfm::TokenUnmergeOp>(op))
    reason = whyNotRows(unmerge.getInput(), unmerge.getMap());
  else
    reason = "it is no operation on tokens";
  return reason.empty() ? op : nullptr;
}

LogicalResult codegen::scheduleTokensKernel(kern::KernelOp kernel, const CpuTarget &target, DictionaryAttr wanted) {
  std::string reason;
  Operation *root = tokenRoot(kernel, reason);
  if (!root)
    return kernel.emitError("the tokens emitter cannot take this kernel: ") << reason;
  if (wanted && !wanted.empty())
    return kernel.emitError("schedule ") << wanted << ": the tokens emitter has no parameters";
  SymbolicShapes shapes;
  auto number = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  DimExprAttr tiles = shapes.dim(root->getOperand(0), 0), bytes = number(0);
  if (auto score = dyn_cast<tfm::TokenScoreOp>(root)) {
    bytes = tokenScoreScratch(score, shapes.dim(score.getMetric(), 1), target);
  } else if (auto merge = dyn_cast<tfm::TokenMergeOp>(root)) {
    tiles = DimExprAttr::mul(tiles, number(llvm::divideCeil(tokenRowElements(merge.getInput()), kColumns)));
    DimExprAttr words = DimExprAttr::add(merge.getTokens(), DimExprAttr::add(shapes.dim(merge.getInput(), 1), number(1)));
    bytes = DimExprAttr::mul(words, number(8));
  } else {
    tiles = DimExprAttr::ceilDiv(shapes.numElements(cast<tfm::TokenUnmergeOp>(root).getMap()), number(kRows));
  }
  kernel.setScheduleAttr(DictionaryAttr::get(kernel.getContext()));
  kernel.setTilesAttr(tiles);
  kernel.setScratchBytesAttr(bytes);
  return success();
}

LogicalResult codegen::emitTokensKernel(KernelFrame &frame) {
  std::string reason;
  Operation *root = tokenRoot(frame.kernel(), reason);
  if (!root)
    return frame.kernel().emitError("the tokens emitter cannot take this kernel: ") << reason;
  if (auto score = dyn_cast<tfm::TokenScoreOp>(root))
    emitTokenScore(frame, score);
  else if (auto merge = dyn_cast<tfm::TokenMergeOp>(root))
    MergeEmitter(frame, merge).emit();
  else
    emitUnmerge(frame, cast<tfm::TokenUnmergeOp>(root));
  return success();
}
