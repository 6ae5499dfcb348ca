//===- KernelCache.h - compiled kernels kept on disk ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_COMMON_KERNELCACHE_H
#define PERMALLOY_CODEGEN_COMMON_KERNELCACHE_H

#include "permalloy/Codegen/GPU/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>
#include <string>

namespace permalloy::codegen {

/// Code of kernels in a folder, one file per kernel and target, named by a hash of what it was
/// compiled from: the lowered IR, the target, and the versions of LLVM, of this format and, for
/// GPUs, of ptxas. Emitting the IR
/// takes a millisecond and optimising it a hundred, so keying on the IR makes an entry valid
/// whatever has changed in the compiler. Files are written under a temporary name and renamed, and
/// end with a checksum: readers never see half a file. Several threads and processes may share a
/// folder.
class KernelCache {
public:
  static constexpr uint64_t kDefaultLimitBytes = 256ull << 20;

  /// A cache in `folder`, made (mode 0700) when first written to. The oldest files go when their
  /// sum passes `limitBytes`.
  explicit KernelCache(std::string folder, uint64_t limitBytes = kDefaultLimitBytes)
      : folder(std::move(folder)), limitBytes(limitBytes) {}

  /// `$XDG_CACHE_HOME/permalloy/kernels`, or the same under ~/.cache; empty where neither is known.
  static std::string defaultFolder();
  /// The name of a lowered kernel's file.
  static std::string keyOf(mlir::ModuleOp lowered, const CpuTarget &target);
  /// `assembler` is what ptxas says of its version; empty: PTX alone.
  static std::string keyOf(mlir::ModuleOp lowered, const GpuTarget &target, llvm::StringRef assembler);

  /// The object stored under `key`; nothing when it is absent, unreadable or damaged.
  std::optional<llvm::SmallVector<char, 0>> lookup(llvm::StringRef key) const;
  /// Stores an object. A cache that cannot be written to is no error: the next compile is as slow.
  void store(llvm::StringRef key, llvm::ArrayRef<char> object) const;

private:
  void prune() const;

  std::string folder;
  uint64_t limitBytes;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_COMMON_KERNELCACHE_H
