//===- MachineThreads.cpp - blocks of threads for the fake driver *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The machine of the code generator's tests reports what is wrong as failures of GoogleTest; in a library that belongs to no test
// program these are its own, and become the launch's.
//
//===----------------------------------------------------------------------===//
#include "../Unit/Codegen/GpuMachine.h"
#include "FakeThreads.h"

#include <gtest/gtest.h>

std::string permalloy::fakecuda::runThreads(permalloy::KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t blocks,
                                            unsigned threads, size_t sharedBytes, void *scratch) {
  const testing::TestResult &result = testing::UnitTest::GetInstance()->ad_hoc_test_result();
  int before = result.total_part_count();
  static unsigned launches = 0; // each in another order than the one before; calls of the driver come one after the other
  codegen::test::runBlocks(kernel, buffers, scalars, 0, blocks, threads, sharedBytes, scratch, codegen::test::machineSchedule(launches++));
  std::string faults;
  for (int i = before; i < result.total_part_count(); ++i)
    faults += std::string(i > before ? "\n" : "") + result.GetTestPartResult(i).message();
  return faults;
}
