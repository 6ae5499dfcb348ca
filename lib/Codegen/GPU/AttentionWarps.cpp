//===- AttentionWarps.cpp - tiles of keys and the online softmax *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionWarps.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr float kInfinity = std::numeric_limits<float>::infinity();
static constexpr float kLog2e = 1.44269504f;

AttentionWarps::AttentionWarps(GpuBuilder &b, const Attention &a, const AttentionShape &shape, const GpuAttentionSchedule &s)
    : b(b), warp(b), ops(b), a(a), shape(shape), s(s), scale(a.scale * kLog2e),
      type(shape.isTf32 ? OperandType::tf32 : a.element.isF16() ? OperandType::f16 : OperandType::bf16), shared(warp.sharedMemory()),
      warpNumber(b.div(b.threadInBlock(), 32)) {}

Value AttentionWarps::sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
Value AttentionWarps::i32(Value x) { return b.createOrFold<arith::TruncIOp>(b.getI32Type(), x); }
Value AttentionWarps::quotient(Value x, Value y) {
  return b.createOrFold<arith::ExtUIOp>(b.getI64Type(), b.div(i32(x), i32(y)));
}
Value AttentionWarps::remainder(Value x, Value y) {
  return b.createOrFold<arith::ExtUIOp>(b.getI64Type(), b.rem(i32(x), i32(y)));
}
Value AttentionWarps::both(Value x, Value y) { return b.createOrFold<arith::AndIOp>(x, y); }

Value AttentionWarps::headBase(const HeadTensor &tensor, Value head) {
  return b.at(b.at(tensor.base, b.mul(batch, tensor.batchStride)), b.mul(head, tensor.headStride));
}

/// The row of a query or an output, by its number.
Value AttentionWarps::rowOf(const HeadTensor &tensor, Value number) {
  Value head = b.add(b.mul(kvHead, shape.group), remainder(number, b.i64(shape.group)));
  return b.at(headBase(tensor, head), b.mul(quotient(number, b.i64(shape.group)), tensor.rowStride));
}

//===----------------------------------------------------------------------===//
// Rows and the keys they see
//===----------------------------------------------------------------------===//

/// Takes the rows of the sequence `batch`, which `offsets` delimit.
void AttentionWarps::placeSequence() {
  Value place = b.at(a.offsets, b.mul(batch, 8));
  Value first = b.load(b.getI64Type(), place, 8), next = b.load(b.getI64Type(), b.at(place, 8), 8);
  a.queries = a.keys = b.sub(next, first);
  for (HeadTensor *tensor : {&a.query, &a.key, &a.value, &a.output})
    tensor->base = b.at(tensor->base, b.mul(first, tensor->rowStride));
  batch = b.i64(0);
}

/// Rows past the last repeat it.
void AttentionWarps::placeRows(Value firstOfBlock, int64_t ofBlock, Value firstOfWarp) {
  firstRow = firstOfBlock;
  keyRows = headBase(a.key, kvHead), valueRows = headBase(a.value, kvHead);
  Value offset = b.sub(a.keys, a.queries), lastRow = b.sub(b.min(b.add(firstRow, ofBlock), total), 1);
  Value firstPosition = b.add(quotient(firstRow, b.i64(shape.group)), offset), lastPosition = b.add(quotient(lastRow, b.i64(shape.group)), offset);
  std::tie(begin, end) = attendedKeys();
  insideEnd = end;
  auto reach = a.reachRight();
  if (reach) {
    end = b.min(end, b.add(lastPosition, *reach + 1));
    insideEnd = b.min(end, b.add(firstPosition, *reach + 1));
  }
  if (a.windowLeft) {
    begin = b.max(begin, b.sub(firstPosition, *a.windowLeft));
    insideBegin = b.sub(lastPosition, *a.windowLeft);
  }
  for (int64_t row : product->rows) {
    Value number = b.add(b.add(firstRow, firstOfWarp), b.add(product->row, row));
    numbers.push_back(number);
    Value clamped = b.min(number, b.sub(total, 1)), query = quotient(clamped, b.i64(shape.group)), position = b.add(query, offset);
    if (reach)
      lastKeys.push_back(i32(b.add(position, *reach)));
    if (a.windowLeft)
      firstKeys.push_back(i32(b.sub(position, *a.windowLeft)));
    if (a.mask && !(sharesMask() && !maskRows.empty()))
      maskRows.push_back(maskRowOf(clamped));
  }
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

/// Lanes side by side copy chunks side by side. `from` gives a row's address, and whether it exists: else it is zeros.
void AttentionWarps::copyRows(const Tiles &tiles, Value to, int64_t count, function_ref<std::pair<Value, Value>(Value row)> from) {
  int64_t chunks = shape.rowBytes() / kChunkBytes, across = std::min<int64_t>(llvm::PowerOf2Ceil(chunks), tiles.threads);
  int64_t down = tiles.threads / across, existing = shape.headSize * shape.elementBytes() / kChunkBytes;
  Value column = b.rem(tiles.thread, across), line = b.div(tiles.thread, across);
  for (int64_t row = 0; row < count; row += down)
    for (int64_t chunk = 0; chunk < chunks; chunk += across) {
      Value ownRow = b.add(line, row), ownChunk = b.add(column, chunk), isCopied;
      if (count - row < down)
        isCopied = b.less(ownRow, b.i64(count));
      if (chunks - chunk < across) {
        Value inside = b.less(ownChunk, b.i64(chunks));
        isCopied = isCopied ? both(isCopied, inside) : inside;
      }
      auto copy = [&] {
        auto [address, exists] = from(ownRow);
        if (existing < chunk + across && existing < chunks)
          exists = both(exists, b.less(ownChunk, b.i64(existing)));
        Value place = b.add(b.mul(ownRow, shape.rowBytes()), b.mul(swizzledChunk(b, chunks, ownRow, ownChunk), kChunkBytes));
        warp.copyAsync(b.at(to, place), b.at(address, b.mul(ownChunk, kChunkBytes)), exists);
      };
      isCopied ? b.ifThen(isCopied, copy) : copy();
    }
}

void AttentionWarps::copyQueries(const Tiles &tiles, Value to, int64_t count) {
  copyRows(tiles, to, count, [&](Value row) {
    Value number = b.add(firstRow, row);
    return std::pair(rowOf(a.query, number), b.less(number, total));
  });
}

void AttentionWarps::copyTile(const Tiles &tiles, const HeadTensor &tensor, Value rows, Value to, Value first) {
  Value tile = b.at(rows, b.mul(first, tensor.rowStride)), left = i32(b.sub(end, first));
  copyRows(tiles, to, tiles.count,
           [&](Value row) { return std::pair(b.at(tile, b.mul(row, tensor.rowStride)), b.less(i32(row), left)); });
  warp.commitCopies();
}

//===----------------------------------------------------------------------===//
// A tile of keys
//===----------------------------------------------------------------------===//

/// Maxima, sums and outputs of this lane's rows over the tiles from `first` on. The first keys (and values, where there are two stages)
/// are under way.
AttentionWarps::Values AttentionWarps::walk(const Tiles &tiles, Value first) {
  size_t count = lanesRows(), outputs = count * product->columns.size();
  Values init(count, b.f32(-kInfinity));
  init.append(count + outputs, b.f32(0));
  int64_t stageBytes = 2 * tiles.count * shape.rowBytes();
  bool isDouble = tiles.stages == 2;
  if (isDouble)
    init.push_back(b.i64(0));
  auto wait = [&](unsigned groups) {
    warp.waitCopies(groups);
    tiles.ofWarp ? warp.barrierOfWarp() : warp.barrier();
  };
  Values result = b.loop(first, end, tiles.stride, init, [&](Value key, ValueRange carried) {
    Values state(carried.take_front(2 * count + outputs));
    Value stage = isDouble ? carried.back() : b.i64(0), other = isDouble ? b.sub(b.i64(stageBytes), stage) : stage;
    Value keys = b.at(tiles.keys, stage), values = b.at(tiles.values, stage), next = b.add(key, tiles.stride);
    // The keys are there, and all have read what stands where copies go now.
    wait(isDouble ? 1 : 0);
    if (isDouble)
      copyTile(tiles, a.key, keyRows, b.at(tiles.keys, other), next);
    copyTile(tiles, a.value, valueRows, b.at(tiles.values, other), isDouble ? next : key);
    Values scores = product->scores(keys);
    wait(isDouble ? 2 : 0);
    if (!isDouble)
      copyTile(tiles, a.key, keyRows, tiles.keys, next);
    finishScores(scores, key, tiles.count);
    Values ofRows = softmax(MutableArrayRef<Value>(state).take_front(2 * count), scores);
    for (size_t i = 0; i < outputs; ++i)
      state[2 * count + i] = b.mulf(state[2 * count + i], ofRows[i / product->columns.size()]);
    Values sums = product->addValues(Values(ArrayRef<Value>(state).drop_front(2 * count)), scores, values);
    llvm::copy(sums, state.begin() + 2 * count);
    if (isDouble)
      state.push_back(other);
    return state;
  });
  result.resize(2 * count + outputs);
  return result;
}

/// The softcap's result, or the score itself, in powers of two.
Value AttentionWarps::scaled(Value score) {
  if (a.softcap == 0)
    return b.mulf(score, b.f32(scale));
  return b.mulf(emitTanh(b, b.mulf(score, b.f32(a.scale / a.softcap))), b.f32(a.softcap * kLog2e));
}

/// Scores of `count` keys from `first` on: scaled, unless that is left to the exponent, masked, and hidden where out of reach.
void AttentionWarps::finishScores(MutableArrayRef<Value> scores, Value first, int64_t count) {
  if (!folds())
    for (Value &score : scores)
      score = scaled(score);
  if (a.mask)
    addMask(scores, first);
  Value border = b.less(insideEnd, b.add(first, count));
  if (a.windowLeft)
    border = arith::OrIOp::create(b, border, b.less(first, insideBegin));
  Values result = b.choose(border, [&] { return hide(scores, first); }, [&] { return Values(scores.begin(), scores.end()); });
  llvm::copy(result, scores.begin());
}

/// -inf for the keys that a row does not see, or that are not there.
AttentionWarps::Values AttentionWarps::hide(ArrayRef<Value> scores, Value first) {
  Value own = i32(b.add(first, product->key)), existing = i32(b.sub(end, 1));
  Values result(scores.begin(), scores.end());
  for (size_t row = 0; row < lanesRows(); ++row) {
    Value last = existing, before;
    if (!lastKeys.empty())
      last = arith::MinSIOp::create(b, last, lastKeys[row]);
    last = arith::SubIOp::create(b, last, own);
    if (!firstKeys.empty())
      before = arith::SubIOp::create(b, firstKeys[row], own);
    for (auto [column, offset] : llvm::enumerate(product->keys)) {
      Value key = arith::ConstantOp::create(b, b.getI32IntegerAttr(offset));
      Value sees = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, key, last);
      if (before)
        sees = both(sees, arith::CmpIOp::create(b, arith::CmpIPredicate::sge, key, before));
      Value &score = result[row * product->keys.size() + column];
      score = b.select(sees, score, b.f32(-kInfinity));
    }
  }
  return result;
}

/// `state` has maxima, then sums, which this lane has of its own keys. Scores become weights; the result is what outputs so far are
/// multiplied with, for each row.
AttentionWarps::Values AttentionWarps::softmax(MutableArrayRef<Value> state, MutableArrayRef<Value> scores) {
  size_t count = lanesRows(), width = product->keys.size();
  Values factors;
  for (size_t row = 0; row < count; ++row) {
    MutableArrayRef<Value> own = scores.slice(row * width, width);
    Value most = own[0];
    for (Value score : own.drop_front())
      most = arith::MaxNumFOp::create(b, most, score);
    for (int32_t partner : product->partners)
      most = arith::MaxNumFOp::create(b, most, warp.shuffleXor(most, partner));
    Value before = state[row];
    most = arith::MaxNumFOp::create(b, before, most);
    Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, most, b.f32(-kInfinity));
    Value shift = toScale(b.select(none, b.f32(0), most));
    // Exactly 1 where the maximum stays: fused, the difference of equals is a rounding error, and many tiles would add it up.
    Value stays = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, before, most);
    factors.push_back(b.select(stays, b.f32(1), warp.exp2(sub(toScale(before), shift))));
    Value minus = arith::NegFOp::create(b, shift), sum;
    for (Value &score : own) {
      score = warp.exp2(folds() ? b.fma(score, b.f32(scale), minus) : sub(score, shift));
      sum = sum ? b.addf(sum, score) : score;
    }
    state[row] = most;
    state[count + row] = b.fma(state[count + row], factors.back(), sum);
  }
  return factors;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

Value AttentionWarps::sumOfLanes(Value value) {
  for (int32_t partner : product->partners)
    value = b.addf(value, warp.shuffleXor(value, partner));
  return value;
}

Value AttentionWarps::isZero(Value sum) { return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0)); }

/// inf where no key was seen: 0 * inf is NaN.
Value AttentionWarps::inverse(Value sum) {
  Value result = arith::DivFOp::create(b, b.f32(1), sum);
  return a.noKeys == NoKeys::Zero ? b.select(isZero(sum), b.f32(0), result) : result;
}

/// Of the columns `firstColumn` + `columns`; those past the last repeat it.
AttentionWarps::Values AttentionWarps::meanOfValues(Value firstColumn, ArrayRef<int64_t> columns) {
  Element element = Element::of(a.element);
  Values sums = b.loop(b.i64(0), a.keys, 1, Values(columns.size(), b.f32(0)), [&](Value key, ValueRange carried) {
    Value values = b.at(valueRows, b.mul(key, a.value.rowStride));
    Values next;
    for (auto [index, column] : llvm::enumerate(columns)) {
      Value own = b.min(b.add(firstColumn, column), b.i64(shape.headSize - 1));
      next.push_back(b.addf(carried[index], ops.load(element, b.at(values, b.mul(own, element.bytes())))));
    }
    return next;
  });
  Value keys = arith::SIToFPOp::create(b, b.getF32Type(), a.keys), factor = arith::DivFOp::create(b, b.f32(1), keys);
  for (Value &sum : sums)
    sum = b.mulf(sum, factor);
  return sums;
}

/// out = O / l for this warp's rows.
void AttentionWarps::store(MutableArrayRef<Value> state) {
  size_t count = lanesRows(), width = product->columns.size();
  for (size_t row = 0; row < count; ++row) {
    MutableArrayRef<Value> outputs = state.slice(2 * count + row * width, width);
    Value sum = sumOfLanes(state[count + row]), factor = inverse(sum);
    for (Value &output : outputs)
      output = b.mulf(output, factor);
    if (a.noKeys == NoKeys::MeanOfValues) {
      Values chosen = b.choose(
          isZero(sum), [&] { return meanOfValues(product->column, product->columns); },
          [&] { return Values(outputs.begin(), outputs.end()); });
      llvm::copy(chosen, outputs.begin());
    }
    Value exists = b.less(numbers[row], total);
    product->store(Element::of(a.outputElement), outputs, rowOf(a.output, numbers[row]), exists);
  }
}

//===----------------------------------------------------------------------===//
// Many rows
//===----------------------------------------------------------------------===//

void AttentionWarps::emitBlock() {
  int64_t rowBytes = shape.rowBytes(), tileBytes = s.keys * rowBytes;
  Value keys = b.at(shared, s.blockRows() * rowBytes), ofWarp = b.mul(warpNumber, s.warpRows);
  Tiles tiles{keys, b.at(keys, tileBytes), s.keys, s.keys, s.stages, b.threadInBlock(), s.threads(), /*ofWarp=*/false};
  if (shape.onTensorCores) {
    product = tensorAttention(b, shape, type, s.warpRows, s.keys, s.keepsQueries(shape, s.warpRows));
  } else {
    Value weights = b.at(keys, 2 * s.stages * tileBytes);
    product = fmaAttention(b, shape, s.warpRows, s.keys, b.at(weights, b.mul(warpNumber, s.weightBytes(shape, s.warpRows, s.keys))));
  }
  placeRows(firstRow, s.blockRows(), ofWarp);
  copyQueries(tiles, shared, s.blockRows());
  copyTile(tiles, a.key, keyRows, tiles.keys, begin);
  if (s.stages == 2)
    copyTile(tiles, a.value, valueRows, tiles.values, begin);
  warp.waitCopies(s.stages - 1);
  warp.barrier();
  product->takeQueries(shared, ofWarp);
  Values state = walk(tiles, begin);
  warp.waitCopies(0); // what was fetched beyond the last tile
  store(state);
}

/// The last rows first: under a causal mask they have most keys to see.
void AttentionWarps::emitMany() {
  Value perHead = b.ceilDiv(b.mul(a.queries, shape.group), s.blockRows());
  Value index = quotient(b.blockNumber(), perHead), number = remainder(b.blockNumber(), perHead);
  batch = quotient(index, b.i64(a.kvHeads)), kvHead = remainder(index, b.i64(a.kvHeads));
  firstRow = b.mul(b.sub(b.sub(perHead, 1), number), s.blockRows());
  if (a.offsets)
    placeSequence();
  total = b.mul(a.queries, shape.group);
  if (!a.offsets)
    return emitBlock();
  b.ifThen(b.less(firstRow, total), [&] { emitBlock(); }); // the grid is that of the longest
}
