//===- WeightEvaluator.cpp - recorded transformations, streamed --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Reference/WeightEvaluator.h"
#include "WeightStream.h"
#include "permalloy/Solvers/Moments.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

/// What may be interpreted in memory, operands and result together.
static constexpr int64_t kInterpretedBytes = 64 << 20;
/// Solves whose results are kept.
static constexpr size_t kKeptSolves = 2;
/// Elements handed to the sink at a time.
static constexpr int64_t kPiece = 1 << 16;

WeightEvaluator::WeightEvaluator() = default;
WeightEvaluator::~WeightEvaluator() = default;

Stream WeightEvaluator::streamOf(tfm::WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  if (llvm::is_contained(open, weight)) {
    weight.emitError("refers to itself");
    return nullptr;
  }
  if (!weight.getBody().empty()) {
    open.push_back(weight);
    Stream result =
        streamOf(cast<tfm::YieldOp>(weight.getBody().front().getTerminator()).getValue());
    open.pop_back();
    return result;
  }
  if (auto seeded = dyn_cast<tfm::SeededAttr>(*weight.getSource()))
    return streamSeeded(type, seeded);
  FailureOr<Tensor> file = readWeightFile(weight, files);
  return succeeded(file) ? streamTensor(*file) : nullptr;
}

/// A slice as a strided view, when its bounds are constants.
static Stream streamSlice(tfm::SliceOp op, Stream input, Operands bounds, Scope &scope) {
  FailureOr<SliceBox> box = sliceBox(op, input->type.getShape(), bounds, scope);
  if (failed(box))
    return nullptr;
  Shape strides = stridesOf(input->type.getShape());
  int64_t start = 0;
  for (size_t d = 0; d < strides.size(); ++d) {
    start += box->offsets[d] * strides[d];
    strides[d] *= box->steps[d];
  }
  return streamStrided(cast<RankedTensorType>(op.getType()), input, start, strides);
}

static Stream streamTranspose(tfm::TransposeOp op, Stream input) {
  Shape from = stridesOf(input->type.getShape()), strides;
  for (int64_t axis : op.getPerm())
    strides.push_back(from[axis]);
  return streamStrided(cast<RankedTensorType>(op.getType()), input, 0, strides);
}

/// Integers of a byte plus or less a scalar: how signed codes come of unsigned ones.
static bool isByteShift(tfm::BinaryOp op) {
  auto left = cast<RankedTensorType>(op.getLhs().getType()), right = cast<RankedTensorType>(op.getRhs().getType());
  bool isSum = op.getKind() == tfm::BinaryKind::Add || op.getKind() == tfm::BinaryKind::Sub;
  return isSum && left.getElementType().isInteger(8) && right.getRank() == 0;
}

static Tensor tensorOf(const Stream &stream) {
  size_t bytes = stream->count * stream->width;
  return Tensor::view(stream->type, ArrayRef(stream->materialized(), bytes), stream);
}

Stream WeightEvaluator::interpreted(Operation *op, ArrayRef<Stream> inputs) {
  int64_t bytes = 0;
  SmallVector<Tensor> operands;
  for (Type type : op->getResultTypes())
    bytes += storageBytes(cast<RankedTensorType>(type));
  for (const Stream &input : inputs)
    bytes += input->count * input->width;
  // Kept blocks, the codes of w8a8 and sums of columns are as large as the weight of their layer, whatever that is.
  bool isOfLayer = isa<tfm::CompactBlocksOp, tfm::CompactQuadsOp, tfm::QuantizeOp, tfm::ReduceOp, tfm::BinaryOp>(op);
  if (bytes > kInterpretedBytes && !isOfLayer) {
    op->emitError("over ")
        << bytes
        << " bytes of weights is unsupported: only get_weight, cast, transpose, reshape, slice, "
        << "concat, pack and unpack_bits are streamed, other operations may take " << kInterpretedBytes
        << " bytes";
    return nullptr;
  }
  for (const Stream &input : inputs)
    operands.push_back(tensorOf(input));
  std::string error;
  auto results = interpretOp(op, operands, {}, error);
  if (succeeded(results))
    return streamTensor(results->front());
  op->emitError(error);
  return nullptr;
}

/// Text that is equal for values that are computed alike.
static void describe(Value value, llvm::raw_ostream &os) {
  Operation *op = value.getDefiningOp();
  os << op->getName() << op->getAttrDictionary() << cast<OpResult>(value).getResultNumber() << '(';
  for (Value operand : op->getOperands())
    describe(operand, os);
  os << ')' << value.getType();
}

/// The weight [K, N] that a solve stands for.
static std::vector<float> changedWeight(Operation *op, ArrayRef<Tensor> operands, ArrayRef<Tensor> results) {
  if (isa<tfm::PruneWeightOp>(op))
    return floats(results[0]);
  auto quantize = cast<tfm::QuantizeWeightOp>(op);
  int64_t n = results[0].shape().back(), group = cast<tfm::QuantType>(results[0].elementType()).getGroup();
  std::vector<float> scales = floats(results[1]), zeros = quantize.getZeroPoints() ? floats(results[2]) : std::vector<float>();
  std::vector<float> table = quantize.getCodebook() ? floats(operands.back()) : std::vector<float>(), weight(results[0].size());
  for (int64_t i = 0; i < int64_t(weight.size()); ++i) {
    int64_t at = i / n / group * n + i % n, code = int64_t(results[0].integer(i));
    weight[i] = ((table.empty() ? float(code) : table[code]) - (zeros.empty() ? 0 : zeros[at])) * scales[at];
  }
  return weight;
}

void WeightEvaluator::addToReport(Operation *op, ArrayRef<Tensor> operands, ArrayRef<Tensor> results) {
  auto quantize = dyn_cast<tfm::QuantizeWeightOp>(op);
  auto prune = dyn_cast<tfm::PruneWeightOp>(op);
  bool hasGram = (quantize && quantize.getGram()) || (prune && prune.getGram());
  if (!hasGram || operands[0].shape().size() != 2)
    return;
  int64_t k = operands[0].shape()[0], n = operands[0].shape()[1];
  double error = solvers::relativeLayerError(floats(operands[1]), floats(operands[0]), changedWeight(op, operands, results), k, n);
  report->push_back({op, error});
}

Stream WeightEvaluator::solved(OpResult result) {
  Operation *op = result.getOwner();
  std::string problem;
  llvm::raw_string_ostream os(problem);
  for (Type type : op->getResultTypes())
    os << type;
  os << op->getAttrDictionary();
  for (Value operand : op->getOperands())
    describe(operand, os);
  for (const Solve &solve : solves)
    if (solve.problem == problem)
      return streamTensor(solve.results[result.getResultNumber()]);
  SmallVector<Tensor> operands;
  for (Value operand : op->getOperands()) {
    Stream stream = streamOf(operand);
    if (!stream)
      return nullptr;
    operands.push_back(tensorOf(stream));
  }
  std::string error;
  auto results = interpretOp(op, operands, {}, error);
  if (failed(results)) {
    op->emitError(error);
    return nullptr;
  }
  if (report)
    addToReport(op, operands, *results);
  if (solves.size() == kKeptSolves)
    solves.pop_front();
  solves.push_back({problem, *results});
  return streamTensor((*results)[result.getResultNumber()]);
}

Stream WeightEvaluator::streamOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto get = dyn_cast<tfm::GetWeightOp>(op)) {
    auto weight = SymbolTable::lookupNearestSymbolFrom<tfm::WeightOp>(op, get.getWeightAttr());
    if (!weight)
      op->emitError("no weight ") << get.getWeightAttr();
    return weight ? streamOf(weight) : nullptr;
  }
  if (isa<tfm::QuantizeWeightOp, tfm::PruneWeightOp, tfm::BlockRowsOp, tfm::QuadStepsOp>(op))
    return solved(cast<OpResult>(value));
  std::vector<Stream> inputs;
  for (Value operand : op->getOperands()) {
    inputs.push_back(streamOf(operand));
    if (!inputs.back())
      return nullptr;
  }
  auto type = cast<RankedTensorType>(value.getType());
  if (isa<tfm::ReshapeOp>(op))
    return streamReshape(type, inputs[0]);
  if (isa<tfm::CastOp>(op))
    return streamCast(type, inputs[0]);
  if (auto transpose = dyn_cast<tfm::TransposeOp>(op))
    return streamTranspose(transpose, inputs[0]);
  if (auto concat = dyn_cast<tfm::ConcatOp>(op))
    return streamConcat(type, inputs, concat.getAxis());
  if (isa<tfm::PackOp>(op))
    return streamPack(type, inputs[0]);
  if (auto shift = dyn_cast<tfm::BinaryOp>(op); shift && isByteShift(shift)) {
    int8_t by = tensorOf(inputs[1]).integer(0);
    return streamOffset(type, inputs[0], shift.getKind() == tfm::BinaryKind::Sub ? -by : by);
  }
  if (auto unpack = dyn_cast<tfm::UnpackBitsOp>(op))
    return streamUnpackedBits(type, inputs[0], unpack.getBits());
  if (auto slice = dyn_cast<tfm::SliceOp>(op)) {
    Scope scope{{}, {}};
    auto bounds = llvm::map_to_vector(ArrayRef(inputs).drop_front(), tensorOf);
    Stream result = streamSlice(slice, inputs[0], bounds, scope);
    if (!result)
      op->emitError(scope.error);
    return result;
  }
  return interpreted(op, inputs);
}

LogicalResult WeightEvaluator::evaluate(tfm::WeightOp weight, const ByteSink &sink) {
  Stream stream = streamOf(weight);
  if (!stream)
    return failure();
  if (const char *bytes = stream->direct())
    return sink(ArrayRef(bytes, stream->count * stream->width));
  std::vector<char> buffer(std::min(kPiece, stream->count) * stream->width);
  for (int64_t begin = 0; begin < stream->count; begin += kPiece) {
    int64_t n = std::min(kPiece, stream->count - begin);
    stream->read(begin, n, buffer.data());
    if (failed(sink(ArrayRef(buffer.data(), n * stream->width))))
      return failure();
  }
  return success();
}

FailureOr<Hash128> WeightEvaluator::hash(tfm::WeightOp weight) {
  Hasher128 hasher;
  LogicalResult done = evaluate(weight, [&](ArrayRef<char> bytes) {
    hasher.update(bytes.data(), bytes.size());
    return success();
  });
  if (failed(done))
    return failure();
  return hasher.digest();
}
