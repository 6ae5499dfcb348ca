//===- RowOutliers.cpp - the few largest elements of a row ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each thread keeps the count + 1 largest magnitudes that it saw, as integers of the same order (NaN is
// the largest). The row's largest is then taken count + 1 times, each time from one thread's list. The
// positions beyond the limit are few: each is the smallest one behind the position before it.
//
//===----------------------------------------------------------------------===//
#include "RowFolds.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>
#include <numeric>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static constexpr int32_t kNone = std::numeric_limits<int32_t>::max();

static Value word(KernelBuilder &b, int32_t value) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
}

static Value bitsOf(KernelBuilder &b, Value x) {
  Type type = b.getI32Type();
  if (auto vector = dyn_cast<VectorType>(x.getType()))
    type = VectorType::get(vector.getShape(), type);
  return LLVM::BitcastOp::create(b, type, x);
}

/// Takes x into a list of descending integers, whose length stays.
static void insert(KernelBuilder &b, MutableArrayRef<Value> list, Value x) {
  for (Value &entry : list) {
    Value larger = arith::MaxSIOp::create(b, entry, x);
    x = arith::MinSIOp::create(b, entry, x);
    entry = larger;
  }
}

static Value smaller(KernelBuilder &b, Value x, Value y) { return arith::MinSIOp::create(b, x, y); }
static Value larger(KernelBuilder &b, Value x, Value y) { return arith::MaxSIOp::create(b, x, y); }

/// The columns of a part as i32.
Value RowFolds::numberWords(const Site &site) {
  Value column = arith::TruncIOp::create(b, b.getI32Type(), site.indices[1]);
  if (!site.isVector())
    return column;
  SmallVector<int32_t> lanes(b.target().lanes());
  std::iota(lanes.begin(), lanes.end(), 0);
  Value numbers = arith::ConstantOp::create(b, b.getI32VectorAttr(lanes));
  return arith::AddIOp::create(b, numbers, b.broadcast(column));
}

/// A few elements for each row, in registers of every thread.
void RowFolds::bindFew(Value tensor, ArrayRef<Value> elements) {
  auto bound = [this, tensor, all = SmallVector<Value>(elements)](const Site &site) -> Value {
    bool isFirst = site.form == Site::Form::Full &&
                   site.indices == values.split(row, values.dims(tensor));
    if (isFirst)
      return all[0];
    if (!isHere(site))
      return {};
    if (site.isVector()) // as many as there are
      return vector::FromElementsOp::create(b, VectorType::get(all.size(), all[0].getType()), all);
    if (APInt known; matchPattern(site.indices[1], m_ConstantInt(&known)))
      return all[std::min<uint64_t>(known.getZExtValue(), all.size() - 1)];
    Value result = all.back();
    for (size_t i = all.size() - 1; i-- > 0;)
      result = b.select(b.equal(site.indices[1], b.i64(i)), all[i], result);
    return result;
  };
  values.bind(tensor, bound);
}

void RowFolds::prepare(tfm::OutlierLimitOp op) {
  Value input = op.getInput();
  DimExprAttr width = values.dims(input).back();
  bool isVector = hasVectors(width);
  auto spread = [&](Value x) { return isVector ? b.broadcast(x) : x; };
  int64_t count = op.getCount();
  SmallVector<Value> lists(count + 1, spread(word(b, 0)));
  lists = walk(width, lists, [&](ValueRange carried, const Site &site) {
    SmallVector<Value> list(carried);
    Value bits = bitsOf(b, values.vectorAt(input, site));
    insert(b, list, arith::AndIOp::create(b, bits, spread(word(b, 0x7fffffff))));
    return list;
  });
  SmallVector<Value> list(lists);
  if (isVector) {
    list.assign(count + 1, word(b, 0));
    for (Value entries : lists)
      for (int64_t lane = 0; lane < elements; ++lane)
        insert(b, list, vector::ExtractOp::create(b, entries, lane));
  }
  Value lane = arith::TruncIOp::create(b, b.getI32Type(), threads.lane()), largest;
  for (int64_t r = 0;; ++r) {
    largest = threads.reduce(list[0], [&](Value x, Value y) { return larger(b, x, y); });
    if (r == count)
      break;
    // One thread gives it away, though several may have it.
    Value owner = b.select(b.equal(list[0], largest), lane, word(b, kNone));
    owner = threads.reduce(owner, [&](Value x, Value y) { return smaller(b, x, y); });
    Value gives = b.equal(lane, owner);
    for (int64_t i = 0; i <= count; ++i)
      list[i] = b.select(gives, i < count ? list[i + 1] : word(b, 0), list[i]);
  }
  bindNumber(op.getResult(), LLVM::BitcastOp::create(b, b.getF32Type(), largest));
}

void RowFolds::prepare(tfm::OutlierPositionsOp op) {
  Value input = op.getInput(), none = word(b, kNone), before = word(b, -1);
  DimExprAttr width = values.dims(input).back();
  bool isVector = hasVectors(width);
  auto spread = [&](Value x) { return isVector ? b.broadcast(x) : x; };
  Value limit = spread(values.at(op.getLimit(), Site::rows(row, b.i64(0))));
  SmallVector<Value> found;
  for (int64_t r = 0; r < int64_t(op.getCount()); ++r) {
    Value next = walk(width, {spread(none)}, [&](ValueRange carried, const Site &site) {
      Value magnitude = LLVM::FAbsOp::create(b, values.vectorAt(input, site));
      Value isBeyond = arith::CmpFOp::create(b, arith::CmpFPredicate::UGT, magnitude, limit);
      Value number = numberWords(site);
      Value isBehind =
          arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, number, spread(before));
      Value counts = arith::AndIOp::create(b, isBeyond, isBehind);
      Value own = arith::SelectOp::create(b, counts, number, spread(none));
      return SmallVector<Value>{smaller(b, carried[0], own)};
    })[0];
    before = acrossRow(next, [&](Value x, Value y) { return smaller(b, x, y); });
    found.push_back(b.select(b.equal(before, none), word(b, -1), before));
  }
  bindFew(op.getResult(), found);
}

void RowFolds::prepare(tfm::OutlierValuesOp op) {
  Value input = op.getInput();
  Value last = b.sub(values.extent(values.dims(input).back()), 1);
  SmallVector<Value> found;
  for (int64_t r = 0, count = *values.dims(op.getResult()).back().asConstant(); r < count; ++r) {
    Value position = values.at(op.getPositions(), Site::rows(row, b.i64(r)));
    Value wide = arith::ExtSIOp::create(b, b.getI64Type(), position);
    Value x = values.at(input, Site::rows(row, arith::MinUIOp::create(b, wide, last)));
    found.push_back(b.select(b.less(wide, b.i64(0)), b.f32(0.0f), x));
  }
  bindFew(op.getResult(), found);
}
