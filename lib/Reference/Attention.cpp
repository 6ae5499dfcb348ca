//===- Attention.cpp - attention in its plainest form ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

namespace {

/// One of query, key, value: [batch, sequence, heads * size] or [batch, heads, sequence, size],
/// read element by element.
struct Heads {
  const Tensor &tensor;
  std::vector<double> values;
  int64_t heads, sequence, size;

  Heads(const Tensor &t, int64_t heads) : tensor(t), values(t.numbers()), heads(heads) {
    bool packed = t.rank() == 3;
    sequence = t.dim(packed ? 1 : 2);
    size = packed ? t.dim(2) / heads : t.dim(3);
  }
  int64_t offset(int64_t b, int64_t h, int64_t s) const {
    return tensor.rank() == 3 ? ((b * sequence + s) * heads + h) * size
                              : ((b * heads + h) * sequence + s) * size;
  }
  const double *row(int64_t b, int64_t h, int64_t s) const {
    return values.data() + offset(b, h, s);
  }
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What the mask adds to a score: -inf where a key is not seen.
double maskTerm(const Tensor *mask, ArrayRef<int64_t> strides, int64_t b, int64_t h, int64_t i,
                int64_t j) {
  if (!mask)
    return 0;
  int64_t at = b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3];
  if (isFloat(mask->element()))
    return mask->number(at);
  return mask->integer(at) ? 0 : -kInfinity;
}

/// Weights of the keys for one query. With no key to see: zeros, equal weights, or NaN.
void softmaxOrEmpty(MutableArrayRef<double> scores, bool seesNone, tfm::EmptyRows emptyRows) {
  if (seesNone && emptyRows != tfm::EmptyRows::NaN) {
    llvm::fill(scores, emptyRows == tfm::EmptyRows::Zero ? 0 : 1.0 / scores.size());
    return;
  }
  double max = -kInfinity, sum = 0;
  for (double x : scores)
    max = std::isnan(x) || x > max ? x : max;
  for (double &x : scores)
    sum += x = std::exp(x - max);
  for (double &x : scores)
    x /= sum;
}

/// The keys that a query may see, from attributes: [first, last].
struct Reach {
  int64_t first, last;

  Reach(tfm::AttentionOp op, int64_t position, int64_t keys) : first(0), last(keys - 1) {
    if (auto left = op.getWindowLeft())
      first = std::max(first, position - int64_t(*left));
    if (auto right = op.getWindowRight())
      last = std::min(last, position + int64_t(*right));
    if (op.getCausal())
      last = std::min(last, position);
  }
  bool sees(int64_t key) const { return first <= key && key <= last; }
};

double dot(const double *x, const double *y, int64_t n) {
  double sum = 0;
  for (int64_t d = 0; d < n; ++d)
    sum += x[d] * y[d];
  return sum;
}

/// Rows of the key and value that exist: `kv_length`, or all.
FailureOr<int64_t> keyCount(tfm::AttentionOp op, int64_t rows, Scope &scope) {
  if (!op.getKvLength())
    return rows;
  FailureOr<int64_t> length = scope.value(*op.getKvLength());
  if (succeeded(length) && (*length < 0 || *length > rows))
    return FailureOr<int64_t>(scope.fail("kv_length is " + Twine(*length) + ", but the key has " +
                                         Twine(rows) + " rows"));
  return length;
}

/// The queries and keys that belong together: those of a batch, or of one sequence of `offsets`.
struct Span {
  int64_t first, queries, keys;
};

/// The span of each query. Queries that no sequence has get one without keys.
FailureOr<std::vector<Span>> spansOf(const Tensor *offsets, int64_t queries, int64_t keys, int64_t longest,
                                     Scope &scope) {
  std::vector<Span> spans(queries, {0, queries, keys});
  if (!offsets)
    return spans;
  int64_t count = offsets->size() - 1;
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = int64_t(offsets->integer(i)), end = int64_t(offsets->integer(i + 1));
    if (first < 0 || end < first || end - first > longest || end > queries)
      return FailureOr<std::vector<Span>>(scope.fail("sequence " + Twine(i) + " from " + Twine(first) + " to " + Twine(end) +
                                                     " is longer than " + Twine(longest) + " or outside of " + Twine(queries) +
                                                     " positions"));
    std::fill(spans.begin() + first, spans.begin() + end, Span{first, end - first, end - first});
  }
  if (count < 0 || offsets->integer(0) != 0 || offsets->integer(count) != queries)
    return FailureOr<std::vector<Span>>(scope.fail("offsets do not go from 0 to " + Twine(queries)));
  return spans;
}

} // namespace

Result reference::evaluate(tfm::AttentionOp op, Operands in, Scope &scope) {
  Heads q(in[0], op.getNumHeads()), k(in[1], op.getNumKvHeads()), v(in[2], op.getNumKvHeads());
  int64_t batch = in[0].dim(0), group = q.heads / k.heads;
  if (in[1].dim(0) != batch || in[2].dim(0) != batch || k.sequence != v.sequence ||
      q.size != k.size)
    return scope.fail("query " + str(in[0].shape()) + ", key " + str(in[1].shape()) +
                      " and value " + str(in[2].shape()) + " do not fit");
  FailureOr<int64_t> keys = keyCount(op, k.sequence, scope);
  if (failed(keys))
    return failure();
  Shape scoreShape = {batch, q.heads, q.sequence, *keys}, maskStrides;
  const Tensor *mask = op.getMask() ? &in[3] : nullptr;
  if (mask) {
    if (broadcastShapes(mask->shape(), scoreShape) != scoreShape)
      return scope.fail("mask " + str(mask->shape()) + " does not broadcast to the scores " +
                        str(scoreShape));
    maskStrides = broadcastStrides(mask->shape(), scoreShape);
  }
  FailureOr<int64_t> longest = op.getLongest() ? scope.value(*op.getLongest()) : *keys;
  if (failed(longest))
    return failure();
  auto spans = spansOf(op.getOffsets() ? &in[3] : nullptr, q.sequence, *keys, *longest, scope);
  if (failed(spans))
    return failure();
  Shape shape(in[0].shape());
  shape.back() = in[0].rank() == 3 ? q.heads * v.size : v.size;
  Tensor result(op.getType().getElementType(), shape);
  double scale = op.getScale().convertToFloat();
  double softcap = op.getSoftcap() ? op.getSoftcap()->convertToFloat() : 0;
  std::vector<double> scores, sum(v.size);
  forEachIndex({batch, q.heads, q.sequence}, {Shape{1, 0, 0}, Shape{0, 1, 0}, Shape{0, 0, 1}},
               [&](int64_t, ArrayRef<int64_t> at) {
                 int64_t b = at[0], h = at[1], i = at[2];
                 auto [first, queries, keys] = (*spans)[i];
                 Reach reach(op, i - first + (keys - queries), keys);
                 scores.resize(keys);
                 bool seesNone = true;
                 for (int64_t j = 0; j < keys; ++j) {
                   double term = maskTerm(mask, maskStrides, b, h, i, j);
                   bool hidden = term == -kInfinity || !reach.sees(j);
                   seesNone &= hidden;
                   double score = scale * dot(q.row(b, h, i), k.row(b, h / group, first + j), q.size);
                   score = softcap ? softcap * std::tanh(score / softcap) : score;
                   scores[j] = hidden ? -kInfinity : score + term;
                 }
                 softmaxOrEmpty(scores, seesNone, op.getEmptyRows());
                 llvm::fill(sum, 0);
                 for (int64_t j = 0; j < keys; ++j)
                   for (int64_t d = 0; d < v.size; ++d)
                     sum[d] += scores[j] * v.row(b, h / group, first + j)[d];
                 int64_t to = in[0].rank() == 3 ? ((b * q.sequence + i) * q.heads + h) * v.size
                                                : ((b * q.heads + h) * q.sequence + i) * v.size;
                 for (int64_t d = 0; d < v.size; ++d)
                   result.setNumber(to + d, sum[d]);
               });
  return result;
}
