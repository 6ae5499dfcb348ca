//===- NoThreads.cpp - the fake driver without the compiler ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FakeThreads.h"

std::string permalloy::fakecuda::runThreads(KernelFunction, void *const *, const int64_t *, int64_t, unsigned, size_t, void *) {
  return "threads of a block work together, which this build cannot run";
}
