//===- GpuWarp.cpp - what the threads of a warp do together -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuBlock.h"

#include "llvm/ADT/STLExtras.h"

#include <atomic>
#include <bit>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using Warp = llvm::MutableArrayRef<Thread>;

//===----------------------------------------------------------------------===//
// Banks of shared memory
//===----------------------------------------------------------------------===//

static std::atomic<uint64_t> conflicts = 0;

uint64_t permalloy::codegen::test::bankConflicts() { return conflicts; }

/// Whether threads that are served at once want different words of a bank.
static bool conflict(llvm::ArrayRef<Thread> threads, size_t access) {
  uintptr_t wordOf[32] = {};
  for (const Thread &thread : threads) {
    auto [instruction, bytes, address] = thread.accesses[access];
    for (uintptr_t word = address / 4; word * 4 < address + bytes; ++word) {
      if (wordOf[word % 32] && wordOf[word % 32] != word)
        return true;
      wordOf[word % 32] = word;
    }
  }
  return false;
}

/// Only where all did the same.
void permalloy::codegen::test::countBankConflicts(Warp warp) {
  bool alike = llvm::all_of(warp, [&](const Thread &thread) {
    return std::ranges::equal(thread.accesses, warp[0].accesses, {}, &BankAccess::instruction, &BankAccess::instruction);
  });
  for (size_t i = 0; alike && i < warp[0].accesses.size(); ++i) {
    unsigned atOnce = kWarp * 4 / std::max(warp[0].accesses[i].bytes, 4u); // 128 bytes
    for (unsigned from = 0; from < kWarp; from += atOnce)
      conflicts += conflict(warp.slice(from, atOnce), i);
  }
  for (Thread &thread : warp)
    thread.accesses.clear();
}

//===----------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------===//

static float floatOf(uint32_t bits) { return std::bit_cast<float>(bits); }

static int32_t byteOf(uint32_t word, unsigned index, bool isUnsigned) {
  uint8_t byte = word >> 8 * index;
  return isUnsigned ? int32_t(byte) : int32_t(int8_t(byte));
}

static float halfOf(uint32_t half, bool isF16) {
  if (!isF16)
    return floatOf(half << 16);
  uint32_t sign = (half & 0x8000) << 16, rest = (half & 0x7fff) << 13;
  bool isFinite = (half & 0x7c00) != 0x7c00;
  return floatOf(sign | (isFinite ? std::bit_cast<uint32_t>(floatOf(rest) * 0x1p112f) : rest | 0x7f800000));
}

/// Element `index` of an operand word.
static float elementOf(ThreadStep type, uint32_t word, unsigned index) {
  if (type == ThreadStep::multiplyTf32)
    return floatOf(word & 0xffffe000u); // 10 bits of mantissa
  bool isF16 = int64_t(type) == int64_t(ThreadStep::multiplyTf32) + 1;
  return halfOf(word >> 16 * index & 0xffff, isF16);
}

static void multiply(Warp warp, ThreadStep what) {
  bool isInteger = int64_t(what) == int64_t(ThreadStep::multiplyTf32) + 3;
  unsigned inWord = what == ThreadStep::multiplyTf32 ? 1 : isInteger ? 4 : 2, unsignedBytes = warp[0].words[10];
  uint32_t a[16][8], b[8][8], c[16][8];
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    const uint32_t *words = warp[lane].words;
    unsigned g = lane / 4, t = lane % 4;
    a[g][t] = words[0], a[g + 8][t] = words[1], a[g][t + 4] = words[2], a[g + 8][t + 4] = words[3];
    b[t][g] = words[4], b[t + 4][g] = words[5];
    c[g][2 * t] = words[6], c[g][2 * t + 1] = words[7], c[g + 8][2 * t] = words[8], c[g + 8][2 * t + 1] = words[9];
  }
  auto sum = [&]<typename T>(auto elementA, auto elementB, T) {
    T x[16][32], y[8][32];
    unsigned depth = 8 * inWord;
    for (unsigned k = 0; k < depth; ++k) {
      for (unsigned row = 0; row < 16; ++row)
        x[row][k] = elementA(a[row][k / inWord], k % inWord);
      for (unsigned column = 0; column < 8; ++column)
        y[column][k] = elementB(b[k / inWord][column], k % inWord);
    }
    for (unsigned row = 0; row < 16; ++row)
      for (unsigned column = 0; column < 8; ++column) {
        T total = std::bit_cast<T>(c[row][column]);
        for (unsigned k = 0; k < depth; ++k)
          total += x[row][k] * y[column][k];
        c[row][column] = std::bit_cast<uint32_t>(total);
      }
  };
  if (isInteger)
    sum([&](uint32_t word, unsigned i) { return uint32_t(byteOf(word, i, unsignedBytes & 1)); },
        [&](uint32_t word, unsigned i) { return uint32_t(byteOf(word, i, unsignedBytes & 2)); }, uint32_t());
  else
    sum([&](uint32_t word, unsigned i) { return elementOf(what, word, i); }, [&](uint32_t word, unsigned i) { return elementOf(what, word, i); },
        float());
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    uint32_t *words = warp[lane].words;
    unsigned g = lane / 4, t = lane % 4;
    words[0] = c[g][2 * t], words[1] = c[g][2 * t + 1], words[2] = c[g + 8][2 * t], words[3] = c[g + 8][2 * t + 1];
  }
}

static char *addressOf(const uint32_t *words) {
  char *address;
  memcpy(&address, words, sizeof address);
  return address;
}

/// The 8 x 4 words of matrix m are rows whose addresses lanes 8 m .. 8 m + 7 give; lane l gets word l % 4 of row l / 4 of each.
/// Transposed, it gets the elements l / 4 of the rows l % 4 * 2 and the one behind that.
static void loadMatrix(Warp warp, bool isTransposed, llvm::function_ref<void(const std::string &)> report) {
  const char *rows[kWarp];
  for (unsigned lane = 0; lane < kWarp; ++lane)
    rows[lane] = addressOf(warp[lane].words);
  // Eight lanes are served at once: their rows must lie in different banks.
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    unsigned places = 0;
    for (unsigned row = 0; row < 8; ++row)
      places |= 1u << reinterpret_cast<uintptr_t>(rows[matrix * 8 + row]) / 16 % 8;
    if (places != 0xff)
      report("rows of a matrix meet a bank conflict");
  }
  for (unsigned lane = 0; lane < kWarp; ++lane)
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
      uint32_t *word = warp[lane].words + matrix;
      if (!isTransposed)
        memcpy(word, rows[matrix * 8 + lane / 4] + lane % 4 * 4, 4);
      for (unsigned half = 0; isTransposed && half < 2; ++half)
        memcpy(reinterpret_cast<char *>(word) + half * 2, rows[matrix * 8 + lane % 4 * 2 + half] + lane / 4 * 2, 2);
    }
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

static void shuffle(Warp warp) {
  uint32_t given[kWarp];
  for (unsigned lane = 0; lane < kWarp; ++lane)
    given[lane] = warp[lane].words[0];
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    uint32_t *words = warp[lane].words;
    auto kind = ShuffleKind(words[2]);
    unsigned from = kind == ShuffleKind::index ? words[1] : kind == ShuffleKind::down ? lane + words[1] : lane ^ words[1];
    words[0] = given[from < kWarp ? from : lane];
  }
}

static void ballot(Warp warp) {
  uint32_t bits = 0;
  for (unsigned lane = 0; lane < kWarp; ++lane)
    bits |= warp[lane].words[0] << lane;
  for (Thread &thread : warp)
    thread.words[0] = bits;
}

void permalloy::codegen::test::doTogether(Warp warp, ThreadStep what, llvm::function_ref<void(const std::string &)> report) {
  switch (what) {
  case ThreadStep::ballot:
    return ballot(warp);
  case ThreadStep::shuffle:
    return shuffle(warp);
  case ThreadStep::barrierOfWarp:
    return;
  case ThreadStep::loadMatrix:
  case ThreadStep::loadTransposed:
    return loadMatrix(warp, what == ThreadStep::loadTransposed, report);
  default:
    return multiply(warp, what);
  }
}
