//===- Spatial.cpp - operators on images and signals -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inputs are [batch, channels, spatial dimensions]. A pool is a maximum or sum over the positions
// of its window, each of which is a strided slice of the padded input.
//
//===----------------------------------------------------------------------===//

#include "OpTable.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// [N, C b b, H, W] to [N, C, H b, W b]. The depth holds (row, column, channel) in mode DCR and
/// (channel, row, column) in mode CRD.
LogicalResult importDepthToSpace(OpBinder &b) {
  Value x = b.input(0);
  int64_t block = b.intAttr("blocksize", 0);
  std::string mode = b.stringAttr("mode", "DCR");
  if (b.failed())
    return failure();
  auto depth = b.rank(x) == 4 ? b.staticDim(x, 1) : std::nullopt;
  if (mode != "DCR" && mode != "CRD")
    return b.error("mode '" + mode + "'; accepted are DCR and CRD");
  if (!depth)
    return b.unsupported("with a rank other than 4 or a dynamic depth");
  if (block <= 0 || *depth % (block * block))
    return b.error("blocksize " + Twine(block) + " does not fit depth " + Twine(*depth));
  Extent n(x, 0), c(*depth / block / block), s(block), h(x, 2), w(x, 3), tall(x, 2), wide(x, 3);
  tall.constant = wide.constant = block;
  bool rowsFirst = mode == "DCR";
  Value split = rowsFirst ? b.reshape(x, {n, s, s, c, h, w}) : b.reshape(x, {n, c, s, s, h, w});
  Value moved = b.transpose(split, rowsFirst ? Ints{0, 3, 4, 1, 5, 2} : Ints{0, 1, 4, 2, 5, 3});
  return b.yield(b.reshape(moved, {n, c, tall, wide}));
}

/// [N, C, H, W] to [N, b b C, H / b, W / b], the inverse; a mode since opset 28.
LogicalResult importSpaceToDepth(OpBinder &b) {
  Value x = b.input(0);
  int64_t block = b.intAttr("blocksize", 0);
  std::string mode = b.stringAttr("mode", "DCR");
  if (b.failed())
    return failure();
  bool isImage = b.rank(x) == 4;
  auto depth = isImage ? b.staticDim(x, 1) : std::nullopt;
  auto height = isImage ? b.staticDim(x, 2) : std::nullopt;
  auto width = isImage ? b.staticDim(x, 3) : std::nullopt;
  if (mode != "DCR" && mode != "CRD")
    return b.error("mode '" + mode + "'; accepted are DCR and CRD");
  if (!depth || !height || !width)
    return b.unsupported("with a rank other than 4 or a dynamic depth, height or width");
  if (block <= 0 || *height % block || *width % block)
    return b.error("blocksize " + Twine(block) + " does not divide [" + Twine(*height) + ", " +
                   Twine(*width) + "]");
  Extent n(x, 0), c(x, 1), s(block), h(*height / block), w(*width / block);
  Value split = b.reshape(x, {n, c, h, s, w, s});
  Value moved = b.transpose(split, mode == "DCR" ? Ints{0, 3, 5, 1, 2, 4} : Ints{0, 1, 3, 5, 2, 4});
  return b.yield(b.reshape(moved, {n, Extent(*depth * block * block), h, w}));
}

class PoolImporter {
public:
  PoolImporter(OpBinder &b, bool isMax) : b(b), isMax(isMax) {}
  LogicalResult run();

private:
  LogicalResult readAttributes();
  LogicalResult padSame();
  /// Rows that ceil_mode adds behind the padding, of one spatial dimension.
  LogicalResult roundUp(int64_t axis);
  Value pad(Value value, ArrayRef<int64_t> before, ArrayRef<int64_t> after, double fill);
  /// The maximum or sum over the window, of a value padded already.
  Value pool(Value padded);
  Value count();

  OpBinder &b;
  bool isMax;
  Value x;
  int64_t spatial = 0;
  Ints kernel, strides, dilations, before, after, extra;
};

LogicalResult PoolImporter::readAttributes() {
  x = b.input(0);
  if (b.failed())
    return failure();
  spatial = b.rank(x) - 2;
  kernel = b.intsAttr("kernel_shape").value_or(Ints());
  strides = b.intsAttr("strides").value_or(Ints(kernel.size(), 1));
  dilations = b.intsAttr("dilations").value_or(Ints(kernel.size(), 1));
  Ints pads = b.intsAttr("pads").value_or(Ints(2 * kernel.size(), 0));
  size_t count = kernel.size();
  if (spatial < 1 || int64_t(count) != spatial || strides.size() != count ||
      dilations.size() != count || pads.size() != 2 * count)
    return b.error("kernel_shape, strides, dilations and pads must fit the spatial dimensions");
  for (int64_t value : llvm::concat<int64_t>(kernel, strides, dilations))
    if (value < 1)
      return b.error("kernel_shape, strides and dilations must be positive");
  for (int64_t value : pads)
    if (value < 0)
      return b.error("pads must not be negative");
  int64_t window = 1;
  for (int64_t size : kernel)
    window *= std::min<int64_t>(size, 4096);
  if (window > 1024)
    return b.unsupported("a window of more than 1024 elements");
  if (b.hasOutput(1))
    return b.unsupported("the output of indices");
  before.assign(pads.begin(), pads.begin() + spatial);
  after.assign(pads.begin() + spatial, pads.end());
  extra.assign(spatial, 0);
  return padSame();
}

/// SAME keeps ceil(size / stride) positions, SAME_UPPER with the odd row at the end.
LogicalResult PoolImporter::padSame() {
  std::string mode = b.stringAttr("auto_pad", "NOTSET");
  if (mode == "NOTSET")
    return success();
  before.assign(spatial, 0);
  after.assign(spatial, 0);
  if (mode == "VALID")
    return success();
  if (mode != "SAME_UPPER" && mode != "SAME_LOWER")
    return b.error("auto_pad '" + mode + "'; accepted are NOTSET, VALID, SAME_UPPER, SAME_LOWER");
  for (int64_t i = 0; i < spatial; ++i) {
    auto size = b.staticDim(x, i + 2);
    if (!size)
      return b.unsupported("auto_pad " + mode + " with a dynamic dimension");
    int64_t positions = (*size + strides[i] - 1) / strides[i];
    int64_t total = std::max<int64_t>(0, (positions - 1) * strides[i] +
                                             (kernel[i] - 1) * dilations[i] + 1 - *size);
    before[i] = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
    after[i] = total - before[i];
  }
  return success();
}

LogicalResult PoolImporter::roundUp(int64_t i) {
  if (strides[i] == 1)
    return success();
  auto size = b.staticDim(x, i + 2);
  if (!size)
    return b.unsupported("ceil_mode with a dynamic dimension");
  int64_t padded = *size + before[i] + after[i], reach = (kernel[i] - 1) * dilations[i] + 1;
  int64_t positions = (padded - reach + strides[i] - 1) / strides[i] + 1;
  // A window that would begin in the padding at the end is dropped.
  if ((positions - 1) * strides[i] >= *size + before[i])
    --positions;
  extra[i] = std::max<int64_t>(0, (positions - 1) * strides[i] + reach - padded);
  return success();
}

Value PoolImporter::pad(Value value, ArrayRef<int64_t> front, ArrayRef<int64_t> back, double fill) {
  for (int64_t i = 0; i < spatial && !b.failed(); ++i) {
    auto block = [&](int64_t rows) {
      SmallVector<Extent> extents;
      for (int64_t k = 0; k < b.rank(value); ++k)
        extents.push_back(k == i + 2 ? Extent(rows) : Extent(value, k));
      return b.broadcast(b.scalar(value, fill), extents);
    };
    SmallVector<Value> parts;
    if (front[i])
      parts.push_back(block(front[i]));
    parts.push_back(value);
    if (back[i])
      parts.push_back(block(back[i]));
    if (parts.size() > 1)
      value = b.concat(parts, i + 2);
  }
  return value;
}

Value PoolImporter::pool(Value padded) {
  Ints axes, at(spatial, 0);
  for (int64_t i = 0; i < spatial; ++i)
    axes.push_back(i + 2);
  Value result;
  while (!b.failed()) {
    // Up to `reach - 1 - start` rows before the end: exactly one row for each position.
    Ints starts, ends;
    for (int64_t i = 0; i < spatial; ++i) {
      starts.push_back(at[i] * dilations[i]);
      int64_t left = (kernel[i] - 1 - at[i]) * dilations[i];
      ends.push_back(left ? -left : INT64_MAX);
    }
    Value part = b.create<SliceOp>(b.elementType(padded), padded, b.ints(starts), b.ints(ends),
                                   b.ints(strides), b.builder.getDenseI64ArrayAttr(axes),
                                   ArrayAttr(), ArrayAttr(), DenseI64ArrayAttr());
    result = !result ? part : b.binary(isMax ? BinaryKind::Max : BinaryKind::Add, result, part);
    int64_t i = spatial - 1;
    while (i >= 0 && ++at[i] == kernel[i])
      at[i--] = 0;
    if (i < 0)
      return result;
  }
  return {};
}

/// How many elements each window covers: [1, 1, positions].
Value PoolImporter::count() {
  SmallVector<Extent> extents(2, Extent(1));
  for (int64_t i = 0; i < spatial; ++i)
    extents.push_back(Extent(x, i + 2));
  Value ones = b.broadcast(b.scalar(x, 1), extents);
  ones = pad(ones, before, after, b.intAttr("count_include_pad", 0) ? 1 : 0);
  return pool(pad(ones, Ints(spatial, 0), extra, 0));
}

LogicalResult PoolImporter::run() {
  if (failed(readAttributes()))
    return failure();
  if (b.intAttr("ceil_mode", 0))
    for (int64_t i = 0; i < spatial; ++i)
      if (failed(roundUp(i)))
        return failure();
  Ints end = after;
  for (int64_t i = 0; i < spatial; ++i)
    end[i] += extra[i];
  double fill = 0;
  if (isMax) {
    auto integer = dyn_cast<IntegerType>(b.elementType(x));
    fill = !integer               ? -INFINITY
           : integer.isUnsigned() ? 0
                                  : -std::ldexp(1.0, integer.getWidth() - 1);
  }
  Value result = pool(pad(x, before, end, fill));
  bool padded = llvm::any_of(llvm::concat<int64_t>(before, end), [](int64_t n) { return n > 0; });
  if (isMax)
    return b.yield(result);
  double window = 1;
  for (int64_t size : kernel)
    window *= double(size);
  return b.yield(b.div(result, padded ? count() : b.scalar(x, window)));
}

template <bool isMax> LogicalResult importPool(OpBinder &b) { return PoolImporter(b, isMax).run(); }

constexpr OpClass D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "AveragePool", 7, 22, D, importPool<false>},
    {"", "DepthToSpace", 1, 28, D, importDepthToSpace},
    {"", "MaxPool", 1, 22, D, importPool<true>},
    {"", "SpaceToDepth", 1, 28, D, importSpaceToDepth},
};

} // namespace

ArrayRef<OpRow> permalloy::spatialRows() { return rows; }
