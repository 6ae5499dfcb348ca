//===- GpuPrior.cpp - a roofline of GPU kernels ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/GpuPrior.h"
#include "permalloy/CostModel/Prior.h"

#include <cmath>

using namespace permalloy;

/// Microseconds from a load to its value: out of memory, and out of L2. Published measurements lie around 600 to 800 and 200 to 270
/// cycles.
static constexpr double kMemoryLatencyUs = 0.5, kL2LatencyUs = 0.15;
/// Cycles until a sum may be used, and until a value comes out of L1.
static constexpr double kFmaLatency = 4, kL1Latency = 35;
/// Of the bandwidths, what long streams reach.
static constexpr double kBandwidthShare = 0.92;
/// Bytes a cycle of a multiprocessor's shared memory.
static constexpr double kSharedBytesPerCycle = 128;
/// Multiply-adds of a multiprocessor in a cycle.
static constexpr double kFmaPerCycle = 128;
/// Rows up to which a form that has a way of its own for few (`skinny_...`) takes it.
static constexpr double kSkinnyRows = 8;

namespace {
/// How the threads of a form go about their work.
enum class Style {
  Tiles,   ///< blocks of results, operands through shared memory in stages
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
  bool isSkinny() const { return form.style == Style::Tiles && get("skinny_panels", 0) > 0 && facts.n > 0 && facts.m <= kSkinnyRows; }
  double tilesDown() const { return std::max(std::ceil(facts.m / get("block_rows", 64)), 1.0); }
  double tilesAcross() const { return std::max(std::ceil(facts.n / get("block_columns", 64)), 1.0); }
  /// Blocks that share the K of a tile.
  double split() const { return std::max(std::floor(grid.blocks / (tilesDown() * tilesAcross() * std::max(facts.groups, 1.0))), 1.0); }
  void multiprocessors();
  void traffic();
  double bytesUnderWay() const;
  void arithmetic();
  void sharedTraffic();
  void waiting();
  double steps() const;
  double perMultiprocessor(double cycles) const { return cycles / (rates.gigahertz * 1e3) / (rates.multiprocessors * busy); }

  const KernelFacts &facts;
  const GpuGrid &grid;
  const GpuRates &rates;
  Form form;
  GpuEstimate result;
  double resident = 1; ///< blocks of a multiprocessor that run at once here
  double busy = 1;     ///< share of the multiprocessors' time with a block on them
  double products;     ///< multiply-adds of products
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

unsigned permalloy::estimatedRegisters(const GpuGrid &grid) {
  auto get = [&](llvm::StringRef name) { return double(parameterOf(grid.schedule, name, 0)); };
  if (double rows = get("warp_rows"), columns = get("warp_columns"); rows > 0 && columns > 0) {
    double sums = rows * columns / 32, operands = rows / 4 + columns / 4;
    return unsigned(std::min(1.25 * (sums + operands) + 20, 255.0));
  }
  if (get("keys") > 0) // an attention's outputs and scores
    return 168;
  if (double results = get("block_rows") * get("block_columns"); results > 0 && grid.threads > 0)
    return unsigned(std::clamp(2 * results / grid.threads + 40, 40.0, 255.0));
  return 40;
}

Estimator::Estimator(const KernelFacts &facts, const GpuGrid &grid, const GpuRates &rates)
    : facts(facts), grid(grid), rates(rates), form(formOf(grid)) {
  products = facts.m * facts.n * facts.k * facts.density;
  if (facts.heads > 0)
    products += 2 * facts.batch * facts.heads * facts.queries * facts.seenKeys * facts.headSize;
  if (isSkinny())
    form.style = Style::Stream;
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

/// Of all multiprocessors together, by loads that nobody waits for yet.
double Estimator::bytesUnderWay() const {
  double blocks = std::min(std::max(grid.blocks, 1.0), resident * rates.multiprocessors);
  if (double stages = get("stages", 0); stages > 1 && grid.sharedBytes > 0)
    return blocks * double(grid.sharedBytes) * (stages - 1) / stages;
  return blocks * grid.threads * 32; // a sector, or two accesses of 16 bytes
}

/// Bytes that come from memory: weights; values only where they are too many to be left in L2 by the launch that made them.
void Estimator::traffic() {
  double values = std::max(facts.bytes - facts.weightBytes, 0.0);
  result.memoryBytes = std::min(facts.weightBytes, facts.bytes) + (values > double(rates.l2Bytes) / 2 ? values : 0);
  result.l2Bytes = facts.bytes;
  if (form.style == Style::Tiles && products > 0 && facts.n > 0) {
    double rowBytes = facts.m * facts.k * facts.inputBits / 8;
    result.l2Bytes += rowBytes * (tilesAcross() - 1) + facts.weightBytes * (tilesDown() - 1);
    if (double parts = split(); parts > 1) // partial results, written and read
      result.l2Bytes += 2 * parts * facts.m * facts.n * 4;
  } else if (form.style == Style::Tiles && facts.heads > 0 && facts.queries > kSkinnyRows) {
    result.l2Bytes += grid.blocks * 2 * facts.seenKeys * facts.headSize * facts.keyBits / 8; // each block all keys of its head
  } else if (products > 0 && grid.form == "elements") {
    result.l2Bytes += products * facts.inputBits / 8; // a column of the weight for each row
  } else if (form.style == Style::Threads) {
    result.l2Bytes *= 3; // a row is walked for its statistics, too
  }
  double covered = bytesUnderWay() / ((result.memoryBytes > 0 ? kMemoryLatencyUs : kL2LatencyUs) * 1e3);
  result.memory = result.memoryBytes / std::min(rates.memory * kBandwidthShare, covered) / 1e3;
  result.l2 = result.l2Bytes / std::min(rates.l2 * kBandwidthShare, bytesUnderWay() / (kL2LatencyUs * 1e3)) / 1e3;
}

/// Products and all other instructions, by the rates of the units and the warps that keep them busy.
void Estimator::arithmetic() {
  bool narrow = facts.heads > 0 ? facts.keyBits <= 16 : facts.inputBits <= 16;
  bool onTensorCores = form.tensorCores && products > 0; // f32 has such a form where it may be rounded to tf32
  double warps = resident * std::ceil(grid.threads / 32.0);
  double gflops = facts.inputBits <= 8 || facts.isInteger ? rates.int8 : narrow ? rates.half : rates.tf32;
  result.peakGflops = onTensorCores ? gflops : rates.fma;
  if (onTensorCores) // one warp for each quarter, its tile has enough products on their way
    result.tensor = 2 * products / (gflops * rates.mmaShare * busy * std::min(warps / kGpuQuarters, 1.0)) / 1e3;
  double instructions = facts.vectorOps;
  if (!onTensorCores) // elements load both operands for each product
    instructions += products * (form.style == Style::Tiles ? 1.15 : grid.form == "elements" || form.style == Style::Threads ? 5 : 2) *
                    (facts.isInteger ? 0.25 : 1); // dp4a
  double independent = form.style == Style::Tiles ? 4 : form.style == Style::Stream ? 2 : 1;
  double filled = std::min(warps * independent / (kGpuQuarters * kFmaLatency), 1.0);
  result.fma = perMultiprocessor(instructions / kFmaPerCycle) / filled;
}

/// Steps along K that a block takes one after the other, each of a tile.
double Estimator::steps() const {
  double depth = get("block_steps", 0) > 0 ? facts.k / get("block_steps", 16) : facts.k * facts.inputBits / 32 / get("block_words", 16);
  return std::max(std::ceil(depth / split()), 1.0);
}

void Estimator::sharedTraffic() {
  double warpRows = get("warp_rows", 0), warpColumns = get("warp_columns", 0), blockRows = get("block_rows", 0), blockColumns = get("block_columns", 0);
  if (form.style != Style::Tiles || warpRows <= 0 || warpColumns <= 0 || products <= 0 || facts.n <= 0)
    return;
  double words = get("block_words", 16) * 4;
  double warps = blockRows / warpRows * (blockColumns / warpColumns);
  double bytes = words * (warps * (warpRows + warpColumns) + blockRows + blockColumns); // read by warps, written by copies
  result.shared = perMultiprocessor(grid.blocks * steps() * bytes / kSharedBytesPerCycle);
}

/// What a block waits for, times the waves of blocks.
void Estimator::waiting() {
  double waves = std::ceil(result.waves), first = result.memoryBytes > 0 ? kMemoryLatencyUs : kL2LatencyUs;
  double block = 2 * first; // operands, and an epilogue's
  if (form.style == Style::Tiles && facts.n > 0)
    block += steps() * first / std::max(get("stages", 2) - 1, 1.0);
  else if (form.style == Style::Tiles)
    block += (facts.queries > kSkinnyRows ? facts.seenKeys / get("keys", 64) / get("stages", 1) : get("split_keys", 512) / get("few_keys", 32)) * kL2LatencyUs;
  else if (form.style == Style::Threads)
    block += facts.bytes / 4 / std::max(grid.blocks * grid.threads, 1.0) * kL1Latency / (rates.gigahertz * 1e3);
  else if (products > 0 && grid.form == "elements")
    block += facts.k * kFmaLatency * 2 / (rates.gigahertz * 1e3);
  result.latency = waves * block;
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
