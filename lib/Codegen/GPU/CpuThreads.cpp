//===- CpuThreads.cpp - a GPU kernel whose threads work together, on a CPU -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/CpuThreads.h"
#include "../CPU/ElementOps.h"
#include "CpuAccesses.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"
#include "permalloy/Codegen/CPU/VectorMath.h"
#include "permalloy/Codegen/GPU/CpuLoops.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"
#include "permalloy/Reference/Tensor.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

namespace {

class ThreadBuilder {
public:
  ThreadBuilder(KernelBuilder &b, LLVM::LLVMFuncOp kernel, unsigned buffers)
      : b(b), kernel(kernel), buffers(buffers), machine(b.scratch()) {
    pointer = LLVM::LLVMPointerType::get(b.getContext());
    words = b.stackBuffer(64);
    function = b.load(pointer, machine, 8);
  }
  LogicalResult run(StringRef name, const DescribeBuffers &describe);

private:
  LogicalResult replaceOwn(Operation *op);
  LogicalResult replace(Operation *op, const CpuAccesses &accesses);
  void tell(ThreadStep what, unsigned place, ValueRange operands);
  void takeResults(Operation *op);
  void declare(ArrayRef<ThreadBuffer> all, Value scratch);
  void give(Operation *op, Value with) { op->getResult(0).replaceAllUsesWith(with); }
  Value toWord(Value value);
  Value packHalves(Value low, Value high, Type half);
  Value roundTf32(Value value);
  Value dotBytes(NVVM::DotAccumulate4WayOp dot);

  KernelBuilder &b;
  LLVM::LLVMFuncOp kernel;
  unsigned buffers;
  Value machine, words, function;
  LLVM::LLVMPointerType pointer;
};

} // namespace

Value ThreadBuilder::toWord(Value value) {
  if (value.getType().isInteger(32))
    return value;
  return LLVM::BitcastOp::create(b, b.getI32Type(), value);
}

/// Both rounded to nearest even, as a vector of two halves.
Value ThreadBuilder::packHalves(Value low, Value high, Type half) {
  Value place = words; // through memory, as ElementOps stores an element of any type
  ElementOps(b).store(Element::of(half), low, place);
  ElementOps(b).store(Element::of(half), high, b.at(place, 2));
  return b.load(VectorType::get(2, half), place, 4);
}

/// The bits of an f32 rounded to 10 bits of mantissa, ties away from zero: half of the last bit is added and the rest cut off. NaN stays.
Value ThreadBuilder::roundTf32(Value value) {
  Value bits = toWord(value), isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, value, value);
  auto word = [&](uint32_t number) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(number))); };
  Value rounded = arith::AndIOp::create(b, arith::AddIOp::create(b, bits, word(0x1000)), word(0xffffe000));
  return arith::SelectOp::create(b, isNaN, word(0x7fffffff), rounded);
}

/// Stores the operands as words and calls the machine for the operation number `place`.
void ThreadBuilder::tell(ThreadStep what, unsigned place, ValueRange operands) {
  int64_t offset = 0;
  for (Value operand : operands) {
    bool isWide = isa<LLVM::LLVMPointerType>(operand.getType()) || operand.getType().isInteger(64);
    b.store(isWide ? operand : toWord(operand), b.at(words, offset), 4);
    offset += isWide ? 8 : 4;
  }
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {pointer, b.getI64Type(), pointer});
  LLVM::CallOp::create(b, type, ValueRange{function, machine, b.i64(int64_t(what) | int64_t(place) << 32), words});
}

/// The results of `op` as the machine left them.
void ThreadBuilder::takeResults(Operation *op) {
  if (op->getNumResults() == 0)
    return;
  auto structure = dyn_cast<LLVM::LLVMStructType>(op->getResultTypes()[0]);
  if (!structure)
    return give(op, b.load(op->getResultTypes()[0], words, 4));
  Value result = LLVM::PoisonOp::create(b, structure);
  for (auto [index, part] : llvm::enumerate(structure.getBody()))
    result = LLVM::InsertValueOp::create(b, result, b.load(part, b.at(words, index * 4), 4), int64_t(index));
  give(op, result);
}

Value ThreadBuilder::dotBytes(NVVM::DotAccumulate4WayOp dot) {
  auto byte = [&](Value bytes, int64_t i, NVVM::DotAccumulateType type) -> Value {
    Value own = vector::ExtractOp::create(b, bytes, i);
    if (type == NVVM::DotAccumulateType::SIGNED)
      return arith::ExtSIOp::create(b, b.getI32Type(), own);
    return arith::ExtUIOp::create(b, b.getI32Type(), own);
  };
  Value sum = dot.getC();
  for (int64_t i = 0; i < 4; ++i)
    sum = arith::AddIOp::create(b, sum, arith::MulIOp::create(b, byte(dot.getA(), i, dot.getAType()), byte(dot.getB(), i, dot.getBType())));
  return sum;
}

/// The threads that an operation of a warp names; null: all.
static Value maskOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([](NVVM::SyncWarpOp sync) { return sync.getMask(); })
      .Case([](NVVM::ShflOp shuffle) { return shuffle.getThreadMask(); })
      .Case([](NVVM::VoteSyncOp vote) { return vote.getMask(); })
      .Default(Value());
}

/// The words of ThreadStep::fence.
static unsigned orderOf(LLVM::FenceOp fence) {
  using enum LLVM::AtomicOrdering;
  if (fence.getSyncscope().value_or("") != "device" && !fence.getSyncscope().value_or("").empty())
    return 0; // of the block alone: barriers do that here
  bool both = fence.getOrdering() == acq_rel || fence.getOrdering() == seq_cst;
  return (both || fence.getOrdering() == acquire ? 1 : 0) | (both || fence.getOrdering() == release ? 2 : 0);
}

/// What a thread does alone.
LogicalResult ThreadBuilder::replaceOwn(Operation *op) {
  auto low = [&](Value value) { return arith::TruncIOp::create(b, b.getI32Type(), value).getResult(); };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](NVVM::BlockIdXOp) { return give(op, low(b.tileBegin())), success(); })
      .Case([&](NVVM::ThreadIdXOp) { return give(op, low(b.tileEnd())), success(); })
      .Case([&](LLVM::AddressOfOp) { return give(op, b.load(pointer, b.at(machine, 8), 8)), success(); })
      .Case([&](LLVM::AddrSpaceCastOp) { return give(op, op->getOperand(0)), success(); })
      .Case([&](NVVM::ConvertF32x2ToF16x2Op pack) { return give(op, packHalves(pack.getSrcLo(), pack.getSrcHi(), b.getF16Type())), success(); })
      .Case([&](NVVM::ConvertF32x2ToBF16x2Op pack) { return give(op, packHalves(pack.getSrcLo(), pack.getSrcHi(), b.getBF16Type())), success(); })
      .Case([&](NVVM::ConvertFloatToTF32Op round) {
        if (round.getRnd() != NVVM::FPRoundingMode::RNA)
          return LogicalResult(round.emitError("has no form on a CPU but to nearest, ties away from zero"));
        return give(op, roundTf32(round.getSrc())), success();
      })
      .Case([&](LLVM::CallIntrinsicOp call) { return give(op, emitExp2(b, call.getArgs()[0])), success(); })
      .Case([&](NVVM::DotAccumulate4WayOp dot) { return give(op, dotBytes(dot)), success(); })
      .Default([&](Operation *op) { return op->emitError("has no form on a CPU"); });
}

/// What follows for one operation of the thread; it is erased then.
LogicalResult ThreadBuilder::replace(Operation *op, const CpuAccesses &accesses) {
  b.setInsertionPoint(op);
  APInt mask;
  if (Value threads = maskOf(op); threads && !(matchPattern(threads, m_ConstantInt(&mask)) && mask.isAllOnes()))
    return op->emitError("of a part of a warp has no form on a CPU");
  // Tells the machine, and takes the results, all as words.
  auto ask = [&](Operation *op, ThreadStep what, ValueRange operands) {
    tell(what, accesses.placeOf(op), operands);
    takeResults(op);
  };
  auto number = [&](int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](NVVM::Barrier0Op) { return ask(op, ThreadStep::barrier, {}), success(); })
      .Case([&](NVVM::CpAsyncOp copy) {
        Value bytes = copy.getCpSize() ? copy.getCpSize() : number(copy.getSize()).getResult();
        Value buffer = number(accesses.bufferOf(copy.getSrc()).value_or(ThreadAccess::unknown));
        return ask(op, ThreadStep::copy, {copy.getDst(), copy.getSrc(), bytes, buffer}), success();
      })
      .Case([&](NVVM::CpAsyncCommitGroupOp) { return ask(op, ThreadStep::commitCopies, {}), success(); })
      .Case([&](NVVM::CpAsyncWaitGroupOp wait) { return ask(op, ThreadStep::waitCopies, {number(wait.getN())}), success(); })
      .Case([&](LLVM::FenceOp fence) {
        return ask(op, ThreadStep::fence, {number(orderOf(fence))}), success();
      })
      .Case([&](NVVM::SyncWarpOp) { return ask(op, ThreadStep::barrierOfWarp, {}), success(); })
      .Case([&](NVVM::LdMatrixOp load) {
        bool isTransposed = load.getLayout() == NVVM::MMALayout::col;
        return ask(op, isTransposed ? ThreadStep::loadTransposed : ThreadStep::loadMatrix, op->getOperands()), success();
      })
      .Case([&](NVVM::MmaOp mma) {
        static constexpr NVVM::MMATypes kTypes[] = {NVVM::MMATypes::tf32, NVVM::MMATypes::f16, NVVM::MMATypes::bf16, NVVM::MMATypes::s8};
        auto own = mma.getMultiplicandAPtxType().value_or(NVVM::MMATypes::f16);
        bool unsignedA = own == NVVM::MMATypes::u8, unsignedB = mma.getMultiplicandBPtxType() == NVVM::MMATypes::u8;
        auto type = llvm::find(kTypes, unsignedA ? NVVM::MMATypes::s8 : own) - std::begin(kTypes);
        SmallVector<Value> operands(op->getOperands());
        operands.push_back(number(unsignedA + 2 * unsignedB));
        return ask(op, ThreadStep(int64_t(ThreadStep::multiplyTf32) + type), operands), success();
      })
      .Case([&](NVVM::ShflOp shuffle) {
        auto kind = shuffle.getKind() == NVVM::ShflKind::bfly  ? ShuffleKind::exclusiveOr
                    : shuffle.getKind() == NVVM::ShflKind::idx ? ShuffleKind::index
                                                               : ShuffleKind::down;
        return ask(op, ThreadStep::shuffle, {shuffle.getVal(), shuffle.getOffset(), number(int64_t(kind))}), success();
      })
      .Case([&](NVVM::VoteSyncOp vote) {
        if (vote.getKind() != NVVM::VoteSyncKind::ballot)
          return LogicalResult(vote.emitError("has no form on a CPU but as a ballot"));
        Value flag = arith::ExtUIOp::create(b, b.getI32Type(), vote.getPred());
        return ask(op, ThreadStep::ballot, {flag}), success();
      })
      .Default([&](Operation *op) { return replaceOwn(op); });
}

static bool isForeign(Operation *op) {
  if (auto address = dyn_cast<LLVM::AddressOfOp>(op))
    return address.getGlobalName() == kSharedMemory;
  if (auto call = dyn_cast<LLVM::CallIntrinsicOp>(op))
    return call.getIntrin() == kExp2Intrinsic;
  return isa<LLVM::AddrSpaceCastOp, LLVM::FenceOp>(op) || isa_and_nonnull<NVVM::NVVMDialect>(op->getDialect());
}

/// Tells the machine of all buffers.
void ThreadBuilder::declare(ArrayRef<ThreadBuffer> all, Value scratch) {
  auto number = [&](int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); };
  for (auto [i, buffer] : llvm::enumerate(all))
    tell(ThreadStep::declare, 0, {number(i), number(buffer.isResult), i < buffers ? b.buffer(i) : scratch, buffer.bytes});
}

LogicalResult ThreadBuilder::run(StringRef name, const DescribeBuffers &describe) {
  IRMapping mapping;
  SmallVector<std::pair<Value, uint16_t>> roots;
  for (BlockArgument argument : kernel.getArguments().drop_back()) {
    unsigned number = argument.getArgNumber();
    mapping.map(argument, number < buffers ? b.buffer(number) : b.scalar(number - buffers));
    if (number < buffers)
      roots.push_back({b.buffer(number), number});
  }
  Value scratch = b.load(pointer, b.at(machine, 16), 8);
  mapping.map(kernel.getArguments().back(), scratch);
  roots.push_back({scratch, buffers});
  CpuAccesses accesses(b, machine, roots);
  declare(describe(b), scratch);
  Block *entry = b.getInsertionBlock();
  Operation *last = &entry->back();
  for (Operation &op : kernel.getBody().front().without_terminator())
    b.clone(op, mapping);
  if (failed(accesses.find(entry->getParentOp(), last)))
    return failure();
  b.setInsertionPointAfter(last);
  accesses.handOver(name);
  accesses.tell();
  // One address space.
  SmallVector<Operation *> foreign;
  entry->walk([&](Operation *op) {
    if (isForeign(op))
      foreign.push_back(op);
  });
  for (Operation *op : foreign) {
    if (failed(replace(op, accesses)))
      return failure();
    op->erase();
  }
  entry->walk([&](Operation *op) {
    for (Value result : op->getResults())
      if (isa<LLVM::LLVMPointerType>(result.getType()))
        result.setType(pointer);
    for (Region &region : op->getRegions())
      for (BlockArgument argument : region.getArguments())
        if (isa<LLVM::LLVMPointerType>(argument.getType()))
          argument.setType(pointer);
  });
  b.setInsertionPointToEnd(entry);
  return success();
}

LogicalResult codegen::toCpuThread(ModuleOp module, StringRef name, const DescribeBuffers &describe) {
  auto kernel = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!kernel || !kernel->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()))
    return module.emitError("has no GPU kernel '") << name << "'";
  kernel.setSymName((name + ".gpu").str());
  unsigned parameters = kernel.getNumArguments() - 1;
  unsigned buffers = llvm::count_if(kernel.getArgumentTypes().drop_back(), llvm::IsaPred<LLVM::LLVMPointerType>);
  KernelBuilder b(module, kernel.getLoc(), name, cpuLoopsTarget(), buffers, parameters - buffers);
  if (failed(ThreadBuilder(b, kernel, buffers).run(name, describe)))
    return failure();
  b.finish();
  roundInIntegers(b.getInsertionBlock()->getParentOp());
  kernel.erase();
  if (Operation *shared = module.lookupSymbol(kSharedMemory))
    shared->erase(); // it is the machine's
  return success();
}

LogicalResult codegen::toCpuThread(ModuleOp module, StringRef name, kern::KernelOp kernel) {
  return toCpuThread(module, name, [&](KernelBuilder &b) {
    KernelFrame frame(b, kernel);
    // Where a size follows from data that the kernel finds, there is no limit.
    auto emit = [&](tfm::DimExprAttr bytes) {
      bool isKnown = true;
      bytes.walkSymbols([&](StringRef symbol) { isKnown &= llvm::is_contained(kernel.getSymbols(), b.getStringAttr(symbol)); });
      return isKnown ? frame.emit(bytes) : b.i64(int64_t(1) << 40);
    };
    auto bytesOf = [&](Value value) {
      auto type = cast<RankedTensorType>(value.getType());
      if (type.getEncoding())
        return b.i64(reference::storageBytes(type));
      auto bytes = tfm::DimExprAttr::constant(b.getContext(), reference::elementBytes(reference::elementOf(type.getElementType())));
      for (tfm::DimExprAttr dim : frame.dims(value))
        bytes = tfm::DimExprAttr::mul(bytes, dim);
      return emit(bytes);
    };
    SmallVector<ThreadBuffer> all;
    for (BlockArgument argument : kernel.getBlock().getArguments())
      all.push_back({bytesOf(argument), false});
    for (Value result : kernel.yielded())
      all.push_back({bytesOf(result), true});
    all.push_back({emit(gpuLaunch(kernel).scratchBytes), true});
    return all;
  });
}
