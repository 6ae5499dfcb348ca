//===- GpuBlock.h - the threads of a block, inside the machine --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_GPUBLOCK_H
#define PERMALLOY_TEST_UNIT_CODEGEN_GPUBLOCK_H

#include "GpuChecks.h"
#include "GpuMachine.h"

#include "llvm/ADT/ArrayRef.h"

#include <deque>
#include <random>

namespace permalloy::codegen::test {

constexpr unsigned kWarp = 32;

struct Copy {
  char *to;
  const char *from;
  uint32_t bytes;
  unsigned place;
};

/// Of shared memory, for conflicts of banks.
struct BankAccess {
  uint32_t instruction, bytes;
  uintptr_t address;
};

struct Thread {
  void *stack = nullptr; ///< where it goes on
  bool isDone = false;
  /// What it waits for, where; nothing: it can run.
  std::optional<ThreadStep> wants;
  unsigned place = 0;
  uint32_t *words = nullptr;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
  std::vector<BankAccess> accesses;
};

/// What the 32 threads of a warp do together; each has its operands in `words`, where its results go. `report` is called for a fault.
void doTogether(llvm::MutableArrayRef<Thread> warp, ThreadStep what, llvm::function_ref<void(const std::string &)> report);
/// Counts the conflicts of what a warp did since it last waited, and forgets that.
void countBankConflicts(llvm::MutableArrayRef<Thread> warp);

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_GPUBLOCK_H
