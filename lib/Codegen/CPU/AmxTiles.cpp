//===- AmxTiles.cpp - tile registers by number -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AmxTiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy::codegen;
using namespace mlir;

void AmxTiles::call(StringRef name, ArrayRef<unsigned> tiles, ArrayRef<Value> operands) {
  SmallVector<Value> arguments;
  for (unsigned tile : tiles)
    arguments.push_back(arith::ConstantOp::create(b, b.getI8IntegerAttr(tile)));
  llvm::append_range(arguments, operands);
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr("llvm.x86." + name), arguments);
}

void AmxTiles::configure(ArrayRef<Shape> shapes) {
  assert(b.target().hasAmx() && shapes.size() <= kTiles);
  // Palette 1: byte 0; bytes of a row: 16 bits each from byte 16; rows: a byte each from byte 48.
  std::array<uint8_t, 64> bytes = {1};
  for (auto [tile, shape] : llvm::enumerate(shapes)) {
    bytes[16 + 2 * tile] = shape.rowBytes;
    bytes[48 + tile] = shape.rows;
  }
  SmallVector<int32_t> words(16);
  memcpy(words.data(), bytes.data(), bytes.size());
  Value memory = b.stackBuffer(bytes.size());
  auto attr = DenseElementsAttr::get(b.intVectorType(), ArrayRef<int32_t>(words));
  b.store(arith::ConstantOp::create(b, attr), memory, 64);
  call("ldtilecfg", {}, memory);
}

void AmxTiles::configure() { configure(SmallVector<Shape>(kTiles)); }

void AmxTiles::release() { call("tilerelease", {}); }

void AmxTiles::zero(unsigned tile) { call("tilezero", tile); }

void AmxTiles::load(unsigned tile, Value pointer, Value stride) {
  call("tileloadd64", tile, {pointer, stride});
}

void AmxTiles::loadStream(unsigned tile, Value pointer, Value stride) {
  call("tileloaddt164", tile, {pointer, stride});
}

void AmxTiles::store(unsigned tile, Value pointer, Value stride) {
  call("tilestored64", tile, {pointer, stride});
}

void AmxTiles::multiply(unsigned c, unsigned a, unsigned b) { call("tdpbf16ps", {c, a, b}); }

void AmxTiles::multiplyIntegers(unsigned c, unsigned a, unsigned b, bool aSigned, bool bSigned) {
  call(aSigned ? (bSigned ? "tdpbssd" : "tdpbsud") : (bSigned ? "tdpbusd" : "tdpbuud"), {c, a, b});
}
