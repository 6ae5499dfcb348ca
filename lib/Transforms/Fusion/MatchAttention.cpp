//===- MatchAttention.cpp - spellings of attention ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Splat.h"
#include "Match.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Walks up from P V to Q and K and keeps what it found in `match`.
class Matcher {
public:
  Matcher(SymbolicShapes &shapes, std::string &reason) : shapes(shapes), reason(reason) {}
  bool run(MatmulOp root);
  AttentionMatch match;

private:
  bool stop(const Twine &why) {
    reason = why.str();
    return false;
  }
  bool matchSoftmax(MatmulOp root);
  bool matchMasks(Value &value);
  bool addMask(Value mask);
  bool chooseMask(SelectOp op, Value &scores);
  bool setMask(MaskMatch mask, EmptyRows rows);
  bool matchScores(Value value);
  bool checkShapes(MatmulOp root);
  bool checkMask(Value value, ArrayRef<DimExprAttr> scores);

  SymbolicShapes &shapes;
  std::string &reason;
  bool guarded = false;
};

} // namespace

static bool leadsToProduct(Value value) {
  for (unsigned depth = 0; depth < 8; ++depth) {
    value = stripScale(value).value;
    if (value.getDefiningOp<MatmulOp>())
      return true;
    Operation *op = value.getDefiningOp();
    if (auto add = dyn_cast_or_null<BinaryOp>(op); add && add.getKind() == BinaryKind::Add)
      value = leadsToProduct(add.getLhs()) ? add.getLhs() : add.getRhs();
    else if (auto select = dyn_cast_or_null<SelectOp>(op))
      value = splatNumber(select.getOnTrue()) ? select.getOnFalse() : select.getOnTrue();
    else
      return false;
  }
  return false;
}

/// What rows are that see `masked` everywhere; nullopt when the number is neither -inf nor lost in
/// rounding.
static std::optional<EmptyRows> rowsOf(double masked, bool guarded) {
  if (masked == -std::numeric_limits<double>::infinity())
    return guarded ? EmptyRows::Zero : EmptyRows::NaN;
  if (masked <= -1e30) // ulp(1e30) is 2^76: scores are lost in it and all of the row is equal
    return EmptyRows::Uniform;
  return std::nullopt;
}

bool Matcher::run(MatmulOp root) {
  if (root.getTransposeA() || root.getTransposeB())
    return stop("the product with V has a transposed operand");
  match.value = root.getRhs();
  if (!matchSoftmax(root))
    return false;
  Value scores = match.softmax.getInput();
  return matchMasks(scores) && matchScores(scores) && checkShapes(root);
}

/// What only leads to `users`; a model that also returns its probabilities needs them in memory.
static bool isUsedBy(Value value, ArrayRef<Operation *> users) {
  return llvm::all_of(value.getUsers(),
                      [&](Operation *user) { return llvm::is_contained(users, user); });
}

/// The softmax, perhaps with the guard select(isnan(p), 0, p).
bool Matcher::matchSoftmax(MatmulOp root) {
  Value probabilities = root.getLhs();
  SmallVector<Operation *> users = {root};
  if (auto select = probabilities.getDefiningOp<SelectOp>()) {
    auto test = select.getCondition().getDefiningOp<UnaryOp>();
    if (!test || test.getKind() != UnaryKind::IsNaN || test.getInput() != select.getOnFalse() ||
        splatNumber(select.getOnTrue()) != 0.0)
      return stop(
          "the left operand of the product with V is a select that is no guard against NaN");
    if (!isUsedBy(probabilities, users))
      return stop("the probabilities are used elsewhere as well");
    guarded = true;
    probabilities = select.getOnFalse();
    users = {select, test};
  }
  match.softmax = probabilities.getDefiningOp<SoftmaxOp>();
  if (!match.softmax)
    return stop("the left operand of the product with V is no softmax");
  if (!isUsedBy(probabilities, users))
    return stop("the probabilities are used elsewhere as well");
  int64_t rank = cast<RankedTensorType>(match.softmax.getType()).getRank();
  if (int64_t(match.softmax.getAxis()) != rank - 1)
    return stop("the softmax is over axis " + Twine(match.softmax.getAxis()) + ", not the last");
  return true;
}

/// Goes up through sums with masks and selects on masks; `value` becomes the (scaled) scores.
bool Matcher::matchMasks(Value &value) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto add = dyn_cast<BinaryOp>(op); add && add.getKind() == BinaryKind::Add) {
      bool left = leadsToProduct(add.getLhs());
      if (!left && !leadsToProduct(add.getRhs()))
        return stop("neither operand of the sum before the softmax is a matrix product");
      if (!addMask(left ? add.getRhs() : add.getLhs()))
        return false;
      value = left ? add.getLhs() : add.getRhs();
    } else if (auto select = dyn_cast<SelectOp>(op)) {
      if (!chooseMask(select, value))
        return false;
    } else {
      break;
    }
  }
  return true;
}

/// scores + mask.
bool Matcher::addMask(Value mask) {
  auto select = mask.getDefiningOp<SelectOp>();
  auto onTrue = select ? splatNumber(select.getOnTrue()) : std::nullopt;
  auto onFalse = select ? splatNumber(select.getOnFalse()) : std::nullopt;
  if (onTrue && onFalse && (*onTrue == 0 || *onFalse == 0)) {
    bool inverted = *onFalse == 0;
    if (auto rows = rowsOf(inverted ? *onTrue : *onFalse, guarded))
      return setMask({select.getCondition(), inverted}, *rows);
  }
  return setMask({mask, false}, guarded ? EmptyRows::Zero : EmptyRows::NaN);
}

/// select(mask, scores, lowest) or select(mask, lowest, scores).
bool Matcher::chooseMask(SelectOp op, Value &scores) {
  auto onTrue = splatNumber(op.getOnTrue()), onFalse = splatNumber(op.getOnFalse());
  if (onTrue.has_value() == onFalse.has_value())
    return stop("the select before the softmax has no choice that is a number");
  auto rows = rowsOf(onTrue ? *onTrue : *onFalse, guarded);
  if (!rows)
    return stop("masked scores become " + Twine(std::to_string(onTrue ? *onTrue : *onFalse)) +
                ", which is too near to be as good as -inf");
  scores = onTrue ? op.getOnFalse() : op.getOnTrue();
  return setMask({op.getCondition(), onTrue.has_value()}, *rows);
}

/// Several masks are one when each hides keys by -inf. A finite number, added twice, would leave
/// other weights in rows that see no key.
bool Matcher::setMask(MaskMatch mask, EmptyRows rows) {
  bool isFirst = match.masks.empty();
  if (!isFirst && (rows == EmptyRows::Uniform || match.emptyRows == EmptyRows::Uniform))
    return stop("more than one mask, and one of them hides keys by a finite number");
  match.masks.push_back(mask);
  match.emptyRows = rows;
  return true;
}

bool Matcher::matchScores(Value value) {
  Scaled product = stripScale(value);
  match.scores = product.value.getDefiningOp<MatmulOp>();
  if (!match.scores)
    return stop("the scores are no matrix product");
  if (match.scores.getTransposeA())
    return stop("Q is transposed");
  Scaled query = stripScale(match.scores.getLhs()), key = stripScale(match.scores.getRhs());
  match.query = query.value;
  match.key = key.value;
  match.keyIsRows = match.scores.getTransposeB();
  match.scale = product.factor * query.factor * key.factor;
  return true;
}

bool Matcher::checkShapes(MatmulOp root) {
  Dims q = shapes.dims(match.query), k = shapes.dims(match.key), v = shapes.dims(match.value);
  if (q.size() != 4 || k.size() != 4 || v.size() != 4)
    return stop("Q, K and V have ranks " + Twine(q.size()) + ", " + Twine(k.size()) + " and " +
                Twine(v.size()) + ", not 4");
  if (!match.keyIsRows)
    std::swap(k[2], k[3]);
  if (q[0] != k[0] || k[0] != v[0])
    return stop("the batch dimensions " + q[0].str() + ", " + k[0].str() + " and " + v[0].str() +
                " of Q, K and V differ");
  if (!q[1].asConstant() || q[1] != k[1] || k[1] != v[1])
    return stop("the head dimensions " + q[1].str() + ", " + k[1].str() + " and " + v[1].str() +
                " of Q, K and V differ or vary");
  if (q[3] != k[3])
    return stop("the head sizes " + q[3].str() + " and " + k[3].str() + " of Q and K differ");
  if (k[2] != v[2])
    return stop("K has " + k[2].str() + " rows and V " + v[2].str());
  match.heads = *q[1].asConstant();
  return llvm::all_of(match.masks, [&](const MaskMatch &mask) {
    return checkMask(mask.value, {q[0], q[1], q[2], k[2]});
  });
}

/// The mask repeats along the scores, never the other way round.
bool Matcher::checkMask(Value value, ArrayRef<DimExprAttr> scores) {
  Dims mask = shapes.dims(value);
  if (mask.size() > 4)
    return stop("the mask has more than 4 dimensions");
  for (auto [dim, of] : llvm::zip(llvm::reverse(mask), llvm::reverse(scores)))
    if (!dim.isConstant(1) && dim != of)
      return stop("the mask " + str(mask) + " does not repeat along the scores " + str(scores));
  return true;
}

std::optional<AttentionMatch> permalloy::matchAttention(MatmulOp root, SymbolicShapes &shapes,
                                                        std::string &reason) {
  Matcher matcher(shapes, reason);
  return matcher.run(root) ? std::optional(matcher.match) : std::nullopt;
}
