//===- MatmulProduct.cpp - a block of a product of two activations -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "MatmulProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Schedules
//===----------------------------------------------------------------------===//

/// Large blocks where the result is known to be large. FMA: a lane has 8 x 8 results of those, 4 x 8 of small ones.
MatmulSchedule MatmulSchedule::choose(Type element, std::optional<int64_t> rows, std::optional<int64_t> columns) {
  MatmulSchedule s;
  bool isTensor = !element.isF32();
  if (rows && *rows <= 32)
    s.blockRows = 32, s.warpRows = 16;
  else if (rows && columns && *rows >= 256 && *columns >= 256)
    s.blockRows = 128, s.blockColumns = isTensor ? 128 : 64, s.warpRows = isTensor ? 64 : 32, s.warpColumns = isTensor ? 32 : 64;
  if (!isTensor && s.blockRows <= 64)
    s.warpRows = 16, s.warpColumns = s.blockRows == 32 ? 32 : 64;
  return s;
}

static std::string whyNotMatmul(const MatmulSchedule &s, bool isTensor, int64_t sharedBytes) {
  int64_t leastColumns = isTensor ? 16 : 32;
  if (s.warpRows < 16 || s.warpRows % 16 || s.warpColumns < leastColumns || s.warpColumns % leastColumns)
    return "warp_rows must be a multiple of 16 and warp_columns of " + std::to_string(leastColumns);
  for (int64_t size : {s.blockRows, s.blockColumns, s.warpRows, s.warpColumns})
    if (!llvm::isPowerOf2_64(size) || size > 256)
      return "rows and columns of blocks and warps must be powers of two up to 256";
  if (s.blockRows % s.warpRows || s.blockColumns % s.warpColumns)
    return "the warps do not fill the block";
  if (s.blockWords != 16 && s.blockWords != 32)
    return "block_words must be 16 or 32";
  if (s.warpRows * s.warpColumns > 64 * 64 || (!isTensor && s.warpRows * s.warpColumns > 32 * 64))
    return "the results do not fit the registers";
  int64_t threads = s.threads();
  if (threads > 512 || s.blockRows * s.blockWords / 4 % threads || s.blockColumns * s.blockWords / 4 % threads)
    return "the threads do not share the copies evenly";
  if (s.stages < 2)
    return "stages must be at least 2";
  if (int64_t bytes = s.sharedBytes(); bytes > sharedBytes)
    return "the stages need " + std::to_string(bytes) + " bytes of shared memory; there are " + std::to_string(sharedBytes);
  return "";
}

ScheduleSpaceOf<MatmulSchedule> codegen::matmulSpace(Type element, int64_t sharedBytes) {
  using S = MatmulSchedule;
  ScheduleSpaceOf<S> space;
  bool isTensor = !element.isF32();
  space.add("block_rows", "rows of the result in a block", &S::blockRows, {32, 64, 128});
  space.add("block_columns", "its columns", &S::blockColumns, {64, 128});
  space.add("block_words", "32-bit words of K in one stage", &S::blockWords, {16, 32});
  space.add("warp_rows", "rows of a warp", &S::warpRows, isTensor ? ScheduleSpace::Values{16, 32, 64} : ScheduleSpace::Values{16, 32});
  space.add("warp_columns", "columns of a warp", &S::warpColumns, {32, 64});
  space.add("stages", "tiles of K in shared memory", &S::stages, {2, 3, 4});
  space.require([=](const S &s) { return whyNotMatmul(s, isTensor, sharedBytes); });
  return space;
}

//===----------------------------------------------------------------------===//
// The product
//===----------------------------------------------------------------------===//

namespace {

class Emitter {
public:
  Emitter(GpuBuilder &b, const MatmulProduct &product, const MatmulSchedule &schedule)
      : b(b), warp(b), ops(b), p(product), s(schedule), shared(warp.sharedMemory()),
        left(b, p, p.left, s.blockRows, p.firstRow, s, shared),
        right(b, p, p.right, s.blockColumns, p.firstColumn, s, b.at(shared, s.rowBytes())), lanes(lanesOf()) {}

  void run() {
    share(multiply());
    store();
  }

private:
  std::unique_ptr<MatmulLanes> lanesOf();
  void copy(Value tile, Value last, Value stage);
  SmallVector<Value> multiply();
  void share(ArrayRef<Value> sums);
  void store();
  void storeItems(int64_t elements);

  GpuBuilder &b;
  WarpBuilder warp;
  ElementOps ops;
  const MatmulProduct &p;
  const MatmulSchedule &s;
  Value shared;
  MatmulTile left, right;
  std::unique_ptr<MatmulLanes> lanes;
};

} // namespace

std::unique_ptr<MatmulLanes> Emitter::lanesOf() {
  if (p.element.isF32())
    return fmaLanes(b, left, right, s);
  return tensorLanes(b, p.element.isF16() ? OperandType::f16 : OperandType::bf16, left, right, s);
}

/// A tile of both operands, if there is one.
void Emitter::copy(Value tile, Value last, Value stage) {
  b.ifThen(b.less(tile, last), [&] {
    left.copy(tile, stage);
    right.copy(tile, stage);
  });
  warp.commitCopies();
}

SmallVector<Value> Emitter::multiply() {
  int64_t steps = s.blockWords * 4 / Element::of(p.element).bytes(), bytes = s.stageBytes();
  Value last = b.ceilDiv(p.depth, steps);
  b.loop(b.i64(0), b.i64(s.stages - 1), 1, [&](Value tile) { copy(tile, last, b.mul(b.narrow(tile), bytes)); });
  SmallVector<Value> init(lanes->rows.size() * lanes->columns.size(), b.f32(0));
  init.append({b.i32(0), b.i32((s.stages - 1) * bytes)});
  auto next = [&](Value stage) {
    Value after = b.add(stage, bytes);
    return b.select(b.equal(after, b.i32(s.stages * bytes)), b.i32(0), after);
  };
  SmallVector<Value> results = b.loop(b.i64(0), last, 1, init, [&](Value tile, ValueRange carried) {
    Value reading = carried[carried.size() - 2], writing = carried.back();
    warp.waitCopies(s.stages - 2);
    warp.barrier(); // the tile is there, and all have read the one whose stage is written now
    copy(b.add(tile, s.stages - 1), last, writing);
    SmallVector<Value> sums = lanes->multiply(reading, SmallVector<Value>(carried.drop_back(2)));
    sums.append({next(reading), next(writing)});
    return sums;
  });
  results.truncate(results.size() - 2);
  return results;
}

/// Results to shared memory, neighbours of a row together.
void Emitter::share(ArrayRef<Value> sums) {
  warp.barrier(); // all are through with the tiles
  ArrayRef<int64_t> columns = lanes->columns;
  Value own = b.at(shared, b.add(b.mul(lanes->row, s.resultStride()), b.mul(lanes->column, 4)));
  for (size_t i = 0; i < lanes->rows.size(); ++i)
    for (size_t j = 0, run; j < columns.size(); j += run) {
      for (run = 1; j + run < columns.size() && columns[j + run] == columns[j] + int64_t(run);)
        ++run;
      Value to = b.at(own, lanes->rows[i] * s.resultStride() + columns[j] * 4);
      ArrayRef<Value> values = sums.slice(i * columns.size() + j, run);
      if (run == 1)
        b.store(values[0], to, 4);
      else
        b.store(vector::FromElementsOp::create(b, VectorType::get(run, b.getF32Type()), values), to, unsigned(4 * run));
    }
  warp.barrier();
}

/// `elements` neighbours a thread.
void Emitter::storeItems(int64_t elements) {
  Element e = Element::of(p.element);
  int64_t across = s.blockColumns / elements;
  b.loop(b.threadIndex(), b.i32(s.blockRows * across), s.threads(), [&](Value item) {
    Value inRow = b.div(item, across), inColumn = b.mul(b.rem(item, across), elements);
    Value row = b.add(p.firstRow, b.wide(inRow)), column = b.add(p.firstColumn, b.wide(inColumn));
    b.ifThen(b.both(b.less(row, p.left.extent), b.less(column, p.right.extent)), [&] {
      Value from = b.at(shared, b.add(b.mul(inRow, s.resultStride()), b.mul(inColumn, 4)));
      Value to = b.at(p.result, b.mul(b.add(b.mul(row, p.right.extent), column), e.bytes()));
      if (elements == 1)
        return ops.store(e, b.load(b.getF32Type(), from, 4), to);
      ops.storeLanes(e, b.load(VectorType::get(elements, b.getF32Type()), from, 16), to, unsigned(elements));
      if (auto store = dyn_cast<LLVM::StoreOp>(*std::prev(b.getInsertionPoint())))
        store.setAlignment(unsigned(elements * e.bytes())); // rows are whole fours
    });
  });
}

void Emitter::store() {
  Value isWhole = b.equal(b.rem(p.right.extent, 4), b.i64(0));
  if (matchPattern(isWhole, m_One()))
    return storeItems(4);
  if (matchPattern(isWhole, m_Zero()))
    return storeItems(1);
  b.ifElse(isWhole, [&] { storeItems(4); }, [&] { storeItems(1); });
}

void codegen::emitMatmulProduct(GpuBuilder &b, const MatmulProduct &product, const MatmulSchedule &schedule) {
  Emitter(b, product, schedule).run();
}
