//===- OpenBlas.cpp - products of OpenBLAS ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Yardsticks.h"

#include <memory>

#include <cblas.h>

namespace permalloy::benchmarks {

std::function<void()> openBlasProduct(const ProductShape &shape) {
  if (shape.element != Element::f32)
    return {}; // this version's bf16 products are not made for this CPU
  openblas_set_num_threads(1);
  auto [m, n, k, element] = shape;
  auto a = std::make_shared<Memory>(m * k, element, 0), w = std::make_shared<Memory>(k * n, element, 1),
       c = std::make_shared<Memory>(m * n, element, 2);
  return [=, m = m, n = n, k = k] {
    if (m == 1)
      cblas_sgemv(CblasRowMajor, CblasTrans, k, n, 1, w->f32(), n, a->f32(), 1, 0, c->f32(), 1);
    else
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a->f32(), k, w->f32(), n, 0,
                  c->f32(), n);
  };
}

} // namespace permalloy::benchmarks
