//===- GpuShadow.cpp - who touched which word of a launch, and when *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuShadow.h"

#include <algorithm>
#include <cstdlib>

using namespace permalloy::codegen::test;

static constexpr unsigned kWarp = 32;

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

void Timeline::beginBlock(unsigned count) {
  current.begin = current.barrier = ++time;
  warps.assign((count + kWarp - 1) / kWarp, time);
  threads.assign(count, {});
  ofAll.clear();
}

void Timeline::merge(Knowledge &into, const Knowledge &from) {
  for (const auto &[block, list] : from) {
    std::vector<Released> &own = into[block];
    for (const Released &released : list)
      if (std::ranges::none_of(own, [&](const Released &other) { return other.until == released.until; })) // times are of one thread
        own.push_back(released);
  }
}

void Timeline::barrierOfWarp(unsigned warp) {
  warps[warp] = ++time;
  auto first = threads.begin() + warp * kWarp;
  Knowledge all;
  for (auto thread = first; thread != first + kWarp; ++thread)
    merge(all, thread->acquired);
  if (!all.empty())
    std::for_each(first, first + kWarp, [&](ThreadState &thread) { thread.acquired = all; });
}

void Timeline::barrier() {
  current.barrier = ++time;
  for (ThreadState &thread : threads) {
    merge(ofAll, thread.acquired);
    thread.acquired.clear();
  }
}

Timeline::Released Timeline::snapshot(unsigned thread) const {
  return {current.begin, current.barrier, warps[thread / kWarp], time, thread};
}

void Timeline::fence(unsigned number, bool acquires, bool releases) {
  ++time;
  ThreadState &thread = threads[number];
  if (releases)
    thread.released = snapshot(number);
  if (acquires) {
    merge(thread.acquired, thread.seen);
    thread.seen.clear();
  }
}

void Timeline::atomic(unsigned number, const void *address) {
  ThreadState &thread = threads[number];
  Knowledge &location = locations[address];
  merge(thread.seen, location);
  if (!thread.released)
    return;
  merge(location, ofAll); // it hands on what it knows
  merge(location, thread.acquired);
  location[thread.released->begin].push_back(*thread.released);
}

bool Timeline::knows(const Knowledge &known, const Record &r) {
  auto behind = known.upper_bound(r.time);
  if (behind == known.begin())
    return false;
  return std::ranges::any_of(std::prev(behind)->second, [&](const Released &released) {
    return r.time < released.barrier || (r.kind() <= By::warp && r.thread / kWarp == released.thread / kWarp && r.time < released.ofWarp) ||
           (r.kind() == By::thread && r.thread == released.thread && r.time < released.until);
  });
}

bool Timeline::isBefore(const Record &r, unsigned thread) const {
  if (r.time < current.begin)
    return r.kind() != By::blocks && (knows(ofAll, r) || knows(threads[thread].acquired, r));
  if (r.time < current.barrier || (r.kind() == By::thread && r.thread == thread))
    return true;
  return r.kind() <= By::warp && r.thread / kWarp == thread / kWarp && r.time < warps[thread / kWarp];
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

Shadow::Shadow(const Timeline &timeline, uintptr_t begin, size_t bytes, bool ofBlock, bool isDefined)
    : begin(begin), end(begin + bytes), timeline(timeline), ofBlock(ofBlock), isDefined(isDefined),
      cells(static_cast<Cell *>(calloc(bytes / 4 + 1, sizeof(Cell)))) {}

/// From here on the bytes of a word have records of their own.
Shadow::Cell *Shadow::split(Cell &cell) {
  if (cell.write.kind() == By::split)
    return bytes[cell.write.time].get();
  bytes.push_back(std::make_unique<Cell[]>(4));
  std::fill_n(bytes.back().get(), 4, cell);
  cell.write = {.time = bytes.size() - 1, .by = unsigned(By::split)};
  return bytes.back().get();
}

std::optional<Conflict> Shadow::read(Cell &cell, const Record &own) {
  std::optional<Conflict> result;
  if (!isOfNow(cell.write)) {
    if (!isDefined)
      result = {Conflict::nobodyWrote, {}};
  } else if (cell.write.kind() == By::copy || !timeline.isBefore(cell.write, own.thread)) {
    result = {cell.write.kind() == By::copy ? Conflict::copyUnderWay : Conflict::race, cell.write, /*otherWrites=*/true};
  }
  // Of several reads the record keeps the latest, and who all may have been part of them.
  Record &last = cell.read;
  By by = By::thread;
  if (isOfNow(last)) {
    if (last.time < timeline.beginOfBlock() || last.kind() == By::blocks)
      by = By::blocks;
    else if (!timeline.isBefore(last, own.thread))
      by = last.kind() == By::block || last.thread / kWarp != own.thread / kWarp ? By::block : By::warp;
  }
  last = own;
  last.by = unsigned(by);
  return result;
}

std::optional<Conflict> Shadow::write(Cell &cell, const Record &own) {
  std::optional<Conflict> result;
  for (const Record *last : {&cell.read, &cell.write}) {
    if (!isOfNow(*last) || (own.isAtomic && last->isAtomic))
      continue;
    if (last->kind() == By::copy)
      result = {Conflict::copyUnderWay, *last, /*otherWrites=*/true};
    else if (!timeline.isBefore(*last, own.thread))
      result = {Conflict::race, *last, last == &cell.write};
  }
  cell.write = own;
  cell.read = {};
  return result;
}

std::optional<Conflict> Shadow::touch(Cell &cell, Access access, const Record &own) {
  if (access == Access::read)
    return read(cell, own);
  if (access == Access::copyEnds) {
    if (cell.write.kind() == By::copy && cell.write.thread == own.thread)
      cell.write = own;
    return std::nullopt;
  }
  std::optional<Conflict> result = write(cell, own);
  if (access == Access::copyBegins)
    cell.write.by = unsigned(By::copy);
  return result;
}

std::optional<Conflict> Shadow::touch(Access access, uintptr_t address, size_t count, unsigned thread, unsigned place, bool isAtomic) {
  Record own{.time = timeline.now(), .thread = thread, .isAtomic = isAtomic, .place = place};
  std::optional<Conflict> result;
  auto see = [&](Cell &cell, uintptr_t at) {
    if (std::optional<Conflict> conflict = touch(cell, access, own); conflict && !result) {
      result = conflict;
      result->address = at;
    }
  };
  for (uintptr_t word = address & ~uintptr_t(3); word < address + count; word += 4) {
    Cell &cell = cells[(word - begin) / 4];
    bool isWhole = word >= address && word + 4 <= address + count;
    if (isWhole && cell.write.kind() != By::split) {
      see(cell, word);
      continue;
    }
    Cell *parts = split(cell);
    for (uintptr_t at = std::max(word, address); at < std::min(word + 4, address + count); ++at)
      see(parts[at - word], at);
  }
  return result;
}
