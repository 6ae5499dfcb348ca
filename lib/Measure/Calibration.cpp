//===- Calibration.cpp - the constants of this machine's roofline *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Calibration.h"
#include "Loops.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Measure/Timing.h"
#include "permalloy/Runtime/Memory.h"
#include "permalloy/Support/Files.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cmath>
#include <ctime>
#include <immintrin.h>

using namespace permalloy;

static constexpr double kBudgetNs = 20e6;
static volatile float sink; // so that nothing is optimised away

static constexpr long kSteps = 20000;
static constexpr double kChains = measure::kChains;

/// Loops that return how much they did.
static double dotVnni() {
  long steps = kSteps;
  RUN_CHAINS("vpdpbusd", "zmm", steps);
  return kSteps * kChains * 64 * 2;
}

/// Products of bytes in pairs, sums of pairs, and the sum: three instructions for 32 products.
static double dotAvx2() {
  long steps = kSteps;
  RUN_CHAINS("vpmaddubsw", "ymm", steps);
  return kSteps * kChains / 3 * 32 * 2;
}

namespace {
/// 8 tiles of 16 rows of 64 bytes.
struct TileConfig {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t bytesPerRow[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
} // namespace

#define TILE_LOOP(DOT)                                                                                                         \
  TileConfig config;                                                                                                           \
  alignas(64) static const uint8_t zeros[1024] = {};                                                                           \
  alignas(64) uint8_t result[1024];                                                                                            \
  _tile_loadconfig(&config);                                                                                                   \
  _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);                                                                  \
  _tile_loadd(4, zeros, 64), _tile_loadd(5, zeros, 64), _tile_loadd(6, zeros, 64), _tile_loadd(7, zeros, 64);                  \
  for (long i = 0; i < kSteps; ++i) {                                                                                          \
    DOT(0, 4, 6);                                                                                                              \
    DOT(1, 4, 7);                                                                                                              \
    DOT(2, 5, 6);                                                                                                              \
    DOT(3, 5, 7);                                                                                                              \
  }                                                                                                                            \
  _tile_stored(0, result, 64);                                                                                                 \
  _tile_release();                                                                                                             \
  sink = result[0];

__attribute__((target("amx-tile,amx-bf16"))) static double tilesBf16() {
  TILE_LOOP(_tile_dpbf16ps)
  return kSteps * 4.0 * 16 * 16 * 32 * 2;
}

__attribute__((target("amx-tile,amx-int8"))) static double tilesInt8() {
  TILE_LOOP(_tile_dpbssd)
  return kSteps * 4.0 * 16 * 16 * 64 * 2;
}

/// Reads `bytes` once, a quarter of a kilobyte at a time.
static double readCached(const std::byte *memory, size_t bytes) {
  size_t left = bytes / 256;
  double done = double(left) * 256;
  asm volatile("0:\n"
               "vmovaps (%0), %%ymm0\nvmovaps 32(%0), %%ymm1\nvmovaps 64(%0), %%ymm2\nvmovaps 96(%0), %%ymm3\n"
               "vmovaps 128(%0), %%ymm4\nvmovaps 160(%0), %%ymm5\nvmovaps 192(%0), %%ymm6\nvmovaps 224(%0), %%ymm7\n"
               "add $256, %0\ndec %1\njnz 0b\nvzeroupper"
               : "+r"(memory), "+r"(left)
               :
               : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
  return done;
}

/// What `loop` does in a nanosecond, at best.
static double rateOf(llvm::function_ref<double()> loop, measure::Yardstick &reference) {
  double done = 0;
  measure::Timing timing = measure::timeCalls([&] { done = loop(); }, reference, [] { return false; }, kBudgetNs);
  return done / timing.minNs;
}

static double readRate(const Mapping &memory, size_t bytes, measure::Yardstick &reference) {
  bool cached = bytes <= Cpu::host().l2Bytes; // there the loop's own instructions count
  return rateOf([&] { return cached ? readCached(memory.data(), bytes) : measure::readStreams(memory.data(), bytes); }, reference);
}

/// Of the third-level cache, what reads of one core get: the largest span that comes nearer to its rate than to that of memory. On a
/// shared machine that is a part of what the CPU says.
static uint64_t l3Share(const Mapping &memory, const MachineRates &rates, measure::Yardstick &reference) {
  uint64_t held = std::min<uint64_t>(rates.l3Bytes, 8 << 20);
  for (uint64_t span : {16, 24, 32, 48, 64, 80, 96, 128, 192}) {
    span <<= 20;
    if (span > rates.l3Bytes || readRate(memory, span, reference) < std::sqrt(rates.l3 * rates.memory))
      break;
    held = span;
  }
  return held;
}

static std::string today() {
  std::time_t now = std::time(nullptr);
  char text[16];
  std::tm utc;
  ::gmtime_r(&now, &utc);
  std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
  return text;
}

MachineRates measure::calibrate() {
  const Cpu &cpu = Cpu::host();
  MachineRates rates = MachineRates::committed(cpu.kind());
  rates.l1Bytes = cpu.l1Bytes, rates.l2Bytes = cpu.l2Bytes, rates.l3Bytes = cpu.l3Bytes;
  measure::Yardstick reference;
  auto has = [&](const char *feature) { return llvm::StringRef(" " + cpu.features + " ").contains(" " + std::string(feature) + " "); };
  bool avx512 = has("avx512f"), tiles = has("amx-bf16") && has("amx-int8") && requestAmxPermission();
  rates.avx2Gflops = rateOf([] { return measure::fmaAvx2(kSteps); }, reference);
  rates.avx2Int8Gops = rateOf(dotAvx2, reference);
  rates.avx512Gflops = avx512 ? rateOf([] { return measure::fmaAvx512(kSteps); }, reference) : 0;
  rates.vnniGops = has("avx512vnni") ? rateOf(dotVnni, reference) : 0;
  rates.amxBf16Gflops = tiles ? rateOf(tilesBf16, reference) : 0;
  rates.amxInt8Gops = tiles ? rateOf(tilesInt8, reference) : 0;
  constexpr size_t kMost = size_t(256) << 20;
  if (Result<Mapping> memory = Mapping::anonymous(kMost); memory.ok()) {
    std::fill_n(memory->data(), kMost, std::byte(1));
    rates.l1 = readRate(*memory, std::max<size_t>(cpu.l1Bytes / 2, 8 << 10), reference);
    rates.l2 = readRate(*memory, std::max<size_t>(cpu.l2Bytes / 2, 64 << 10), reference);
    rates.l3 = readRate(*memory, std::clamp<size_t>(cpu.l3Bytes / 4, 1 << 20, 16 << 20), reference);
    rates.memory = readRate(*memory, kMost, reference);
    rates.l3Bytes = l3Share(*memory, rates, reference);
  }
  rates.source = "measured " + today();
  return rates;
}

/// Whether the file is there and holds constants of this CPU; one of another version is measured anew.
static bool isCurrent(const std::string &path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file)
    return false;
  Result<MachineRates> rates = MachineRates::parse((*file)->getBuffer().str());
  return rates.ok() && rates->cpu == Cpu::host().kind();
}

Result<MachineRates> measure::calibrateOnce(bool again) {
  std::string path = MachineRates::defaultPath();
  if (path.empty() || (!again && isCurrent(path)))
    return MachineRates::of();
  MachineRates rates = calibrate();
  if (std::error_code error = llvm::sys::fs::create_directories(llvm::sys::path::parent_path(path)))
    return Status(StatusCode::ioError, path + ": " + error.message());
  if (Status status = writeFile(path, rates.toJson()); !status.ok())
    return status;
  return rates;
}
