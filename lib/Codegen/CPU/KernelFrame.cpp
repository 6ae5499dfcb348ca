//===- KernelFrame.cpp - dimensions as i64 values ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/KernelFrame.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Dimensions may be differences: rounds towards minus infinity. Where a size is 0 the quotient belongs to an empty tensor and
/// any value will do, but the division must not trap.
static Value floorDiv(KernelBuilder &b, Value x, Value y) {
  if (!matchPattern(y, m_Constant()))
    y = b.select(b.equal(y, b.i64(0)), b.i64(1), y);
  return b.createOrFold<arith::FloorDivSIOp>(x, y);
}

static Value emitBinary(KernelBuilder &b, tfm::DimKind kind, Value x, Value y) {
  switch (kind) {
  case tfm::DimKind::Add:
    return b.add(x, y);
  case tfm::DimKind::Mul:
    return b.mul(x, y);
  case tfm::DimKind::FloorDiv:
    return floorDiv(b, x, y);
  case tfm::DimKind::Mod:
    return b.sub(x, b.mul(floorDiv(b, x, y), y));
  case tfm::DimKind::Max:
    return b.max(x, y);
  case tfm::DimKind::Min:
    return b.min(x, y);
  case tfm::DimKind::Constant:
  case tfm::DimKind::Symbol:
    break;
  }
  llvm_unreachable("leaves have no operands");
}

Value KernelFrame::emit(tfm::DimExprAttr expr) {
  if (expr.getKind() == tfm::DimKind::Constant)
    return b.i64(expr.getValue());
  if (expr.getKind() == tfm::DimKind::Symbol) {
    for (auto [index, symbol] : llvm::enumerate(op.getSymbols()))
      if (cast<StringAttr>(symbol) == expr.getName())
        return b.scalar(index);
    llvm::report_fatal_error("internal error: kernel " + op.getSymName() + " has no symbol " +
                             expr.str());
  }
  Value result = emit(expr.operand(0));
  for (unsigned i = 1; i < expr.getOperands().size(); ++i)
    result = emitBinary(b, expr.getKind(), result, emit(expr.operand(i)));
  return result;
}

Value KernelFrame::product(Value tensor, unsigned first, unsigned last) {
  tfm::Dims all = dims(tensor);
  return emit(tfm::DimExprAttr::product(op.getContext(), ArrayRef(all).slice(first, last - first)));
}
