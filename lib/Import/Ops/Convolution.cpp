//===- Convolution.cpp - Conv of ONNX as a matrix product --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The transformers that convolve do it once, to make tokens. So there is no convolution in tfm: the input is laid out as one
// row of kernel x channels elements per place of the output, and multiplied with the weight as a matrix [kernel * C, M], which
// `fold-weights` stores in that order.
//
//   patches (stride == kernel, no padding)     reshape [N, C, H/p, p, W/p, p], transpose, product
//   otherwise                                  zeros around, one strided slice per element of the kernel, joined along channels
//
// In general channels come last, so that slices are runs of memory, and so that two convolutions in a row meet without a
// transpose between them. Patches are runs along the last dimension as they are.
//
//===----------------------------------------------------------------------===//

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class ConvImporter {
public:
  explicit ConvImporter(OpBinder &b) : b(b) {}
  LogicalResult run();

private:
  LogicalResult readAttributes();
  LogicalResult readPads();
  /// Pads of one axis for SAME_UPPER and SAME_LOWER.
  LogicalResult samePads(size_t axis, bool upper);
  bool isPatches();
  Value pad(Value x);
  /// The input of each place of the output as one row, [N, places..., C * kernel]: without overlap.
  Value patches();
  /// The same in general, from [N, spatial..., C] to [N, places..., kernel * C].
  Value slices(Value x);
  Value slice(Value x, ArrayRef<int64_t> position);
  Value product(Value rows, ArrayRef<int64_t> perm);
  Value groupedProduct(Value rows);

  OpBinder &b;
  Value input, weight;
  int64_t spatial = 0, groups = 1, taps = 1;
  Ints kernel, strides, dilations, before, after;
};

LogicalResult ConvImporter::readAttributes() {
  input = b.input(0);
  weight = b.input(1);
  if (b.failed())
    return failure();
  spatial = b.rank(input) - 2;
  if (spatial < 1 || b.rank(weight) != b.rank(input))
    return b.error("the input and the weight need one rank of at least 3, not " + Twine(b.rank(input)) + " and " +
                   Twine(b.rank(weight)));
  auto shape = cast<RankedTensorType>(weight.getType());
  auto channels = b.staticDim(input, 1);
  if (!shape.hasStaticShape() || !channels)
    return b.unsupported("with a weight or a number of channels that varies");
  groups = b.intAttr("group", 1);
  kernel = Ints(shape.getShape().drop_front(2));
  if (groups < 1 || *channels != shape.getDimSize(1) * groups || shape.getDimSize(0) % groups)
    return b.error(Twine(*channels) + " channels in " + Twine(groups) + " groups do not fit the weight " +
                   str(dimsOfType(shape)));
  if (auto stated = b.intsAttr("kernel_shape"); stated && *stated != kernel)
    return b.error("kernel_shape is not that of the weight " + str(dimsOfType(shape)));
  strides = b.intsAttr("strides").value_or(Ints(spatial, 1));
  dilations = b.intsAttr("dilations").value_or(Ints(spatial, 1));
  auto isWrong = [&](ArrayRef<int64_t> list) {
    return int64_t(list.size()) != spatial || llvm::any_of(list, [](int64_t n) { return n < 1; });
  };
  if (isWrong(strides) || isWrong(dilations) || isWrong(kernel))
    return b.error("strides, dilations and the kernel need " + Twine(spatial) + " positive numbers");
  for (int64_t extent : kernel)
    taps *= extent;
  return readPads();
}

LogicalResult ConvImporter::samePads(size_t axis, bool upper) {
  auto extent = b.staticDim(input, axis + 2);
  if (!extent && strides[axis] != 1)
    return b.unsupported("auto_pad SAME of a dimension that varies, with stride " + Twine(strides[axis]));
  int64_t window = dilations[axis] * (kernel[axis] - 1) + 1;
  int64_t covered = extent ? ((*extent + strides[axis] - 1) / strides[axis] - 1) * strides[axis] + window - *extent : window - 1;
  int64_t total = std::max<int64_t>(covered, 0);
  before.push_back(upper ? total / 2 : total - total / 2);
  after.push_back(total - before.back());
  return success();
}

LogicalResult ConvImporter::readPads() {
  std::string mode = b.stringAttr("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    for (int64_t axis = 0; axis < spatial; ++axis)
      if (failed(samePads(axis, mode == "SAME_UPPER")))
        return failure();
    return success();
  }
  if (mode != "NOTSET" && mode != "VALID")
    return b.error("auto_pad '" + mode + "'; accepted are NOTSET, VALID, SAME_UPPER and SAME_LOWER");
  Ints pads = mode == "VALID" ? Ints(2 * spatial, 0) : b.intsAttr("pads").value_or(Ints(2 * spatial, 0));
  if (int64_t(pads.size()) != 2 * spatial || llvm::any_of(pads, [](int64_t n) { return n < 0; }))
    return b.error("pads need " + Twine(2 * spatial) + " numbers that are not negative");
  before.assign(pads.begin(), pads.begin() + spatial);
  after.assign(pads.begin() + spatial, pads.end());
  return success();
}

bool ConvImporter::isPatches() {
  for (int64_t axis = 0; axis < spatial; ++axis) {
    auto extent = b.staticDim(input, axis + 2);
    if (before[axis] || after[axis] || dilations[axis] != 1 || strides[axis] != kernel[axis] || !extent ||
        *extent % kernel[axis])
      return false;
  }
  return true;
}

Value ConvImporter::pad(Value x) {
  for (int64_t axis = 0; axis < spatial; ++axis) {
    SmallVector<Value> parts;
    auto zeros = [&](int64_t count) {
      SmallVector<Extent> extents;
      for (int64_t i = 0; i < spatial + 2; ++i)
        extents.push_back(i == axis + 1 ? Extent(count) : Extent(x, i));
      if (count)
        parts.push_back(b.broadcast(b.scalar(x, 0), extents));
    };
    zeros(before[axis]);
    parts.push_back(x);
    zeros(after[axis]);
    if (parts.size() > 1)
      x = b.concat(parts, axis + 1);
    if (b.failed())
      return {};
  }
  return x;
}

/// [N, C, H, W] to [N, H/p, W/q, C * p * q].
Value ConvImporter::patches() {
  SmallVector<Extent> split = {Extent(input, 0), Extent(input, 1)}, places = {Extent(input, 0)};
  Ints perm = {0};
  for (int64_t axis = 0; axis < spatial; ++axis) {
    int64_t count = *b.staticDim(input, axis + 2) / kernel[axis];
    split.append({Extent(count), Extent(kernel[axis])});
    places.push_back(Extent(count));
    perm.push_back(2 + 2 * axis);
  }
  perm.push_back(1);
  for (int64_t axis = 0; axis < spatial; ++axis)
    perm.push_back(3 + 2 * axis);
  places.push_back(Extent(taps * *b.staticDim(input, 1)));
  return b.reshape(b.transpose(b.reshape(input, split), perm), places);
}

/// The elements of `x` that `position` of the kernel meets, one per place of the output.
Value ConvImporter::slice(Value x, ArrayRef<int64_t> position) {
  Ints starts, ends, axes;
  for (int64_t axis = 0; axis < spatial; ++axis) {
    int64_t rest = dilations[axis] * (kernel[axis] - 1 - position[axis]);
    starts.push_back(dilations[axis] * position[axis]);
    ends.push_back(rest ? -rest : std::numeric_limits<int64_t>::max());
    axes.push_back(axis + 1);
  }
  return b.create<SliceOp>(b.elementType(x), x, b.ints(starts), b.ints(ends), b.ints(strides),
                           b.builder.getDenseI64ArrayAttr(axes), ArrayAttr(), ArrayAttr(), DenseI64ArrayAttr());
}

Value ConvImporter::slices(Value x) {
  SmallVector<Value> parts;
  Ints position(spatial, 0);
  for (int64_t tap = 0; tap < taps && !b.failed(); ++tap) {
    int64_t rest = tap;
    for (int64_t axis = spatial - 1; axis >= 0; --axis) {
      position[axis] = rest % kernel[axis];
      rest /= kernel[axis];
    }
    parts.push_back(slice(x, position));
  }
  return b.failed() ? Value() : parts.size() == 1 ? parts.front() : b.concat(parts, spatial + 1);
}

/// Rows of the input times the weight [M, C, kernel...], whose dimensions from 1 on come in the order of `perm`.
Value ConvImporter::product(Value rows, ArrayRef<int64_t> perm) {
  int64_t outputs = *b.staticDim(weight, 0), depth = taps * *b.staticDim(weight, 1);
  return b.matmul(rows, b.reshape(b.transpose(weight, perm), {Extent(depth), Extent(outputs)}));
}

/// The same with channels in groups: a batched product [N, groups, places, C/g * kernel] x [groups, C/g * kernel, M/g].
Value ConvImporter::groupedProduct(Value rows) {
  if (b.failed())
    return {};
  int64_t channels = *b.staticDim(weight, 1), outputs = *b.staticDim(weight, 0) / groups;
  Value split = b.reshape(rows, {Extent(rows, 0), Extent(rows, 1, spatial + 1), Extent(taps), Extent(groups), Extent(channels)});
  Value byGroup = b.transpose(split, {0, 3, 1, 4, 2});
  if (b.failed())
    return {};
  byGroup = b.reshape(byGroup, {Extent(byGroup, 0), Extent(groups), Extent(byGroup, 2), Extent(channels * taps)});
  Value matrix = b.reshape(weight, {Extent(groups), Extent(outputs), Extent(channels * taps)});
  Value result = b.transpose(b.matmul(byGroup, b.transpose(matrix, {0, 2, 1})), {0, 2, 1, 3});
  SmallVector<Extent> extents;
  for (int64_t i = 0; i < spatial + 1; ++i)
    extents.push_back(Extent(rows, i));
  extents.push_back(Extent(groups * outputs));
  return b.reshape(result, extents);
}

LogicalResult ConvImporter::run() {
  if (failed(readAttributes()))
    return failure();
  Ints channelsLast = {0}, channelsSecond = {0, spatial + 1}, kernelFirst, channelsFirst = {1};
  for (int64_t axis = 0; axis < spatial; ++axis) {
    channelsLast.push_back(axis + 2);
    channelsSecond.push_back(axis + 1);
    kernelFirst.push_back(axis + 2);
    channelsFirst.push_back(axis + 2);
  }
  channelsLast.push_back(1);
  kernelFirst.append({1, 0});
  channelsFirst.push_back(0);
  Value result;
  if (groups == 1 && isPatches()) {
    result = product(patches(), channelsFirst);
  } else {
    Value rows = slices(pad(b.transpose(input, channelsLast)));
    result = groups == 1 ? product(rows, kernelFirst) : groupedProduct(rows);
  }
  if (Value bias = b.optionalInput(2))
    result = b.add(result, bias);
  return b.yield(b.transpose(result, channelsSecond));
}

LogicalResult importConv(OpBinder &b) { return ConvImporter(b).run(); }

const OpRow rows[] = {
    {"", "Conv", 1, 22, OpClass::Decomposed, importConv},
};

} // namespace

ArrayRef<OpRow> permalloy::convolutionRows() { return rows; }
