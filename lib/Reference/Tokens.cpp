//===- Tokens.cpp - scoring, merging and unmerging tokens --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

/// The tokens [n][size] of one sequence, averaged over heads and divided by their length.
static std::vector<double> metricOf(const Tensor &metric, int64_t batch, int64_t heads) {
  int64_t n = metric.dim(1), width = metric.dim(2), size = width / heads;
  std::vector<double> result(n * size);
  for (int64_t i = 0; i < n; ++i) {
    double squares = 0, *row = &result[i * size];
    for (int64_t j = 0; j < size; ++j) {
      for (int64_t h = 0; h < heads; ++h)
        row[j] += metric.number((batch * n + i) * width + h * size + j);
      row[j] /= double(heads);
      squares += row[j] * row[j];
    }
    for (int64_t j = 0; squares > 0 && j < size; ++j)
      row[j] /= std::sqrt(squares);
  }
  return result;
}

/// The best target of a source, and how good it is.
struct Match {
  int64_t target;
  double score;
};

static Match bestTarget(const std::vector<double> &metric, int64_t size, int64_t source,
                        ArrayRef<int64_t> targets) {
  Match best{targets.front(), -std::numeric_limits<double>::infinity()};
  for (int64_t target : targets) {
    double score = 0;
    for (int64_t j = 0; j < size; ++j)
      score += metric[source * size + j] * metric[target * size + j];
    if (score > best.score)
      best = {target, score};
  }
  return best;
}

/// Writes the map of one sequence.
static void matchTokens(tfm::TokenScoreOp op, const Tensor &metric, int64_t batch, int64_t removed,
                        Tensor &map) {
  int64_t n = metric.dim(1), first = op.getProtectedTokens();
  int64_t size = metric.dim(2) / int64_t(op.getNumHeads());
  SmallVector<int64_t> sources, targets, place(n, -1);
  for (int64_t i = first; i < n; ++i)
    (i % 2 ? targets : sources).push_back(i);
  std::vector<double> tokens = metricOf(metric, batch, op.getNumHeads());
  SmallVector<Match> matches;
  for (int64_t source : sources)
    if (removed)
      matches.push_back(bestTarget(tokens, size, source, targets));
  auto order = ranking(
      matches.size(), [&](int64_t i) { return matches[i].score; }, /*smallest=*/false);
  SmallVector<bool> goes(sources.size());
  for (int64_t i : ArrayRef(order).take_front(removed))
    goes[i] = true;
  int64_t next = 0;
  for (; next < std::min(first, n); ++next)
    place[next] = next;
  for (auto [source, isGone] : llvm::zip(sources, goes))
    if (!isGone)
      place[source] = next++;
  for (int64_t target : targets)
    place[target] = next++;
  for (auto [i, isGone] : llvm::enumerate(goes))
    if (isGone && !op.getPrune())
      place[sources[i]] = place[matches[i].target];
  for (int64_t i = 0; i < n; ++i)
    map.setInteger(batch * n + i, place[i]);
}

Result reference::evaluate(tfm::TokenScoreOp op, Operands in, Scope &scope) {
  const Tensor &metric = in[0];
  int64_t n = metric.dim(1), first = op.getProtectedTokens();
  FailureOr<int64_t> kept = scope.value(op.getTokens());
  if (failed(kept))
    return failure();
  int64_t removed = n - *kept, most = std::max<int64_t>(n - first, 0) / 2;
  if (removed < 0 || removed > most)
    return scope.fail(Twine(removed) + " of " + Twine(n) + " tokens cannot go; between 0 and " +
                      Twine(most) + " can");
  Tensor map(getElementTypeOrSelf(op.getType()), {metric.dim(0), n});
  for (int64_t batch = 0; batch < metric.dim(0); ++batch)
    matchTokens(op, metric, batch, removed, map);
  return map;
}

/// Where token `i` of a map goes, -1 for nowhere; an entry outside of [-1, tokens) fails.
static FailureOr<int64_t> placeAt(const Tensor &map, int64_t i, int64_t tokens, Scope &scope) {
  Wide place = map.integer(i);
  if (place < -1 || place >= tokens)
    return scope.fail("the map sends a token to " + Twine(int64_t(place)) + " of " +
                      Twine(tokens));
  return int64_t(place);
}

Result reference::evaluate(tfm::TokenMergeOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0], &map = in[1];
  FailureOr<int64_t> tokens = scope.value(op.getTokens());
  if (failed(tokens))
    return failure();
  int64_t n = x.dim(1), inner = product(x.shape().drop_front(2));
  Shape shape(x.shape());
  shape[1] = *tokens;
  std::vector<double> sums(product(shape)), totals(x.dim(0) * *tokens);
  for (int64_t i = 0; i < map.size(); ++i) {
    FailureOr<int64_t> place = placeAt(map, i, *tokens, scope);
    if (failed(place))
      return failure();
    if (*place < 0)
      continue;
    int64_t to = i / n * *tokens + *place;
    double size = op.getSizes() ? in[2].number(i) : 1;
    totals[to] += size;
    for (int64_t j = 0; j < inner; ++j)
      sums[to * inner + j] += size * x.number(i * inner + j);
  }
  Tensor result(x.elementType(), shape);
  for (int64_t i = 0; i < result.size(); ++i) {
    double total = totals[i / inner];
    result.setNumber(i, op.getSum() || total == 0 ? sums[i] : sums[i] / total);
  }
  return result;
}

Result reference::evaluate(tfm::TokenUnmergeOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0], &map = in[1];
  int64_t tokens = x.dim(1), n = map.dim(1), inner = product(x.shape().drop_front(2));
  Shape shape(x.shape());
  shape[1] = n;
  Tensor result(x.elementType(), shape);
  for (int64_t i = 0; i < map.size(); ++i) {
    FailureOr<int64_t> place = placeAt(map, i, tokens, scope);
    if (failed(place))
      return failure();
    int64_t from = (i / n * tokens + *place) * inner;
    for (int64_t j = 0; j < inner; ++j)
      result.setNumber(i * inner + j, *place < 0 ? 0 : x.number(from + j));
  }
  return result;
}
