//===- KernelBuilder.h - what all CPU emitters build with -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_CPU_KERNELBUILDER_H
#define PERMALLOY_CODEGEN_CPU_KERNELBUILDER_H

#include "permalloy/Codegen/CPU/Target.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace permalloy::codegen {

/// Builds one kernel: an llvm.func of the kernel ABI (Artifact/Format.h),
///
///   void kernel(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void
///   *scratch)
///
/// in the dialects llvm, arith, vector and scf. Memory is raw: addresses are !llvm.ptr plus
/// explicit byte offsets in i64, loads and stores move scalars or one native vector. There are no
/// memrefs, because their descriptors and index arithmetic hide the addresses that decide an inner
/// loop. All integers that are not data are i64. Operations fold while they are built.
class KernelBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using Type = mlir::Type;

  /// Starts the function `name` at the end of `module`; `numBuffers` pointers and `numScalars`
  /// scalars are loaded at its entry. Its location becomes that of every operation built.
  KernelBuilder(mlir::ModuleOp module, mlir::Location loc, llvm::StringRef name,
                const CpuTarget &target, unsigned numBuffers, unsigned numScalars);
  /// Ends the function with a return. Call once, when the body is complete.
  void finish();

  const CpuTarget &target() const { return *cpu; }
  Value buffer(unsigned index) const { return buffers[index]; }
  Value scalar(unsigned index) const { return scalars[index]; }
  Value tileBegin() { return firstTile; }
  Value tileEnd() { return lastTile; }
  Value scratch() { return memory; }

  /// Types: one native vector of f32, of i32, and a mask of the same lanes.
  mlir::VectorType vectorType() { return mlir::VectorType::get(cpu->lanes(), getF32Type()); }
  mlir::VectorType intVectorType() { return mlir::VectorType::get(cpu->lanes(), getI32Type()); }
  mlir::VectorType maskType() { return mlir::VectorType::get(cpu->lanes(), getI1Type()); }

  /// Constants and i64 arithmetic; operands of the division are not negative.
  Value i64(int64_t value);
  Value f32(float value);
  Value splat(float value);
  Value add(Value x, Value y);
  Value add(Value x, int64_t y) { return add(x, i64(y)); }
  Value sub(Value x, Value y);
  Value sub(Value x, int64_t y) { return sub(x, i64(y)); }
  Value mul(Value x, Value y);
  Value mul(Value x, int64_t y) { return mul(x, i64(y)); }
  Value div(Value x, Value y);
  Value div(Value x, int64_t y) { return div(x, i64(y)); }
  Value rem(Value x, Value y);
  Value rem(Value x, int64_t y) { return rem(x, i64(y)); }
  Value ceilDiv(Value x, int64_t y) { return div(add(x, y - 1), y); }
  Value min(Value x, Value y);
  Value max(Value x, Value y);
  Value less(Value x, Value y);
  Value equal(Value x, Value y);
  Value select(Value condition, Value x, Value y);

  /// f32 arithmetic on scalars or native vectors.
  Value addf(Value x, Value y);
  Value mulf(Value x, Value y);
  Value fma(Value x, Value y, Value z);
  /// The larger one; y where x is NaN or both are zeros (one maxps).
  Value maxf(Value x, Value y);
  Value broadcast(Value scalar);

  /// Memory. `offset` in bytes; alignment in bytes (4: any float).
  Value at(Value pointer, Value offset);
  Value at(Value pointer, int64_t offset);
  Value load(Type type, Value pointer, unsigned alignment = 4);
  Value loadF32(Value pointer) { return load(getF32Type(), pointer); }
  Value loadVector(Value pointer, unsigned alignment = 4) {
    return load(vectorType(), pointer, alignment);
  }
  void store(Value value, Value pointer, unsigned alignment = 4);
  /// The first `lanes` lanes only (all of them: a plain access); lanes not loaded are 0.
  Value loadLanes(Value pointer, unsigned lanes);
  void storeLanes(Value value, Value pointer, unsigned lanes);
  /// Fetches the line at `pointer` into the cache `level` (1, 2 or 3) for reading, or for writing.
  void prefetch(Value pointer, unsigned level = 2, bool forWrite = false);
  /// `bytes` of stack, 64-byte aligned, for the whole run of the function.
  Value stackBuffer(int64_t bytes);

  /// Loops over [lower, upper) and branches. Bodies see the builder positioned inside.
  using Body = llvm::function_ref<void(Value iv)>;
  using CarryingBody =
      llvm::function_ref<llvm::SmallVector<Value>(Value iv, mlir::ValueRange carried)>;
  void loop(Value lower, Value upper, int64_t step, Body body);
  llvm::SmallVector<Value> loop(Value lower, Value upper, int64_t step, mlir::ValueRange init,
                                CarryingBody body);
  void ifThen(Value condition, llvm::function_ref<void()> then);
  void ifElse(Value condition, llvm::function_ref<void()> then,
              llvm::function_ref<void()> otherwise);
  /// Values of one of two branches; only that one runs.
  using Values = llvm::function_ref<llvm::SmallVector<Value>()>;
  llvm::SmallVector<Value> choose(Value condition, Values then, Values otherwise);
  /// Runs the case whose index equals `selector`, in [0, count); `selector` is one of them.
  void switchOn(Value selector, unsigned count, llvm::function_ref<void(unsigned)> body);

protected:
  /// For functions of another form (GPU/GpuBuilder.h), which the subclass starts: it fills in all members below.
  KernelBuilder(mlir::Location loc, mlir::MLIRContext *context, const CpuTarget &target)
      : ImplicitLocOpBuilder(loc, context), cpu(&target) {}

  const CpuTarget *cpu;
  mlir::LLVM::LLVMFuncOp function;
  llvm::SmallVector<Value> buffers, scalars;
  Value firstTile, lastTile, memory;
  /// Quotients and remainders are of 32 bits: operands are known to be below 2^32.
  bool hasShortDivision = false;

private:
  Value laneMask(unsigned lanes);
  template <typename Op> Value divide(Value x, Value y);
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_KERNELBUILDER_H
