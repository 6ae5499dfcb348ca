//===- Structure.cpp - sources and operations that move elements -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"
#include "Tfm/Panels.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

Result reference::evaluate(tfm::ConstantOp op, Operands, Scope &scope) {
  Tensor result = Tensor::fromAttribute(op.getValue());
  if (!result)
    return scope.fail("the elements of the constant are not in the IR");
  return result;
}

Result reference::evaluate(tfm::DimValuesOp op, Operands, Scope &scope) {
  FailureOr<Shape> values = scope.values(op.getValues());
  if (failed(values))
    return failure();
  Tensor result(cast<RankedTensorType>(op.getType()));
  for (auto [i, value] : llvm::enumerate(*values))
    result.setInteger(i, value);
  return result;
}

Result reference::evaluate(tfm::ShapeOfOp op, Operands in, Scope &) {
  return Tensor::ofShape(op.getContext(), in[0].shape());
}

static Result resolvedRange(tfm::RangeOp op, Scope &scope) {
  FailureOr<int64_t> from = scope.value(*op.getFrom()), size = scope.value(*op.getSize());
  if (failed(from) || failed(size))
    return failure();
  if (*size < 0)
    return scope.fail("range of negative size " + Twine(*size));
  Tensor result(getElementTypeOrSelf(op.getType()), {*size});
  for (int64_t i = 0; i < *size; ++i)
    result.setInteger(i, *from + i * op.getStep());
  return result;
}

Result reference::evaluate(tfm::RangeOp op, Operands in, Scope &scope) {
  if (op.getSize())
    return resolvedRange(op, scope);
  if (isFloat(in[0].element())) {
    double start = in[0].number(0), limit = in[1].number(0), delta = in[2].number(0);
    double count = std::ceil((limit - start) / delta);
    if (!std::isfinite(count))
      return scope.fail("range from " + elementStr(in[0], 0) + " to " + elementStr(in[1], 0) +
                        " with a step of " + elementStr(in[2], 0) + " has no end");
    Tensor result(in[0].elementType(), {std::max<int64_t>(0, count)});
    for (int64_t i = 0; i < result.size(); ++i)
      result.setNumber(i, start + i * delta);
    return result;
  }
  Wide start = in[0].integer(0), limit = in[1].integer(0), delta = in[2].integer(0);
  if (delta == 0)
    return scope.fail("range with a step of 0 has no end");
  Wide distance = limit - start,
       count = distance / delta + (distance % delta != 0 && (distance < 0) == (delta < 0));
  Tensor result(in[0].elementType(), {std::max<int64_t>(0, count)});
  for (int64_t i = 0; i < result.size(); ++i)
    result.setInteger(i, start + i * delta);
  return result;
}

//===----------------------------------------------------------------------===//
// Other dimensions, same elements
//===----------------------------------------------------------------------===//

/// ONNX's rules for a shape operand: 0 copies (unless allow_zero), -1 is inferred.
static FailureOr<Shape> requestedShape(tfm::ReshapeOp op, Operands in, Scope &scope) {
  if (op.getDims())
    return scope.values(*op.getDims());
  Shape shape = in[1].integers();
  std::optional<size_t> inferred;
  int64_t known = 1;
  for (auto [i, extent] : llvm::enumerate(shape)) {
    if (extent == 0 && !op.getAllowZero()) {
      if (int64_t(i) >= in[0].rank())
        return scope.fail("shape element " + Twine(i) + " is 0 (copy) but the input has rank " +
                          Twine(in[0].rank()));
      extent = in[0].dim(i);
    }
    if (extent < -1 || (extent == -1 && inferred))
      return scope.fail("cannot reshape to " + str(shape));
    if (extent == -1)
      inferred = i;
    else
      known *= extent;
  }
  if (inferred && (known == 0 || in[0].size() % known != 0))
    return scope.fail("cannot infer the -1 of " + str(shape) + " for " + Twine(in[0].size()) +
                      " elements");
  if (inferred)
    shape[*inferred] = in[0].size() / known;
  return shape;
}

Result reference::evaluate(tfm::ReshapeOp op, Operands in, Scope &scope) {
  FailureOr<Shape> shape = requestedShape(op, in, scope);
  if (failed(shape))
    return failure();
  if (product(*shape) != in[0].size() || llvm::any_of(*shape, [](int64_t x) { return x < 0; }))
    return scope.fail("cannot reshape " + str(in[0].shape()) + " to " + str(*shape));
  return in[0].reshaped(*shape);
}

/// Reads `input` along `strides` into a new tensor of `shape`.
static Tensor readStrided(const Tensor &input, ArrayRef<int64_t> shape, Shape strides,
                          int64_t start = 0) {
  Tensor result(input.elementType(), shape);
  int64_t width = elementBytes(input.element());
  const char *from = input.bytes().data();
  char *to = result.mutableBytes().data();
  forEachIndex(shape, {strides}, [&](int64_t i, ArrayRef<int64_t> at) {
    std::copy_n(from + (start + at[0]) * width, width, to + i * width);
  });
  return result;
}

Result reference::evaluate(tfm::BroadcastOp op, Operands in, Scope &scope) {
  FailureOr<Shape> wanted =
      op.getDims() ? scope.values(*op.getDims()) : FailureOr<Shape>(in[1].integers());
  if (failed(wanted))
    return failure();
  auto shape = broadcastShapes(in[0].shape(), *wanted);
  if (!shape || (op.getDims() && *shape != *wanted))
    return scope.fail("cannot broadcast " + str(in[0].shape()) + " to " + str(*wanted));
  return readStrided(in[0], *shape, broadcastStrides(in[0].shape(), *shape));
}

Result reference::evaluate(tfm::TransposeOp op, Operands in, Scope &) {
  Shape from = stridesOf(in[0].shape()), shape, strides;
  for (int64_t axis : op.getPerm()) {
    shape.push_back(in[0].dim(axis));
    strides.push_back(from[axis]);
  }
  return readStrided(in[0], shape, strides);
}

//===----------------------------------------------------------------------===//
// Parts and joins
//===----------------------------------------------------------------------===//

FailureOr<int64_t> reference::wrapIndex(Wide index, int64_t extent, Scope &scope) {
  if (index < -Wide(extent) || index >= extent)
    return scope.fail("index " + Twine(int64_t(index)) + " is outside of a dimension of " +
                      Twine(extent));
  return index < 0 ? index + extent : index;
}

Result reference::evaluate(tfm::GatherOp op, Operands in, Scope &scope) {
  Tensor table = in[0].isPacked() ? unpack(in[0]) : in[0];
  ArrayRef<int64_t> shape = table.shape();
  size_t axis = op.getAxis();
  Shape out(shape.take_front(axis));
  out.append(in[1].shape().begin(), in[1].shape().end());
  out.append(shape.begin() + axis + 1, shape.end());
  Tensor result(table.elementType(), out);
  int64_t outer = product(shape.take_front(axis)), extent = shape[axis];
  int64_t block = product(shape.drop_front(axis + 1)) * elementBytes(table.element());
  char *to = result.mutableBytes().data();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < in[1].size(); ++i, to += block) {
      FailureOr<int64_t> index = wrapIndex(in[1].integer(i), extent, scope);
      if (failed(index))
        return failure();
      std::copy_n(table.bytes().data() + (o * extent + *index) * block, block, to);
    }
  return result;
}

Result reference::evaluate(tfm::GatherNDOp op, Operands in, Scope &scope) {
  const Tensor &input = in[0], &indices = in[1];
  size_t batch = op.getBatchDims(), tuple = indices.shape().back();
  if (input.shape().take_front(batch) != indices.shape().take_front(batch))
    return scope.fail("batch dimensions of " + str(input.shape()) + " and " + str(indices.shape()) +
                      " differ");
  Shape out(indices.shape().drop_back());
  out.append(input.shape().begin() + batch + tuple, input.shape().end());
  Tensor result(input.elementType(), out);
  int64_t batches = product(input.shape().take_front(batch)),
          inBatch = product(input.shape().drop_front(batch));
  int64_t tuples = product(indices.shape().drop_back().drop_front(batch));
  Shape strides = stridesOf(input.shape());
  int64_t width = elementBytes(input.element()),
          block = product(input.shape().drop_front(batch + tuple)) * width;
  char *to = result.mutableBytes().data();
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t t = 0; t < tuples; ++t, to += block) {
      int64_t offset = b * inBatch;
      for (size_t k = 0; k < tuple; ++k) {
        FailureOr<int64_t> index =
            wrapIndex(indices.integer((b * tuples + t) * tuple + k), input.dim(batch + k), scope);
        if (failed(index))
          return failure();
        offset += *index * strides[batch + k];
      }
      std::copy_n(input.bytes().data() + offset * width, block, to);
    }
  return result;
}

/// ONNX: negative bounds count from the end, then clamp; a negative step walks down from start to
/// before end.
static LogicalResult clampAxis(SliceBox &box, int64_t axis, int64_t start, int64_t end,
                               int64_t step, Scope &scope) {
  if (step == 0)
    return scope.fail("a step of the slice is 0");
  int64_t n = box.sizes[axis];
  start = start < 0 ? start + n : start;
  end = end < 0 ? (end < -n ? -1 : end + n) : end;
  if (step > 0) {
    start = std::clamp<int64_t>(start, 0, n);
    end = std::clamp<int64_t>(end, 0, n);
  } else {
    start = std::clamp<int64_t>(start, 0, std::max<int64_t>(n - 1, 0));
    end = std::clamp<int64_t>(end, -1, n - 1);
  }
  int64_t distance = step > 0 ? end - start : start - end, stride = std::abs(step);
  box.sizes[axis] = n == 0 ? 0 : std::max<int64_t>(0, (distance + stride - 1) / stride);
  box.offsets[axis] = start;
  box.steps[axis] = step;
  return success();
}

FailureOr<SliceBox> reference::sliceBox(tfm::SliceOp op, ArrayRef<int64_t> shape, Operands bounds,
                                        Scope &scope) {
  SliceBox box{Shape(shape.size(), 0), Shape(shape.size(), 1), Shape(shape)};
  if (op.getSizes()) {
    FailureOr<Shape> offsets = scope.values(*op.getOffsets()), sizes = scope.values(*op.getSizes());
    if (failed(offsets) || failed(sizes))
      return failure();
    return SliceBox{*offsets, Shape(*op.getStrides()), *sizes};
  }
  for (auto [i, axis] : llvm::enumerate(*op.getAxes())) {
    if (llvm::any_of(bounds, [i = int64_t(i)](const Tensor &bound) { return i >= bound.size(); }))
      return scope.fail("slice has fewer bounds than axes");
    int64_t step = op.getSteps() ? int64_t(bounds[2].integer(i)) : 1;
    if (failed(clampAxis(box, axis, bounds[0].integer(i), bounds[1].integer(i), step, scope)))
      return failure();
  }
  return box;
}

Result reference::evaluate(tfm::SliceOp op, Operands in, Scope &scope) {
  FailureOr<SliceBox> box = sliceBox(op, in[0].shape(), in.drop_front(), scope);
  if (failed(box))
    return failure();
  Shape strides = stridesOf(in[0].shape());
  int64_t start = 0;
  for (size_t d = 0; d < strides.size(); ++d) {
    int64_t first = box->offsets[d], last = first + (box->sizes[d] - 1) * box->steps[d],
            n = in[0].dim(d);
    if (box->sizes[d] < 0 ||
        (box->sizes[d] > 0 && (first < 0 || first >= n || last < 0 || last >= n)))
      return scope.fail("slice of " + Twine(box->sizes[d]) + " elements from " + Twine(first) +
                        " in steps of " + Twine(box->steps[d]) + " leaves dimension " + Twine(d) +
                        " of " + str(in[0].shape()));
    start += first * strides[d];
    strides[d] *= box->steps[d];
  }
  return readStrided(in[0], box->sizes, strides, start);
}

Result reference::evaluate(tfm::ConcatOp op, Operands in, Scope &scope) {
  size_t axis = op.getAxis();
  Shape shape(in[0].shape());
  shape[axis] = 0;
  for (const Tensor &input : in) {
    Shape rest(input.shape());
    shape[axis] += std::exchange(rest[axis], shape[axis]);
    rest[axis] = shape[axis];
    if (rest != shape)
      return scope.fail("shapes " + str(in[0].shape()) + " and " + str(input.shape()) +
                        " cannot be joined along axis " + Twine(axis));
  }
  Tensor result(in[0].elementType(), shape);
  char *to = result.mutableBytes().data();
  for (int64_t o = 0, outer = product(ArrayRef(shape).take_front(axis)); o < outer; ++o)
    for (const Tensor &input : in) {
      int64_t block = product(input.shape().drop_front(axis)) * elementBytes(input.element());
      to = std::copy_n(input.bytes().data() + o * block, block, to);
    }
  return result;
}

//===----------------------------------------------------------------------===//
// Packed layout
//===----------------------------------------------------------------------===//

/// One matrix [rows, columns] into panels, which are zeros yet.
static void packMatrix(Type type, int64_t width, int64_t rows, int64_t columns, const char *from, char *to) {
  int64_t depth = tfm::panelDepth(type, rows);
  bool halves = tfm::panelBits(type) == 4;
  for (int64_t k = 0; k < rows; ++k)
    for (int64_t n = 0; n < columns; ++n, from += width) {
      int64_t at = tfm::panelPosition(type, depth, k, n);
      if (halves)
        to[at / 2] |= (*from & 15) << (at % 2 * 4);
      else
        std::copy_n(from, width, to + at * width);
    }
}

Result reference::evaluate(tfm::PackOp op, Operands in, Scope &scope) {
  Tensor result(cast<RankedTensorType>(op.getType()));
  ArrayRef<int64_t> matrix = in[0].shape().take_back(2);
  int64_t rows = matrix[0], columns = matrix[1], width = elementBytes(in[0].element());
  int64_t stored = tfm::panelBytes(in[0].elementType(), rows, columns);
  const char *from = in[0].bytes().data();
  char *to = result.mutableBytes().data();
  for (int64_t m = 0; m < product(in[0].shape().drop_back(2)); ++m)
    packMatrix(in[0].elementType(), width, rows, columns, from + m * rows * columns * width, to + m * stored);
  return result;
}

Tensor reference::unpack(const Tensor &packed) {
  Type type = packed.elementType();
  ArrayRef<int64_t> matrix = packed.shape().take_back(2);
  int64_t rows = matrix[0], columns = matrix[1], width = elementBytes(packed.element());
  int64_t depth = tfm::panelDepth(type, rows), stored = tfm::panelBytes(type, rows, columns);
  bool halves = tfm::panelBits(type) == 4;
  Tensor result(type, packed.shape());
  char *to = result.mutableBytes().data();
  for (int64_t m = 0; m < product(packed.shape().drop_back(2)); ++m) {
    const char *from = packed.bytes().data() + m * stored;
    for (int64_t k = 0; k < rows; ++k)
      for (int64_t n = 0; n < columns; ++n, to += width) {
        int64_t at = tfm::panelPosition(type, depth, k, n);
        if (halves)
          *to = from[at / 2] >> (at % 2 * 4) & 15;
        else
          std::copy_n(from + at * width, width, to);
      }
  }
  if (halves)
    wrapCodes(cast<tfm::QuantType>(type), result.mutableBytes());
  return result;
}

Result reference::evaluate(tfm::PrefixCountOp op, Operands in, Scope &scope) {
  Tensor result(getElementTypeOrSelf(op.getType()), {in[0].size() + 1});
  int64_t count = 0;
  for (int64_t i = 0; i < in[0].size(); ++i) {
    result.setInteger(i, count);
    count += in[0].integer(i) != 0;
  }
  result.setInteger(in[0].size(), count);
  return result;
}
