//===- GpuChecks.cpp - finds what compute-sanitizer would find on a GPU *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuChecks.h"
#include "permalloy/Artifact/Format.h"

#include "llvm/Support/FormatVariadic.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cstring>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using llvm::formatv;

static constexpr size_t kCounterBytes = permalloy::artifact::kDeviceCounters * sizeof(uint32_t), kMostReports = 8;

GpuChecks::GpuChecks(uintptr_t sharedMemory, size_t sharedBytes)
    : shared(timeline, sharedMemory, sharedBytes, /*ofBlock=*/true, /*isDefined=*/false) {}

void GpuChecks::beginBlock(int64_t number, unsigned threads) {
  block = number;
  timeline.beginBlock(threads);
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

void GpuChecks::declare(unsigned number, bool isResult, bool isScratch, uintptr_t address, size_t bytes) {
  if (number < buffers.size())
    return; // by the first thread
  buffers.push_back({address, bytes, isResult, isScratch});
  if (address % 16 != 0)
    report("alignment", number, 0, formatv("buffer {0} is at {1:x}: not aligned to 16 bytes", number, address).str());
}

/// Of what is written; operands that nobody writes have none.
void GpuChecks::makeShadows() {
  areShadowsMade = true;
  auto overlaps = [](const Buffer &a, const Buffer &b) { return a.address < b.address + b.bytes && b.address < a.address + a.bytes; };
  for (const Buffer &buffer : buffers) {
    if (buffer.isScratch) { // the counters are zeros
      shadows.push_back(std::make_unique<Shadow>(timeline, buffer.address - kCounterBytes, kCounterBytes, false, /*isDefined=*/true));
      shadows.push_back(std::make_unique<Shadow>(timeline, buffer.address, buffer.bytes, false, /*isDefined=*/false));
    } else if (buffer.isResult) {
      bool isOperand = llvm::any_of(buffers, [&](const Buffer &other) { return !other.isResult && !other.isScratch && overlaps(buffer, other); });
      shadows.push_back(std::make_unique<Shadow>(timeline, buffer.address, buffer.bytes, false, isOperand));
    }
  }
}

Shadow *GpuChecks::shadowOf(uintptr_t address) {
  for (const auto &shadow : shadows)
    if (address >= shadow->begin && address < shadow->end)
      return shadow.get();
  return nullptr;
}

/// Whether memory that is there is read or written; says it where not.
bool GpuChecks::isInside(unsigned thread, uintptr_t address, ThreadAccess access) {
  bool writes = access.kind & ThreadAccess::store;
  auto say = [&](const char *kind, const std::string &what) {
    report(kind, access.place, 0,
           formatv("thread {0} of block {1} {2} {3} bytes at {4}: {5}\n  {6}", thread, block, writes ? "writes" : "reads", int(access.bytes),
                   name(address), what, place(access.place)));
  };
  if (address % access.alignment != 0)
    say("alignment", formatv("not aligned to {0} bytes", int(access.alignment)));
  auto isIn = [&](uintptr_t begin, uintptr_t end) { return address >= begin && address + access.bytes <= end; };
  if (access.buffer == ThreadAccess::shared) {
    bool inside = isIn(shared.begin, shared.end);
    if (!inside)
      say("bounds", formatv("the block has {0} bytes", shared.end - shared.begin));
    return inside;
  }
  auto holds = [&](const Buffer &buffer) {
    return isIn(buffer.address - (buffer.isScratch ? kCounterBytes : 0), buffer.address + buffer.bytes);
  };
  bool isKnown = access.buffer < buffers.size();
  if (isKnown ? !holds(buffers[access.buffer]) : llvm::none_of(buffers, holds)) {
    say("bounds", isKnown ? formatv("the buffer has {0} bytes", buffers[access.buffer].bytes).str() : "in no buffer");
    return false;
  }
  if (writes && !shadowOf(address))
    say("operand", "an operand is no result");
  if (access.kind & ThreadAccess::constant && shadowOf(address))
    say("constant", "by a load of what nobody writes, of a result or scratch");
  return true;
}

/// What an address means to a reader.
std::string GpuChecks::name(uintptr_t address) const {
  if (address >= shared.begin && address < shared.end)
    return formatv("shared {0:x}", address - shared.begin);
  for (auto [number, buffer] : llvm::enumerate(buffers))
    if (address >= buffer.address - (buffer.isScratch ? kCounterBytes : 0) && address < buffer.address + buffer.bytes) {
      const char *kind = buffer.isScratch ? "scratch" : buffer.isResult ? "result, buffer" : "operand, buffer";
      return formatv("{0} {1} {2}", kind, buffer.isScratch ? "" : std::to_string(number) + " byte", int64_t(address - buffer.address));
    }
  return formatv("{0:x}", address);
}

//===----------------------------------------------------------------------===//
// Accesses
//===----------------------------------------------------------------------===//

void GpuChecks::access(unsigned thread, uintptr_t address, ThreadAccess access) {
  if (!areShadowsMade)
    makeShadows();
  if (!isInside(thread, address, access))
    return;
  bool writes = access.kind & ThreadAccess::store, isAtomic = access.kind & ThreadAccess::atomic;
  touch(writes ? Shadow::Access::write : Shadow::Access::read, thread, address, access.bytes, access.place, isAtomic);
  const void *where = reinterpret_cast<const void *>(address);
  if (isAtomic)
    timeline.atomic(thread, where);
  else if (writes && access.buffer != ThreadAccess::shared)
    timeline.overwrite(where);
}

void GpuChecks::copyBegins(unsigned thread, uintptr_t to, uintptr_t from, size_t bytes, uint16_t buffer, unsigned place) {
  if (!areShadowsMade)
    makeShadows();
  if (bytes != 0 && bytes != 16)
    report("copy", place, 0, formatv("a copy of {0} bytes\n  {1}", bytes, this->place(place)));
  ThreadAccess read{uint8_t(bytes), 16, ThreadAccess::load, 0, buffer, uint16_t(place)};
  ThreadAccess write{16, 16, ThreadAccess::store, 0, ThreadAccess::shared, uint16_t(place)};
  if (bytes && isInside(thread, from, read))
    touch(Shadow::Access::read, thread, from, bytes, place);
  if (isInside(thread, to, write))
    touch(Shadow::Access::copyBegins, thread, to, 16, place);
}

void GpuChecks::copyEnds(unsigned thread, uintptr_t to, unsigned place) {
  if (to >= shared.begin && to + 16 <= shared.end)
    touch(Shadow::Access::copyEnds, thread, to, 16, place);
}

void GpuChecks::touch(Shadow::Access how, unsigned thread, uintptr_t address, size_t bytes, unsigned place, bool isAtomic) {
  Shadow *shadow = address >= shared.begin && address < shared.end ? &shared : shadowOf(address);
  std::optional<Conflict> conflict = shadow ? shadow->touch(how, address, bytes, thread, place, isAtomic) : std::nullopt;
  if (!conflict)
    return;
  const char *what = how == Shadow::Access::read ? "reads" : "writes";
  std::string who = formatv("thread {0} of block {1} {2} {3}", thread, block, what, name(conflict->address));
  if (conflict->kind == Conflict::nobodyWrote)
    return report("undefined", place, 0, formatv("{0}, which nobody wrote\n  {1}", who, this->place(place)));
  const Record &other = conflict->other;
  static constexpr const char *kOthers[] = {"", " and others of its warp", " and others of its block", " and others of several blocks"};
  std::string whom = formatv("thread {0}{1}{2}", unsigned(other.thread), other.by < 4 ? kOthers[other.by] : "",
                             other.time < timeline.beginOfBlock() ? " of another block" : "");
  std::string text = formatv("{0}, and nothing orders that behind what {1} {2} there", who, whom, conflict->otherWrites ? "wrote" : "read");
  if (conflict->kind == Conflict::copyUnderWay)
    text = formatv("{0}, where a copy of {1} is under way", who, whom);
  report("race", place, other.place, formatv("{0}\n  {1}\n  {2}", text, this->place(place), this->place(other.place)));
}

//===----------------------------------------------------------------------===//
// Reports
//===----------------------------------------------------------------------===//

std::string GpuChecks::place(unsigned number) const {
  const char *text = places;
  for (unsigned i = 0; text && i <= number; ++i)
    text += strlen(text) + 1;
  return formatv("#{0} {1}", number, text ? text : "");
}

void GpuChecks::report(const std::string &kind, unsigned place, unsigned otherPlace, const std::string &text) {
  if (reported.size() >= kMostReports || !reported.insert(formatv("{0} {1} {2}", kind, place, otherPlace)).second)
    return;
  ADD_FAILURE() << kernel() << ": " << kind << ": " << text;
}
