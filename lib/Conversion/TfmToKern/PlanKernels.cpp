//===- PlanKernels.cpp - decide which operations share a kernel --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tfm/Outliers.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Conversion/Passes.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace permalloy {
#define GEN_PASS_DEF_PLANKERNELS
#include "permalloy/Conversion/Passes.h.inc"
} // namespace permalloy

bool permalloy::isDecodedWeight(Value value) {
  if (Operation *expand = value.getDefiningOp(); isa_and_nonnull<ExpandBlocksOp, ExpandQuadsOp>(expand))
    return llvm::all_of(expand->getOperands(), [](Value operand) { return isa_and_nonnull<GetWeightOp>(operand.getDefiningOp()); });
  auto decode = value.getDefiningOp<DequantizeOp>();
  return decode && llvm::all_of(decode->getOperands(), [&](Value operand) {
           Operation *source = operand.getDefiningOp();
           return isa_and_nonnull<GetWeightOp>(source) || (isa_and_nonnull<ConstantOp>(source) && operand == decode.getCodebook());
         });
}

namespace {

bool isSource(Operation *op) { return isa<ConstantOp, GetWeightOp>(op); }

bool isDecoding(Operation *op) { return op->getNumResults() == 1 && isDecodedWeight(op->getResult(0)); }

bool isElementwise(Operation *op) { return isa<UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp, QuantizeOp>(op); }

/// Its value at an index follows from a few values of its operands, so a consumer can compute it in place.
bool isPullable(Operation *op) {
  return isElementwise(op) || isa<RotaryOp, ReshapeOp, BroadcastOp, TransposeOp, SliceOp, ConcatOp, GatherOp, GatherNDOp, RangeOp,
                                  DimValuesOp, ShapeOfOp>(op);
}

/// Between element types that registers hold as f32.
bool isFloatCast(CastOp cast) {
  auto isNarrow = [](Value value) {
    Type element = getElementTypeOrSelf(value.getType());
    return element.isF16() || element.isBF16() || element.isF32();
  };
  return cast && isNarrow(cast.getInput()) && isNarrow(cast.getResult());
}

/// What the kernel of `linear` may go on with, on the registers of its products: elementwise operations, of f32 as registers have
/// it; of integers also their products, the conversion to f32 and codes.
bool isEpilogueStep(Operation *op, LinearOp linear) {
  if (!isElementwise(op))
    return false;
  Type element = getElementTypeOrSelf(op->getResult(0).getType());
  if (auto cast = dyn_cast<CastOp>(op)) {
    bool widens = linear.isIntegral() && getElementTypeOrSelf(cast.getInput().getType()).isInteger(32) && element.isF32();
    return isFloatCast(cast) || widens;
  }
  if (isa<QuantizeOp>(op))
    return true;
  return isa<UnaryOp, BinaryOp>(op) && (isa<FloatType>(element) || (linear.isIntegral() && element.isInteger(32)));
}

/// A product of a few elements of each row with the weight that `root` multiplies.
bool isOfProduct(Operation *op, Operation *root) {
  auto sparse = dyn_cast<OutlierLinearOp>(op);
  auto linear = dyn_cast<LinearOp>(root);
  return sparse && linear && sparse.getWeight() == linear.getWeight();
}

/// Roots that read each operand element many times: producers are stored, not recomputed.
bool rereadsOperands(Operation *op) { return isa<LinearOp, MatmulOp, AttentionOp, TopKOp, ScatterOp, GroupByOp, GroupedLinearOp, OutlierLinearOp, PrefixCountOp, TokenScoreOp, TokenMergeOp, TokenUnmergeOp>(op); }

class Planner {
public:
  Planner(func::FuncOp function, const KernelCosts *costs) : function(function), costs(costs) {}

  void copyRanges();
  void copyDecodings();
  void joinEpilogues();
  void joinWidened(Operation *op, unsigned group);
  void joinCasts(Operation *op, unsigned group);
  void joinSiblings(Operation *op, unsigned group);
  void joinRouters();
  void joinCodes();
  void joinProducers();
  void write();

  unsigned groups = 0, epilogues = 0, producers = 0;

private:
  /// The one operation that uses the result of `op`, or null.
  Operation *onlyUser(Operation *op) {
    Value result = op->getResult(0);
    return result.hasOneUse() ? *result.user_begin() : nullptr;
  }
  /// The one group that all users of `op` are in, if its root takes producers in.
  std::optional<unsigned> commonGroup(Operation *op);
  /// Whether the cost model says that one kernel of all parts takes longer than one of each, by more than it may err there.
  bool isSlowerTogether(ArrayRef<SmallVector<Operation *>> parts) const;
  bool isRecomputed(Operation *op, unsigned group);
  /// The group of the one reader of a decoded weight, whatever its root is.
  std::optional<unsigned> readerGroup(Operation *op);
  unsigned newGroup(Operation *root) {
    rootOf.push_back(root);
    return rootOf.size() - 1;
  }

  func::FuncOp function;
  const KernelCosts *costs;
  SymbolicShapes shapes;
  DenseMap<Operation *, unsigned> groupOf;
  SmallVector<Operation *> rootOf;
};

/// Counting costs nothing: each user counts by itself rather than read what a kernel stored.
void Planner::copyRanges() {
  SmallVector<RangeOp> ranges(function.getOps<RangeOp>());
  for (RangeOp range : ranges)
    while (range.getSize() && !range->use_empty() && !range->hasOneUse()) {
      OpBuilder builder(range);
      range->use_begin()->set(builder.clone(*range)->getResult(0));
    }
}

/// Weights that are decoded where they are read: each reader decodes for itself.
void Planner::copyDecodings() {
  SmallVector<Operation *> decodings;
  function.walk([&](Operation *op) {
    if (isDecoding(op))
      decodings.push_back(op);
  });
  for (Operation *op : decodings)
    while (!op->use_empty() && !op->getResult(0).hasOneUse()) {
      OpBuilder builder(op);
      op->getResult(0).use_begin()->set(builder.clone(*op)->getResult(0));
    }
}

/// linear -> add -> ...: each next operation is the only user, elementwise, and of the same shape.
void Planner::joinEpilogues() {
  for (auto linear : function.getOps<LinearOp>()) {
    unsigned group = newGroup(linear);
    groupOf[linear] = group;
    Operation *last = linear;
    for (Operation *next = onlyUser(last); next; next = onlyUser(last)) {
      if (!isEpilogueStep(next, linear) || groupOf.contains(next) || !shapes.equalShapes(next->getResult(0), linear.getResult()))
        break;
      groupOf[next] = group;
      joinWidened(next, group);
      last = next;
      ++epilogues;
    }
    joinCasts(last, group);
  }
}

/// Other operands of an epilogue that are stored narrow are widened where they are read, and what a few elements of a row add to its
/// products reads the same weight.
void Planner::joinWidened(Operation *op, unsigned group) {
  for (Value operand : op->getOperands()) {
    Operation *source = operand.getDefiningOp();
    bool isRead = source && (isFloatCast(dyn_cast<CastOp>(source)) || isOfProduct(source, rootOf[group]));
    if (isRead && source->hasOneUse() && groupOf.try_emplace(source, group).second)
      ++producers;
  }
}

/// A value that is wanted in two types is stored twice by the kernel that makes it.
void Planner::joinCasts(Operation *op, unsigned group) {
  for (Operation *user : op->getUsers()) {
    auto cast = dyn_cast<CastOp>(user);
    auto it = groupOf.find(user);
    bool isFree = it == groupOf.end() || (it->second != group && rootOf[it->second] == user);
    if (!isFloatCast(cast) || !isFree)
      continue;
    groupOf[cast] = group;
    cast->moveAfter(op); // the launch stands where its last operation stood, before all readers
    ++epilogues;
  }
}

/// Functions of one value, the cosine and sine of an angle say, are one kernel, which can then take in what makes that value.
void Planner::joinSiblings(Operation *op, unsigned group) {
  for (Operation *user : op->getOperand(0).getUsers()) {
    auto it = groupOf.find(user);
    if (user == op || !isa<UnaryOp>(user) || it == groupOf.end() || rootOf[it->second] != user || it->second == group)
      continue;
    bool isAlone = llvm::count_if(groupOf, [&](auto &entry) { return entry.second == it->second; }) == 1;
    if (!isAlone)
      continue;
    it->second = group;
    user->moveAfter(op);
  }
}

/// top_k -> its weights, its groups: one kernel, which walks the tokens once.
void Planner::joinRouters() {
  for (auto sort : function.getOps<GroupByOp>()) {
    auto choice = sort.getInput().getDefiningOp<TopKOp>();
    SmallVector<Operation *> parts = {sort};
    if (choice)
      for (Operation *user : choice->getUsers())
        if (auto weights = dyn_cast<MoeWeightsOp>(user); weights && weights.getLogits() == choice.getInput())
          parts.push_back(user);
    if (parts.size() != 2)
      continue;
    unsigned group = newGroup(sort);
    groupOf[choice] = group;
    for (Operation *part : parts)
      groupOf[part] = group;
  }
}

/// Gains of less are within the model's errors, and a launch saved is memory saved too.
static constexpr double kLeastGain = 1.1;

bool Planner::isSlowerTogether(ArrayRef<SmallVector<Operation *>> parts) const {
  if (!costs)
    return false;
  SmallVector<Operation *> all;
  for (const SmallVector<Operation *> &part : parts)
    llvm::append_range(all, part);
  llvm::sort(all, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  SmallVector<ArrayRef<Operation *>> groups = {all};
  groups.append(parts.begin(), parts.end());
  std::vector<std::string> texts = textOfGroups(groups);
  std::optional<double> quotient = costs->quotient(texts.front(), ArrayRef(texts).drop_front());
  return quotient && *quotient > kLeastGain;
}

/// The magnitude of each row, kept as a column: what its codes are relative to.
static bool isRowMagnitude(Operation *op) {
  auto reduce = dyn_cast<ReduceOp>(op);
  bool isLargest = reduce && reduce.getKind() == ReduceKind::AbsMax && reduce.getKeepDims() &&
                   reduce.getAxes() == ArrayRef<int64_t>{cast<RankedTensorType>(reduce.getInput().getType()).getRank() - 1};
  return isLargest || isa<OutlierLimitOp>(op);
}

/// The magnitude of each row and all that follows from the row, it and constants alone: scale, codes and what they leave out.
static SmallVector<Operation *> codeParts(Operation *magnitude) {
  SmallVector<Operation *> parts = {magnitude};
  auto isPart = [&](Value value) { return llvm::is_contained(parts, value.getDefiningOp()); };
  auto isKnown = [&](Value value) { return value == magnitude->getOperand(0) || value.getDefiningOp<ConstantOp>() || isPart(value); };
  for (Operation *op = magnitude->getNextNode(); op; op = op->getNextNode())
    if ((isElementwise(op) || isa<OutlierPositionsOp, OutlierValuesOp>(op)) && llvm::all_of(op->getOperands(), isKnown) && llvm::any_of(op->getOperands(), isPart))
      parts.push_back(op);
  return parts;
}

/// A norm and the codes of its rows are one kernel, which has a row at hand. Where something else makes the rows, it stores them, and
/// their codes are a kernel.
void Planner::joinCodes() {
  SmallVector<Operation *> magnitudes;
  for (Operation &op : function.getBody().front())
    if (isRowMagnitude(&op))
      magnitudes.push_back(&op);
  for (Operation *magnitude : magnitudes) {
    SmallVector<Operation *> parts = codeParts(magnitude);
    bool isTaken = llvm::any_of(parts, [&](Operation *part) { return groupOf.contains(part); });
    if (isTaken || !llvm::any_of(parts, llvm::IsaPred<QuantizeOp>))
      continue;
    Operation *place = magnitude, *norm = magnitude->getOperand(0).getDefiningOp();
    bool hasNorm = norm && isa<LayerNormOp, RmsNormOp>(norm) && !groupOf.contains(norm) && !isSlowerTogether({{norm}, parts});
    unsigned group = newGroup(hasNorm ? norm : magnitude);
    if (hasNorm)
      groupOf[place = norm] = group;
    for (Operation *part : parts) { // the launch stands where its last operation stood, before all readers
      for (Value operand : part->getOperands())
        if (auto constant = operand.getDefiningOp<ConstantOp>(); constant && place->isBeforeInBlock(constant))
          constant->moveBefore(place);
      groupOf[part] = group;
      if (part != place)
        part->moveAfter(place);
      place = part;
    }
    if (hasNorm)
      joinCasts(norm, group);
  }
}

std::optional<unsigned> Planner::readerGroup(Operation *op) {
  Operation *user = onlyUser(op);
  auto it = user ? groupOf.find(user) : groupOf.end();
  return it == groupOf.end() ? std::nullopt : std::optional(it->second);
}

std::optional<unsigned> Planner::commonGroup(Operation *op) {
  std::optional<unsigned> common;
  for (Operation *user : op->getUsers()) {
    auto it = groupOf.find(user);
    if (it == groupOf.end() || (common && *common != it->second))
      return std::nullopt;
    common = it->second;
  }
  if (common && rereadsOperands(rootOf[*common]))
    return std::nullopt;
  return common;
}

/// Whether `group` had better read the result of `op` than compute it for each of the many elements that it is repeated for: a function
/// of a row of a batch, say, that scales all of its tokens.
bool Planner::isRecomputed(Operation *op, unsigned group) {
  if (!isa<UnaryOp>(op) || shapes.numElements(op->getResult(0)) == shapes.numElements(rootOf[group]->getResult(0)))
    return false;
  SmallVector<Operation *> members;
  for (Operation &other : function.getBody().front())
    if (auto it = groupOf.find(&other); it != groupOf.end() && it->second == group)
      members.push_back(&other);
  return isSlowerTogether({{op}, members});
}

/// From the last operation to the first, so that users are decided before their producers.
void Planner::joinProducers() {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front()))) {
    if (!isa<TfmDialect>(op.getDialect()) || isSource(&op) || isa<BindSizeOp, IfOp, WhileOp>(op) ||
        groupOf.contains(&op))
      continue;
    std::optional<unsigned> group = isDecoding(&op)   ? readerGroup(&op)
                                    : isPullable(&op) ? commonGroup(&op)
                                                      : std::nullopt;
    if (group && !isDecoding(&op) && isRecomputed(&op, *group))
      group = std::nullopt;
    if (group)
      ++producers;
    else if (isa<ReshapeOp>(op))
      continue; // a view
    else
      group = newGroup(&op);
    groupOf[&op] = *group;
    if (rootOf[*group] == &op && !rereadsOperands(&op))
      joinCasts(&op, *group);
    if (rootOf[*group] == &op && isa<UnaryOp>(op))
      joinSiblings(&op, *group);
  }
}

/// Numbers groups in program order.
void Planner::write() {
  DenseMap<unsigned, int64_t> number;
  Builder builder(function.getContext());
  for (Operation &op : function.getBody().front()) {
    auto it = groupOf.find(&op);
    if (it == groupOf.end())
      continue;
    auto [entry, isNew] = number.try_emplace(it->second, groups);
    groups += isNew;
    op.setAttr(kGroupAttr, builder.getI64IntegerAttr(entry->second));
  }
}

struct PlanKernels : permalloy::impl::PlanKernelsBase<PlanKernels> {
  PlanKernels(const KernelCosts *costs = nullptr) : costs(costs) {}

  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    Planner planner(getOperation(), costs);
    planner.copyRanges();
    planner.copyDecodings();
    planner.joinEpilogues();
    planner.joinRouters();
    planner.joinCodes();
    planner.joinProducers();
    planner.write();
    numGroups += planner.groups;
    numEpilogues += planner.epilogues;
    numPrologues += planner.producers;
  }

  const KernelCosts *costs;
};

} // namespace

std::unique_ptr<Pass> permalloy::createPlanKernels(const KernelCosts *costs) { return std::make_unique<PlanKernels>(costs); }
