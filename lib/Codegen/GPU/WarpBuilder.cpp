//===- WarpBuilder.cpp - what the threads of a block do together *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr unsigned kGlobalSpace = 1, kSharedSpace = 3;

int64_t codegen::elementsPerWord(OperandType type) {
  switch (type) {
  case OperandType::tf32:
    return 1;
  case OperandType::f16:
  case OperandType::bf16:
    return 2;
  case OperandType::s8:
    return 4;
  }
  llvm_unreachable("a type of the enum");
}

Value WarpBuilder::sharedMemory() {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kSharedSpace);
  auto module = b.getBlock()->getParent()->getParentOfType<ModuleOp>();
  if (!module.lookupSymbol(kSharedMemory)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(), 0);
    LLVM::GlobalOp::create(b, type, /*isConstant=*/false, LLVM::Linkage::External, kSharedMemory, Attribute(), /*alignment=*/1024,
                           kSharedSpace);
  }
  return LLVM::AddressOfOp::create(b, pointer, kSharedMemory);
}

void WarpBuilder::barrier() { NVVM::Barrier0Op::create(b); }
void WarpBuilder::barrierOfWarp() {
  NVVM::SyncWarpOp::create(b, arith::ConstantOp::create(b, b.getI32IntegerAttr(-1)));
}

Value WarpBuilder::shuffle(NVVM::ShflKind kind, Value value, Value lane) {
  auto word = [&](int32_t bits) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(bits)); };
  return NVVM::ShflOp::create(b, value.getType(), word(-1), value, lane, word(31), kind, UnitAttr());
}

Value WarpBuilder::shuffleXor(Value value, int32_t distance) {
  return shuffle(NVVM::ShflKind::bfly, value, arith::ConstantOp::create(b, b.getI32IntegerAttr(distance)));
}

Value WarpBuilder::shuffle(Value value, Value lane) { return shuffle(NVVM::ShflKind::idx, value, lane); }

Value WarpBuilder::dotBytes(Value x, bool xSigned, Value y, bool ySigned, Value sum) {
  auto bytes = VectorType::get(4, b.getI8Type());
  auto type = [](bool isSigned) {
    return isSigned ? NVVM::DotAccumulateType::SIGNED : NVVM::DotAccumulateType::UNSIGNED;
  };
  return NVVM::DotAccumulate4WayOp::create(b, b.getI32Type(), LLVM::BitcastOp::create(b, bytes, x), type(xSigned),
                                           LLVM::BitcastOp::create(b, bytes, y), type(ySigned), sum);
}

/// A release hands on what barriers ordered before it, and the barrier behind an acquire what that brought. So the fences are those of the
/// thread that counts: a fence of another one before the barrier says nothing by PTX. The atomic operation itself is relaxed, since LLVM 22
/// drops its order.
Value WarpBuilder::arriveLast(Value counter, Value count, Value word) {
  auto fence = [&] { LLVM::FenceOp::create(b, LLVM::AtomicOrdering::acq_rel, "device"); };
  barrier();
  b.ifThen(b.equal(b.threadIndex(), b.i32(0)), [&] {
    Value most = b.sub(count, 1); // behind it comes 0
    fence();
    Value before = LLVM::AtomicRMWOp::create(b, LLVM::AtomicBinOp::uinc_wrap, counter, most, LLVM::AtomicOrdering::monotonic, "device", 4);
    fence();
    b.store(arith::ExtUIOp::create(b, b.getI32Type(), b.equal(before, most)), word, 4);
  });
  barrier();
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, b.load(b.getI32Type(), word, 4), b.i32(0));
}

Value WarpBuilder::arriveLast(Value counter, int64_t count, Value word) { return arriveLast(counter, b.i32(count), word); }

Value WarpBuilder::ballot(Value flag) {
  Value all = arith::ConstantOp::create(b, b.getI32IntegerAttr(-1));
  return NVVM::VoteSyncOp::create(b, b.getI32Type(), all, flag, NVVM::VoteSyncKind::ballot);
}

void WarpBuilder::copyAsync(Value shared, Value global, Value exists) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kGlobalSpace);
  if (global.getType() != pointer)
    global = LLVM::AddrSpaceCastOp::create(b, pointer, global);
  Value size;
  if (exists) {
    auto bytes = [&](int32_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); };
    size = arith::SelectOp::create(b, exists, bytes(16), bytes(0));
  }
  NVVM::CpAsyncOp::create(b, shared, global, 16, NVVM::LoadCacheModifierKind::CG, size);
}

void WarpBuilder::commitCopies() { NVVM::CpAsyncCommitGroupOp::create(b); }
void WarpBuilder::waitCopies(unsigned groups) { NVVM::CpAsyncWaitGroupOp::create(b, groups); }

SmallVector<Value> WarpBuilder::unpack(Value words) {
  SmallVector<Value> result;
  for (int64_t i = 0; i < 4; ++i)
    result.push_back(LLVM::ExtractValueOp::create(b, words, i));
  return result;
}

static Type fourOf(MLIRContext *context, Type type) {
  return LLVM::LLVMStructType::getLiteral(context, SmallVector<Type>(4, type));
}

SmallVector<Value> WarpBuilder::loadMatrix(Value rowHalf) { return loadMatrices(rowHalf, NVVM::MMALayout::row); }
SmallVector<Value> WarpBuilder::loadTransposed(Value rowHalf) { return loadMatrices(rowHalf, NVVM::MMALayout::col); }

SmallVector<Value> WarpBuilder::loadMatrices(Value rowHalf, NVVM::MMALayout order) {
  MLIRContext *context = b.getContext();
  Type words = fourOf(context, b.getI32Type());
  auto shape = NVVM::LdStMatrixShapeAttr::get(context, 8, 8);
  auto element = NVVM::LdStMatrixEltTypeAttr::get(context, NVVM::LdStMatrixEltType::B16);
  auto layout = NVVM::MMALayoutAttr::get(context, order);
  Value loaded = NVVM::LdMatrixOp::create(b, words, rowHalf, b.getI32IntegerAttr(4), layout, shape, element);
  return unpack(loaded);
}

Value WarpBuilder::packHalves(OperandType type, Value low, Value high) {
  auto pack = [&]<typename Op>(std::type_identity<Op>, Type half) -> Value {
    Value halves = Op::create(b, VectorType::get(2, half), high, low, Value(), NVVM::FPRoundingMode::RN);
    return LLVM::BitcastOp::create(b, b.getI32Type(), halves);
  };
  if (type == OperandType::f16)
    return pack(std::type_identity<NVVM::ConvertF32x2ToF16x2Op>(), b.getF16Type());
  return pack(std::type_identity<NVVM::ConvertF32x2ToBF16x2Op>(), b.getBF16Type());
}

Value WarpBuilder::roundTf32(Value value) {
  if (!value.getType().isF32())
    value = LLVM::BitcastOp::create(b, b.getF32Type(), value);
  return NVVM::ConvertFloatToTF32Op::create(b, b.getI32Type(), value, NVVM::FPRoundingMode::RNA);
}

Value WarpBuilder::exp2(Value x) {
  return LLVM::CallIntrinsicOp::create(b, b.getF32Type(), b.getStringAttr(kExp2Intrinsic), ValueRange{x}).getResult(0);
}

Type WarpBuilder::accumulatorType(OperandType type) {
  return type == OperandType::s8 ? Type(b.getI32Type()) : Type(b.getF32Type());
}

SmallVector<Value> WarpBuilder::multiply(OperandType type, ArrayRef<Value> a, ArrayRef<Value> bWords, ArrayRef<Value> c, bool unsignedA,
                                         bool unsignedB) {
  using NVVM::MMATypes;
  auto operand = [&](Value word) -> Value {
    if (type != OperandType::f16)
      return word;
    return LLVM::BitcastOp::create(b, VectorType::get(2, b.getF16Type()), word);
  };
  SmallVector<Value> left = llvm::map_to_vector(a, operand), right = llvm::map_to_vector(bWords, operand);
  static constexpr MMATypes kTypes[] = {MMATypes::tf32, MMATypes::f16, MMATypes::bf16, MMATypes::s8};
  auto multiplicand = [&](bool isUnsigned) { return isUnsigned ? MMATypes::u8 : kTypes[unsigned(type)]; };
  std::optional<NVVM::MMAIntOverflow> overflow;
  if (type == OperandType::s8)
    overflow = NVVM::MMAIntOverflow::wrapped;
  Value product = NVVM::MmaOp::create(b, fourOf(b.getContext(), accumulatorType(type)), left, right, c,
                                      {16, 8, 8 * elementsPerWord(type)}, std::nullopt, overflow,
                                      std::array<MMATypes, 2>{multiplicand(unsignedA), multiplicand(unsignedB)},
                                      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  return unpack(product);
}
