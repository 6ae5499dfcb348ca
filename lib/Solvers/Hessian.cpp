//===- Hessian.cpp - what an error of one weight costs the others *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Hessian.h"

#include "permalloy/Artifact/Hash.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace permalloy::solvers {

namespace {
/// The gram of k inputs in double, its upper triangle, turned round and in order.
struct Turned {
  Turned(std::span<const float> gram, int64_t k, std::span<const int64_t> order) : gram(gram), k(k), order(order) {
    for (int64_t i = 0; i < k; ++i) {
      dead.push_back(at(i, i) == 0);
      mean += at(i, i) / k;
    }
  }
  double at(int64_t i, int64_t j) const {
    int64_t row = order.empty() ? i : order[i], column = order.empty() ? j : order[j];
    return gram[std::min(row, column) * k + std::max(row, column)];
  }
  /// False where it is not positive definite.
  bool factor(double damping, std::vector<double> &out) const {
    out.resize(k * k);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = i; j < k; ++j)
        out[i * k + j] = at(k - 1 - i, k - 1 - j);
    for (int64_t i = 0; i < k; ++i)
      out[i * k + i] += (dead[k - 1 - i] ? 1 : 0) + damping * mean;
    return factorUpper(out.data(), k);
  }

  std::span<const float> gram;
  int64_t k;
  std::span<const int64_t> order;
  std::vector<bool> dead;
  double mean = 0;
};
} // namespace

static std::shared_ptr<const InverseFactor> compute(std::span<const float> gram, int64_t k, std::span<const int64_t> order) {
  Turned turned(gram, k, order);
  std::vector<double> factor;
  double damping = 0.01;
  while (!turned.factor(damping, factor))
    if ((damping *= 10) > 1)
      return nullptr;
  std::vector<double> inverse(k * k);
  invertTransposed(factor.data(), inverse.data(), k);
  auto result = std::make_shared<InverseFactor>(InverseFactor{k, std::vector<float>(k * k), turned.dead, damping});
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = i; j < k; ++j)
      result->u[i * k + j] = static_cast<float>(inverse[(k - 1 - i) * k + k - 1 - j]);
  bool finite = std::all_of(result->u.begin(), result->u.end(), [](float x) { return std::isfinite(x); });
  return finite ? result : nullptr;
}

std::shared_ptr<const InverseFactor> inverseFactor(std::span<const float> gram, int64_t k, std::span<const int64_t> order) {
  static std::mutex mutex;
  static Hash128 lastKey;
  static std::shared_ptr<const InverseFactor> last;
  Hasher128 hasher;
  hasher.update(gram.data(), gram.size_bytes());
  hasher.update(order.data(), order.size_bytes());
  Hash128 key = hasher.digest();
  std::lock_guard<std::mutex> lock(mutex);
  if (last && last->k == k && lastKey == key)
    return last;
  last = nullptr; // not two at once
  last = compute(gram, k, order);
  lastKey = key;
  return last;
}

double quadraticLoss(std::span<const float> gram, std::span<const float> d, int64_t k, int64_t n) {
  // By strips of columns: sum of d * (G d), G d from the upper triangle and, below it, its transpose.
  constexpr int64_t strip = 64;
  std::vector<float> symmetric(gram.begin(), gram.end());
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < i; ++j)
      symmetric[i * k + j] = gram[j * k + i];
  std::vector<double> losses((n + strip - 1) / strip);
  parallelFor(losses.size(), [&](int64_t s) {
    int64_t column = s * strip, width = std::min(strip, n - column);
    std::vector<float> product(k * width);
    addProduct({product.data(), width}, {symmetric.data(), k}, {d.data() + column, n}, k, width, k);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t c = 0; c < width; ++c)
        losses[s] += double(d[i * n + column + c]) * product[i * width + c];
  });
  double sum = 0;
  for (double loss : losses)
    sum += loss;
  return std::max(sum, 0.0);
}

} // namespace permalloy::solvers
