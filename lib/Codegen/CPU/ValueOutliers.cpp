//===- ValueOutliers.cpp - few elements of a row times codes -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Tfm/Outliers.h"
#include "Tfm/Panels.h"
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// For each step of a dword what moves its byte to the upper end, where an arithmetic shift extends its sign, or for codes without sign
/// to the lower end, and zeros elsewhere: the operand of a shuffle of bytes.
static std::string stepShuffles(Element e, int64_t steps, int64_t vectorBytes) {
  constexpr char kZero = char(0x80);
  std::string bytes(steps * vectorBytes, kZero);
  for (int64_t step = 0; step < steps; ++step)
    for (int64_t lane = 0; lane < vectorBytes; lane += 4)
      bytes[step * vectorBytes + lane + (e.isUnsigned() ? 0 : 3)] = char(lane % 16 + step); // within 16 bytes
  return bytes;
}

/// Codes [k, n ..] of a weight in panels as f32, one for each lane: a lane's dword holds its column's codes of four
/// steps. `shuffles` is the table of stepShuffles.
static Value codesInPanel(ValueEmitter &values, Value weight, Value k, Value n, Value shuffles) {
  KernelBuilder &b = values.builder();
  Element e = Element::of(weight);
  int64_t steps = tfm::panelPairing(e.stored), vectorBytes = b.target().lanes() * 4;
  Value rows = b.ceilDiv(values.extent(values.dims(weight)[0]), steps);
  Value panelRow = b.add(b.mul(b.div(n, tfm::kPanelColumns), rows), b.div(k, steps));
  Value dword = b.add(b.mul(panelRow, tfm::kPanelColumns), b.rem(n, tfm::kPanelColumns));
  if (b.target().isGpuThread()) { // shifts by a number in a register cost what any do
    auto shift = [&](int64_t first, int64_t byStep) { return b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), b.add(b.mul(b.rem(k, steps), byStep), first))); };
    Value dwords = b.load(b.intVectorType(), b.at(values.kernelFrame().argument(weight), b.mul(dword, 4)), 16);
    Value upper = arith::ShLIOp::create(b, dwords, shift(24, -8));
    Value spare = arith::ConstantOp::create(b, b.intVectorType(), DenseElementsAttr::get(b.intVectorType(), b.getI32IntegerAttr(24)));
    Value numbers = e.isUnsigned() ? arith::ShRUIOp::create(b, upper, spare).getResult() : arith::ShRSIOp::create(b, upper, spare).getResult();
    return arith::SIToFPOp::create(b, b.vectorType(), numbers);
  }
  auto bytes = VectorType::get(vectorBytes, b.getI8Type());
  Value codes = b.load(bytes, b.at(values.kernelFrame().argument(weight), b.mul(dword, 4)), 4);
  Value shuffle = b.load(bytes, b.at(shuffles, b.mul(b.rem(k, steps), vectorBytes)), vectorBytes);
  auto name = b.getStringAttr(b.target().isAvx512() ? "llvm.x86.avx512.pshuf.b.512" : "llvm.x86.avx2.pshuf.b");
  Value moved = LLVM::CallIntrinsicOp::create(b, bytes, name, ValueRange{codes, shuffle}).getResult(0);
  Value numbers = LLVM::BitcastOp::create(b, b.intVectorType(), moved);
  if (!e.isUnsigned())
    numbers = arith::ShRSIOp::create(b, numbers, arith::ConstantOp::create(b, b.intVectorType(), DenseElementsAttr::get(b.intVectorType(), b.getI32IntegerAttr(24))));
  return arith::SIToFPOp::create(b, b.vectorType(), numbers);
}

Value ValueEmitter::emitOutlierLinear(Operation *operation, const Site &site) {
  auto op = cast<tfm::OutlierLinearOp>(operation);
  Value weight = op.getWeight();
  Site full = site.form == Site::Form::Rows ? site : toFull(site, dims(op.getResult()));
  int last = full.indices.size() - 1;
  bool isPacked = isa<BlockArgument>(weight) && cast<RankedTensorType>(weight.getType()).getEncoding();
  if (full.isVector() && (full.lane != last || !full.aligned || !isPacked))
    return lose(op, site);
  Element f32 = Element::of(b.getF32Type());
  Value n = full.indices[last], end = b.sub(extent(dims(weight)[0]), 1), sum = ops.constant(f32, 0.0);
  Value shuffles;
  if (full.isVector())
    sum = ops.toVector(sum);
  if (full.isVector() && !b.target().isGpuThread()) {
    Element e = Element::of(weight);
    shuffles = tableOf(op, [&] { return stepShuffles(e, tfm::panelPairing(e.stored), b.target().lanes() * 4); });
  }
  for (int64_t r = 0, count = *dims(op.getPositions()).back().asConstant(); r < count; ++r) {
    Site few = full;
    few.lane = -1, few.aligned = false, few.mask = {};
    few.indices[last] = b.i64(r);
    // -1 and what is beyond the weight become the last row.
    Value k = arith::MinUIOp::create(b, arith::ExtSIOp::create(b, b.getI64Type(), at(op.getPositions(), few)), end);
    Value x = at(op.getValues(), few);
    Value code = full.isVector() ? codesInPanel(*this, weight, k, n, shuffles) : ops.cast(Element::of(weight), f32, at(weight, Site::full({k, n})));
    ops.match(x, code);
    ops.match(x, sum);
    sum = b.fma(x, code, sum);
  }
  return sum;
}
