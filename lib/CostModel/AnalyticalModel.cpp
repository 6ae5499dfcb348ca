//===- AnalyticalModel.cpp - latency of a kernel that was not measured *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/AnalyticalModel.h"
#include "Tfm/Panels.h"
#include "permalloy/Analysis/SymbolicShapes.h"

using namespace permalloy;
using namespace mlir;

/// Of the faster of arithmetic and traffic, what the slower one does not hide.
static constexpr double kNotHidden = 0.15;
/// Cycles of a launch, and of what surrounds one register tile: addresses, accumulators stored and loaded again.
static constexpr double kLaunch = 300, kTile = 30;

double CostEstimate::cycles() const {
  double traffic = std::max({l2, l3, memory});
  return std::max(compute, traffic) + kNotHidden * std::min(compute, traffic) + overhead;
}

static int64_t parameter(const NamedNumbers &schedule, StringRef name, int64_t otherwise) {
  for (const auto &[key, value] : schedule)
    if (key == name)
      return value;
  return otherwise;
}

namespace {
class Estimator {
public:
  Estimator(kern::KernelOp kernel, const NamedNumbers &schedule, const reference::Symbols &symbols, const Machine &machine)
      : kernel(kernel), schedule(schedule), symbols(symbols), machine(machine) {
    for (BlockArgument argument : kernel.getBlock().getArguments())
      shapes.setDims(argument, kern::argDims(kernel, argument.getArgNumber()));
  }

  std::optional<CostEstimate> contraction(Value input, Value result, RankedTensorType weight);
  std::optional<CostEstimate> attention(tfm::AttentionOp op);

private:
  CostEstimate tiledContraction(double m, double n, double k);
  int64_t value(tfm::DimExprAttr expr) {
    std::string error;
    auto number = reference::evaluate(expr, symbols, error);
    known &= number.has_value();
    return number.value_or(1);
  }
  int64_t get(StringRef name, int64_t otherwise) { return std::max<int64_t>(parameter(schedule, name, otherwise), 1); }
  double tileCycles(double rows, double vectors, double extra = 0) const;

  kern::KernelOp kernel;
  const NamedNumbers &schedule;
  const reference::Symbols &symbols;
  const Machine &machine;
  SymbolicShapes shapes;
  bool known = true;
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
std::optional<CostEstimate> Estimator::contraction(Value input, Value result, RankedTensorType weight) {
  int64_t k = weight.getShape().take_back(2)[0], n = weight.getShape().back();
  int64_t m = value(shapes.numElements(result)) / std::max<int64_t>(value(shapes.dims(result).back()), 1);
  if (!known || m <= 0)
    return std::nullopt;
  if (parameter(schedule, "epilogue_rows", 0))
    return tiledContraction(m, n, k);
  double bytes = weight.getElementTypeBitWidth() / 8.0;
  bool half = bytes == 2;
  int64_t tileRows = get("tile_rows", 8), tilePanels = get("tile_panels", 2), blockRows = get("block_rows", 240);
  int64_t blockSteps = std::min(get("block_steps", k), k), panels = llvm::divideCeil(n, tfm::kPanelColumns);
  int64_t blocks = llvm::divideCeil(m, blockRows), height = llvm::divideCeil(m, blocks);
  int64_t groups = llvm::divideCeil(panels, tilePanels), cuts = llvm::divideCeil(k, blockSteps);
  double vectorsOfPanel = double(tfm::kPanelColumns) / machine.lanes;

  CostEstimate cost;
  // Tiles of all heights and widths that occur: whole ones, and the rests of M and N.
  auto addTiles = [&](int64_t count, int64_t rows, int64_t width) {
    double vectors = width * vectorsOfPanel;
    cost.compute += double(count) * k * tileCycles(rows, vectors, half ? 1.5 * vectors : 0);
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
  double weights = double(k) * panels * tfm::kPanelColumns * bytes, tilesHigh = llvm::divideCeil(height, tileRows);
  double panelBytes = double(blockSteps) * tilePanels * tfm::kPanelColumns * bytes;
  cost.memory = weights / machine.memoryBytes;
  cost.l3 = (blocks - 1) * weights / (weights < machine.l2Size / 2 ? machine.l2Bytes : machine.l3Bytes);
  double aRows = double(height) * blockSteps * 4;
  double fromL2 = panelBytes + tileRows * blockSteps * 4.0 > machine.l1Size ? blocks * weights * tilesHigh : 0;
  double aTraffic = double(m) * k * 4 * groups;
  (aRows > machine.l2Size / 2 ? cost.l3 : cost.l2) += aTraffic / (aRows > machine.l2Size / 2 ? machine.l3Bytes : machine.l2Bytes);
  cost.l2 += fromL2 / machine.l2Bytes;
  cost.overhead += kLaunch + (half ? double(m) * k / machine.lanes * 2 : 0) + (cuts > 1 ? 3.0 * m * n / machine.lanes : 0);
  if (!parameter(schedule, "prefetch_period", 1))
    cost.overhead += 0.5 * cost.memory;
  return cost;
}

/// Blocks of 32 x 32 on AMX: lib/Codegen/CPU/AmxContraction.cpp.
CostEstimate Estimator::tiledContraction(double m, double n, double k) {
  double blockRows = get("block_rows", 256), blockSteps = std::min<double>(get("block_steps", k), llvm::alignTo(int64_t(k), 32));
  double blocks = std::ceil(m / blockRows), height = std::ceil(m / blocks), tilesHigh = std::ceil(height / 16);
  double pairs = std::ceil(n / 32), steps = std::ceil(k / 32), cuts = std::ceil(k / blockSteps), weights = k * pairs * 32 * 2;
  CostEstimate cost;
  // Two tiles of A share the loads of two of B; one alone leaves half of the products.
  cost.compute = blocks * pairs * steps * tilesHigh * (2 * machine.amxTileCycles * 1.3);
  cost.memory = weights / machine.memoryBytes;
  cost.l3 = (blocks - 1) * weights / (weights < machine.l2Size / 2 ? machine.l2Bytes : machine.l3Bytes);
  double packedRows = height * k * 2;
  (packedRows > machine.l2Size / 2 ? cost.l3 : cost.l2) +=
      pairs * m * k * 2 / (packedRows > machine.l2Size / 2 ? machine.l3Bytes : machine.l2Bytes);
  if (blockSteps * 64 > 0.75 * machine.l1Size)
    cost.l2 += blocks * std::ceil(tilesHigh / 2) * weights / machine.l2Bytes;
  // A packed once; C stored and loaded for each part of K; the rows of the epilogue that the products leave to the end.
  double left = std::max(0.0, 32 - get("epilogue_rows", 1) * steps);
  cost.overhead = kLaunch + m * k / 16 + pairs * std::ceil(m / 32) * (cuts * 2 * 130 + left * 12 + kTile);
  if (!parameter(schedule, "prefetch", 1))
    cost.overhead += 0.5 * cost.memory;
  return cost;
}

/// Scores, weights and sums of blocks of queries: the loops of lib/Codegen/CPU/AttentionScores.cpp and AttentionDecode.cpp.
std::optional<CostEstimate> Estimator::attention(tfm::AttentionOp op) {
  tfm::Dims query = shapes.dims(op.getQuery()), key = shapes.dims(op.getKey());
  double batch = value(query[0]), queries = value(query[op.queryAxis()]), heads = op.getNumHeads();
  double keys = value(op.getKvLengthAttr() ? op.getKvLengthAttr() : op.keys(key));
  double size = value(query.back()) / (query.size() == 3 ? heads : 1.0);
  if (!known || queries <= 0 || keys <= 0)
    return std::nullopt;
  double bytes = getElementTypeOrSelf(op.getKey().getType()).getIntOrFloatBitWidth() / 8.0;
  double cacheBytes = 2 * keys * size * bytes * batch * op.getNumKvHeads();
  CostEstimate cost;
  cost.overhead = kLaunch;
  cost.memory = cacheBytes / machine.l3Bytes;
  double vectorsOfHead = std::ceil(size / machine.lanes);
  int64_t keyBlock = get("block_keys", 128);
  if (queries <= machine.lanes / 2) { // few queries: keys in the lanes
    cost.compute = batch * heads * queries * keys * (2 * vectorsOfHead + 8);
    cost.overhead += batch * heads * std::ceil(keys / keyBlock) * 100;
    return cost;
  }
  double queryVectors = get("query_vectors", 2), width = queryVectors * machine.lanes;
  double blocks = std::ceil(queries / width);
  double seen = op.getCausal() ? std::max(keys - (queries - 1) / 2, 1.0) : keys;
  double keyRows = get("tile_keys", 8), queryRows = get("tile_queries", 8);
  double scores = size / keyRows * tileCycles(keyRows, queryVectors) + kTile / keyRows;
  double registers = machine.lanes >= 16 ? 32 : 16;
  double columns = std::ceil(vectorsOfHead / std::max(1.0, std::floor((registers - 1) / (queryRows + 1))));
  double vectors = std::ceil(vectorsOfHead / columns);
  double sums = width / queryRows * columns * (tileCycles(queryRows, vectors) + (kTile + vectors * queryRows) / keyBlock);
  double weightsOf = queryVectors * 12; // exp2, mask, maximum and sum of each vector
  cost.compute = batch * heads * blocks * seen * (scores + sums + weightsOf);
  double footprint = keyBlock * (2 * size * 4 + width * 4) + 2 * width * size * 4;
  if (footprint > machine.l1Size)
    cost.l2 = batch * heads * blocks * seen * (2 * size * 4 + width * 4) / machine.l2Bytes;
  // Each block of keys rescales the output, and the last one is half empty.
  double steps = std::ceil(seen / keyBlock);
  cost.overhead += batch * heads * blocks * (steps * (120 + width * vectorsOfHead) + width * size / machine.lanes * 4);
  return cost;
}

/// The weight of a product as a dense one of so many rows as it multiplies: those of the kept blocks.
static RankedTensorType multipliedPart(tfm::LinearOp linear) {
  auto type = cast<RankedTensorType>(linear.getWeight().getType());
  auto blocks = linear.getWeight().getDefiningOp<tfm::ExpandBlocksOp>();
  if (!blocks)
    return type;
  return RankedTensorType::get({std::min(blocks.kept() * blocks.blockDepth(), type.getDimSize(0)), type.getDimSize(1)}, type.getElementType());
}

std::optional<CostEstimate> permalloy::estimateCost(kern::KernelOp kernel, const NamedNumbers &schedule,
                                                    const reference::Symbols &symbols, const Machine &machine) {
  Estimator estimator(kernel, schedule, symbols, machine);
  for (Operation &op : kernel.getBlock()) {
    if (kernel.getEmitter() == kern::Emitter::Attention)
      if (auto attention = dyn_cast<tfm::AttentionOp>(op))
        return estimator.attention(attention);
    if (kernel.getEmitter() != kern::Emitter::Contraction)
      continue;
    if (auto linear = dyn_cast<tfm::LinearOp>(op))
      return estimator.contraction(linear.getInput(), linear.getResult(), multipliedPart(linear));
  }
  return std::nullopt;
}
