//===- CodeImage.h - kernels made executable without dlopen ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_CODEIMAGE_H
#define PERMALLOY_RUNTIME_CODEIMAGE_H

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Artifact/Status.h"
#include "permalloy/Runtime/Memory.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace permalloy {

/// A kernel's entry; Artifact/Format.h explains the arguments.
using KernelFunction = void (*)(void *const *buffers, const int64_t *scalars, int64_t tileBegin,
                                int64_t tileEnd, void *scratch);

/// An ELF image laid out in anonymous memory: code read+execute, everything else read-only.
class CodeImage {
public:
  /// Loads `elf`, which must be an ELF64 x86-64 shared object with no undefined symbol to bind, no
  /// dynamic relocation and no thread-local storage; `name` is the target's, for errors.
  static Result<CodeImage> load(std::span<const std::byte> elf, const std::string &name);

  /// The function at a virtual address, which must lie in an executable segment.
  Result<KernelFunction> entry(uint64_t address) const;

  /// Where the executable segment that holds the address `code` ends; `code` when none does.
  uintptr_t codeEnd(uintptr_t code) const;

private:
  struct Segment {
    uint64_t begin, end; ///< virtual addresses
    bool executable;
  };
  Mapping memory_;
  std::vector<Segment> segments_;
};

/// The target that fits this CPU best: the last whose features `host` has. Asks for AMX permission
/// where the choice needs it, and passes such targets over (with one line on stderr in a process) when that is
/// refused. Otherwise an error says which features the least demanding target misses.
Result<size_t> selectTarget(std::span<const artifact::Target> targets, CpuFeatureMask host);

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_CODEIMAGE_H
