//===- GpuShadow.h - who touched which word of a launch, and when *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two accesses of a byte by different threads, at least one of which writes, are a race unless something orders them. For each word of
// memory that a launch may write there is a record of its last write and of the reads since; an access asks whether what is recorded
// comes before it. PTX orders
//
//   within a thread       everything
//   within a warp         what a bar.warp.sync lies between; no shuffle, vote, ldmatrix or mma orders memory
//   within a block        what a bar.sync lies between
//   in different blocks   what lies before a fence and an atomic operation behind that, and behind an atomic operation on the same
//                         address and a fence behind that, each pair of one thread. They take with them what barriers ordered before
//                         the first fence and behind the second; a fence says nothing of what other threads write after a barrier.
//
// All threads of a block come by its barriers together, so one number of the last barrier stands for a vector of clocks, and so on
// for warps. Blocks run one after the other here, so what another block did is always done: the question is who could know.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_GPUSHADOW_H
#define PERMALLOY_TEST_UNIT_CODEGEN_GPUSHADOW_H

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace permalloy::codegen::test {

/// By whom a record is: reads may be of several threads, all that nothing has ordered yet.
enum class By : unsigned { thread = 0, warp = 1, block = 2, blocks = 3, copy = 4, split = 7 };

/// An access of a word.
struct Record {
  uint64_t time : 36 = 0; ///< 0: none
  uint64_t thread : 10 = 0;
  uint64_t by : 3 = 0; ///< copy: a write that is under way; split: `time` is an index, of records for each byte
  uint64_t isAtomic : 1 = 0;
  uint64_t place : 14 = 0; ///< the operation's number

  By kind() const { return By(unsigned(by)); }
};
static_assert(sizeof(Record) == 8);

/// The order of a launch's accesses.
class Timeline {
public:
  void beginBlock(unsigned threads);
  uint64_t now() const { return time; }
  uint64_t beginOfBlock() const { return current.begin; }
  /// All threads of the block, or of the warp, have come.
  void barrier();
  void barrierOfWarp(unsigned warp);
  void fence(unsigned thread, bool acquires, bool releases);
  /// A relaxed atomic operation that reads and writes; and a plain store at the same address.
  void atomic(unsigned thread, const void *address);
  void overwrite(const void *address) { locations.erase(address); }
  /// Whether all of a record is before what `thread` does now.
  bool isBefore(const Record &record, unsigned thread) const;

private:
  /// What a release makes visible: of the block that began at `begin`, all before its last barrier, of the warp before its own, of the
  /// thread before `until`.
  struct Released {
    uint64_t begin = 0, barrier = 0, ofWarp = 0, until = 0;
    unsigned thread = 0;
  };
  using Knowledge = std::map<uint64_t, std::vector<Released>>; ///< by begin of the block
  struct ThreadState {
    std::optional<Released> released; ///< by a fence, for atomics to come
    Knowledge seen, acquired;         ///< by relaxed atomics, and what a fence behind them made of it
  };
  static bool knows(const Knowledge &known, const Record &record);
  Released snapshot(unsigned thread) const;
  static void merge(Knowledge &into, const Knowledge &from);

  uint64_t time = 1;
  Released current; ///< begin and barrier of the block
  std::vector<uint64_t> warps;
  std::vector<ThreadState> threads;
  Knowledge ofAll; ///< acquired before the block's last barrier
  std::map<const void *, Knowledge> locations;
};

/// What an access meets.
struct Conflict {
  enum Kind { race, copyUnderWay, nobodyWrote } kind;
  Record other;
  bool otherWrites = false;
  uintptr_t address = 0;
};

/// Records of a piece of memory.
class Shadow {
public:
  /// `ofBlock`: each block has its own memory there. `isDefined`: it has contents before the launch.
  Shadow(const Timeline &timeline, uintptr_t begin, size_t bytes, bool ofBlock, bool isDefined);

  enum class Access { read, write, copyBegins, copyEnds };
  /// Records an access; what is wrong with it.
  std::optional<Conflict> touch(Access access, uintptr_t address, size_t bytes, unsigned thread, unsigned place, bool isAtomic = false);

  uintptr_t begin, end;

private:
  struct Cell {
    Record write, read;
  };
  struct Free {
    void operator()(Cell *cells) const { free(cells); }
  };
  Cell *split(Cell &cell);
  std::optional<Conflict> touch(Cell &cell, Access access, const Record &own);
  std::optional<Conflict> read(Cell &cell, const Record &own);
  std::optional<Conflict> write(Cell &cell, const Record &own);
  bool isOfNow(const Record &record) const { return record.time != 0 && (!ofBlock || record.time >= timeline.beginOfBlock()); }

  const Timeline &timeline;
  bool ofBlock, isDefined;
  std::unique_ptr<Cell[], Free> cells;
  std::vector<std::unique_ptr<Cell[]>> bytes;
};

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_GPUSHADOW_H
