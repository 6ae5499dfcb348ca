//===- KernelBuilder.cpp - functions, memory and loops ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/KernelBuilder.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy::codegen;
using namespace mlir;

KernelBuilder::KernelBuilder(ModuleOp module, Location loc, StringRef name, const CpuTarget &target,
                             unsigned numBuffers, unsigned numScalars)
    : ImplicitLocOpBuilder(loc, module.getContext()), cpu(&target) {
  setInsertionPointToEnd(module.getBody());
  auto pointer = LLVM::LLVMPointerType::get(getContext());
  Type i64Type = getI64Type();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(getContext()),
                                          {pointer, pointer, i64Type, i64Type, pointer});
  function = LLVM::LLVMFuncOp::create(*this, name, type);
  setInsertionPointToStart(function.addEntryBlock(*this));
  for (unsigned i = 0; i < numBuffers; ++i)
    buffers.push_back(load(pointer, at(function.getArgument(0), 8 * i), 8));
  for (unsigned i = 0; i < numScalars; ++i)
    scalars.push_back(load(i64Type, at(function.getArgument(1), 8 * i), 8));
  firstTile = function.getArgument(2);
  lastTile = function.getArgument(3);
  memory = function.getArgument(4);
}

void KernelBuilder::finish() { LLVM::ReturnOp::create(*this, ValueRange()); }

Value KernelBuilder::i64(int64_t value) {
  return arith::ConstantOp::create(*this, getI64IntegerAttr(value));
}
Value KernelBuilder::f32(float value) { return emitConstant(*this, getF32Type(), value); }
Value KernelBuilder::splat(float value) { return emitConstant(*this, vectorType(), value); }
Value KernelBuilder::add(Value x, Value y) { return createOrFold<arith::AddIOp>(x, y); }
Value KernelBuilder::sub(Value x, Value y) { return createOrFold<arith::SubIOp>(x, y); }
Value KernelBuilder::mul(Value x, Value y) { return createOrFold<arith::MulIOp>(x, y); }
template <typename Op> Value KernelBuilder::divide(Value x, Value y) {
  if (!hasShortDivision || x.getType().isInteger(32))
    return createOrFold<Op>(x, y);
  auto low = [&](Value v) { return createOrFold<arith::TruncIOp>(getI32Type(), v); };
  return createOrFold<arith::ExtUIOp>(getI64Type(), createOrFold<Op>(low(x), low(y)));
}
Value KernelBuilder::div(Value x, Value y) { return divide<arith::DivUIOp>(x, y); }
Value KernelBuilder::rem(Value x, Value y) { return divide<arith::RemUIOp>(x, y); }
Value KernelBuilder::min(Value x, Value y) { return createOrFold<arith::MinSIOp>(x, y); }
Value KernelBuilder::max(Value x, Value y) { return createOrFold<arith::MaxSIOp>(x, y); }
Value KernelBuilder::less(Value x, Value y) {
  return createOrFold<arith::CmpIOp>(arith::CmpIPredicate::slt, x, y);
}
Value KernelBuilder::equal(Value x, Value y) {
  return createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, x, y);
}
Value KernelBuilder::select(Value condition, Value x, Value y) {
  return createOrFold<arith::SelectOp>(condition, x, y);
}

Value KernelBuilder::addf(Value x, Value y) { return arith::AddFOp::create(*this, x, y); }
Value KernelBuilder::mulf(Value x, Value y) { return arith::MulFOp::create(*this, x, y); }
Value KernelBuilder::fma(Value x, Value y, Value z) {
  return LLVM::FMAOp::create(*this, x.getType(), x, y, z);
}
Value KernelBuilder::maxf(Value x, Value y) {
  Value greater = arith::CmpFOp::create(*this, arith::CmpFPredicate::OGT, x, y);
  return arith::SelectOp::create(*this, greater, x, y);
}
Value KernelBuilder::broadcast(Value scalar) {
  auto type = VectorType::get(cpu->lanes(), scalar.getType());
  return vector::BroadcastOp::create(*this, type, scalar);
}

Value KernelBuilder::at(Value pointer, Value offset) {
  APInt constant;
  if (matchPattern(offset, m_ConstantInt(&constant)))
    return at(pointer, constant.getSExtValue());
  return LLVM::GEPOp::create(*this, pointer.getType(), getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{offset}, LLVM::GEPNoWrapFlags::inbounds);
}

Value KernelBuilder::at(Value pointer, int64_t offset) {
  if (offset == 0)
    return pointer;
  if (offset != static_cast<int32_t>(offset)) // GEPArg constants are 32 bits
    return LLVM::GEPOp::create(*this, pointer.getType(), getI8Type(), pointer,
                               ArrayRef<LLVM::GEPArg>{i64(offset)}, LLVM::GEPNoWrapFlags::inbounds);
  return LLVM::GEPOp::create(*this, pointer.getType(), getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)},
                             LLVM::GEPNoWrapFlags::inbounds);
}

Value KernelBuilder::load(Type type, Value pointer, unsigned alignment) {
  return LLVM::LoadOp::create(*this, type, pointer, alignment);
}

void KernelBuilder::store(Value value, Value pointer, unsigned alignment) {
  LLVM::StoreOp::create(*this, value, pointer, alignment);
}

Value KernelBuilder::laneMask(unsigned lanes) {
  SmallVector<bool> bits(cpu->lanes());
  std::fill_n(bits.begin(), lanes, true);
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(maskType(), ArrayRef<bool>(bits)));
}

Value KernelBuilder::loadLanes(Value pointer, unsigned lanes) {
  if (lanes == cpu->lanes())
    return loadVector(pointer);
  return LLVM::MaskedLoadOp::create(*this, vectorType(), pointer, laneMask(lanes), splat(0.0f), 4);
}

void KernelBuilder::storeLanes(Value value, Value pointer, unsigned lanes) {
  if (lanes == cpu->lanes())
    return store(value, pointer);
  LLVM::MaskedStoreOp::create(*this, value, pointer, laneMask(lanes), 4);
}

void KernelBuilder::prefetch(Value pointer, unsigned level, bool forWrite) {
  // LLVM counts the other way round: locality 3 is the first level.
  LLVM::Prefetch::create(*this, pointer, /*rw=*/forWrite, /*hint=*/4 - level, /*cache=*/1);
}

Value KernelBuilder::stackBuffer(int64_t bytes) {
  InsertionGuard guard(*this);
  setInsertionPointToStart(&function.getBody().front());
  return LLVM::AllocaOp::create(*this, LLVM::LLVMPointerType::get(getContext()), getI8Type(),
                                i64(bytes),
                                /*alignment=*/64);
}

void KernelBuilder::loop(Value lower, Value upper, int64_t step, Body body) {
  loop(lower, upper, step, {}, [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

SmallVector<Value> KernelBuilder::loop(Value lower, Value upper, int64_t step, ValueRange init,
                                       CarryingBody body) {
  auto build = [&](OpBuilder &nested, Location, Value iv, ValueRange carried) {
    InsertionGuard guard(*this);
    setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
    scf::YieldOp::create(*this, body(iv, carried));
  };
  Value by = arith::ConstantOp::create(*this, getIntegerAttr(lower.getType(), step));
  auto op = scf::ForOp::create(*this, lower, upper, by, init, build);
  return SmallVector<Value>(op.getResults());
}

void KernelBuilder::ifThen(Value condition, function_ref<void()> then) {
  auto op = scf::IfOp::create(*this, condition, /*withElseRegion=*/false);
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  then();
}

void KernelBuilder::ifElse(Value condition, function_ref<void()> then,
                           function_ref<void()> otherwise) {
  auto op = scf::IfOp::create(*this, condition, /*withElseRegion=*/true);
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  then();
  setInsertionPointToStart(op.elseBlock());
  otherwise();
}

SmallVector<Value> KernelBuilder::choose(Value condition, Values then, Values otherwise) {
  auto branch = [&](Values values) {
    return [this, values](OpBuilder &nested, Location) {
      InsertionGuard guard(*this);
      setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
      scf::YieldOp::create(*this, values());
    };
  };
  auto op = scf::IfOp::create(*this, condition, branch(then), branch(otherwise));
  return SmallVector<Value>(op.getResults());
}

void KernelBuilder::switchOn(Value selector, unsigned count, function_ref<void(unsigned)> body) {
  for (unsigned index = 0; index < count; ++index)
    ifThen(equal(selector, i64(index)), [&] { body(index); });
}
