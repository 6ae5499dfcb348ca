//===- Dense.cpp - products and factors of dense matrices --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Dense.h"

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Solvers/Threads.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

namespace permalloy::solvers {

//===-- The product -------------------------------------------------------===//

/// A tile of `R` rows and two vectors of `Bytes` each. Inlined into functions that have the instructions.
template <class T, int Bytes, int R>
[[gnu::always_inline]] static inline void tile(T *c, int64_t stride, const T *a, const T *b, int64_t depth, T sign) {
  typedef T Vector __attribute__((vector_size(Bytes)));
  typedef T Loose __attribute__((vector_size(Bytes), aligned(alignof(T)), may_alias));
  constexpr int lanes = Bytes / sizeof(T);
  Vector sum[R][2] = {};
  for (int64_t d = 0; d < depth; ++d, a += R, b += 2 * lanes) {
    Vector left = *reinterpret_cast<const Loose *>(b), right = *reinterpret_cast<const Loose *>(b + lanes);
#pragma clang loop unroll(full)
    for (int r = 0; r < R; ++r) {
      sum[r][0] += a[r] * left;
      sum[r][1] += a[r] * right;
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < R; ++r) {
    auto *out = reinterpret_cast<Loose *>(c + r * stride);
    out[0] += sign * sum[r][0];
    out[1] += sign * sum[r][1];
  }
}

/// Packs `count` of up to `width` columns from `x` on, zeros behind them: strided rows would share few sets of the cache.
template <class T> [[gnu::always_inline]] static inline void packColumns(Rows<const T> x, int64_t count, int64_t width, int64_t depth, T *out) {
  for (int64_t d = 0; d < depth; ++d, out += width) {
    std::memcpy(out, x[d], count * sizeof(T));
    std::memset(out + count, 0, (width - count) * sizeof(T));
  }
}

template <class T> struct Operands {
  Rows<T> c;
  Rows<const T> a, b;
  int64_t m, n, depth;
  T sign;
  T *scratch; ///< scratchSize elements
};

/// Most rows and columns of a tile, on any CPU.
static constexpr int64_t kTileRows = 8, kTileBytes = 128;

template <class T> static int64_t scratchSize(int64_t m, int64_t depth) {
  constexpr int64_t columns = kTileBytes / sizeof(T);
  return (m + kTileRows) * depth + columns * depth + kTileRows * columns;
}

template <class T, int Bytes, int R> [[gnu::always_inline]] static inline void product(const Operands<T> &p) {
  constexpr int64_t columns = 2 * Bytes / sizeof(T);
  T *packedB = p.scratch, *edge = packedB + columns * p.depth, *packedA = edge + kTileRows * columns;
  for (int64_t i = 0; i < p.m; i += R)
    packColumns<T>(p.a.from(0, i), std::min<int64_t>(R, p.m - i), R, p.depth, packedA + i * p.depth);
  for (int64_t j = 0; j < p.n; j += columns) {
    int64_t width = std::min(columns, p.n - j);
    packColumns<T>(p.b.from(0, j), width, columns, p.depth, packedB);
    for (int64_t i = 0; i < p.m; i += R) {
      int64_t height = std::min<int64_t>(R, p.m - i);
      if (height == R && width == columns) {
        tile<T, Bytes, R>(p.c[i] + j, p.c.stride, packedA + i * p.depth, packedB, p.depth, p.sign);
        continue;
      }
      std::memset(edge, 0, R * columns * sizeof(T));
      tile<T, Bytes, R>(edge, columns, packedA + i * p.depth, packedB, p.depth, p.sign);
      for (int64_t r = 0; r < height; ++r)
        for (int64_t l = 0; l < width; ++l)
          p.c[i + r][j + l] += edge[r * columns + l];
    }
  }
}

/// Rank one needs no tiles: a row of b goes to every row of c.
template <class T> [[gnu::always_inline]] static inline void outer(const Operands<T> &p) {
  for (int64_t i = 0; i < p.m; ++i) {
    T factor = p.sign * p.a[0][i], *c = p.c[i];
    const T *b = p.b[0];
    for (int64_t j = 0; j < p.n; ++j)
      c[j] += factor * b[j];
  }
}

template <class T> __attribute__((target("avx512f,avx512vl,avx2,fma"))) static void productAvx512(const Operands<T> &p) {
  p.depth == 1 ? outer(p) : product<T, 64, 8>(p);
}
template <class T> __attribute__((target("avx2,fma"))) static void productAvx2(const Operands<T> &p) {
  p.depth == 1 ? outer(p) : product<T, 32, 6>(p);
}
template <class T> static void productSse(const Operands<T> &p) { p.depth == 1 ? outer(p) : product<T, 16, 4>(p); }

template <class T> static void dispatch(const Operands<T> &p) {
  static const CpuFeatureMask host = hostCpuFeatures();
  constexpr CpuFeatureMask avx2 = featureBit(CpuFeature::avx2) | featureBit(CpuFeature::fma);
  constexpr CpuFeatureMask avx512 = avx2 | featureBit(CpuFeature::avx512f) | featureBit(CpuFeature::avx512vl);
  if ((host & avx512) == avx512)
    productAvx512(p);
  else if ((host & avx2) == avx2)
    productAvx2(p);
  else
    productSse(p);
}

/// Steps of depth at a time: two vectors of b then take half of the first cache.
static constexpr int64_t kDepth = 128;

template <class T> static void addProductOf(Rows<T> c, Rows<const T> a, Rows<const T> b, int64_t m, int64_t n, int64_t depth, T sign) {
  std::vector<T> scratch(depth == 1 ? 0 : scratchSize<T>(m, std::min(depth, kDepth)));
  for (int64_t d = 0; d < depth; d += kDepth)
    dispatch<T>({c, a.from(d, 0), b.from(d, 0), m, n, std::min(kDepth, depth - d), sign, scratch.data()});
}

void addProduct(Rows<float> c, Rows<const float> a, Rows<const float> b, int64_t m, int64_t n, int64_t depth, float sign) {
  addProductOf(c, a, b, m, n, depth, sign);
}
void addProduct(Rows<double> c, Rows<const double> a, Rows<const double> b, int64_t m, int64_t n, int64_t depth, double sign) {
  addProductOf(c, a, b, m, n, depth, sign);
}

//===-- What is made of it ------------------------------------------------===//

/// Products that take as long as it does to start a thread, several times.
static constexpr double kThreadedProducts = 1e7;
/// Rows of a block.
static constexpr int64_t kBlock = 96;

void addGram(float *gram, const float *x, int64_t rows, int64_t k) {
  Rows<const float> in{x, k};
  Rows<float> out{gram, k};
  auto body = [&](int64_t block) {
    int64_t i = block * kBlock;
    addProduct(out.from(i, i), in.from(0, i), in.from(0, i), std::min(kBlock, k - i), k - i, rows);
  };
  int64_t blocks = (k + kBlock - 1) / kBlock;
  if (double(rows) * k * k > kThreadedProducts)
    return parallelFor(blocks, body);
  for (int64_t block = 0; block < blocks; ++block)
    body(block);
}

/// The factor of the block on the diagonal, and the rows of U right of it.
static bool factorBlock(Rows<double> a, int64_t size, int64_t width) {
  for (int64_t i = 0; i < size; ++i) {
    double *row = a[i], pivot = row[i];
    if (!(pivot > 0) || !std::isfinite(pivot))
      return false;
    double scale = 1 / std::sqrt(pivot);
    for (int64_t j = i; j < width; ++j)
      row[j] *= scale;
    addProduct(a.from(i + 1, i + 1), {row + i + 1, 0}, {row + i + 1, 0}, size - i - 1, width - i - 1, 1, -1);
  }
  return true;
}

bool factorUpper(double *a, int64_t k) {
  Rows<double> rows{a, k};
  for (int64_t i = 0; i < k; i += kBlock) {
    int64_t size = std::min(kBlock, k - i), next = i + size;
    if (!factorBlock(rows.from(i, i), size, k - i))
      return false;
    parallelFor((k - next + kBlock - 1) / kBlock, [&](int64_t block) {
      int64_t j = next + block * kBlock;
      Rows<const double> u{rows[i] + j, k};
      addProduct(rows.from(j, j), u, u, std::min(kBlock, k - j), k - j, size, -1);
    });
  }
  return true;
}

void invertTransposed(const double *u, double *inverse, int64_t k) {
  // Row i of L^-1, L = U^T, is (e_i - sum over l < i of L_il row_l) / L_ii: by blocks of rows, and columns are independent.
  std::fill_n(inverse, k * k, 0.0);
  Rows<const double> factor{u, k};
  Rows<double> out{inverse, k};
  auto columns = [&](int64_t block) {
    int64_t j = block * kBlock, width = std::min(kBlock, k - j);
    for (int64_t i = j; i < k; i += kBlock) {
      int64_t size = std::min(kBlock, k - i);
      addProduct(out.from(i, j), factor.from(j, i), {out[j] + j, k}, size, width, i - j, -1);
      for (int64_t r = i; r < i + size; ++r) {
        addProduct(out.from(r, j), factor.from(i, r), {out[i] + j, k}, 1, width, r - i, -1);
        if (r < j + width)
          out[r][r] += 1;
        double scale = 1 / factor[r][r];
        for (int64_t l = j; l < j + width; ++l)
          out[r][l] *= scale;
      }
    }
  };
  parallelFor((k + kBlock - 1) / kBlock, columns);
}

static thread_local unsigned threadLimit = 0;

ThreadLimit::ThreadLimit(unsigned threads) : before(std::exchange(threadLimit, threads)) {}
ThreadLimit::~ThreadLimit() { threadLimit = before; }

void parallelFor(int64_t count, const std::function<void(int64_t)> &body) {
  static thread_local bool inside = false; // loops within a body run on its thread
  std::atomic<int64_t> next = 0;
  auto work = [&] {
    bool outer = std::exchange(inside, true);
    for (int64_t i; (i = next++) < count;)
      body(i);
    inside = outer;
  };
  if (inside)
    return work();
  std::vector<std::thread> threads;
  int64_t most = threadLimit ? threadLimit : std::thread::hardware_concurrency();
  for (int64_t t = 1, end = std::min(count, most); t < end; ++t)
    threads.emplace_back(work);
  work();
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace permalloy::solvers
