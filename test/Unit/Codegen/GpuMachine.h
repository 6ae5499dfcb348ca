//===- GpuMachine.h - blocks of GPU threads on a CPU ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_GPUMACHINE_H
#define PERMALLOY_TEST_UNIT_CODEGEN_GPUMACHINE_H

#include "KernelRunner.h"
#include "permalloy/Codegen/GPU/CpuThreads.h"

namespace permalloy::codegen::test {

/// Runs the blocks [begin, end) of a kernel that toCpuThread made, one after the other. Each thread has a stack of its own and runs
/// until it waits for others: a barrier for the block, products and their operands for its warp of 32. Copies are carried out only when
/// their thread waits for them, and shared memory begins as NaN, so a wait or a barrier that is missing shows in the results. A
/// thread that others wait for in vain fails the test.
void runBlocks(KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, unsigned threads,
               size_t sharedBytes, void *scratch);

/// Accesses to shared memory so far for which the threads of a warp that are served at once wanted different words of a bank. Only what all
/// threads of a warp do together between two waits is looked at.
uint64_t bankConflicts();

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_GPUMACHINE_H
