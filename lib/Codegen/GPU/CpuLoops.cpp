//===- CpuLoops.cpp - a GPU kernel as loops over its threads ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/CpuLoops.h"
#include "permalloy/Codegen/CPU/KernelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static const CpuTarget kTarget = {"loops", 128, 16, "x86-64-v3", "haswell", {}, {}};

const CpuTarget &codegen::cpuLoopsTarget() { return kTarget; }

/// The first operation that loops cannot do: those of NVVM but the numbers of block and thread.
static Operation *findTogether(LLVM::LLVMFuncOp kernel) {
  Operation *found = nullptr;
  kernel.walk([&](Operation *op) {
    if (!isa_and_nonnull<NVVM::NVVMDialect>(op->getDialect()) ||
        isa<NVVM::BlockIdXOp, NVVM::ThreadIdXOp>(op))
      return WalkResult::advance();
    found = op;
    return WalkResult::interrupt();
  });
  return found;
}

bool codegen::threadsAreIndependent(ModuleOp module, StringRef name) {
  auto kernel = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  return kernel && !findTogether(kernel);
}

void codegen::roundInIntegers(Operation *root) {
  SmallVector<arith::TruncFOp> roundings;
  root->walk([&](arith::TruncFOp op) {
    if (getElementTypeOrSelf(op.getType()).isBF16())
      roundings.push_back(op);
  });
  for (arith::TruncFOp op : roundings) {
    ImplicitLocOpBuilder b(op.getLoc(), op);
    auto like = [&](Type scalar) {
      auto vector = dyn_cast<VectorType>(op.getType());
      return vector ? Type(vector.clone(scalar)) : scalar;
    };
    auto constant = [&](int32_t value) -> Value {
      TypedAttr attr = b.getI32IntegerAttr(value);
      if (auto vector = dyn_cast<VectorType>(like(b.getI32Type())))
        attr = DenseElementsAttr::get(vector, Attribute(attr));
      return arith::ConstantOp::create(b, attr);
    };
    // To nearest even; a NaN keeps its upper bits and becomes quiet.
    Value bits = arith::BitcastOp::create(b, like(b.getI32Type()), op.getIn());
    Value upper = arith::ShRUIOp::create(b, bits, constant(16)), odd = arith::AndIOp::create(b, upper, constant(1));
    Value sum = arith::AddIOp::create(b, arith::AddIOp::create(b, bits, constant(0x7fff)), odd);
    Value quiet = arith::OrIOp::create(b, upper, constant(0x40));
    Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, op.getIn(), op.getIn());
    Value rounded = arith::SelectOp::create(b, isNaN, quiet, arith::ShRUIOp::create(b, sum, constant(16)));
    Value narrow = arith::TruncIOp::create(b, like(b.getI16Type()), rounded);
    op.replaceAllUsesWith(arith::BitcastOp::create(b, op.getType(), narrow).getResult());
    op.erase();
  }
}

/// One thread: the body of the kernel with its parameters and numbers replaced.
static void cloneThread(KernelBuilder &b, LLVM::LLVMFuncOp kernel, Value block, Value thread) {
  IRMapping mapping;
  unsigned buffers =
      llvm::count_if(kernel.getArgumentTypes().drop_back(), llvm::IsaPred<LLVM::LLVMPointerType>);
  for (BlockArgument argument : kernel.getArguments().drop_back()) {
    unsigned number = argument.getArgNumber();
    mapping.map(argument, number < buffers ? b.buffer(number) : b.scalar(number - buffers));
  }
  mapping.map(kernel.getArguments().back(), b.scratch());
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (isa<NVVM::BlockIdXOp, NVVM::ThreadIdXOp>(op)) {
      Value number = isa<NVVM::BlockIdXOp>(op) ? block : thread;
      mapping.map(op.getResult(0), arith::TruncIOp::create(b, b.getI32Type(), number));
      continue;
    }
    b.clone(op, mapping);
  }
}

LogicalResult codegen::toCpuLoops(ModuleOp module, StringRef name) {
  auto kernel = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  auto threads =
      kernel ? kernel->getAttrOfType<DenseI32ArrayAttr>(NVVM::NVVMDialect::getMaxntidAttrName())
             : nullptr;
  if (!threads)
    return module.emitError("has no GPU kernel '") << name << "'";
  if (Operation *together = findTogether(kernel))
    return together->emitError("threads of a block work together here: no loops on a CPU");
  kernel.setSymName((name + ".gpu").str());
  unsigned parameters = kernel.getNumArguments() - 1;
  unsigned buffers =
      llvm::count_if(kernel.getArgumentTypes().drop_back(), llvm::IsaPred<LLVM::LLVMPointerType>);
  KernelBuilder b(module, kernel.getLoc(), name, kTarget, buffers, parameters - buffers);
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value block) {
    b.loop(b.i64(0), b.i64(threads[0]), 1,
           [&](Value thread) { cloneThread(b, kernel, block, thread); });
  });
  b.finish();
  roundInIntegers(b.getInsertionBlock()->getParentOp());
  kernel.erase();
  return success();
}
