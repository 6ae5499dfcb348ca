//===- Experts.cpp - mixtures of experts and their parts ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"
#include "Multiply.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

/// The stacked matrices of a weight as doubles.
static std::vector<double> matricesOf(const Tensor &weight) {
  return (weight.isPacked() ? unpack(weight) : weight).numbers();
}

/// What the chosen experts of one token count.
static SmallVector<double> weightsOf(const Tensor &logits, int64_t token,
                                     ArrayRef<int64_t> experts, tfm::MoeScore score,
                                     bool normalize) {
  int64_t count = logits.shape().back();
  auto logit = [&](int64_t e) { return logits.number(token * count + e); };
  double max = logit(experts.front()), sum = 0;
  for (int64_t e = 0; score == tfm::MoeScore::Softmax && e < count; ++e)
    max = std::max(max, logit(e));
  SmallVector<double> weights;
  for (int64_t e : experts)
    weights.push_back(std::exp(logit(e) - max));
  // The sum over all cancels where the weights are divided by their sum.
  if (score == tfm::MoeScore::TopSoftmax || normalize)
    for (double weight : weights)
      sum += weight;
  else
    for (int64_t e = 0; e < count; ++e)
      sum += std::exp(logit(e) - max);
  for (double &weight : weights)
    weight /= sum;
  return weights;
}

/// One row through one layer of one expert: act(x w + b), or act(first half) * second half.
static std::vector<double> layer(const double *x, const double *weight, const double *bias,
                                 int64_t k, int64_t n, tfm::Activation activation, bool gated) {
  std::vector<double> product(n), result(gated ? n / 2 : n);
  multiplyDense(x, weight, product.data(), 1, k, n);
  for (int64_t i = 0; bias && i < n; ++i)
    product[i] += bias[i];
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = applyActivation(activation, product[i]) * (gated ? product[n / 2 + i] : 1.0);
  return result;
}

Result reference::evaluate(tfm::MoeOp op, Operands in, Scope &) {
  const Tensor &x = in[0], &logits = in[1];
  int64_t d = x.shape().back(), count = logits.shape().back(), f = in[3].dim(1);
  int64_t n = op.getGated() ? 2 * f : f;
  std::vector<double> input = x.numbers(), up = matricesOf(in[2]), down = matricesOf(in[3]);
  std::vector<double> upBias, downBias;
  if (op.getUpBias())
    upBias = in[4].numbers();
  if (op.getDownBias())
    downBias = in.back().numbers();
  auto biasAt = [](const std::vector<double> &bias, int64_t at) {
    return bias.empty() ? nullptr : bias.data() + at;
  };
  Tensor result(op.getType().getElementType(), x.shape());
  for (int64_t token = 0; d && token < x.size() / d; ++token) {
    auto experts = ranking(
        count, [&](int64_t e) { return logits.number(token * count + e); }, /*smallest=*/false);
    experts.truncate(op.getTopK());
    auto weights = weightsOf(logits, token, experts, op.getScore(), op.getNormalize());
    std::vector<double> sum(d);
    for (auto [e, weight] : llvm::zip(experts, weights)) {
      auto hidden = layer(&input[token * d], &up[e * d * n], biasAt(upBias, e * n), d, n,
                          op.getActivation(), op.getGated());
      for (double &value : hidden)
        value = roundTo(x.element(), value);
      auto output = layer(hidden.data(), &down[e * f * d], biasAt(downBias, e * d), f, d,
                          tfm::Activation::None, false);
      for (int64_t i = 0; i < d; ++i)
        sum[i] += weight * output[i];
    }
    for (int64_t i = 0; i < d; ++i)
      result.setNumber(token * d + i, sum[i]);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// The parts of an expanded mixture
//===----------------------------------------------------------------------===//

static FailureOr<int64_t> groupAt(const Tensor &groups, int64_t i, int64_t count, Scope &scope) {
  Wide group = groups.integer(i);
  if (group < 0 || group >= count)
    return scope.fail("group " + Twine(int64_t(group)) + " is outside of " + Twine(count));
  return int64_t(group);
}

Result reference::evaluate(tfm::MoeWeightsOp op, Operands in, Scope &scope) {
  int64_t k = in[1].dim(1);
  Tensor result(in[0].elementType(), in[1].shape());
  for (int64_t token = 0; k && token < in[1].dim(0); ++token) {
    SmallVector<int64_t> experts;
    for (int64_t j = 0; j < k; ++j) {
      FailureOr<int64_t> expert = groupAt(in[1], token * k + j, in[0].dim(1), scope);
      if (failed(expert))
        return failure();
      experts.push_back(*expert);
    }
    auto weights = weightsOf(in[0], token, experts, op.getScore(), op.getNormalize());
    for (int64_t j = 0; j < k; ++j)
      result.setNumber(token * k + j, weights[j]);
  }
  return result;
}

Result reference::evaluate(tfm::GroupByOp op, Operands in, Scope &scope) {
  int64_t groups = op.getGroups(), count = in[0].size(), position = 0;
  Tensor result(getElementTypeOrSelf(op.getType()), {groups + 1 + count});
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t i = 0; i < count; ++i) {
      FailureOr<int64_t> own = groupAt(in[0], i, groups, scope);
      if (failed(own))
        return failure();
      if (*own == group)
        result.setInteger(groups + 1 + position++, i);
    }
    result.setInteger(group + 1, position);
  }
  return result;
}

Result reference::evaluate(tfm::GroupedLinearOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0], &groups = in[1];
  int64_t count = in[2].dim(0), k = in[2].dim(1), n = in[2].dim(2), repeat = op.getRepeat();
  int64_t rows = x.dim(0) * repeat;
  if (groups.size() != count + 1 + rows)
    return scope.fail("groups " + str(groups.shape()) + " do not sort " + Twine(rows) +
                      " rows into " + Twine(count));
  std::vector<double> input = x.numbers(), weight = matricesOf(in[2]), bias;
  if (op.getBias())
    bias = in[3].numbers();
  Tensor result(op.getType().getElementType(), {rows, op.getGated() ? n / 2 : n});
  for (int64_t group = 0; group < count; ++group)
    for (int64_t i = int64_t(groups.integer(group)); i < int64_t(groups.integer(group + 1)); ++i) {
      FailureOr<int64_t> row = groupAt(groups, count + 1 + i, rows, scope);
      if (failed(row))
        return failure();
      auto values = layer(&input[*row / repeat * k], &weight[group * k * n],
                          bias.empty() ? nullptr : &bias[group * n], k, n, op.getActivation(),
                          op.getGated());
      for (auto [j, value] : llvm::enumerate(values))
        result.setNumber(*row * values.size() + j, value);
    }
  return result;
}
