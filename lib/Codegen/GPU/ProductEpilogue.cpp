//===- ProductEpilogue.cpp - what happens to the results of a linear layer -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ProductEpilogue.h"
#include "../CPU/ElementOps.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

ProductEpilogue::ProductEpilogue(KernelFrame &frame, tfm::LinearOp linear)
    : frame(frame), b(frame.builder()), linear(linear), expressions(frame, linear.getResult()),
      columns(cast<RankedTensorType>(linear.getWeight().getType()).getDimSize(1)) {}

void ProductEpilogue::operator()(Value row, Value column, Value results) {
  if (columns % 4 == 0)
    return store({row, column, 4}, results);
  for (int64_t i = 0; i < 4; ++i) {
    Value own = b.add(column, i);
    b.ifThen(b.less(own, b.i64(columns)),
             [&] { store({row, own, 0}, vector::ExtractOp::create(b, results, i)); });
  }
}

void ProductEpilogue::store(const ExprSite &site, Value product) {
  if (Value bias = linear.getBias())
    product = b.addf(product, expressions.emitVector(bias, site));
  if (!linear.isIntegral())
    product = emitActivation(b, linear.getActivation(), product);
  Value position = b.add(b.mul(site.row, columns), site.column);
  for (auto [index, value] : llvm::enumerate(frame.kernel().yielded())) {
    Element e = Element::of(value);
    Value stored = expressions.emitVector(value, site, linear.getResult(), product);
    Value pointer = b.at(frame.result(index), b.mul(position, e.bytes()));
    if (!site.lanes) {
      ElementOps(b).store(e, stored, pointer);
      continue;
    }
    // Rows are whole fours; LLVM does not see it where the ways of few and many rows meet.
    ElementOps(b).storeLanes(e, stored, pointer, site.lanes);
    if (auto store = dyn_cast<LLVM::StoreOp>(*std::prev(b.getInsertionPoint())))
      store.setAlignment(4 * e.bytes());
  }
}
