//===- MatmulKernel.cpp - kern.kernel with a tfm.matmul ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of two activations: one matrix for each batch of the result, whose operands' batches are broadcast, in blocks of results
// (MatmulProduct.h). bf16 and f16 on tensor cores, f32 by FMA.
//
//===----------------------------------------------------------------------===//
#include "Elements.h"
#include "Forms.h"
#include "MatmulProduct.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

namespace {

/// Sizes of a product; vectors are matrices of one row or column.
struct Shape {
  tfm::Dims batch;                ///< of the result
  tfm::Dims leftBatch, rightBatch;
  DimExprAttr rows, columns, depth;
  bool leftAlongK, rightAlongK;

  explicit Shape(kern::KernelOp kernel);
};

} // namespace

static tfm::MatmulOp rootOf(kern::KernelOp kernel) {
  auto products = kernel.getBlock().getOps<tfm::MatmulOp>();
  return products.empty() ? tfm::MatmulOp() : *products.begin();
}

Shape::Shape(kern::KernelOp kernel) {
  SymbolicShapes shapes;
  tfm::MatmulOp op = rootOf(kernel);
  tfm::Dims left = shapes.dims(op.getLhs()), right = shapes.dims(op.getRhs()), result = shapes.dims(op.getResult());
  DimExprAttr one = DimExprAttr::constant(kernel.getContext(), 1);
  leftAlongK = !op.getTransposeA(), rightAlongK = op.getTransposeB() || right.size() == 1;
  auto fromEnd = [&](const tfm::Dims &dims, size_t place) { return dims.size() < place ? one : dims[dims.size() - place]; };
  rows = left.size() == 1 ? one : fromEnd(left, leftAlongK ? 2 : 1);
  depth = fromEnd(left, leftAlongK ? 1 : 2);
  columns = right.size() == 1 ? one : fromEnd(right, rightAlongK ? 2 : 1);
  auto batchOf = [](const tfm::Dims &dims, size_t matrix) { return tfm::Dims(ArrayRef(dims).drop_back(std::min(matrix, dims.size()))); };
  leftBatch = batchOf(left, 2), rightBatch = batchOf(right, 2);
  batch = batchOf(result, (left.size() > 1) + (right.size() > 1));
}

static std::string whyNot(kern::KernelOp kernel, bool isTensor) {
  tfm::MatmulOp op = rootOf(kernel);
  if (!op || std::distance(kernel.getBlock().without_terminator().begin(), kernel.getBlock().without_terminator().end()) != 1)
    return "it is no product of two activations";
  if (!isa<BlockArgument>(op.getLhs()) || !isa<BlockArgument>(op.getRhs()) || kernel.yielded().size() != 1 ||
      kernel.yielded()[0] != op.getResult())
    return "its operands are no arguments of the kernel";
  for (Value value : {op.getLhs(), op.getRhs(), op.getResult()})
    if (cast<RankedTensorType>(value.getType()).getEncoding())
      return "an operand is packed";
  Type element = getElementTypeOrSelf(op.getLhs());
  bool isTaken = isTensor ? element.isBF16() || element.isF16() : element.isF32();
  if (!isTaken || getElementTypeOrSelf(op.getResult()) != element)
    return isTensor ? "its operands are not bf16 or f16" : "its operands are not f32";
  Shape shape(kernel);
  for (DimExprAttr dim : {shape.rows, shape.columns, shape.depth})
    if (!isDerived(dim))
      return "it has a size that depends on data";
  return llvm::all_of(shape.batch, isDerived) ? "" : "it has a batch that depends on data";
}

static std::string whyNotTensor(kern::KernelOp kernel, const GpuTarget &) { return whyNot(kernel, true); }
static std::string whyNotFma(kern::KernelOp kernel, const GpuTarget &) { return whyNot(kernel, false); }

static ScheduleSpaceOf<MatmulSchedule> spaceOf(kern::KernelOp kernel) {
  return matmulSpace(getElementTypeOrSelf(rootOf(kernel).getLhs()), GpuTarget::kSharedBytes);
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  Shape shape(kernel);
  Type element = getElementTypeOrSelf(rootOf(kernel).getLhs());
  auto choice = MatmulSchedule::choose(element, shape.rows.asConstant(), shape.columns.asConstant());
  auto schedule = writeGpuSchedule(kernel, spaceOf(kernel), choice, wanted);
  if (failed(schedule))
    return failure();
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  DimExprAttr blocks = DimExprAttr::mul(DimExprAttr::ceilDiv(shape.rows, constant(schedule->blockRows)),
                                        DimExprAttr::ceilDiv(shape.columns, constant(schedule->blockColumns)));
  DimExprAttr products = DimExprAttr::product(kernel.getContext(), shape.batch);
  setBlocks(kernel, DimExprAttr::mul(products, blocks));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = readGpuSchedule(kernel, spaceOf(kernel));
  if (failed(schedule))
    return failure();
  return launchBlocks(kernel, schedule->threads(), schedule->sharedBytes());
}

/// The number of an operand's matrix for matrix `number` of the result; dimensions of 1 are repeated.
static Value matrixOf(KernelFrame &frame, GpuBuilder &b, const tfm::Dims &batch, const tfm::Dims &own, Value number) {
  if (own == batch)
    return number;
  Value result = b.i64(0), stride = b.i64(1);
  for (size_t i = batch.size(); i-- > 0;) {
    Value extent = frame.emit(batch[i]), index = b.rem(number, extent);
    number = b.div(number, extent);
    size_t missing = batch.size() - own.size();
    if (i < missing || own[i - missing].isConstant(1))
      continue;
    Value ownExtent = frame.emit(own[i - missing]);
    if (own[i - missing] != batch[i])
      index = b.select(b.equal(ownExtent, b.i64(1)), b.i64(0), index);
    result = b.add(result, b.mul(index, stride));
    stride = b.mul(stride, ownExtent);
  }
  return result;
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = readGpuSchedule(frame.kernel(), spaceOf(frame.kernel()));
  if (failed(schedule))
    return failure();
  tfm::MatmulOp op = rootOf(frame.kernel());
  Shape shape(frame.kernel());
  shortenDivisions(frame, b);
  MatmulProduct product;
  product.element = getElementTypeOrSelf(op.getLhs());
  product.depth = frame.emit(shape.depth);
  Value rows = frame.emit(shape.rows), columns = frame.emit(shape.columns);
  Value across = b.ceilDiv(columns, schedule->blockColumns), down = b.ceilDiv(rows, schedule->blockRows);
  Value number = b.blockNumber(), line = b.div(number, across), batch = b.div(line, down);
  product.firstColumn = b.mul(b.rem(number, across), schedule->blockColumns);
  product.firstRow = b.mul(b.rem(line, down), schedule->blockRows);
  int64_t bytes = Element::of(product.element).bytes();
  auto matrix = [&](Value base, Value number, Value extent, Value other) {
    return b.at(base, b.mul(b.mul(number, b.mul(extent, other)), bytes));
  };
  Value left = matrixOf(frame, b, shape.batch, shape.leftBatch, batch), right = matrixOf(frame, b, shape.batch, shape.rightBatch, batch);
  product.left = {matrix(frame.argument(op.getLhs()), left, rows, product.depth), rows, shape.leftAlongK};
  product.right = {matrix(frame.argument(op.getRhs()), right, columns, product.depth), columns, shape.rightAlongK};
  product.result = matrix(frame.result(0), batch, rows, columns);
  emitMatmulProduct(b, product, *schedule);
  return success();
}

static std::unique_ptr<ScheduleSpace> space(kern::KernelOp kernel, const GpuTarget &) {
  return offerSpace(spaceOf(kernel));
}

const GpuForm codegen::kMatmulForm = {"matmul", whyNotTensor, schedule, launch, emit, space};
const GpuForm codegen::kMatmulFmaForm = {"matmul_fma", whyNotFma, schedule, launch, emit, space};
