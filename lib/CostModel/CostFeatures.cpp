//===- CostFeatures.cpp - a query as a row of numbers ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/CostFeatures.h"

#include <algorithm>
#include <cmath>

using namespace permalloy;

using In = const FeatureInput &;

static double lg(double value) { return std::log2(1 + std::max(value, 0.0)); }
static double nanos(double cycles, In in) { return lg(cycles / in.machine.gigahertz); }
static double ceilDiv(double a, double b) { return b > 0 ? std::ceil(a / b) : 0; }
/// log2 of a parameter; -1 where the schedule lacks it.
static double param(In in, const char *name) { return in.has(name) ? lg(in.get(name)) : -1; }
/// Work done by work asked for when `size` is cut into pieces of a parameter.
static double waste(In in, double size, const char *name) {
  double piece = in.get(name);
  return piece > 0 && size > 0 ? ceilDiv(size, piece) * piece / size : 0;
}
/// Share of the last, incomplete piece; 0: none.
static double rest(In in, double size, const char *name) {
  double piece = in.get(name);
  return piece > 0 && size > 0 ? std::fmod(size, piece) / piece : 0;
}
/// Rows of one block of a contraction: as even as they can be.
static double blockHeight(In in) {
  double rows = in.get("block_rows");
  return rows > 0 ? ceilDiv(in.facts.m, ceilDiv(in.facts.m, rows)) : in.facts.m;
}
static double blockSteps(In in) { return in.has("block_steps") ? std::min(in.get("block_steps"), std::max(in.facts.k, 1.0)) : in.facts.k; }
static double panels(In in) { return ceilDiv(in.facts.n, 16); }
static double weightElementBytes(In in) { return in.facts.weightBits / 8; }
static bool isEmitter(In in, kern::Emitter emitter) { return in.facts.emitter == emitter; }

namespace {
struct Feature {
  const char *name;
  double (*value)(In);
};
} // namespace

static constexpr Feature kFeatures[] = {
    // What kind of kernel on what kind of unit.
    {"contraction", [](In in) { return double(isEmitter(in, kern::Emitter::Contraction)); }},
    {"attention", [](In in) { return double(isEmitter(in, kern::Emitter::Attention)); }},
    {"row", [](In in) { return double(isEmitter(in, kern::Emitter::Row)); }},
    {"generic", [](In in) { return double(isEmitter(in, kern::Emitter::Generic)); }},
    {"lanes", [](In in) { return double(in.target.lanes); }},
    {"amx", [](In in) { return double(in.target.hasAmx); }},
    {"on_tiles", [](In in) { return double(in.has("epilogue_rows") || (in.facts.heads > 0 && !in.has("query_vectors"))); }},
    {"input_bits", [](In in) { return in.facts.inputBits; }},
    {"weight_bits", [](In in) { return in.facts.weightBits; }},
    {"key_bits", [](In in) { return in.facts.keyBits; }},
    {"result_is_f32", [](In in) { return double(in.facts.dtype == "f32"); }},
    {"integer", [](In in) { return double(in.facts.isInteger); }},
    {"density", [](In in) { return in.facts.density; }},
    {"block_columns", [](In in) { return in.facts.blockColumns; }},
    {"code_group", [](In in) { return lg(in.facts.codeGroup); }},
    {"zero_points", [](In in) { return double(in.facts.hasZeroPoints); }},
    {"codebook", [](In in) { return double(in.facts.hasCodebook); }},
    // The machine, as the prior sees it: bytes by cycles, so that a higher clock alone changes nothing.
    {"machine_l2", [](In in) { return lg(in.machine.l2Bytes); }},
    {"machine_l3", [](In in) { return lg(in.machine.l3Bytes); }},
    {"machine_memory", [](In in) { return lg(in.machine.memoryBytes); }},
    {"machine_l2_size", [](In in) { return lg(in.machine.l2Size); }},
    {"machine_int8", [](In in) { return in.machine.int8PerFma; }},
    // Sizes.
    {"m", [](In in) { return lg(in.facts.m); }},
    {"n", [](In in) { return lg(in.facts.n); }},
    {"k", [](In in) { return lg(in.facts.k); }},
    {"k_kept", [](In in) { return lg(in.facts.k * in.facts.density); }},
    {"m_exact", [](In in) { return std::min(in.facts.m, 64.0); }},
    {"groups", [](In in) { return lg(in.facts.groups); }},
    {"batch", [](In in) { return lg(in.facts.batch); }},
    {"queries", [](In in) { return lg(in.facts.queries); }},
    {"keys", [](In in) { return lg(in.facts.keys); }},
    {"heads", [](In in) { return lg(in.facts.heads); }},
    {"heads_per_key_head", [](In in) { return in.facts.kvHeads > 0 ? in.facts.heads / in.facts.kvHeads : 0; }},
    {"head_size", [](In in) { return in.facts.headSize; }},
    {"causal", [](In in) { return double(in.facts.causal); }},
    {"mask", [](In in) { return double(in.facts.hasMask); }},
    {"cache", [](In in) { return double(in.facts.hasCache); }},
    {"elements", [](In in) { return lg(in.facts.elements); }},
    {"operations", [](In in) { return in.facts.operations; }},
    // Work, traffic, and the prior's account of them.
    {"flops", [](In in) { return lg(in.facts.flops); }},
    {"bytes", [](In in) { return lg(in.facts.bytes); }},
    {"weight_bytes", [](In in) { return lg(in.facts.weightBytes); }},
    {"weight_span", [](In in) { return in.facts.weightBytes > 0 ? std::min(in.facts.weightSpan / in.machine.l3Size, 4.0) : 0; }},
    {"output_bytes", [](In in) { return lg(in.facts.outputBytes); }},
    {"vector_ops", [](In in) { return lg(in.facts.vectorOps); }},
    {"intensity", [](In in) { return lg(in.facts.flops) - lg(in.facts.bytes); }},
    {"t0", [](In in) { return lg(in.prior.nanoseconds()); }},
    {"t_compute", [](In in) { return nanos(in.prior.compute, in); }},
    {"t_l2", [](In in) { return nanos(in.prior.l2, in); }},
    {"t_l3", [](In in) { return nanos(in.prior.l3, in); }},
    {"t_memory", [](In in) { return nanos(in.prior.memory, in); }},
    {"t_overhead", [](In in) { return nanos(in.prior.overhead, in); }},
    {"compute_share", [](In in) { return in.prior.compute / in.prior.cycles(); }},
    {"memory_share", [](In in) { return in.prior.memory / in.prior.cycles(); }},
    {"overhead_share", [](In in) { return in.prior.overhead / in.prior.cycles(); }},
    {"t0_by_flops", [](In in) { return lg(in.prior.nanoseconds()) - lg(in.facts.flops); }},
    // The schedule: every parameter by its name.
    {"tile_rows", [](In in) { return in.get("tile_rows"); }},
    {"tile_panels", [](In in) { return in.get("tile_panels"); }},
    {"block_rows", [](In in) { return param(in, "block_rows"); }},
    {"block_steps", [](In in) { return param(in, "block_steps"); }},
    {"prefetch_period", [](In in) { return in.get("prefetch_period"); }},
    {"lane_columns", [](In in) { return in.get("lane_columns"); }},
    {"ahead_bytes", [](In in) { return param(in, "ahead_bytes"); }},
    {"run_tiles", [](In in) { return in.get("run_tiles"); }},
    {"epilogue_rows", [](In in) { return in.get("epilogue_rows"); }},
    {"group_pairs", [](In in) { return in.get("group_pairs"); }},
    {"prefetch", [](In in) { return in.get("prefetch"); }},
    {"query_vectors", [](In in) { return in.get("query_vectors"); }},
    {"tile_keys", [](In in) { return in.get("tile_keys"); }},
    {"tile_queries", [](In in) { return in.get("tile_queries"); }},
    {"block_keys", [](In in) { return param(in, "block_keys"); }},
    {"query_blocks", [](In in) { return in.get("query_blocks"); }},
    {"tile_elements", [](In in) { return param(in, "tile_elements"); }},
    // What the schedule makes of the sizes: a contraction.
    {"blocks", [](In in) { return lg(ceilDiv(in.facts.m, in.get("block_rows"))); }},
    {"block_height", [](In in) { return lg(blockHeight(in)); }},
    {"tiles_high", [](In in) { return std::min(ceilDiv(blockHeight(in), in.get("tile_rows")), 64.0); }},
    {"rows_waste", [](In in) { return waste(in, blockHeight(in), "tile_rows"); }},
    {"rows_rest", [](In in) { return rest(in, blockHeight(in), "tile_rows"); }},
    {"rows_rest_of_16", [](In in) { return std::fmod(blockHeight(in), 16); }},
    {"rows_rest_of_32", [](In in) { return std::fmod(blockHeight(in), 32); }},
    {"lanes_waste", [](In in) { return in.get("lane_columns") > 0 ? waste(in, blockHeight(in), "tile_rows") : 0; }},
    {"few_coded_rows", [](In in) { return double(in.has("ahead_bytes") && in.facts.m <= 16); }},
    {"panels_waste", [](In in) { return waste(in, panels(in), "tile_panels"); }},
    {"panels_rest", [](In in) { return rest(in, panels(in), "tile_panels"); }},
    {"panel_groups", [](In in) { return lg(ceilDiv(panels(in), std::max(in.get("tile_panels"), 1.0))); }},
    {"cuts", [](In in) { return ceilDiv(in.facts.k, std::max(in.get("block_steps"), 1.0)); }},
    {"steps_rest", [](In in) { return rest(in, in.facts.k, "block_steps"); }},
    {"accumulators", [](In in) { return std::max(in.get("tile_rows"), 0.0) * std::max(in.get("tile_panels"), 0.0); }},
    {"loads_per_product", [](In in) { return in.has("tile_rows") ? 1 / in.get("tile_rows") + 1 / std::max(in.get("tile_panels"), 1.0) : 0; }},
    {"block_bytes", [](In in) { return lg(blockHeight(in) * blockSteps(in) * in.facts.inputBits / 8); }},
    {"panel_bytes", [](In in) { return lg(blockSteps(in) * 16 * std::max(in.get("tile_panels"), 2.0) * weightElementBytes(in)); }},
    {"one_tile_high", [](In in) { return double(in.has("tile_rows") && in.facts.m <= in.get("tile_rows")); }},
    {"block_bytes_by_l2", [](In in) { return std::min(blockHeight(in) * blockSteps(in) * 4 / in.machine.l2Size, 4.0); }},
    {"panel_bytes_by_l1", [](In in) { return std::min(blockSteps(in) * 16 * std::max(in.get("tile_panels"), 2.0) * weightElementBytes(in) / in.machine.l1Size, 8.0); }},
    // An attention.
    {"queries_waste", [](In in) { return in.has("query_vectors") ? ceilDiv(in.facts.queries, in.get("query_vectors") * in.target.lanes) * in.get("query_vectors") * in.target.lanes / std::max(in.facts.queries, 1.0) : 0; }},
    {"keys_waste", [](In in) { return waste(in, in.facts.keys, "block_keys"); }},
    {"key_blocks", [](In in) { return lg(ceilDiv(in.facts.keys, in.get("block_keys"))); }},
    {"query_tiles_rest", [](In in) { return rest(in, in.has("query_vectors") ? in.get("query_vectors") * in.target.lanes : 0, "tile_queries"); }},
    {"key_tiles_rest", [](In in) { return rest(in, in.get("block_keys"), "tile_keys"); }},
    {"keys_rest", [](In in) { return rest(in, in.facts.keys, "tile_keys"); }},
    {"key_block_bytes", [](In in) { return lg(std::max(in.get("block_keys"), 0.0) * in.facts.headSize * 8); }},
    {"query_block_rows", [](In in) { return lg(std::max(in.get("query_blocks"), 0.0) * std::max(in.get("query_vectors"), 2.0) * in.target.lanes); }},
    {"query_groups", [](In in) { return lg(ceilDiv(in.facts.queries, in.get("query_blocks") * std::max(in.get("query_vectors"), 2.0) * in.target.lanes)); }},
    {"query_blocks_by_need", [](In in) { return in.has("query_blocks") ? std::min(in.get("query_blocks") / std::max(ceilDiv(in.facts.queries, std::max(in.get("query_vectors"), 2.0) * in.target.lanes), 1.0), 8.0) : 0; }},
    // Everything else.
    {"grid_tiles", [](In in) { return lg(ceilDiv(in.facts.elements, in.get("tile_elements"))); }},
};

const std::vector<std::string> &features::names() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const Feature &feature : kFeatures)
      names.push_back(feature.name);
    for (unsigned bucket = 0; bucket < kTokenBuckets; ++bucket)
      names.push_back("token_" + std::to_string(bucket));
    return names;
  }();
  return all;
}

uint64_t features::hash() {
  uint64_t hash = 14695981039346656037u;
  for (const std::string &name : names())
    for (char c : name + "\n")
      hash = (hash ^ uint8_t(c)) * 1099511628211u;
  return hash;
}

void features::compute(const FeatureInput &input, std::vector<float> &row) {
  row.resize(names().size());
  size_t at = 0;
  for (const Feature &feature : kFeatures) {
    double value = feature.value(input);
    row[at++] = std::isfinite(value) ? float(value) : 0.0f;
  }
  std::copy(input.facts.tokens.begin(), input.facts.tokens.end(), row.begin() + at);
}
