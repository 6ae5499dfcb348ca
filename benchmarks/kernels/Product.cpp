//===- Product.cpp - matrix products ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Kernel.h"
#include "Register.h"
#include "Yardsticks.h"

#include <array>

namespace permalloy::benchmarks {

/// y = x W with x [m, k] of any m and a weight of random numbers.
static std::string moduleOf(const ProductShape &shape) {
  std::string element = nameOf(shape.element), k = std::to_string(shape.k), n = std::to_string(shape.n);
  std::string x = "tensor<?x" + k + "x" + element + ">", w = "tensor<" + k + "x" + n + "x" + element + ">";
  std::string y = "tensor<?x" + n + "xf32>";
  return "module {\n  tfm.weight @w : " + w + " = #tfm.seeded<1, 1.0>\n  func.func @main(%x: " + x +
         " {tfm.name = \"x\", tfm.dims = [#tfm.dim<m>, #tfm.dim<" + k + ">]}) -> (" + y +
         " {tfm.name = \"y\"}) {\n    %w = tfm.get_weight @w : " + w + "\n    %y = tfm.linear %x, %w : (" +
         x + ", " + w + ") -> " + y + "\n    return %y : " + y + "\n  }\n}\n";
}

static Timed ours(const ProductShape &shape) {
  auto kernel = std::make_shared<Kernel>(
      moduleOf(shape), std::vector<Argument>{{"x", {shape.m, shape.k}, shape.element}},
      Argument{"y", {shape.m, shape.n}, Element::f32});
  return [kernel] { return kernel->run(); };
}

static void add(const ProductShape &shape) {
  auto [m, n, k, element] = shape;
  std::string name = std::string("product/") + nameOf(element) + "/" + std::to_string(m) + "x" +
                     std::to_string(k) + "x" + std::to_string(n);
  double bytes = double(bytesOf(element)) * (m * k + k * n) + 4.0 * m * n;
  Work work = {2.0 * m * n * k, bytes};
  registerBenchmark(name, "permalloy", work, [=] { return ours(shape); });
#ifdef PERMALLOY_HAVE_OPENBLAS
  if (element == Element::f32)
    registerBenchmark(name, "openblas", work, [=] { return timed(openBlasProduct(shape)); });
#endif
#ifdef PERMALLOY_HAVE_ONEDNN
  registerBenchmark(name, "onednn", work, [=] { return timed(oneDnnProduct(shape)); });
#endif
}

void registerProducts() {
  for (Element element : {Element::f32, Element::bf16}) {
    // What the models of cases.toml have: MiniLM, BERT and GPT-2, Llama-style, heads.
    for (auto [m, k, n] : {std::array<int64_t, 3>{128, 384, 384}, {128, 384, 1536}, {128, 1536, 384},
                           {1024, 384, 384}, {1024, 384, 1536}, {1024, 1536, 384}, {128, 768, 768},
                           {128, 768, 3072}, {128, 3072, 768}, {197, 768, 768}, {197, 768, 3072},
                           {1024, 768, 768}, {1024, 768, 3072}, {1024, 3072, 768}, {1024, 768, 2048},
                           {1500, 384, 1536}, {128, 768, 50257}})
      add({m, n, k, element});
    for (int64_t size : {512, 1024, 2048, 4096})
      add({size, size, size, element});
    // Decoding: a weight that the caches hold, and one of 512 MB.
    for (int64_t m : {1, 2, 4, 8, 16}) {
      add({m, 3072, 768, element});
      add({m, 131072 / int64_t(bytesOf(element)), 4096, element});
    }
  }
}

} // namespace permalloy::benchmarks
