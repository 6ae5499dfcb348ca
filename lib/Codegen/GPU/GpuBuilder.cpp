//===- GpuBuilder.cpp - functions that many threads run ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/GpuBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace permalloy::codegen;
using namespace mlir;

GpuBuilder::GpuBuilder(ModuleOp module, Location loc, StringRef name, const GpuTarget &target, unsigned threads,
                       unsigned numBuffers, unsigned numScalars)
    : KernelBuilder(loc, module.getContext(), target.thread()), gpu(target) {
  setInsertionPointToEnd(module.getBody());
  SmallVector<Type> parameters(numBuffers, LLVM::LLVMPointerType::get(getContext()));
  parameters.append(numScalars, getI64Type());
  parameters.push_back(LLVM::LLVMPointerType::get(getContext()));
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(getContext()), parameters);
  function = LLVM::LLVMFuncOp::create(*this, name, type);
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(), getDenseI32ArrayAttr({int32_t(threads)}));
  // From this LLVM infers which vectors are aligned: only those move by one access.
  for (unsigned i = 0; i < numBuffers; ++i)
    function.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), getI64IntegerAttr(16));
  setInsertionPointToStart(function.addEntryBlock(*this));
  llvm::append_range(buffers, function.getArguments().take_front(numBuffers));
  llvm::append_range(scalars, function.getArguments().slice(numBuffers, numScalars));
  launchMemory = function.getArguments().back();
  // Ranges let LLVM see that indices are no negative numbers and that few bits are set.
  auto read = [&](auto op, int32_t below) {
    op.setRangeAttr(LLVM::ConstantRangeAttr::get(getContext(), APInt(32, 0), APInt(32, below)));
    return op.getResult();
  };
  block32 = read(NVVM::BlockIdXOp::create(*this, getI32Type()), INT32_MAX);
  thread32 = read(NVVM::ThreadIdXOp::create(*this, getI32Type()), threads);
  block = wide(block32), thread = wide(thread32);
  inGrid = add(mul(block, threads), thread);
}

void GpuBuilder::shortenDivisions(Value most) {
  Value limit = i64(int64_t(1) << 32), isLess = less(most, limit);
  if (!matchPattern(isLess, m_One()))
    ifThen(createOrFold<arith::XOrIOp>(isLess, arith::ConstantOp::create(*this, getBoolAttr(true))),
           [&] { LLVM::Trap::create(*this); });
  hasShortDivision = true;
}

Value GpuBuilder::i32(int64_t value) { return arith::ConstantOp::create(*this, getI32IntegerAttr(value)); }

Value GpuBuilder::wide(Value index) { return createOrFold<arith::ExtUIOp>(getI64Type(), index); }
Value GpuBuilder::narrow(Value index) { return createOrFold<arith::TruncIOp>(getI32Type(), index); }

Value GpuBuilder::bitAnd(Value x, int64_t y) { return createOrFold<arith::AndIOp>(x, alike(x, y)); }
Value GpuBuilder::bitXor(Value x, Value y) { return createOrFold<arith::XOrIOp>(x, y); }
Value GpuBuilder::both(Value x, Value y) { return !x ? y : !y ? x : createOrFold<arith::AndIOp>(x, y); }
