//===- RowOutliers.cpp - the few largest elements of one row -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The limit: each lane keeps the count + 1 largest magnitudes that it saw, sorted, as integers of the same order (NaN is the largest), and
// the lanes are joined in pairs at the end. The positions: a vector with an element beyond the limit is rare, so each vector is only
// compared, and where a lane is beyond, the lanes' numbers are written behind those before.
//
//===----------------------------------------------------------------------===//
#include "RowStatistics.h"

#include <numeric>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// A statistic of one number for each row.
void RowStatistics::bindNumber(Value tensor, Value number) {
  values.bind(tensor, [this, number, tensor](const Site &site) -> Value {
    bool sameIndices = site.form == Site::Form::Full && site.indices == values.split(row, values.dims(tensor));
    return isHere(site) || sameIndices ? number : Value();
  });
}

/// A few elements for each row, which stand at `from`.
void RowStatistics::bindFew(Value tensor, Value from) {
  Element e = Element::of(tensor);
  Element held = e.isHalf() ? f32 : e;
  values.bind(tensor, [this, from, tensor, held](const Site &site) -> Value {
    bool isFirst = site.form == Site::Form::Full && site.indices == values.split(row, values.dims(tensor));
    if (!isHere(site) && !isFirst)
      return {};
    Value pointer = isHere(site) ? this->b.at(from, this->b.mul(site.indices[1], 4)) : from;
    return site.isVector() ? ops.loadVector(held, pointer, site.mask) : ops.load(held, pointer);
  });
}

/// Walks the row's vectors, the tail under a mask that the step heeds. Carries values of any type.
SmallVector<Value> RowStatistics::walk(ValueRange init, Steps step) {
  int64_t lanes = b.target().lanes();
  auto fixed = width.asConstant();
  Value count = values.extent(width), whole = b.mul(b.div(count, lanes), lanes);
  auto carried = b.loop(b.i64(0), whole, lanes, init, [&](Value column, ValueRange so) { return step(so, siteAt(column)); });
  if (fixed && *fixed % lanes == 0)
    return carried;
  auto tail = [&] {
    SmallVector<int32_t> numbers(lanes);
    std::iota(numbers.begin(), numbers.end(), 0);
    Value limit = b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), b.sub(count, whole)));
    Site site = siteAt(whole);
    site.mask = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, arith::ConstantOp::create(b, b.getI32VectorAttr(numbers)), limit);
    return step(carried, site);
  };
  if (fixed)
    return tail();
  return values.choose(b.less(whole, count), tail, [&] { return carried; });
}

/// Takes x into a list of descending integers, whose length stays; x has at most the place `from`.
static void insert(KernelBuilder &b, MutableArrayRef<Value> list, Value x, size_t from = 0) {
  for (Value &entry : list.drop_front(from)) {
    Value larger = arith::MaxSIOp::create(b, entry, x);
    x = arith::MinSIOp::create(b, entry, x);
    entry = larger;
  }
}

/// The largest of all lanes, each with a list of its own; in lane 0 of the last entry is then the smallest of them.
static void joinLanes(KernelBuilder &b, MutableArrayRef<Value> list) {
  for (int64_t stride = b.target().lanes() / 2; stride > 0; stride /= 2) {
    SmallVector<int64_t> order;
    for (int64_t lane = 0; lane < b.target().lanes(); ++lane)
      order.push_back((lane + stride) % b.target().lanes());
    SmallVector<Value> others;
    for (Value entry : list)
      others.push_back(vector::ShuffleOp::create(b, entry, entry, order));
    for (auto [index, other] : llvm::enumerate(others))
      insert(b, list, other, index);
  }
}

void RowStatistics::prepare(tfm::OutlierLimitOp op) {
  auto constant = [&](int32_t value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), value)).getResult(); };
  SmallVector<Value> largest(int64_t(op.getCount()) + 1, constant(0));
  largest = walk(largest, [&](ValueRange carried, const Site &site) {
    SmallVector<Value> list(carried);
    Value bits = LLVM::BitcastOp::create(b, b.intVectorType(), readInput(site));
    Value magnitude = arith::AndIOp::create(b, bits, constant(0x7fffffff));
    if (site.mask)
      magnitude = arith::SelectOp::create(b, site.mask, magnitude, constant(0));
    insert(b, list, magnitude);
    return list;
  });
  if (memory)
    keepInput();
  joinLanes(b, largest);
  Value first = vector::ExtractOp::create(b, largest.back(), ArrayRef<int64_t>{0});
  bindNumber(op.getResult(), LLVM::BitcastOp::create(b, b.getF32Type(), first));
}

void RowStatistics::prepare(tfm::OutlierPositionsOp op) {
  int64_t lanes = b.target().lanes();
  SmallVector<int32_t> numbers(lanes);
  std::iota(numbers.begin(), numbers.end(), 0);
  Value iota = arith::ConstantOp::create(b, b.getI32VectorAttr(numbers)), none = arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), -1));
  b.store(none, memory);
  Value limit = b.broadcast(values.at(op.getLimit(), Site::rows(row, b.i64(0))));
  Value positive = arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), 0x7fffffff));
  Type bitsType = b.getIntegerType(lanes);
  walk({b.i64(0)}, [&](ValueRange found, const Site &site) {
    Value x = LLVM::BitcastOp::create(b, b.intVectorType(), values.vectorAt(input, site));
    Value magnitude = LLVM::BitcastOp::create(b, b.vectorType(), arith::AndIOp::create(b, x, positive));
    Value beyond = arith::CmpFOp::create(b, arith::CmpFPredicate::UGT, magnitude, limit);
    if (site.mask)
      beyond = arith::AndIOp::create(b, beyond, site.mask);
    Value bits = LLVM::BitcastOp::create(b, bitsType, beyond);
    Value isAny = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bits, arith::ConstantOp::create(b, b.getIntegerAttr(bitsType, 0)));
    auto write = [&] {
      Value place = arith::AddIOp::create(b, b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), site.indices[1])), iota);
      LLVM::masked_compressstore::create(b, place, b.at(memory, b.mul(found[0], 4)), beyond);
      Value more = arith::ExtUIOp::create(b, b.getI64Type(), LLVM::CtPopOp::create(b, bits));
      return SmallVector<Value>{b.add(found[0], more)};
    };
    return values.choose(isAny, write, [&] { return SmallVector<Value>{found[0]}; });
  });
  bindFew(op.getResult(), memory);
}

void RowStatistics::prepare(tfm::OutlierValuesOp op) {
  Value last = b.sub(values.extent(width), 1);
  int64_t count = *values.dims(op.getResult()).back().asConstant();
  for (int64_t r = 0; r < count; ++r) {
    Value position = values.at(op.getPositions(), Site::rows(row, b.i64(r)));
    Value wide = arith::ExtSIOp::create(b, b.getI64Type(), position);
    Value x = values.at(input, Site::rows(row, arith::MinUIOp::create(b, wide, last)));
    x = b.select(b.less(wide, b.i64(0)), b.f32(0.0f), x);
    b.store(x, b.at(memory, 4 * r));
  }
  bindFew(op.getResult(), memory);
}
