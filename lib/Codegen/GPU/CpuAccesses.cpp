//===- CpuAccesses.cpp - what a thread tells of its loads and stores *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CpuAccesses.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/AsmState.h"

#include <bit>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Of ThreadMachine.
static constexpr int64_t kAccessAt = offsetof(ThreadMachine, access), kPlacesAt = offsetof(ThreadMachine, places);

CpuAccesses::CpuAccesses(KernelBuilder &b, Value machine, ArrayRef<std::pair<Value, uint16_t>> roots) : b(b), machine(machine) {
  for (auto [address, number] : roots)
    buffers[address] = number;
  function = b.load(LLVM::LLVMPointerType::get(b.getContext()), b.at(machine, kAccessAt), 8);
}

/// Where a value that a region's operation gives comes from on one of the ways into it.
static Value sourceOf(OpResult result) {
  unsigned number = result.getResultNumber();
  if (auto loop = dyn_cast<scf::ForOp>(result.getOwner()))
    return loop.getInitArgs()[number];
  if (auto branch = dyn_cast<scf::IfOp>(result.getOwner()))
    return branch.thenYield().getOperand(number);
  if (auto loop = dyn_cast<scf::WhileOp>(result.getOwner()))
    return loop.getConditionOp().getArgs()[number];
  return {};
}

static Value sourceOf(BlockArgument argument) {
  Operation *parent = argument.getOwner()->getParentOp();
  if (auto loop = dyn_cast<scf::ForOp>(parent); loop && argument.getArgNumber() > 0)
    return loop.getInitArgs()[argument.getArgNumber() - 1];
  if (auto loop = dyn_cast<scf::WhileOp>(parent))
    return argument.getOwner()->getParent() == &loop.getBefore() ? loop.getInits()[argument.getArgNumber()]
                                                               : loop.getConditionOp().getArgs()[argument.getArgNumber()];
  return {};
}

/// Loops carry addresses of one buffer, and branches choose among those of one: the first way back is as good as any.
std::optional<uint16_t> CpuAccesses::bufferOf(Value address) const {
  while (address) {
    if (auto known = buffers.find(address); known != buffers.end())
      return known->second;
    if (cast<LLVM::LLVMPointerType>(address.getType()).getAddressSpace() == 3)
      return ThreadAccess::shared;
    if (auto argument = dyn_cast<BlockArgument>(address)) {
      if (isa<LLVM::LLVMFuncOp>(argument.getOwner()->getParentOp()))
        return std::nullopt;
      address = sourceOf(argument);
      continue;
    }
    Operation *op = address.getDefiningOp();
    if (isa<LLVM::AllocaOp, LLVM::AddressOfOp>(op)) // the stack, tables beside the code
      return std::nullopt;
    if (isa<LLVM::GEPOp, LLVM::AddrSpaceCastOp, LLVM::BitcastOp>(op))
      address = op->getOperand(0);
    else if (auto select = dyn_cast<arith::SelectOp>(op))
      address = select.getTrueValue();
    else
      address = sourceOf(cast<OpResult>(address));
  }
  return ThreadAccess::unknown;
}

static bool isAccess(Operation *op) {
  return isa<LLVM::LoadOp, LLVM::StoreOp, LLVM::MaskedLoadOp, LLVM::MaskedStoreOp, LLVM::AtomicRMWOp>(op);
}

LogicalResult CpuAccesses::find(Operation *root, Operation *last) {
  AsmState state(root, OpPrintingFlags().useLocalScope().assumeVerified());
  llvm::raw_string_ostream stream(texts);
  LogicalResult result = success();
  auto see = [&](Operation *op) {
    bool isWarps = isa_and_nonnull<NVVM::NVVMDialect>(op->getDialect()) || isa<LLVM::FenceOp>(op);
    if (!isWarps && !isAccess(op)) {
      if (isa<LLVM::AtomicCmpXchgOp, LLVM::masked_gather, LLVM::masked_scatter, LLVM::MemcpyOp, LLVM::MemsetOp, LLVM::InlineAsmOp>(op))
        result = op->emitError("has no form on a CPU");
      return;
    }
    places[op] = places.size();
    op->print(stream, state);
    stream << '\0';
  };
  for (Operation *op = last->getNextNode(); op; op = op->getNextNode())
    op->walk(see);
  return result;
}

void CpuAccesses::call(Value address, ThreadAccess access) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {pointer, pointer, b.getI64Type()});
  Value word = b.i64(std::bit_cast<int64_t>(access));
  LLVM::CallOp::create(b, type, ValueRange{function, machine, address, word});
}

void CpuAccesses::tell(Value address, Type type, unsigned alignment, unsigned kind, Operation *op, Value mask) {
  std::optional<uint16_t> buffer = bufferOf(address);
  if (!buffer)
    return;
  auto vector = dyn_cast<VectorType>(type);
  unsigned count = vector ? vector.getNumElements() : 1;
  Type scalar = getElementTypeOrSelf(type);
  unsigned each = isa<LLVM::LLVMPointerType>(scalar) ? 8 : llvm::divideCeil(scalar.getIntOrFloatBitWidth(), 8);
  ThreadAccess access{uint8_t(count * each), uint8_t(alignment ? alignment : each), uint8_t(kind), 0, *buffer, placeOf(op)};
  b.setInsertionPoint(op);
  if (!mask)
    return call(address, access);
  access.bytes = each;
  for (unsigned lane = 0; lane < count; ++lane)
    b.ifThen(vector::ExtractOp::create(b, mask, lane), [&] { call(b.at(address, int64_t(lane) * each), access); });
}

void CpuAccesses::tell() {
  for (auto [op, place] : places) {
    if (auto load = dyn_cast<LLVM::LoadOp>(op))
      tell(load.getAddr(), load.getType(), load.getAlignment().value_or(0), load.getInvariant() ? ThreadAccess::constant : ThreadAccess::load, op);
    else if (auto store = dyn_cast<LLVM::StoreOp>(op))
      tell(store.getAddr(), store.getValue().getType(), store.getAlignment().value_or(0), ThreadAccess::store, op);
    else if (auto load = dyn_cast<LLVM::MaskedLoadOp>(op))
      tell(load.getData(), load.getType(), load.getAlignment(), ThreadAccess::load, op, load.getMask());
    else if (auto store = dyn_cast<LLVM::MaskedStoreOp>(op))
      tell(store.getData(), store.getValue().getType(), store.getAlignment(), ThreadAccess::store, op, store.getMask());
    else if (auto atomic = dyn_cast<LLVM::AtomicRMWOp>(op))
      tell(atomic.getPtr(), atomic.getVal().getType(), atomic.getAlignment().value_or(0),
           ThreadAccess::store | ThreadAccess::atomic, op); // LLVM 22 drops an order of its own
  }
}

void CpuAccesses::handOver(StringRef kernel) {
  std::string all = kernel.str() + '\0' + texts + '\0';
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(b.getInsertionBlock()->getParentOp());
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(), all.size());
    LLVM::GlobalOp::create(b, type, /*isConstant=*/true, LLVM::Linkage::Private, "thread_places", b.getStringAttr(all), /*alignment=*/1);
  }
  Value address = LLVM::AddressOfOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), "thread_places");
  b.store(address, b.at(machine, kPlacesAt), 8);
}
