//===- PerfMap.h - names of kernels for perf ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_PERFMAP_H
#define PERMALLOY_LIB_RUNTIME_PERFMAP_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Runtime/CodeImage.h"

namespace permalloy {

/// Appends the kernels to /tmp/perf-PID.map, where `perf report` looks for the names of code that
/// lies in no file, when PERMALLOY_PERF=1 is in the environment. Each kernel is taken to reach to
/// the next, the last to the end of its code. Failing to write is no failure of the session.
void writePerfMap(const CodeImage &image, std::span<const artifact::Kernel> kernels,
                  std::span<const KernelFunction> entries);

} // namespace permalloy

#endif // PERMALLOY_LIB_RUNTIME_PERFMAP_H
