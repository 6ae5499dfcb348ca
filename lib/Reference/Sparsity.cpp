//===- Sparsity.cpp - pruned weights ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"
#include "Tfm/Panels.h"
#include "permalloy/Solvers/WeightSolver.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

namespace {
/// A weight [k, n] cut into blocks.
struct BlockGrid {
  BlockGrid(ArrayRef<int64_t> shape, ArrayRef<int64_t> block)
      : k(shape[0]), n(shape[1]), depth(block[0]), columns(block[1]),
        rows(llvm::divideCeil(k, depth)), slabs(llvm::divideCeil(n, columns)) {}

  /// Calls `visit(element of the weight, position in the block)` for each element of a block that lies within the weight.
  void forEach(int64_t row, int64_t slab, function_ref<void(int64_t, int64_t)> visit) const {
    constexpr int64_t panel = tfm::kPanelColumns;
    for (int64_t i = 0; i < depth && row * depth + i < k; ++i)
      for (int64_t j = 0; j < columns && slab * columns + j < n; ++j)
        visit((row * depth + i) * n + slab * columns + j, j / panel * panel * depth + j % panel * depth + i);
  }

  int64_t k, n, depth, columns, rows, slabs;
};
} // namespace

Result reference::evaluate(tfm::PruneWeightOp op, Operands in, Scope &scope) {
  std::vector<float> weight = floats(in[0]), gram = op.getGram() ? floats(in[1]) : std::vector<float>();
  BlockGrid grid(in[0].shape(), op.getBlock());
  solvers::Pattern pattern{solvers::Pattern::Blocks, double(op.getKept()) / grid.rows, grid.depth, grid.columns};
  if (op.getOf())
    pattern.kind = solvers::Pattern::NOfM, pattern.n = op.getKept(), pattern.m = *op.getOf();
  solvers::Solution solution;
  std::string error = solvers::solve(op.getSolver().str(), {grid.k, grid.n, weight, gram, {}, std::nullopt, pattern}, solution);
  if (!error.empty())
    return scope.fail(error);
  Tensor result(op.getType());
  for (auto [i, value] : llvm::enumerate(solution.weight))
    result.setNumber(i, value);
  return result;
}

static bool isZero(const Tensor &tensor, int64_t i) {
  return isFloat(tensor.element()) ? tensor.number(i) == 0 : tensor.integer(i) == 0;
}

Result reference::evaluate(tfm::BlockRowsOp op, Operands in, Scope &scope) {
  BlockGrid grid(in[0].shape(), op.getBlock());
  int64_t kept = op.getKept();
  Tensor result(op.getType());
  for (int64_t slab = 0; slab < grid.slabs; ++slab) {
    SmallVector<bool> keeps(grid.rows);
    int64_t count = 0;
    for (int64_t row = 0; row < grid.rows; count += keeps[row++])
      grid.forEach(row, slab, [&](int64_t element, int64_t) { keeps[row] = keeps[row] || !isZero(in[0], element); });
    if (count > kept)
      return scope.fail(Twine(count) + " blocks of slab " + Twine(slab) + " are not zero, but " + Twine(kept) + " are kept");
    for (int64_t row = 0; count < kept; ++row)
      if (!keeps[row])
        keeps[row] = true, ++count;
    for (int64_t row = 0, to = slab * kept; row < grid.rows; ++row)
      if (keeps[row])
        result.setInteger(to++, row);
  }
  return result;
}

Result reference::evaluate(tfm::CompactBlocksOp op, Operands in, Scope &scope) {
  BlockGrid grid(in[0].shape(), op.getBlock());
  int64_t kept = in[1].dim(1), size = grid.depth * grid.columns, width = elementBytes(in[0].element());
  Tensor result(op.getType());
  char *to = result.mutableBytes().data();
  for (int64_t i = 0; i < grid.slabs * kept; ++i) {
    int64_t row = in[1].integer(i);
    if (row < 0 || row >= grid.rows)
      return scope.fail("block row " + Twine(row) + " of " + Twine(grid.rows));
    grid.forEach(row, i / kept, [&](int64_t element, int64_t position) {
      std::copy_n(in[0].bytes().data() + element * width, width, to + (i * size + position) * width);
    });
  }
  return result;
}

Result reference::evaluate(tfm::ExpandBlocksOp op, Operands in, Scope &scope) {
  BlockGrid grid(op.getShape(), op.getBlock());
  int64_t kept = op.kept(), size = grid.depth * grid.columns, width = elementBytes(in[0].element());
  Tensor result(op.getType());
  char *to = result.mutableBytes().data();
  for (int64_t i = 0; i < grid.slabs * kept; ++i) {
    int64_t row = in[1].integer(i);
    if (row < 0 || row >= grid.rows || (i % kept != 0 && in[1].integer(i - 1) >= row))
      return scope.fail("block rows must ascend and lie below " + Twine(grid.rows) + "; the one at " + Twine(i % kept) + " of slab " +
                        Twine(i / kept) + " is " + Twine(row));
    grid.forEach(row, i / kept, [&](int64_t element, int64_t position) {
      std::copy_n(in[0].bytes().data() + (i * size + position) * width, width, to + element * width);
    });
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Quads
//===----------------------------------------------------------------------===//

namespace {
/// A weight [k, n] of which each column keeps `kept` of each four steps.
struct QuadGrid {
  QuadGrid(ArrayRef<int64_t> shape, int64_t kept) : k(shape[0]), n(shape[1]), kept(kept), depth(k / 4 * kept), words((depth + 15) / 16) {}

  /// Where kept weight i of a column stands among the values, and the word of its step among the steps.
  int64_t valueAt(int64_t column, int64_t i) const { return (column / 16 * depth + i) * 16 + column % 16; }
  int64_t wordAt(int64_t column, int64_t i) const { return (column / 16 * words + i / 16) * 16 + column % 16; }
  /// The step of K of kept weight i.
  int64_t stepOf(const Tensor &steps, int64_t column, int64_t i) const {
    return i / kept * 4 + (steps.integer(wordAt(column, i)) >> (i % 16 * 2) & 3);
  }

  int64_t k, n, kept, depth, words;
};
} // namespace

/// The steps of quad `quad` of a column that are kept, ascending; more than `kept` where so many are not zero.
static SmallVector<int64_t> keptOf(const QuadGrid &grid, const Tensor &weight, int64_t column, int64_t quad) {
  auto isEmpty = [&](int64_t step) { return weight.number((quad * 4 + step) * grid.n + column) == 0; };
  SmallVector<int64_t> steps;
  for (int64_t step = 0; step < 4; ++step)
    if (!isEmpty(step))
      steps.push_back(step);
  for (int64_t step = 0; step < 4 && int64_t(steps.size()) < grid.kept; ++step)
    if (isEmpty(step))
      steps.push_back(step);
  llvm::sort(steps);
  return steps;
}

Result reference::evaluate(tfm::QuadStepsOp op, Operands in, Scope &scope) {
  QuadGrid grid(in[0].shape(), op.getKept());
  Tensor result(op.getType());
  for (int64_t column = 0; column < grid.n; ++column)
    for (int64_t quad = 0; quad < grid.k / 4; ++quad) {
      SmallVector<int64_t> steps = keptOf(grid, in[0], column, quad);
      if (int64_t(steps.size()) > grid.kept)
        return scope.fail(Twine(steps.size()) + " weights of quad " + Twine(quad) + " of column " + Twine(column) + " are not zero, but " +
                          Twine(grid.kept) + " are kept");
      for (int64_t j = 0; j < grid.kept; ++j) {
        int64_t i = quad * grid.kept + j, word = grid.wordAt(column, i);
        result.setInteger(word, int32_t(uint32_t(result.integer(word)) | uint32_t(steps[j]) << (i % 16 * 2)));
      }
    }
  return result;
}

Result reference::evaluate(tfm::CompactQuadsOp op, Operands in, Scope &) {
  QuadGrid grid(in[0].shape(), op.getKept());
  Tensor result(op.getType());
  for (int64_t column = 0; column < grid.n; ++column)
    for (int64_t i = 0; i < grid.depth; ++i)
      result.setNumber(grid.valueAt(column, i), in[0].number(grid.stepOf(in[1], column, i) * grid.n + column));
  return result;
}

Result reference::evaluate(tfm::ExpandQuadsOp op, Operands in, Scope &scope) {
  QuadGrid grid(op.getShape(), op.getKept());
  Tensor result(op.getType());
  for (int64_t column = 0; column < grid.n; ++column)
    for (int64_t i = 0; i < grid.depth; ++i) {
      int64_t step = grid.stepOf(in[1], column, i);
      if (i % grid.kept != 0 && grid.stepOf(in[1], column, i - 1) >= step)
        return scope.fail("the steps of a quad must ascend; those of quad " + Twine(i / grid.kept) + " of column " + Twine(column) + " do not");
      result.setNumber(step * grid.n + column, in[0].number(grid.valueAt(column, i)));
    }
  return result;
}
