//===- MatchRotary.cpp - rotations of features, however spelled --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "MatchRotary.h"
#include "../Splat.h"

#include <numeric>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

//===----------------------------------------------------------------------===//
// Following elements through structure
//===----------------------------------------------------------------------===//

/// Extents of the last `count` dimensions, or nullopt when one varies.
static std::optional<SmallVector<int64_t>> lastExtents(ArrayRef<DimExprAttr> dims, unsigned count) {
  SmallVector<int64_t> extents;
  if (dims.size() < count)
    return std::nullopt;
  for (DimExprAttr dim : dims.take_back(count)) {
    auto extent = dim.asConstant();
    if (!extent)
      return std::nullopt;
    extents.push_back(*extent);
  }
  return extents;
}

static int64_t product(ArrayRef<int64_t> extents) {
  return std::accumulate(extents.begin(), extents.end(), int64_t(1), std::multiplies<int64_t>());
}

static SmallVector<int64_t> split(int64_t number, ArrayRef<int64_t> extents) {
  SmallVector<int64_t> place(extents.size());
  for (size_t i = extents.size(); i-- > 0; number /= extents[i])
    place[i] = number % extents[i];
  return place;
}

static int64_t join(ArrayRef<int64_t> place, ArrayRef<int64_t> extents) {
  int64_t number = 0;
  for (auto [index, extent] : llvm::zip_equal(place, extents))
    number = number * extent + index;
  return number;
}

static SmallVector<DimExprAttr> withoutOnes(ArrayRef<DimExprAttr> dims) {
  SmallVector<DimExprAttr> result;
  llvm::copy_if(dims, std::back_inserter(result), [](DimExprAttr d) { return !d.isConstant(1); });
  return result;
}

namespace {

/// One step from a result down to an operand, of the elements that `f` names; false when there is none.
class Descent {
public:
  explicit Descent(SymbolicShapes &shapes) : shapes(shapes) {}

  bool step(Features &f) {
    Operation *op = f.value.getDefiningOp();
    if (auto reshape = dyn_cast_or_null<ReshapeOp>(op))
      return through(reshape, f);
    if (auto slice = dyn_cast_or_null<SliceOp>(op))
      return through(slice, f);
    if (auto concat = dyn_cast_or_null<ConcatOp>(op))
      return through(concat, f);
    if (auto broadcast = dyn_cast_or_null<BroadcastOp>(op))
      return through(broadcast, f);
    return false;
  }

private:
  /// The dimensions in front stay, but for ones.
  bool through(ReshapeOp op, Features &f) {
    Dims from = shapes.dims(op.getInput()), to = shapes.dims(op.getResult());
    auto extents = lastExtents(to, f.trailing);
    auto before = withoutOnes(ArrayRef(to).drop_back(f.trailing));
    for (unsigned count = from.size(); extents && count >= 1; --count) {
      auto own = lastExtents(from, count);
      if (!own || product(*own) != product(*extents) || withoutOnes(ArrayRef(from).drop_back(count)) != before)
        continue;
      f.value = op.getInput();
      f.trailing = count;
      return true;
    }
    return false;
  }

  bool through(SliceOp op, Features &f) {
    if (!op.getSizes())
      return false;
    Dims from = shapes.dims(op.getInput()), to = shapes.dims(op.getResult()), offsets = dimsOf(*op.getOffsets());
    auto extents = lastExtents(to, f.trailing), own = lastExtents(from, f.trailing);
    size_t outer = from.size() - f.trailing;
    if (!extents || !own || ArrayRef(from).take_front(outer) != ArrayRef(to).take_front(outer))
      return false;
    for (size_t i = 0; i < from.size(); ++i)
      if (!offsets[i].asConstant() || (i < outer && !offsets[i].isConstant(0)))
        return false;
    for (int64_t &index : f.indices) {
      SmallVector<int64_t> place = split(index, *extents);
      for (auto [i, at] : llvm::enumerate(place))
        at = at * (*op.getStrides())[outer + i] + *offsets[outer + i].asConstant();
      index = join(place, *own);
    }
    f.value = op.getInput();
    return true;
  }

  /// Only when all elements come from one part.
  bool through(ConcatOp op, Features &f) {
    auto extents = lastExtents(shapes.dims(op.getResult()), f.trailing);
    int64_t axis = int64_t(op.getAxis()) - (shapes.dims(op.getResult()).size() - f.trailing);
    if (!extents || axis < 0)
      return false;
    int64_t start = 0;
    for (Value part : op.getInputs()) {
      auto own = lastExtents(shapes.dims(part), f.trailing);
      if (!own)
        return false;
      Features inside = {part, f.trailing, {}};
      for (int64_t index : f.indices) {
        SmallVector<int64_t> place = split(index, *extents);
        place[axis] -= start;
        if (place[axis] < 0 || place[axis] >= (*own)[axis])
          break;
        inside.indices.push_back(join(place, *own));
      }
      if (inside.indices.size() == f.indices.size()) {
        f = inside;
        return true;
      }
      start += (*own)[axis];
    }
    return false;
  }

  /// Repeats within the trailing dimensions.
  bool through(BroadcastOp op, Features &f) {
    Dims from = shapes.dims(op.getInput()), to = shapes.dims(op.getResult());
    auto extents = lastExtents(to, f.trailing), own = lastExtents(from, f.trailing);
    if (!extents || !own || from.size() != to.size() ||
        ArrayRef(from).drop_back(f.trailing) != ArrayRef(to).drop_back(f.trailing))
      return false;
    for (int64_t &index : f.indices) {
      SmallVector<int64_t> place = split(index, *extents);
      for (auto [at, extent] : llvm::zip_equal(place, *own))
        at = extent == 1 ? 0 : at;
      index = join(place, *own);
    }
    f.value = op.getInput();
    return true;
  }

  SymbolicShapes &shapes;
};

/// sign * x[feature] * table[entry]; a null table is 1.
struct Term {
  double sign;
  Value input;
  int64_t feature;
  Features table;
  Dims tableDims; ///< of the table where it is multiplied, with ones in front
};

class RotaryMatcher {
public:
  RotaryMatcher(Value root, SymbolicShapes &shapes) : root(root), shapes(shapes), descent(shapes) {}

  std::optional<RotaryMatch> match(std::string &reason);

private:
  using Terms = SmallVector<Term, 2>;
  bool expand(Features f, double sign, Terms &terms);
  bool expandProduct(BinaryOp op, const Features &f, double sign, Terms &terms);
  void strip(Features &f, double &sign);
  TableEntries entries(Features f);
  bool readTurned(ArrayRef<Terms> features);
  bool readTables(ArrayRef<Terms> features);
  bool fitTables(const Dims &dims);
  const Term *straight(const Terms &terms, int64_t d) const;

  Value root;
  SymbolicShapes &shapes;
  Descent descent;
  RotaryMatch result;
  int64_t turned = 0;
};

} // namespace

/// Down through structure and negations.
void RotaryMatcher::strip(Features &f, double &sign) {
  while (true) {
    if (descent.step(f))
      continue;
    auto unary = f.value.getDefiningOp<UnaryOp>();
    if (!unary || unary.getKind() != UnaryKind::Neg)
      return;
    sign = -sign;
    f.value = unary.getInput();
  }
}

bool RotaryMatcher::expand(Features f, double sign, Terms &terms) {
  strip(f, sign);
  auto op = f.value.getDefiningOp<BinaryOp>();
  if (terms.size() > 2)
    return false;
  if (op && op.getKind() == BinaryKind::Mul)
    return expandProduct(op, f, sign, terms);
  bool isSum = op && (op.getKind() == BinaryKind::Add || op.getKind() == BinaryKind::Sub) &&
               shapes.equalShapes(op.getLhs(), op.getRhs());
  if (!isSum) {
    terms.push_back({sign, f.value, f.indices[0], {}, {}});
    return true;
  }
  double second = op.getKind() == BinaryKind::Sub ? -sign : sign;
  return expand({op.getLhs(), f.trailing, f.indices}, sign, terms) &&
         expand({op.getRhs(), f.trailing, f.indices}, second, terms);
}

bool RotaryMatcher::expandProduct(BinaryOp op, const Features &f, double sign, Terms &terms) {
  Dims dims = shapes.dims(op.getResult());
  for (auto [input, table] : {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
    Dims own = shapes.dims(table);
    if (shapes.dims(input) != dims || own == dims || own.size() < f.trailing)
      continue;
    auto extents = lastExtents(dims, f.trailing), tableExtents = lastExtents(own, f.trailing);
    if (!extents || !tableExtents)
      return false;
    SmallVector<int64_t> place = split(f.indices[0], *extents);
    for (auto [at, extent] : llvm::zip_equal(place, *tableExtents))
      at = extent == 1 ? 0 : at;
    Features x = {input, f.trailing, f.indices};
    strip(x, sign);
    own.insert(own.begin(), dims.size() - own.size(), DimExprAttr::constant(op.getContext(), 1));
    Dims outer(ArrayRef(own).drop_back(f.trailing));
    terms.push_back({sign, x.value, x.indices[0], {table, f.trailing, {join(place, *tableExtents)}}, outer});
    return true;
  }
  return false;
}

/// The same elements of a table, as deep as they can be followed.
TableEntries RotaryMatcher::entries(Features f) {
  TableEntries result;
  while (true) {
    if (descent.step(f))
      continue;
    Operation *op = f.value.getDefiningOp();
    Value next;
    if (isa_and_nonnull<UnaryOp, CastOp>(op))
      next = op->getOperand(0);
    if (auto binary = dyn_cast_or_null<BinaryOp>(op))
      for (auto [input, number] : {std::pair(binary.getLhs(), binary.getRhs()), std::pair(binary.getRhs(), binary.getLhs())})
        if (splatNumber(number) && withoutOnes(shapes.dims(number)).empty() &&
            shapes.equalShapes(input, binary.getResult()))
          next = input;
    if (!next)
      break;
    result.functions.push_back(op);
    f.value = next;
  }
  result.base = f;
  return result;
}

bool TableEntries::operator==(const TableEntries &other) const {
  return functions == other.functions && base.value == other.base.value && base.trailing == other.base.trailing &&
         base.indices == other.base.indices;
}

/// The term of feature d itself: the one with the sign and table of the cosine.
const Term *RotaryMatcher::straight(const Terms &terms, int64_t d) const {
  for (const Term &term : terms)
    if (term.feature == result.first + d)
      return &term;
  return nullptr;
}

/// How many features turn, with which partner, and where they are in the input.
bool RotaryMatcher::readTurned(ArrayRef<Terms> features) {
  int64_t count = features.size();
  while (turned < count && features[turned].size() == 2)
    ++turned;
  if (turned < 2 || turned % 2)
    return false;
  result.input = features[0][0].input;
  result.first = std::min(features[0][0].feature, features[0][1].feature);
  result.size = count;
  int64_t distance = std::max(features[0][0].feature, features[0][1].feature) - result.first;
  result.interleaved = distance == 1 && turned > 2;
  if (!result.interleaved && distance != turned / 2)
    return false;
  for (int64_t d = 0; d < count; ++d) {
    const Term *own = straight(features[d], d);
    bool isFirst = result.interleaved ? d % 2 == 0 : d < turned / 2;
    if (!own || own->sign < 0 || own->input != result.input || bool(own->table.value) != (d < turned))
      return false;
    for (const Term &term : features[d])
      if (&term != own && (!term.table.value || term.input != result.input || (term.sign < 0) != isFirst ||
                           term.feature != result.first + (isFirst ? d + distance : d - distance)))
        return false;
    if (d >= turned && features[d].size() != 1)
      return false;
  }
  return true;
}

/// Both features of a pair take the same entries; all entries have one origin.
bool RotaryMatcher::readTables(ArrayRef<Terms> features) {
  int64_t half = turned / 2;
  for (bool isCos : {true, false}) {
    TableEntries first, second;
    for (int64_t j = 0; j < half; ++j) {
      int64_t a = result.interleaved ? 2 * j : j, b = result.interleaved ? 2 * j + 1 : j + half;
      for (auto [d, list] : {std::pair(a, &first), std::pair(b, &second)}) {
        const Term *own = straight(features[d], d);
        const Term *term = isCos ? own : own == &features[d][0] ? &features[d][1] : &features[d][0];
        if (!result.tableDims.empty() && term->tableDims != result.tableDims)
          return false;
        result.tableDims = term->tableDims;
        TableEntries entry = entries(term->table);
        if (j == 0) {
          *list = entry;
          continue;
        }
        list->base.indices.push_back(entry.base.indices[0]);
        entry.base.indices = list->base.indices;
        if (!(entry == *list))
          return false;
      }
    }
    if (!(first == second))
      return false;
    (isCos ? result.cos : result.sin) = first;
  }
  return true;
}

/// The tables are [1 or B, 1, S] for [B, H, S, ..], or [1 or B, S, 1] for [B, S, H, ..].
bool RotaryMatcher::fitTables(const Dims &dims) {
  Dims table = result.tableDims;
  bool heads = dims[1].asConstant().has_value(), others = dims[2].asConstant().has_value();
  if (table.size() != 3 || !(table[0].isConstant(1) || table[0] == dims[0]))
    return false;
  result.sequenceFirst = !(table[1].isConstant(1) && table[2] == dims[2] && heads);
  if (result.sequenceFirst && !(table[2].isConstant(1) && table[1] == dims[1] && others))
    return false;
  DimExprAttr pairs = DimExprAttr::constant(dims[0].getContext(), turned / 2);
  result.tableDims = {table[0], result.sequenceFirst ? table[1] : table[2], pairs};
  return true;
}

std::optional<RotaryMatch> RotaryMatcher::match(std::string &reason) {
  auto mismatch = [&](const char *why) {
    reason = why;
    return std::nullopt;
  };
  Dims dims = shapes.dims(root);
  auto size = dims.size() == 4 ? dims[3].asConstant() : std::nullopt;
  if (!size || *size < 2 || *size > 4096 || !llvm::all_of(dims, isDerived))
    return mismatch("no heads of a known size");
  std::vector<Terms> features(*size);
  for (auto [d, terms] : llvm::enumerate(features))
    if (!expand({root, 1, {int64_t(d)}}, 1, terms))
      return mismatch("a feature is no sum of products with tables");
  if (!readTurned(features))
    return mismatch("features are not turned in pairs");
  Dims input = shapes.dims(result.input);
  if (input.size() != 4 || !input[3].asConstant() || ArrayRef(input).drop_back() != ArrayRef(dims).drop_back())
    return mismatch("what is turned has another shape");
  if (!readTables(features))
    return mismatch("the two features of a pair take different angles");
  if (!fitTables(dims))
    return mismatch("the tables do not go along the sequence");
  return result;
}

std::optional<RotaryMatch> permalloy::matchRotary(Value root, SymbolicShapes &shapes, std::string &reason) {
  return RotaryMatcher(root, shapes).match(reason);
}
