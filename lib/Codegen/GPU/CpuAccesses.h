//===- CpuAccesses.h - what a thread tells of its loads and stores *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_CPUACCESSES_H
#define PERMALLOY_LIB_CODEGEN_GPU_CPUACCESSES_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"
#include "permalloy/Codegen/GPU/CpuThreads.h"

#include "llvm/ADT/MapVector.h"

namespace permalloy::codegen {

/// Numbers the operations of a thread that others can notice (ThreadMachine::places), and puts a call of machine->access before each load,
/// store and atomic operation of memory that is not the thread's own.
class CpuAccesses {
public:
  using Value = mlir::Value;

  /// `roots`: where addresses come from, with the buffer's number.
  CpuAccesses(KernelBuilder &b, Value machine, llvm::ArrayRef<std::pair<Value, uint16_t>> roots);

  /// Numbers all that is behind `last` in the function, while its addresses still have address spaces. Fails with an error at one
  /// that accesses memory and has no form on a CPU.
  mlir::LogicalResult find(mlir::Operation *function, mlir::Operation *last);
  /// Puts the calls in.
  void tell();
  /// Makes the texts of all operations and hands them to the machine, where the builder stands.
  void handOver(llvm::StringRef kernel);

  /// The number of an operation that `find` saw.
  uint16_t placeOf(mlir::Operation *op) const { return places.lookup(op); }
  /// The number of the buffer that an address belongs to; nothing for memory of the thread alone.
  std::optional<uint16_t> bufferOf(Value address) const;

private:
  void tell(Value address, mlir::Type type, unsigned alignment, unsigned kind, mlir::Operation *op, Value mask = {});
  void call(Value address, ThreadAccess access);

  KernelBuilder &b;
  Value machine, function;
  llvm::SmallDenseMap<Value, uint16_t> buffers;
  llvm::MapVector<mlir::Operation *, unsigned> places;
  std::string texts;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_GPU_CPUACCESSES_H
