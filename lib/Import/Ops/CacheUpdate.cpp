//===- CacheUpdate.cpp - TensorScatter: rows written into a cache -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Row p of the cache takes row p - write_index of the update where there is one; modulo the length
/// of the cache in circular mode. So each row is read once and nothing is written out of range.
class TensorScatterImporter {
public:
  explicit TensorScatterImporter(OpBinder &b) : b(b) {}
  LogicalResult run();

private:
  LogicalResult readInputs();
  /// Rows of the update that the rows of the cache take, [length] or [batch, length].
  Value sources();
  /// The update's rows in the places of the cache's.
  Value placed(Value source);
  Value size(Value value) {
    return b.reduce(ReduceKind::Sum, b.shapeTensor(Extent(value, axis)), {0}, /*keepDims=*/false);
  }

  OpBinder &b;
  Value cache, update, writeIndices;
  int64_t axis = 0;
  bool circular = false;
};

LogicalResult TensorScatterImporter::readInputs() {
  cache = b.input(0);
  update = b.input(1);
  writeIndices = b.optionalInput(2);
  std::string mode = b.stringAttr("mode", "linear");
  if (b.failed())
    return failure();
  if (mode != "linear" && mode != "circular")
    return b.error("mode '" + mode + "'; accepted are linear and circular");
  circular = mode == "circular";
  int64_t rank = b.rank(cache);
  axis = b.normalizeAxis(b.intAttr("axis", -2), rank);
  if (!b.failed() && axis == 0)
    return b.error("axis 0 is the batch");
  if (b.rank(update) != rank || (writeIndices && b.rank(writeIndices) != 1))
    return b.error("takes a cache and an update of one rank, and one write index for each sample");
  for (int64_t i = 0; i < rank && !b.failed(); ++i) {
    auto have = b.staticDim(update, i), room = b.staticDim(cache, i);
    if (have && room && (i == axis ? *have > *room : *have != *room))
      return b.error("the update has " + Twine(*have) + " elements along axis " + Twine(i) +
                     ", the cache " + Twine(*room));
  }
  return success(!b.failed());
}

Value TensorScatterImporter::sources() {
  Value position = b.iota(Extent(cache, axis));
  if (!writeIndices)
    return position;
  Value source = b.sub(position, b.alongAxis(b.cast(writeIndices, b.builder.getI64Type()), 0, 2));
  return circular ? b.binary(BinaryKind::Mod, source, size(cache)) : source;
}

Value TensorScatterImporter::placed(Value source) {
  Type i64 = b.builder.getI64Type();
  Value last = b.sub(size(update), b.scalar(i64, 1));
  Value row = b.binary(BinaryKind::Max, b.binary(BinaryKind::Min, source, last), b.scalar(i64, 0));
  if (!writeIndices)
    return b.gather(update, row, axis);
  if (b.failed())
    return {};
  // The sequence comes behind the batch for gather_nd, and goes back.
  Ints forth = {0, axis}, back;
  for (int64_t i = 1; i < b.rank(cache); ++i)
    if (i != axis)
      forth.push_back(i);
  for (int64_t i = 0; i < b.rank(cache); ++i)
    back.push_back(llvm::find(forth, i) - forth.begin());
  Value moved = axis == 1 ? update : b.transpose(update, forth);
  Value tuples = b.reshape(row, {Extent(row, 0), Extent(row, 1), Extent(1)});
  if (b.failed())
    return {};
  Value rows =
      b.create<GatherNDOp>(b.elementType(update), moved, tuples, b.builder.getI64IntegerAttr(1));
  return axis == 1 ? rows : b.transpose(rows, back);
}

LogicalResult TensorScatterImporter::run() {
  if (failed(readInputs()))
    return failure();
  Value source = sources();
  Type i64 = b.builder.getI64Type();
  Value written = b.binary(BinaryKind::And, b.compare(CompareKind::Ge, source, b.scalar(i64, 0)),
                           b.compare(CompareKind::Lt, source, size(update)));
  if (b.failed())
    return failure();
  SmallVector<Extent> extents;
  for (int64_t i = 0; i < b.rank(cache); ++i)
    extents.push_back(i == axis                ? Extent(cache, i)
                      : i == 0 && writeIndices ? Extent(written, 0)
                                               : Extent(1));
  return b.yield(b.select(b.reshape(written, extents), placed(source), cache));
}

LogicalResult importTensorScatter(OpBinder &b) { return TensorScatterImporter(b).run(); }

const OpRow rows[] = {
    {"", "TensorScatter", 24, 24, OpClass::Decomposed, importTensorScatter},
};

} // namespace

ArrayRef<OpRow> permalloy::cacheUpdateRows() { return rows; }
