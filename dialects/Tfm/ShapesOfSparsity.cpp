//===- ShapesOfSparsity.cpp - shape rules of pruned weights -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Panels.h"
#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

static std::string listOf(ArrayRef<int64_t> numbers) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(numbers, os << '[');
  os << ']';
  return text;
}

/// The static shape [K, N] of a weight.
static LogicalResult checkWeight(Value weight, StringRef label, SmallVectorImpl<int64_t> &shape, std::string &error) {
  auto type = cast<RankedTensorType>(weight.getType());
  if (type.getRank() != 2 || !type.hasStaticShape())
    return fail(error, "the weight must be static and of rank 2, not " + str(dimsOfType(type)) + " (" + label + ")");
  llvm::append_range(shape, type.getShape());
  return success();
}

/// `columns`: blocks are cut out of panels.
static LogicalResult checkBlock(ArrayRef<int64_t> block, StringRef label, bool columns, std::string &error) {
  if (block.size() != 2 || block[0] <= 0 || block[1] <= 0)
    return fail(error, "a block has two positive sides, not " + listOf(block) + " (" + label + ")");
  if (columns && block[1] % kPanelColumns != 0)
    return fail(error, "blocks are " + Twine(block[1]) + " columns wide, which is no multiple of " + Twine(kPanelColumns) + " (" + label + ")");
  return success();
}

static LogicalResult checkKept(int64_t kept, int64_t rows, StringRef label, std::string &error) {
  if (kept > 0 && kept <= rows)
    return success();
  return fail(error, Twine(kept) + " block rows are kept of " + Twine(rows) + " (" + label + ")");
}

LogicalResult PruneWeightOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  SmallVector<int64_t> weight;
  if (failed(checkWeight(getWeight(), "prune_weight_c1", weight, error)) || failed(checkBlock(getBlock(), "prune_weight_c2", false, error)))
    return failure();
  int64_t rows = llvm::divideCeil(weight[0], getBlock()[0]), of = getOf().value_or(rows);
  if (of <= 0 || of > rows || rows % of != 0)
    return fail(error, "of = " + Twine(of) + " does not divide " + Twine(rows) + " block rows (prune_weight_c3)");
  if (failed(checkKept(getKept(), of, "prune_weight_c3", error)))
    return failure();
  if (getGram()) {
    Dims gram = oracle.dims(getGram());
    auto k = cst(getContext(), weight[0]);
    if (gram.size() != 2 || differ(gram[0], k) || differ(gram[1], k))
      return fail(error, "gram " + str(gram) + " of a weight of " + Twine(weight[0]) + " rows (prune_weight_c4)");
  }
  dims = oracle.dims(getWeight());
  return success();
}

LogicalResult BlockRowsOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  SmallVector<int64_t> weight;
  if (failed(checkWeight(getWeight(), "block_rows_c1", weight, error)) || failed(checkBlock(getBlock(), "block_rows_c2", true, error)) ||
      failed(checkKept(getKept(), llvm::divideCeil(weight[0], getBlock()[0]), "block_rows_c3", error)))
    return failure();
  dims = {cst(getContext(), llvm::divideCeil(weight[1], getBlock()[1])), cst(getContext(), getKept())};
  return success();
}
Type BlockRowsOp::inferElementType() { return IntegerType::get(getContext(), 32); }

LogicalResult CompactBlocksOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  SmallVector<int64_t> weight;
  if (failed(checkWeight(getWeight(), "compact_blocks_c1", weight, error)) || failed(checkBlock(getBlock(), "block_rows_c2", true, error)))
    return failure();
  Dims rows = oracle.dims(getRows());
  auto slabs = cst(getContext(), llvm::divideCeil(weight[1], getBlock()[1]));
  if (rows.size() != 2 || differ(rows[0], slabs))
    return fail(error, "rows " + str(rows) + " must be [" + slabs.str() + ", kept] (compact_blocks_c3)");
  dims = {slabs, rows[1], cst(getContext(), getBlock()[0] * getBlock()[1])};
  return success();
}

LogicalResult ExpandBlocksOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  ArrayRef<int64_t> shape = getShape();
  if (shape.size() != 2 || shape[0] <= 0 || shape[1] <= 0)
    return fail(error, "shape must be [K, N], not " + listOf(shape) + " (expand_blocks_c1)");
  if (failed(checkBlock(getBlock(), "block_rows_c2", true, error)))
    return failure();
  Dims values = oracle.dims(getValues()), rows = oracle.dims(getRows());
  auto slabs = cst(getContext(), llvm::divideCeil(shape[1], getBlock()[1])), size = cst(getContext(), getBlock()[0] * getBlock()[1]);
  bool fits = values.size() == 3 && rows.size() == 2 && rows[1] && rows[1].asConstant();
  if (!fits || differ(values[0], slabs) || differ(rows[0], slabs) || differ(values[1], rows[1]) || differ(values[2], size))
    return fail(error, "values " + str(values) + " and rows " + str(rows) + " must be [" + slabs.str() + ", kept, " + size.str() + "] and [" +
                           slabs.str() + ", kept] (expand_blocks_c3)");
  dims = {cst(getContext(), shape[0]), cst(getContext(), shape[1])};
  return checkKept(*rows[1].asConstant(), llvm::divideCeil(shape[0], getBlock()[0]), "expand_blocks_c3", error);
}

//===----------------------------------------------------------------------===//
// Quads
//===----------------------------------------------------------------------===//

/// Steps that share a choice, and choices in a word.
static constexpr int64_t kQuad = 4, kChoicesPerWord = 16;

static LogicalResult checkQuads(ArrayRef<int64_t> weight, int64_t kept, StringRef depthLabel, StringRef keptLabel, std::string &error) {
  if (weight[0] % kQuad != 0)
    return fail(error, "K = " + Twine(weight[0]) + " is no multiple of 4 (" + depthLabel + ")");
  if (kept != 1 && kept != 2)
    return fail(error, Twine(kept) + " of each four steps are kept, not 1 or 2 (" + keptLabel + ")");
  return success();
}

/// The shapes of what stands for a weight.
static Dims quadValues(MLIRContext *context, ArrayRef<int64_t> weight, int64_t kept) {
  return {cst(context, llvm::divideCeil(weight[1], kPanelColumns)), cst(context, weight[0] / kQuad * kept), cst(context, kPanelColumns)};
}
static Dims quadSteps(MLIRContext *context, ArrayRef<int64_t> weight, int64_t kept) {
  Dims dims = quadValues(context, weight, kept);
  dims[1] = cst(context, llvm::divideCeil(weight[0] / kQuad * kept, kChoicesPerWord));
  return dims;
}

static bool isShape(const Dims &dims, const Dims &wanted) {
  return dims.size() == wanted.size() && llvm::none_of(llvm::zip(dims, wanted), [](auto pair) { return differ(std::get<0>(pair), std::get<1>(pair)); });
}

LogicalResult QuadStepsOp::inferDims(ShapeOracle &, Dims &dims, std::string &error) {
  SmallVector<int64_t> weight;
  if (failed(checkWeight(getWeight(), "quad_steps_c1", weight, error)) || failed(checkQuads(weight, getKept(), "quad_steps_c2", "quad_steps_c3", error)))
    return failure();
  dims = quadSteps(getContext(), weight, getKept());
  return success();
}
Type QuadStepsOp::inferElementType() { return IntegerType::get(getContext(), 32); }

LogicalResult CompactQuadsOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  SmallVector<int64_t> weight;
  if (failed(checkWeight(getWeight(), "quad_steps_c1", weight, error)) || failed(checkQuads(weight, getKept(), "quad_steps_c2", "quad_steps_c3", error)))
    return failure();
  Dims steps = oracle.dims(getSteps()), wanted = quadSteps(getContext(), weight, getKept());
  if (!isShape(steps, wanted))
    return fail(error, "steps " + str(steps) + " must be " + str(wanted) + " (compact_quads_c2)");
  dims = quadValues(getContext(), weight, getKept());
  return success();
}

LogicalResult ExpandQuadsOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  ArrayRef<int64_t> shape = getShape();
  if (shape.size() != 2 || shape[0] <= 0 || shape[1] <= 0)
    return fail(error, "shape must be [K, N], not " + listOf(shape) + " (expand_quads_c1)");
  if (failed(checkQuads(shape, getKept(), "expand_quads_c1", "expand_quads_c2", error)))
    return failure();
  Dims values = oracle.dims(getValues()), steps = oracle.dims(getSteps());
  Dims wantedValues = quadValues(getContext(), shape, getKept()), wantedSteps = quadSteps(getContext(), shape, getKept());
  if (!isShape(values, wantedValues) || !isShape(steps, wantedSteps))
    return fail(error, "values " + str(values) + " and steps " + str(steps) + " must be " + str(wantedValues) + " and " + str(wantedSteps) +
                           " (expand_quads_c3)");
  dims = {cst(getContext(), shape[0]), cst(getContext(), shape[1])};
  return success();
}
