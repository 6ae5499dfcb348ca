//===- GpuPrior.cpp - a roofline of GPU kernels ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/GpuPrior.h"
#include "permalloy/CostModel/Prior.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>

using namespace permalloy;

// Latencies are those of Luo et al., Benchmarking and Dissecting the Nvidia Hopper GPU Architecture (arXiv 2402.13499), of A100 and
// H100: 470 to 480 cycles out of memory, 260 out of L2, 40 out of L1, 30 out of shared memory.
/// Microseconds from a load to its value: out of memory, half as much again since others wait there, too; and out of L2.
static constexpr double kMemoryLatencyUs = 0.5, kL2LatencyUs = 0.15;
/// Cycles until a sum may be used, and until a value comes out of L1 and out of shared memory.
static constexpr double kFmaLatency = 4, kL1Latency = 40, kSharedLatency = 30;
/// Cycles that all warps of a block take to meet at a barrier.
static constexpr double kBarrier = 30;
/// Blocks that share a sum: each one's part to L2, the fence behind it and the counter, all round trips to L2 one after the other;
/// then the last one loads the parts, a round trip for some of them.
static constexpr double kMeetings = 4, kPartsAtOnce = 4;
/// Of the bandwidths, what long streams reach.
static constexpr double kBandwidthShare = 0.92;
/// Bytes a cycle of a multiprocessor's shared memory.
static constexpr double kSharedBytesPerCycle = 128;
/// Bytes that a warp's access of 128 bits takes of that where its lanes read few different places.
static constexpr double kWideAccess = 256;
/// Words of K that an instruction of tensor cores takes; instructions of a tile of FMA for its barrier, addresses and copies.
static constexpr double kStepWords = 8, kTileInstructions = 40;
/// Instructions of softmax for a score.
static constexpr double kScoreInstructions = 10;

namespace {
/// How the threads of a form go about their work.
enum class Style {
  Tiles,   ///< blocks of results, operands through shared memory in stages
  Skinny,  ///< up to kFewGpuRows rows times a weight that streams by
  Queries, ///< attention: tiles of keys and values that the warps of a block share
  Split,   ///< attention of few queries: tiles for each warp, blocks share the keys
  Stream,  ///< neighbours in memory by neighbouring threads
  Threads, ///< one row by each thread, one element after the other
};

struct Form {
  llvm::StringLiteral name;
  Style style;
  bool tensorCores;
};

struct Estimator {
  Estimator(const KernelFacts &facts, const GpuGrid &grid, const GpuRates &rates);
  GpuEstimate run(double launchUs);

private:
  double get(llvm::StringRef name, double otherwise) const { return double(parameterOf(grid.schedule, name, int64_t(otherwise))); }
  bool isTiled() const { return form.style <= Style::Split; }
  double tilesDown() const { return matrices * std::max(std::ceil(facts.m / matrices / get("block_rows", 64)), 1.0); }
  double tilesAcross() const { return std::max(std::ceil(facts.n / get("block_columns", 64)), 1.0); }
  double parts() const;
  void multiprocessors();
  void traffic();
  double bytesUnderWay() const;
  double copiedBytes() const;
  void arithmetic();
  double instructionsOfProducts() const;
  double laneRows() const { return std::max(get(form.style == Style::Split ? "few_rows" : "warp_rows", 16) / 4, 1.0); }
  double tileKeys() const { return get(form.style == Style::Split ? "few_keys" : "keys", 64); }
  double sharedOfAttention() const;
  double filled(double flops, double gflops, double wait) const;
  void sharedTraffic();
  void waiting();
  double rounds() const;
  double steps() const;
  double perMultiprocessor(double cycles) const { return cycles / (rates.gigahertz * 1e3) / (rates.multiprocessors * busy); }
  /// Bytes of `keys` keys of a head, or of as many values.
  double keyBytes(double keys) const { return keys * facts.headSize * facts.keyBits / 8; }
  double warps() const { return std::ceil(grid.threads / 32.0); }

  const KernelFacts &facts;
  const GpuGrid &grid;
  const GpuRates &rates;
  Form form;
  GpuEstimate result;
  double resident = 1; ///< blocks of a multiprocessor that run at once here
  double busy = 1;     ///< share of the multiprocessors' time with a block on them
  double products;     ///< multiply-adds of products
  double matrices;     ///< that have rows and columns of their own
};
} // namespace

static constexpr Form kForms[] = {
    {"tensor", Style::Tiles, true},     {"fma", Style::Tiles, false},           {"experts", Style::Tiles, false},
    {"attention", Style::Tiles, true},  {"attention_fma", Style::Tiles, false}, {"elements", Style::Stream, false},
    {"vector", Style::Stream, false},   {"row", Style::Stream, false},          {"fold", Style::Stream, false},
    {"select", Style::Stream, false},   {"route", Style::Stream, false},        {"tokens", Style::Stream, false},
    {"rows", Style::Threads, false},
    {"matmul", Style::Tiles, true},         {"matmul_fma", Style::Tiles, false},
};
/// One that is not in the table shows by its parameters whether it works in tiles.
static Form formOf(const GpuGrid &grid) {
  for (const Form &form : kForms)
    if (grid.form == form.name)
      return form;
  bool hasTiles = parameterOf(grid.schedule, "block_rows", 0) > 0 && parameterOf(grid.schedule, "block_columns", 0) > 0;
  return {"", hasTiles ? Style::Tiles : Style::Stream, hasTiles && parameterOf(grid.schedule, "warp_columns", 0) > 0};
}

bool permalloy::ranksSchedules(llvm::StringRef form) {
  const Form *known = llvm::find_if(kForms, [&](const Form &entry) { return entry.name == form; });
  // Of products of two activations nothing says whether tiles come element by element.
  return known != std::end(kForms) && known->style == Style::Tiles && !form.starts_with("matmul");
}

double permalloy::registerDemand(const GpuGrid &grid) {
  if (grid.wantedRegisters > 0)
    return grid.wantedRegisters;
  auto get = [&](llvm::StringRef name) { return double(parameterOf(grid.schedule, name, 0)); };
  if (double rows = get("warp_rows"), columns = get("warp_columns"); rows > 0 && columns > 0) {
    double sums = rows * columns / 32, operands = rows / 4 + columns / 4;
    return 1.25 * (sums + operands) + 20;
  }
  if (get("keys") > 0) // an attention's outputs and scores
    return 168;
  if (double results = get("block_rows") * get("block_columns"); results > 0 && grid.threads > 0)
    return 2 * results / grid.threads + 40;
  return 40;
}

unsigned permalloy::mostRegisters(unsigned threads) {
  unsigned warps = unsigned(llvm::divideCeil(std::max(threads, 1u), 32));
  return std::min(kGpuRegisters / warps / kGpuRegisterUnit * kGpuRegisterUnit / 32, 255u);
}

unsigned permalloy::estimatedRegisters(const GpuGrid &grid) { return unsigned(std::clamp(registerDemand(grid), 16.0, 255.0)); }

Estimator::Estimator(const KernelFacts &facts, const GpuGrid &grid, const GpuRates &rates)
    : facts(facts), grid(grid), rates(rates), form(formOf(grid)) {
  products = facts.m * facts.n * facts.k * facts.density, matrices = std::max(facts.matrices, 1.0);
  if (form.style != Style::Tiles)
    return;
  if (facts.heads > 0) {
    products += 2 * facts.batch * facts.heads * facts.queries * facts.seenKeys * facts.headSize;
    double rows = facts.queries * facts.heads / std::max(facts.kvHeads, 1.0);
    form.style = rows <= get("few_rows", kFewGpuRows) ? Style::Split : Style::Queries;
  } else if (get("skinny_panels", 0) > 0 && facts.n > 0 && facts.m <= kFewGpuRows) {
    form.style = Style::Skinny;
  }
}

/// Blocks that share a sum.
double Estimator::parts() const {
  double alone = form.style == Style::Skinny ? grid.blocks / std::max(get("skinny_split", 1), 1.0)
                 : form.style == Style::Split ? facts.batch * facts.kvHeads
                 : get("split_k", 1) > 1      ? tilesDown() * tilesAcross() * std::max(facts.groups, 1.0)
                                              : grid.blocks;
  return std::max(std::floor(grid.blocks / std::max(alone, 1.0)), 1.0);
}

void Estimator::multiprocessors() {
  result.hasEstimatedRegisters = grid.registers == 0;
  result.registers = grid.registers ? grid.registers : estimatedRegisters(grid);
  result.occupancy = occupancyOf(rates, grid.threads, result.registers, grid.sharedBytes);
  double most = std::max(result.occupancy.blocks, 1u), blocks = std::max(grid.blocks, 1.0);
  result.waves = blocks / (most * rates.multiprocessors);
  double each = std::ceil(blocks / rates.multiprocessors); // blocks of the multiprocessor that has most
  resident = std::min(most, each);
  busy = blocks / (each * rates.multiprocessors);
}

/// What a block has under way, beyond what is being worked on.
double Estimator::copiedBytes() const {
  double stages = get("stages", 0);
  switch (form.style) {
  case Style::Skinny:
    return grid.threads * get("skinny_loads", 2) * 16;
  case Style::Queries: // values while scores are computed, keys while weights are
    return std::max(stages, 1.0) * keyBytes(get("keys", 64));
  case Style::Split:
    return warps() * keyBytes(get("few_keys", 32));
  case Style::Tiles:
    if (stages > 1 && grid.sharedBytes > 0)
      return double(grid.sharedBytes) * (stages - 1) / stages;
    [[fallthrough]];
  default:
    return grid.threads * 32.0; // a sector, or two accesses of 16 bytes
  }
}

/// Of all multiprocessors together, by loads that nobody waits for yet.
double Estimator::bytesUnderWay() const {
  return std::min(std::max(grid.blocks, 1.0), resident * rates.multiprocessors) * copiedBytes();
}

/// Bytes that come from memory: weights; values only where they are too many to be left in L2 by the launch that made them, and the
/// cached keys and values of a decoder, behind which all weights went through L2.
void Estimator::traffic() {
  double values = std::max(facts.bytes - facts.weightBytes, 0.0);
  double cached = facts.hasCache ? 2 * facts.batch * facts.kvHeads * keyBytes(std::max(facts.keys - facts.queries, 0.0)) : 0;
  result.memoryBytes = std::min(facts.weightBytes, facts.bytes) + (values > double(rates.l2Bytes) / 2 ? values : std::min(cached, values));
  result.l2Bytes = facts.bytes;
  if (form.style == Style::Tiles && products > 0 && facts.n > 0) {
    double rowBytes = facts.m * facts.k * facts.inputBits / 8;
    // Of two values, each matrix has its own right one.
    double rightBytes = facts.weightBytes > 0 ? facts.weightBytes : matrices * facts.k * facts.n * facts.inputBits / 8;
    result.l2Bytes += rowBytes * (tilesAcross() - 1) + rightBytes * (tilesDown() / matrices - 1);
  } else if (form.style == Style::Queries) {
    result.l2Bytes += grid.blocks * 2 * keyBytes(facts.seenKeys); // each block all keys of its head
  } else if (products > 0 && grid.form == "elements") {
    result.l2Bytes += products * facts.inputBits / 8; // a column of the weight for each row
  } else if (form.style == Style::Threads) {
    result.l2Bytes *= 3; // a row is walked for its statistics, too
  }
  if (double shared = parts(); shared > 1) // partial results, written and read
    result.l2Bytes += 2 * shared * (facts.n > 0 ? facts.m * facts.n : facts.batch * facts.heads * facts.queries * facts.headSize) * 4;
  double covered = bytesUnderWay() / ((result.memoryBytes > 0 ? kMemoryLatencyUs : kL2LatencyUs) * 1e3);
  result.memory = result.memoryBytes / std::min(rates.memory * kBandwidthShare, covered) / 1e3;
  result.l2 = result.l2Bytes / std::min(rates.l2 * kBandwidthShare, bytesUnderWay() / (kL2LatencyUs * 1e3)) / 1e3;
}

/// Share of the time that a unit works whose warps, each on its own, alternate between `flops` at the rate of the unit and `wait`
/// cycles: for operands out of shared memory, mostly. Other warps of the quarter work meanwhile, where there are some.
double Estimator::filled(double flops, double gflops, double wait) const {
  double cycles = flops / (gflops / (rates.multiprocessors * rates.gigahertz * kGpuQuarters));
  return std::min(resident * warps() / kGpuQuarters * cycles / (cycles + wait), 1.0);
}

/// For each multiply-add of a product without tensor cores, with those that bring the operands.
double Estimator::instructionsOfProducts() const {
  if (form.style == Style::Queries || form.style == Style::Split) // four at a time of each row and each eighth key of a lane
    return 1 + (1 / laneRows() + 8 / tileKeys()) / 4;
  if (form.style == Style::Tiles) {
    double rows = get("thread_rows", 4), steps = get("block_steps", 16);
    return 1 + (rows + 4) / (16 * rows) + kTileInstructions / (steps * rows * 8);
  }
  return grid.form == "elements" || form.style == Style::Threads ? 5 : 2; // both operands are loaded for each
}

/// Products and all other instructions, by the rates of the units and the warps that keep them busy.
void Estimator::arithmetic() {
  bool isAttention = facts.heads > 0, narrow = isAttention ? facts.keyBits <= 16 : facts.inputBits <= 16;
  // f32 has such a form where it may be rounded to tf32.
  bool onTensorCores = form.tensorCores && isTiled() && form.style != Style::Skinny && products > 0;
  double gflops = facts.inputBits <= 8 || facts.isInteger ? rates.int8 : narrow ? rates.half : rates.tf32;
  result.peakGflops = onTensorCores ? gflops : rates.fma;
  double warpRows = get(form.style == Style::Split ? "few_rows" : "warp_rows", 32);
  double instructions = facts.vectorOps;
  if (isAttention)
    instructions += kScoreInstructions * facts.batch * facts.heads * facts.queries * facts.seenKeys;
  if (onTensorCores) {
    double columns = isAttention ? get(form.style == Style::Split ? "few_keys" : "keys", 64) : get("warp_columns", 32);
    double step = 2 * warpRows * columns * kStepWords * 32 / (isAttention ? facts.keyBits : facts.inputBits);
    double wait = kSharedLatency + kBarrier * kStepWords / get("block_words", 16);
    result.tensor = 2 * products / (gflops * rates.mmaShare * busy * filled(step, gflops * rates.mmaShare, wait)) / 1e3;
  } else {
    instructions += products * instructionsOfProducts() * (facts.isInteger ? 0.25 : 1); // dp4a
  }
  double independent = form.style == Style::Threads ? 1 : isTiled() && form.style != Style::Skinny ? 4 : 2;
  double full = std::min(resident * warps() * independent / (kGpuQuarters * kFmaLatency), 1.0);
  if (form.style == Style::Tiles && !onTensorCores)
    full = filled(2 * 2 * get("thread_rows", 4) * 8 * 32, rates.fma, kSharedLatency);
  result.fma = 2 * instructions / (rates.fma * busy * full) / 1e3;
}

/// Steps along K that a block takes one after the other, each of a tile.
double Estimator::steps() const {
  double depth = get("block_steps", 0) > 0 ? facts.k / get("block_steps", 16) : facts.k * facts.inputBits / 32 / get("block_words", 16);
  return std::max(std::ceil(depth / parts()), 1.0);
}

/// Of a block: keys and values come once, and each warp reads all of them for its rows. On tensor cores that is all; by FMA a lane
/// has every fourth row and every eighth key (or four columns), and takes four elements of each at once.
double Estimator::sharedOfAttention() const {
  double keys = facts.seenKeys / parts(), copied = 2 * keyBytes(keys), read = form.style == Style::Split ? copied : warps() * copied;
  if (!form.tensorCores) {
    double ofScores = facts.headSize / 4 * (laneRows() + tileKeys() / 8), ofValues = tileKeys() / 4 * (laneRows() + facts.headSize / 8);
    read = (form.style == Style::Split ? 1 : warps()) * keys / tileKeys() * (ofScores + ofValues) * kWideAccess;
  }
  return copied + read;
}

/// What warps read from shared memory, and what is copied there.
void Estimator::sharedTraffic() {
  double warpRows = get("warp_rows", 0), warpColumns = get("warp_columns", 0), blockRows = get("block_rows", 0), blockColumns = get("block_columns", 0);
  double bytes = 0; // of a block
  if (form.style == Style::Queries || form.style == Style::Split)
    bytes = sharedOfAttention();
  else if (form.style != Style::Tiles || products <= 0 || facts.n <= 0)
    return;
  else if (warpRows > 0 && warpColumns > 0)
    bytes = steps() * get("block_words", 16) * 4 * (warps() * (warpRows + warpColumns) + blockRows + blockColumns);
  else if (double rows = get("thread_rows", 0); rows > 0) // of a warp and two steps, accesses of 64 and of 128 bits
    bytes = steps() * get("block_steps", 16) * (warps() / 2 * (rows * kWideAccess / 2 + 4 * kWideAccess) + 4 * (blockRows + blockColumns));
  result.shared = perMultiprocessor(grid.blocks * bytes / kSharedBytesPerCycle);
}

/// How often a block waits for what it has asked for, one time after the other.
double Estimator::rounds() const {
  switch (form.style) {
  case Style::Tiles:
    return facts.n > 0 ? steps() / std::max(get("stages", 2) - 1, 1.0) : 0;
  case Style::Skinny:
    return std::ceil(facts.weightBytes / std::max(grid.blocks * copiedBytes(), 1.0));
  case Style::Queries:
    return std::ceil(facts.seenKeys / get("keys", 64)) / std::max(get("stages", 1), 1.0);
  case Style::Split:
    return std::ceil(facts.seenKeys / parts() / (get("few_keys", 32) * warps()));
  default:
    return 0;
  }
}

/// What a block waits for, times the waves of blocks.
void Estimator::waiting() {
  double waves = std::ceil(result.waves), first = result.memoryBytes > 0 ? kMemoryLatencyUs : kL2LatencyUs;
  // Behind the first wave, tiles of a weight that others have read are in L2.
  bool isShared = form.style == Style::Queries || (form.style == Style::Tiles && facts.n > 0 && tilesDown() > matrices);
  double later = isShared ? kL2LatencyUs : first, own = 0;
  if (form.style == Style::Threads)
    own = facts.bytes / 4 / std::max(grid.blocks * grid.threads, 1.0) * kL1Latency / (rates.gigahertz * 1e3);
  else if (products > 0 && grid.form == "elements")
    own = facts.k * kFmaLatency * 2 / (rates.gigahertz * 1e3);
  double shared = parts(), meeting = shared > 1 ? (kMeetings + shared / kPartsAtOnce) * kL2LatencyUs : 0;
  // Operands, rounds, and an epilogue's operands.
  result.latency = (2 + rounds()) * (first + (waves - 1) * later) + waves * own + meeting;
}

GpuEstimate Estimator::run(double launchUs) {
  result.launch = launchUs;
  multiprocessors();
  traffic();
  arithmetic();
  sharedTraffic();
  waiting();
  return result;
}

llvm::ArrayRef<GpuEstimate::Part> GpuEstimate::parts() {
  static constexpr Part kParts[] = {{"HBM", &GpuEstimate::memory},   {"L2", &GpuEstimate::l2},   {"shared", &GpuEstimate::shared},
                                    {"tensor", &GpuEstimate::tensor}, {"FMA", &GpuEstimate::fma}, {"latency", &GpuEstimate::latency},
                                    {"launch", &GpuEstimate::launch}};
  return kParts;
}

static const GpuEstimate::Part &slowest(const GpuEstimate &estimate, size_t parts) {
  const GpuEstimate::Part *most = &GpuEstimate::parts().front();
  for (const GpuEstimate::Part &part : GpuEstimate::parts().take_front(parts))
    if (estimate.*part.us > estimate.*most->us)
      most = &part;
  return *most;
}

double GpuEstimate::us() const { return this->*slowest(*this, parts().size() - 1).us + launch; }

const char *GpuEstimate::bound() const { return slowest(*this, parts().size()).name; }

GpuEstimate permalloy::estimateGpu(const KernelFacts &facts, const GpuGrid &grid, const GpuRates &rates, double launchUs) {
  return Estimator(facts, grid, rates).run(launchUs);
}
