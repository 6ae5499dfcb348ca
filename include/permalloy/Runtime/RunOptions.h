//===- RunOptions.h - what may differ from run to run ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_RUNOPTIONS_H
#define PERMALLOY_RUNTIME_RUNOPTIONS_H

#include <cstdint>
#include <span>

namespace permalloy {

class CacheState;
struct RunRecord;

struct RunOptions {
  /// Empty, or one entry per Program::steps: its wall time in nanoseconds.
  std::span<int64_t> stepNanoseconds = {};
  /// Null, or a flag that another thread may set while the run is under way: it is read before each
  /// step, and the run ends with StatusCode::terminated when it is not 0.
  const int32_t *terminate = nullptr;

  /// Null, or where the run notes when each of its steps began and ended (all but RunRecord::run).
  RunRecord *record = nullptr;
  /// Null, or where the past comes from and the present goes to: inputs and outputs of caches are
  /// then left out (their entries are not looked at).
  CacheState *state = nullptr;

  bool terminated() const { return terminate && __atomic_load_n(terminate, __ATOMIC_RELAXED) != 0; }
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_RUNOPTIONS_H
