//===- RaiseRotary.cpp - rebuild rotary position embeddings ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "MatchRotary.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISEROTARY
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class Raiser {
public:
  explicit Raiser(func::FuncOp function) : function(function) {}
  void run();
  unsigned raised = 0, packed = 0;

private:
  void raise(Operation *root, const RotaryMatch &match);
  Value buildTable(OpBuilder &builder, Location loc, const RotaryMatch &match, const TableEntries &entries);
  Value buildInput(OpBuilder &builder, Location loc, const RotaryMatch &match);
  void pack(RotaryOp op);
  void eraseDead();

  func::FuncOp function;
  /// Nothing is erased before the end, so what the analysis remembers stays true.
  SymbolicShapes shapes;
  DenseSet<Operation *> dead;
};

struct RaiseRotary : permalloy::impl::RaiseRotaryBase<RaiseRotary> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    Raiser raiser(getOperation());
    raiser.run();
    numRaised += raiser.raised;
    numPacked += raiser.packed;
  }
};

bool canEnd(Operation *op) {
  if (auto binary = dyn_cast<BinaryOp>(op))
    return binary.getKind() == BinaryKind::Add || binary.getKind() == BinaryKind::Sub;
  return isa<ConcatOp, ReshapeOp>(op);
}

/// indices[i] = first + i * stride.
std::optional<std::pair<int64_t, int64_t>> progression(ArrayRef<int64_t> indices) {
  int64_t stride = indices.size() > 1 ? indices[1] - indices[0] : 1;
  for (auto [i, index] : llvm::enumerate(indices))
    if (index != indices[0] + int64_t(i) * stride)
      return std::nullopt;
  return stride > 0 ? std::optional(std::pair(indices[0], stride)) : std::nullopt;
}

bool isBuildable(const TableEntries &entries, SymbolicShapes &shapes) {
  Dims dims = shapes.dims(entries.base.value);
  auto taken = progression(entries.base.indices);
  int64_t all = 1;
  for (DimExprAttr dim : ArrayRef(dims).take_back(entries.base.trailing))
    all *= *dim.asConstant();
  bool isWhole = taken && taken->first == 0 && taken->second == 1 && all == int64_t(entries.base.indices.size());
  return isWhole || (taken && entries.base.trailing == 1);
}

/// Columns first, first + stride, ... of the last dimension.
Value createColumns(OpBuilder &builder, Location loc, SymbolicShapes &shapes, Value value, int64_t first, int64_t count,
                    int64_t stride) {
  Dims dims = shapes.dims(value);
  auto number = [&](int64_t n) { return DimExprAttr::constant(builder.getContext(), n); };
  if (first == 0 && stride == 1 && dims.back() == number(count))
    return value;
  Dims offsets(dims.size(), number(0)), sizes = dims;
  SmallVector<int64_t> strides(dims.size(), 1);
  offsets.back() = number(first);
  sizes.back() = number(count);
  strides.back() = stride;
  auto type = RankedTensorType::get(staticShape(sizes), getElementTypeOrSelf(value.getType()));
  return SliceOp::create(builder, loc, type, value, Value(), Value(), Value(), DenseI64ArrayAttr(),
                         dimArray(builder.getContext(), offsets), dimArray(builder.getContext(), sizes),
                         builder.getDenseI64ArrayAttr(strides));
}

} // namespace

Value Raiser::buildTable(OpBuilder &builder, Location loc, const RotaryMatch &match, const TableEntries &entries) {
  const Features &base = entries.base;
  Value value = base.value;
  if (base.trailing == 1) {
    auto [first, stride] = *progression(base.indices);
    value = createColumns(builder, loc, shapes, value, first, base.indices.size(), stride);
  }
  for (Operation *function : llvm::reverse(entries.functions)) {
    SmallVector<Value> operands(function->getOperands());
    for (Value &operand : operands) // numbers stay
      if (operands.size() == 1 || shapes.equalShapes(operand, function->getResult(0)))
        operand = value;
    value = cloneElementwise(builder, shapes, function, operands);
  }
  return createReshape(builder, loc, shapes, value, match.tableDims);
}

Value Raiser::buildInput(OpBuilder &builder, Location loc, const RotaryMatch &match) {
  return createColumns(builder, loc, shapes, match.input, match.first, match.size, 1);
}

void Raiser::raise(Operation *root, const RotaryMatch &match) {
  OpBuilder builder(root);
  Location loc = root->getLoc();
  Value cos = buildTable(builder, loc, match, match.cos), sin = buildTable(builder, loc, match, match.sin);
  Value x = buildInput(builder, loc, match);
  Dims dims = shapes.dims(x);
  IntegerAttr heads;
  if (match.sequenceFirst) {
    heads = builder.getI64IntegerAttr(*dims[2].asConstant());
    x = createReshape(builder, loc, shapes, x, {dims[0], dims[1], DimExprAttr::mul(dims[2], dims[3])});
  }
  auto rotary = RotaryOp::create(builder, loc, x.getType(), x, cos, sin, match.interleaved, heads);
  Value result = rotary.getResult();
  if (match.sequenceFirst)
    result = createReshape(builder, loc, shapes, result, dims);
  root->getResult(0).replaceAllUsesWith(result);
  dead.insert(root);
  ++raised;
}

/// Heads that were split and transposed just before: turn them where they were.
void Raiser::pack(RotaryOp op) {
  auto transpose = op.getInput().getDefiningOp<TransposeOp>();
  if (!transpose || op.getNumHeads() || transpose.getPerm() != ArrayRef<int64_t>{0, 2, 1, 3})
    return;
  Dims dims = shapes.dims(transpose.getInput());
  auto heads = dims[2].asConstant();
  if (!heads || !llvm::all_of(dims, isDerived))
    return;
  OpBuilder builder(op);
  Location loc = op.getLoc();
  Value x = createReshape(builder, loc, shapes, transpose.getInput(), {dims[0], dims[1], DimExprAttr::mul(dims[2], dims[3])});
  Value turned = RotaryOp::create(builder, loc, x.getType(), x, op.getCos(), op.getSin(), op.getInterleaved(),
                                  builder.getI64IntegerAttr(*heads));
  Value split = createReshape(builder, loc, shapes, turned, dims);
  op.getResult().replaceAllUsesWith(createTranspose(builder, loc, split, {0, 2, 1, 3}));
  dead.insert(op);
  ++packed;
}

void Raiser::eraseDead() {
  Block &body = function.getBody().front();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isa<TfmDialect>(op.getDialect()) && isOpTriviallyDead(&op))
      op.erase();
}

void Raiser::run() {
  SmallVector<Operation *> roots;
  for (Operation &op : function.getBody().front())
    roots.push_back(&op);
  // From the end, so that a partial rotation is met before the rotation within it.
  for (Operation *op : llvm::reverse(roots)) {
    bool unused = !op->use_empty() && llvm::all_of(op->getUsers(), [&](Operation *user) { return dead.contains(user); });
    if (unused)
      dead.insert(op);
    if (dead.contains(op) || !canEnd(op) || !isa<FloatType>(getElementTypeOrSelf(op->getResult(0).getType())))
      continue;
    std::string reason;
    auto match = matchRotary(op->getResult(0), shapes, reason);
    if (match && isBuildable(match->cos, shapes) && isBuildable(match->sin, shapes))
      raise(op, *match);
  }
  SmallVector<RotaryOp> rotaries(function.getOps<RotaryOp>());
  llvm::for_each(rotaries, [&](RotaryOp op) { pack(op); });
  if (!dead.empty())
    eraseDead();
}
