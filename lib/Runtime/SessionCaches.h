//===- SessionCaches.h - the caches of one call ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_SESSIONCACHES_H
#define PERMALLOY_LIB_RUNTIME_SESSIONCACHES_H

#include "permalloy/Runtime/Session.h"

namespace permalloy {

/// The set that a call appends to, and the rows [before, after) of it that the call has claimed.
/// Rows that are not kept are given back.
struct Session::CacheUse {
  std::shared_ptr<CacheSet> set; ///< null when the model has no caches
  int64_t before = 0, after = 0;
  bool kept = false;

  CacheUse() = default;
  CacheUse(const CacheUse &) = delete;
  CacheUse &operator=(const CacheUse &) = delete;
  ~CacheUse() {
    if (set && !kept)
      set->giveBack(before, after);
  }
  std::span<void *const> buffers() const {
    return set ? set->buffers() : std::span<void *const>();
  }
};

} // namespace permalloy

#endif // PERMALLOY_LIB_RUNTIME_SESSIONCACHES_H
