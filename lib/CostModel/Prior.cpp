//===- Prior.cpp - a roofline with the schedule in it ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/Prior.h"
#include "Tfm/Panels.h"

#include <algorithm>
#include <cmath>

using namespace permalloy;
using namespace mlir;

/// Of the faster of arithmetic and traffic, what the slower one does not hide.
static constexpr double kNotHidden = 0.15;
/// Cycles of what surrounds one register tile: addresses, accumulators stored and loaded again.
static constexpr double kTile = 30;
/// A product with codes goes over them once for up to so many rows; for more it decodes a tile's panels into scratch first.
static constexpr double kFewCodedRows = 16, kDecodedTileRows = 12;
/// From so many rows in a block on a tile of lane_columns has rows in its lanes; below it broadcasts kFewLaneRows.
static constexpr double kLeastLaneRows = 16, kFewLaneRows = 8;
/// Loads of a quad's products take so many times their least time: 6.6 cycles for nine on two ports (docs/sparsity.md).
static constexpr double kQuadLoad = 1.45;
/// Of the third-level cache, what a run's weights may take to be there in the next run. From twice of that on none of them are.
static constexpr double kHeldSpan = 0.75;
/// Cycles of a scalar operation of the generic emitter, on integers or of a product: an index, a load, the arithmetic.
static constexpr double kScalarOp = 1.5;

TargetUnits permalloy::unitsOf(const std::string &target) {
  bool hasAmx = target == "sapphirerapids";
  bool wide = hasAmx || target == "icelake-server" || target == "x86-64-v4";
  return {target, wide ? 16u : 8u, hasAmx};
}

bool permalloy::runsOn(const TargetUnits &target, const MachineRates &rates) {
  return (!target.hasAmx || rates.amxBf16Gflops > 0) && (target.lanes < 16 || rates.avx512Gflops > 0);
}

Machine::Machine(const MachineRates &own, const TargetUnits &target) : lanes(target.lanes) {
  MachineRates rates = runsOn(target, own) ? own : MachineRates::withAllUnits();
  bool wide = target.lanes >= 16 && rates.avx512Gflops > 0;
  peakGflops = wide ? rates.avx512Gflops : rates.avx2Gflops;
  gigahertz = peakGflops / (2 * fmaPorts * (wide ? 16 : 8));
  l2Bytes = rates.l2 / gigahertz, l3Bytes = rates.l3 / gigahertz, memoryBytes = rates.memory / gigahertz;
  l1Size = double(rates.l1Bytes), l2Size = double(rates.l2Bytes), l3Size = double(rates.l3Bytes);
  launch = rates.launchNs * gigahertz;
  amxGflops = target.hasAmx ? rates.amxBf16Gflops : 0;
  if (amxGflops > 0)
    amxTileCycles = 2 * 16 * 16 * 32 * gigahertz / amxGflops;
  double int8 = wide && rates.vnniGops > 0 ? rates.vnniGops : rates.avx2Int8Gops;
  int8PerFma = std::max(int8 / peakGflops, 1.0);
}

double Machine::weightRate(double span) const {
  double fromMemory = span > 0 ? std::clamp(span / (kHeldSpan * l3Size) - 1, 0.0, 1.0) : 1;
  return 1 / (fromMemory / memoryBytes + (1 - fromMemory) / l3Bytes);
}

double CostEstimate::cycles() const {
  double traffic = std::max({l2, l3, memory});
  return std::max(compute, traffic) + kNotHidden * std::min(compute, traffic) + overhead + launch;
}

const char *CostEstimate::bound() const {
  std::pair<double, const char *> parts[] = {{compute, "compute"}, {l2, "L2"}, {l3, "L3"}, {memory, "memory"}, {overhead, "overhead"}, {launch, "launch"}};
  return std::max_element(std::begin(parts), std::end(parts), [](auto &a, auto &b) { return a.first < b.first; })->second;
}

int64_t permalloy::parameterOf(const NamedNumbers &schedule, StringRef name, int64_t otherwise) {
  for (const auto &[key, value] : schedule)
    if (key == name)
      return value;
  return otherwise;
}

namespace {
class Estimator {
public:
  Estimator(const KernelFacts &facts, const NamedNumbers &schedule, const Machine &machine)
      : facts(facts), schedule(schedule), machine(machine) {}

  CostEstimate estimate();

private:
  CostEstimate contraction();
  CostEstimate tiledContraction();
  CostEstimate codedContraction();
  CostEstimate laneContraction();
  CostEstimate quadContraction();
  CostEstimate attention();
  CostEstimate decodeAttention();
  CostEstimate tiledAttention();
  CostEstimate walk();
  void addEpilogue(CostEstimate &cost) const;
  double &trafficOf(CostEstimate &cost, double bytes, double &perCycle) const;

  int64_t get(StringRef name, int64_t otherwise) { return std::max<int64_t>(parameterOf(schedule, name, otherwise), 1); }
  double tileCycles(double rows, double vectors, double extra = 0) const;

  const KernelFacts &facts;
  const NamedNumbers &schedule;
  const Machine &machine;
};
} // namespace

/// One step of K of a register tile: `rows` broadcasts, `vectors` loads and their products, which wait for the ones before.
/// `extra` instructions make the vectors from halves.
double Estimator::tileCycles(double rows, double vectors, double extra) const {
  double products = rows * vectors;
  return std::max({products / machine.fmaPorts, (rows + vectors) / machine.loadPorts, machine.fmaLatency,
                   (products + rows + vectors + extra + 2) / machine.issueWidth});
}

/// Blocks of rows, groups of panels, register tiles: the loops of lib/Codegen/CPU/Contraction.cpp.
CostEstimate Estimator::contraction() {
  if (parameterOf(schedule, "epilogue_rows", 0) && machine.amxTileCycles > 0)
    return tiledContraction();
  if (parameterOf(schedule, "ahead_bytes", -1) >= 0)
    return codedContraction();
  if (parameterOf(schedule, "lane_columns", 0) > 0)
    return laneContraction();
  int64_t k = std::max<int64_t>(int64_t(facts.k * facts.density), 1), n = int64_t(facts.n), m = std::max<int64_t>(int64_t(facts.m), 1);
  // Integers multiply several products at once; what is stored in other forms is decoded once for a register tile.
  double perStep = facts.isInteger ? 1 / machine.int8PerFma : 1;
  double decode = facts.isInteger || facts.weightBits >= 32 ? 0 : facts.weightBits > 8 ? 1.5 : 3;
  bool half = facts.inputBits == 16;
  int64_t tileRows = get("tile_rows", 8), tilePanels = get("tile_panels", 2), blockRows = get("block_rows", 240);
  int64_t blockSteps = std::min(get("block_steps", k), k), panels = llvm::divideCeil(n, tfm::kPanelColumns);
  int64_t blocks = llvm::divideCeil(m, blockRows), height = llvm::divideCeil(m, blocks);
  int64_t groups = llvm::divideCeil(panels, tilePanels), cuts = llvm::divideCeil(k, blockSteps);
  double vectorsOfPanel = double(tfm::kPanelColumns) / machine.lanes;

  CostEstimate cost;
  // Tiles of all heights and widths that occur: whole ones, and the rests of M and N.
  auto addTiles = [&](int64_t count, int64_t rows, int64_t width) {
    double vectors = width * vectorsOfPanel;
    cost.compute += double(count) * k * perStep * tileCycles(rows, vectors, decode * vectors);
    cost.overhead += double(count) * (kTile + 2.5 * cuts * rows * vectors);
  };
  int64_t wholeRows = height / tileRows, restRows = height % tileRows;
  int64_t wholeGroups = panels / tilePanels, restPanels = panels % tilePanels;
  for (auto [groupsOf, width] : {std::pair(wholeGroups, tilePanels), {int64_t(restPanels > 0), restPanels}}) {
    if (groupsOf && wholeRows)
      addTiles(blocks * groupsOf * wholeRows * cuts, tileRows, width);
    if (groupsOf && restRows)
      addTiles(blocks * groupsOf * cuts, restRows, width);
  }
  cost.compute /= cuts; // each tile does its part of K

  // The panels of a group come once for each block of rows: the first time from memory. Register tiles read them again, from
  // L1 where a part of K of them stays there.
  double weights = facts.weightBytes, bytes = weights / (double(k) * panels * tfm::kPanelColumns), tilesHigh = llvm::divideCeil(height, tileRows);
  double panelBytes = double(blockSteps) * tilePanels * tfm::kPanelColumns * bytes;
  cost.memory = weights / machine.weightRate(facts.weightSpan);
  cost.l3 = (blocks - 1) * weights / (weights < machine.l2Size / 2 ? machine.l2Bytes : machine.l3Bytes);
  double aRows = double(height) * blockSteps * 4;
  double fromL2 = panelBytes + tileRows * blockSteps * 4.0 > machine.l1Size ? blocks * weights * tilesHigh : 0;
  double aTraffic = double(m) * k * 4 * groups;
  (aRows > machine.l2Size / 2 ? cost.l3 : cost.l2) += aTraffic / (aRows > machine.l2Size / 2 ? machine.l3Bytes : machine.l2Bytes);
  cost.l2 += fromL2 / machine.l2Bytes;
  cost.overhead += (half ? double(m) * k / machine.lanes * 2 : 0) + (cuts > 1 ? 3.0 * m * n / machine.lanes : 0);
  if (!parameterOf(schedule, "prefetch_period", 1))
    cost.overhead += 0.5 * cost.memory;
  addEpilogue(cost);
  return cost;
}

/// Weights as codes, decoded in registers or into scratch: lib/Codegen/CPU/WeightOnlyKernel.cpp.
CostEstimate Estimator::codedContraction() {
  double m = std::max(facts.m, 1.0), k = facts.k, vectors = std::ceil(facts.n / machine.lanes), weights = facts.weightBytes;
  double decode = (facts.codeGroup < 64 ? 3 : 2) + facts.hasZeroPoints + facts.hasCodebook;
  CostEstimate cost;
  cost.memory = weights / machine.weightRate(facts.weightSpan);
  if (m <= kFewCodedRows) {
    cost.compute = vectors * k * std::max((2 * m + decode) / machine.issueWidth, m / machine.fmaPorts);
    cost.overhead = vectors * kTile;
  } else {
    double blocks = std::ceil(m / double(get("block_rows", 240))), tiles = blocks * std::ceil(m / blocks / kDecodedTileRows);
    cost.compute = vectors * k * (blocks * (decode + 1) / machine.issueWidth + m / machine.fmaPorts);
    cost.l2 = (2 * blocks + tiles) * k * facts.n * 4 / machine.l2Bytes;
    cost.l3 = (blocks - 1) * weights / machine.l3Bytes;
    cost.overhead = tiles * vectors * kTile;
  }
  if (!parameterOf(schedule, "ahead_bytes", 1))
    cost.overhead += 0.5 * cost.memory;
  addEpilogue(cost);
  return cost;
}

/// Kept blocks with rows of A in the lanes: lib/Codegen/CPU/SparseColumns.cpp. Of integers a lane holds four steps of K.
CostEstimate Estimator::laneContraction() {
  if (facts.blockColumns == 0)
    return quadContraction();
  double m = std::max(facts.m, 1.0), perLane = facts.isInteger ? 4 : 1, kept = facts.k * facts.density / perLane;
  double panels = std::ceil(facts.n / tfm::kPanelColumns);
  double blocks = std::ceil(m / double(get("block_rows", 240))), height = std::ceil(m / blocks);
  bool few = height < kLeastLaneRows;
  double tileRows = few ? std::min(height, kFewLaneRows) : double(get("tile_rows", 48)), columns = double(get("lane_columns", 8));
  double tiles = blocks * std::ceil(height / tileRows) * panels;
  double step = few ? tileCycles(tileRows, double(tfm::kPanelColumns) / machine.lanes)
                    : tileCycles(columns, tileRows / machine.lanes) * tfm::kPanelColumns / columns;
  CostEstimate cost;
  cost.compute = tiles * kept * step;
  if (facts.isInteger && !few) { // a tile of fewer rows has its own code
    double vectors = std::ceil(height / machine.lanes), most = tileRows / machine.lanes, rest = std::fmod(vectors, most);
    double restStep = rest == 1 ? tileCycles(tfm::kPanelColumns, 1) : rest ? tileCycles(columns, rest) * tfm::kPanelColumns / columns : 0;
    cost.compute = blocks * panels * kept * (std::floor(vectors / most) * step + restStep);
  }
  cost.memory = facts.weightBytes / machine.weightRate(facts.weightSpan);
  cost.l3 = (blocks - 1) * facts.weightBytes / machine.l3Bytes;
  cost.l2 = panels * m * kept * 4 / machine.l2Bytes;
  cost.overhead = tiles * kTile + (few ? 0 : m * facts.k / perLane / machine.lanes * 2);
  if (facts.isInteger && !few) // sums of the columns, since rows are stored as unsigned numbers
    cost.overhead += blocks * panels * kept;
  addEpilogue(cost);
  return cost;
}

/// Some of each four steps: lib/Codegen/CPU/SparseQuads.cpp. With rows in the lanes each weight has loads of its own; of fewer, each
/// product has a shuffle.
CostEstimate Estimator::quadContraction() {
  double m = std::max(facts.m, 1.0), kept = facts.k * facts.density, panels = std::ceil(facts.n / tfm::kPanelColumns);
  double blocks = std::ceil(m / double(get("block_rows", 256))), height = std::ceil(m / blocks);
  CostEstimate cost;
  cost.memory = facts.weightBytes / machine.weightRate(facts.weightSpan);
  cost.l3 = (blocks - 1) * facts.weightBytes / machine.l3Bytes;
  if (m < kLeastLaneRows) {
    double rows = std::min(m, kFewLaneRows), vectors = tfm::kPanelColumns / double(machine.lanes), products = rows * vectors;
    double step = std::max({2 * products / machine.fmaPorts, (3 * products + rows + vectors) / machine.issueWidth, double(machine.fmaLatency)});
    cost.compute = std::ceil(m / rows) * panels * kept * step;
    cost.overhead = std::ceil(m / rows) * panels * kTile;
  } else {
    double columns = double(get("lane_columns", 2)), cuts = std::ceil(facts.k / double(get("block_steps", int64_t(facts.k))));
    double tiles = blocks * std::ceil(height / double(get("tile_rows", 128))), vectors = blocks * std::ceil(height / machine.lanes);
    double weights = panels * tfm::kPanelColumns * kept;
    cost.compute = weights * kQuadLoad * std::max((vectors + tiles) / machine.loadPorts, vectors / machine.fmaPorts);
    cost.overhead = panels * cuts * (tiles * tfm::kPanelColumns / columns * kTile + 2 * vectors * tfm::kPanelColumns) + m * facts.k / machine.lanes * 2;
  }
  addEpilogue(cost);
  return cost;
}

/// Blocks of 32 x 32 on AMX: lib/Codegen/CPU/AmxContraction.cpp.
CostEstimate Estimator::tiledContraction() {
  double m = facts.m, n = facts.n, k = facts.k;
  double perTile = facts.isInteger ? 64 : 32; // steps of K in a product of two tiles
  double blockRows = get("block_rows", 256), blockSteps = std::min<double>(double(get("block_steps", int64_t(k))), double(llvm::alignTo(int64_t(k), 32)));
  double blocks = std::ceil(m / blockRows), height = std::ceil(m / blocks), tilesHigh = std::ceil(height / 16);
  double pairs = std::ceil(n / 32), steps = std::ceil(k * facts.density / perTile), cuts = std::ceil(k / blockSteps), weights = facts.weightBytes;
  CostEstimate cost;
  // Two tiles of A share the loads of two of B; one alone leaves half of the products.
  cost.compute = blocks * pairs * steps * tilesHigh * (2 * machine.amxTileCycles * 1.3);
  cost.memory = weights / machine.weightRate(facts.weightSpan);
  cost.l3 = (blocks - 1) * weights / (weights < machine.l2Size / 2 ? machine.l2Bytes : machine.l3Bytes);
  double packedRows = height * k * 2;
  (packedRows > machine.l2Size / 2 ? cost.l3 : cost.l2) +=
      pairs * m * k * 2 / (packedRows > machine.l2Size / 2 ? machine.l3Bytes : machine.l2Bytes);
  if (blockSteps * 64 > 0.75 * machine.l1Size)
    cost.l2 += blocks * std::ceil(tilesHigh / 2) * weights / machine.l2Bytes;
  // A packed once; C stored and loaded for each part of K; the rows of the epilogue that the products leave to the end.
  double left = std::max(0.0, 32 - double(get("epilogue_rows", 1)) * steps);
  cost.overhead = m * k / 16 + pairs * std::ceil(m / 32) * (cuts * 2 * 130 + left * 12 + kTile);
  if (!parameterOf(schedule, "prefetch", 1))
    cost.overhead += 0.5 * cost.memory;
  addEpilogue(cost);
  return cost;
}

/// What the rows of a result go through after the sums: activations, residuals, rounding.
void Estimator::addEpilogue(CostEstimate &cost) const {
  cost.overhead += facts.vectorOps / machine.lanes / 2.5;
}

/// The level that holds `bytes`, and what it gives in a cycle.
double &Estimator::trafficOf(CostEstimate &cost, double bytes, double &perCycle) const {
  bool inL2 = bytes < 0.75 * machine.l2Size, inL3 = bytes < 0.75 * machine.l3Size;
  perCycle = inL2 ? machine.l2Bytes : inL3 ? machine.l3Bytes : machine.memoryBytes;
  return inL2 ? cost.l2 : inL3 ? cost.l3 : cost.memory;
}

/// One query, or a few: keys in the lanes, each read once.
CostEstimate Estimator::decodeAttention() {
  CostEstimate cost;
  double vectorsOfHead = std::ceil(facts.headSize / machine.lanes), scores = facts.batch * facts.heads * facts.queries * facts.keys;
  double cacheBytes = 2 * facts.keys * facts.headSize * facts.keyBits / 8 * facts.batch * facts.kvHeads;
  cost.compute = scores * (vectorsOfHead + 20 / machine.lanes);
  cost.memory = cacheBytes / (cacheBytes < machine.l2Size / 2 ? machine.l2Bytes : machine.memoryBytes);
  cost.overhead = facts.batch * facts.heads * std::ceil(facts.keys / double(get("block_keys", 128))) * 100;
  return cost;
}

/// bf16 on AMX: tile products, and 15 instructions for each vector of scores.
CostEstimate Estimator::tiledAttention() {
  CostEstimate cost;
  double blockKeys = double(get("block_keys", 256)), queries = std::ceil(facts.queries / 32) * 32;
  double keys = std::ceil(facts.seenKeys / blockKeys) * std::min(blockKeys, std::ceil(facts.keys / 32) * 32);
  double scores = facts.batch * facts.heads * queries * std::max(keys, facts.seenKeys);
  cost.compute = scores * (15.0 / 16 + std::ceil(facts.headSize / 32) * 32 * 2 / (16 * 16 * 32.0) * machine.amxTileCycles * 1.3);
  cost.overhead = facts.batch * facts.heads * (facts.keys * facts.headSize / 16 + queries / 32 * std::ceil(facts.seenKeys / blockKeys) * 250);
  return cost;
}

/// Scores, weights and sums of blocks of queries: the loops of lib/Codegen/CPU/AttentionScores.cpp.
CostEstimate Estimator::attention() {
  if (facts.queries <= machine.lanes / 2)
    return decodeAttention();
  if (facts.keyBits == 16 && machine.amxTileCycles > 0 && !parameterOf(schedule, "query_vectors", 0))
    return tiledAttention();
  CostEstimate cost;
  double size = facts.headSize, rows = facts.batch * facts.heads, vectorsOfHead = std::ceil(size / machine.lanes);
  double keyBlock = double(get("block_keys", 128)), queryVectors = double(get("query_vectors", 2)), width = queryVectors * machine.lanes;
  double blocks = std::ceil(facts.queries / width), seen = facts.seenKeys;
  double keyRows = double(get("tile_keys", 8)), queryRows = double(get("tile_queries", 8));
  double scores = size / keyRows * tileCycles(keyRows, queryVectors) + kTile / keyRows;
  double registers = machine.lanes >= 16 ? 32 : 16;
  double columns = std::ceil(vectorsOfHead / std::max(1.0, std::floor((registers - 1) / (queryRows + 1))));
  double vectors = std::ceil(vectorsOfHead / columns);
  double sums = width / queryRows * columns * (tileCycles(queryRows, vectors) + (kTile + vectors * queryRows) / keyBlock);
  double weightsOf = queryVectors * 12; // exp2, mask, maximum and sum of each vector
  cost.compute = rows * blocks * seen * (scores + sums + weightsOf);
  double footprint = keyBlock * (2 * size * 4 + width * 4) + 2 * width * size * 4;
  if (footprint > machine.l1Size)
    cost.l2 = rows * blocks * seen * (2 * size * 4 + width * 4) / machine.l2Bytes;
  // Each block of keys rescales the output, and the last one is half empty.
  double steps = std::ceil(seen / keyBlock);
  cost.overhead += rows * blocks * (steps * (120 + width * vectorsOfHead) + width * size / machine.lanes * 4);
  return cost;
}

/// Rows, elementwise and what nothing else takes: vector instructions, or scalar loops, over what comes from the caches.
CostEstimate Estimator::walk() {
  CostEstimate cost;
  bool isRow = facts.emitter == kern::Emitter::Row, scalar = !isRow && facts.dtype.starts_with("i");
  double held = std::min(facts.bytes, 0.75 * machine.l2Size), perCycle = 1;
  double &traffic = trafficOf(cost, facts.bytes, perCycle);
  traffic = held / machine.l2Bytes + (facts.bytes - held) / perCycle;
  cost.compute = facts.vectorOps * (scalar ? kScalarOp : 0.5 / machine.lanes);
  if (!isRow && facts.k > 0)
    cost.compute += facts.flops / 2 * kScalarOp;
  cost.overhead = 50;
  return cost;
}

CostEstimate Estimator::estimate() {
  CostEstimate cost = facts.emitter == kern::Emitter::Contraction && facts.groups > 0 ? contraction()
                      : facts.emitter == kern::Emitter::Attention && facts.heads > 0 ? attention()
                                                                                     : walk();
  cost.launch = machine.launch, cost.gigahertz = machine.gigahertz;
  return cost;
}

CostEstimate permalloy::estimateCost(const KernelFacts &facts, const NamedNumbers &schedule, const Machine &machine) {
  return Estimator(facts, schedule, machine).estimate();
}
