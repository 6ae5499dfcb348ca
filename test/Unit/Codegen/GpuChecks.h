//===- GpuChecks.h - finds what compute-sanitizer would find on a GPU *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_GPUCHECKS_H
#define PERMALLOY_TEST_UNIT_CODEGEN_GPUCHECKS_H

#include "GpuShadow.h"
#include "permalloy/Codegen/GPU/CpuThreads.h"

#include <set>
#include <string>

namespace permalloy::codegen::test {

/// Of one launch: races, accesses outside of buffers, not aligned or of what nobody wrote, writes to operands. Each fault is reported
/// once for each pair of operations, as a failure of the test that runs, with the kernel, the operations, the threads and the place.
class GpuChecks {
public:
  /// `sharedMemory` of all its blocks, one after the other.
  GpuChecks(uintptr_t sharedMemory, size_t sharedBytes);

  /// Buffers become known before the first access. Counters lie before the scratch, which is the last one.
  void declare(unsigned number, bool isResult, bool isScratch, uintptr_t address, size_t bytes);
  void setPlaces(const char *text) { places = text; }

  Timeline timeline;
  void beginBlock(int64_t number, unsigned threads);
  /// A plain or atomic access of a thread, before it happens.
  void access(unsigned thread, uintptr_t address, ThreadAccess access);
  /// An asynchronous copy of `bytes` and zeros up to 16, when it begins and when its thread has waited for it.
  void copyBegins(unsigned thread, uintptr_t to, uintptr_t from, size_t bytes, uint16_t buffer, unsigned place);
  void copyEnds(unsigned thread, uintptr_t to, unsigned place);

  void report(const std::string &kind, unsigned place, unsigned otherPlace, const std::string &text);
  /// An operation's text.
  std::string place(unsigned number) const;
  std::string kernel() const { return places ? places : "a kernel"; }

private:
  struct Buffer {
    uintptr_t address = 0;
    size_t bytes = 0;
    bool isResult = false, isScratch = false;
  };
  void makeShadows();
  Shadow *shadowOf(uintptr_t address);
  bool isInside(unsigned thread, uintptr_t address, ThreadAccess access);
  void touch(Shadow::Access how, unsigned thread, uintptr_t address, size_t bytes, unsigned place, bool isAtomic = false);
  std::string name(uintptr_t address) const;

  const char *places = nullptr;
  int64_t block = 0;
  std::vector<Buffer> buffers;
  std::vector<std::unique_ptr<Shadow>> shadows; ///< of the launch, in order
  Shadow shared;
  bool areShadowsMade = false;
  std::set<std::string> reported;
};

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_GPUCHECKS_H
