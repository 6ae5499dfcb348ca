//===- KernelMemo.h - kernels that this process compiled ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_PIPELINES_KERNELMEMO_H
#define PERMALLOY_PIPELINES_KERNELMEMO_H

#include "permalloy/Codegen/KernelEmitter.h"

#include "llvm/ADT/StringMap.h"

#include <mutex>
#include <optional>

namespace permalloy {

/// Objects by target, name and text of kernels, for searches that compile a model again and again: what a hit spares is most of a
/// compilation, since the cache on disk (KernelCache.h) is asked by lowered code. Any thread may use it.
class KernelMemo {
public:
  std::optional<codegen::CompiledObject> find(llvm::StringRef key) {
    std::lock_guard lock(mutex);
    auto found = objects.find(key);
    return found == objects.end() ? std::nullopt : std::optional(found->second);
  }
  void keep(llvm::StringRef key, const codegen::CompiledObject &object) {
    std::lock_guard lock(mutex);
    objects[key] = object;
  }

private:
  std::mutex mutex;
  llvm::StringMap<codegen::CompiledObject> objects;
};

} // namespace permalloy

#endif
