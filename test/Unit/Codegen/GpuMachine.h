//===- GpuMachine.h - blocks of GPU threads on a CPU ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs kernels that toCpuThread made, block after block. Each thread has a stack of its own and runs until it waits for others: a
// barrier for the block; products, their operands and shuffles for its warp of 32. Copies are carried out when their thread waits for
// them, or when they begin (MachineSchedule), and shared memory begins as NaN.
//
// The machine is a checker. What it finds fails the test that runs, with the kernel, the operations and the threads:
//
//   races        GpuShadow.h: two accesses of a byte, one of them a write, that nothing orders; and of what a copy still writes
//   waiting      barriers that not all threads of a block come by, what a warp does together and not all its threads come by, in the
//                same operation; copies that nobody waits for
//   memory       accesses outside of the buffer that their address comes from, not aligned, writes to operands, reads of shared memory
//                and scratch that nobody wrote, constant loads (ld.global.nc) of results and scratch
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_GPUMACHINE_H
#define PERMALLOY_TEST_UNIT_CODEGEN_GPUMACHINE_H

#include "KernelRunner.h"
#include "permalloy/Codegen/GPU/CpuThreads.h"

namespace permalloy::codegen::test {

/// In which order what may happen in any order happens. Results must not depend on it.
struct MachineSchedule {
  /// Of blocks, warps and lanes: 0 as they are numbered, each warp a step; 1 backwards, each warp as far as it comes; others are seeds.
  unsigned order = 0;
  /// Copies are carried out when they begin.
  bool eagerCopies = false;
};

/// The schedule number `seed` % 4: in order, backwards with eager copies, and two that are drawn.
MachineSchedule machineSchedule(unsigned seed);

/// Runs the blocks [begin, end) of a kernel as one launch.
void runBlocks(KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, unsigned threads,
               size_t sharedBytes, void *scratch, MachineSchedule schedule = {});

/// Accesses to shared memory so far for which the threads of a warp that are served at once wanted different words of a bank. Only what all
/// threads of a warp do together between two waits is looked at.
uint64_t bankConflicts();

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_GPUMACHINE_H
