//===- Contraction.h - matrix products with packed weights ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_CPU_CONTRACTION_H
#define PERMALLOY_CODEGEN_CPU_CONTRACTION_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

struct ContractionSize;

/// How a contraction runs: the register tile and the cache blocks. What stands in a kernel's
/// `schedule` attribute; any legal value gives the same bits.
struct ContractionSchedule {
  /// Register tile: rows of A, and packed panels of 16 columns side by side.
  unsigned rows = 0;
  unsigned panels = 0;
  /// Rows of A in one tile of the grid; A's block of that height should stay in the L2 cache.
  int64_t blockRows = 0;
  /// Steps of K done for all rows of a block before the next ones. Less than K: the products
  /// accumulate in scratch.
  int64_t blockSteps = 0;
  /// Steps of K between two prefetches of a row of the next panels, where a block has many tiles of rows to share them: 1, 2, 4,
  /// 8 or 16; 0: no prefetch.
  int64_t prefetchPeriod = 0;
  /// Tiles of the grid side by side that are done for a register tile's rows before the next rows, where a block has many: their
  /// weights should stay in the L2 cache, A passes by once for all of them, and rows of the result are written in longer pieces.
  int64_t runTiles = 1;
  /// Sparse weights in blocks of one panel, or quads: columns that are done at a time with rows of A in the lanes (SparseColumns.h);
  /// `rows` is then a multiple of the lanes, and `runTiles` panels pass by a cut of `blockSteps` steps. 0: as dense weights.
  int64_t laneColumns = 0;

  /// The default for C[M, n] = A[M, k] W[k, n] with M unknown; `element` (null: f32) is what A and W hold.
  static ContractionSchedule choose(const CpuTarget &target, int64_t n, int64_t k,
                                    mlir::Type element = {});
  /// The default for a sparse W.
  static ContractionSchedule chooseSparse(const CpuTarget &target, const ContractionSize &size);
  /// Whether the tile's accumulators, one step of B and a broadcast fit the registers; a step of bf16 needs B twice, and of quads it
  /// stays in memory.
  bool fits(const CpuTarget &target, mlir::Type element = {}, bool quads = false) const;
};

/// What the codes of a weight are; see tfm.dequantize.
struct CodeFormat {
  bool isSigned = false;
  unsigned bits = 0;
  /// What a code takes in a panel: 4 or 8 bits.
  int64_t storedBits = 0;
  /// Steps of K that share a scale.
  int64_t group = 0;
  /// What scales, and zero points, are: f16 or f32.
  mlir::Type scales = {};
  bool hasZeroPoints = false, hasCodebook = false;
};

/// A weight as codes and scales: base addresses, all of them packed (Panels.h) but the codebook.
struct CodedWeight {
  CodeFormat format;
  mlir::Value codes, scales;
  mlir::Value zeroPoints = {}, codebook = {}; ///< may be null
  llvm::SmallVector<float> table = {};        ///< the codebook, where it is known
};

/// What of a contraction its schedules depend on.
struct ContractionSize {
  int64_t n = 0, k = 0;
  mlir::Type element = {}; ///< what A and W hold; null: f32
  bool gated = false;
  bool grouped = false; ///< rows are sorted by the weight that each takes
  /// A and W are f32, and each of their elements may be the sum of two numbers of bf16, 16 bits: "bf16x3" in Precision.h.
  bool split = false;
  /// Blocks of 1 x 16 * slabPanels of W, of 8-bit integers 4 x 16, of which `kept` are stored for each slab of as many panels; 0: W is
  /// dense.
  int64_t kept = 0, slabPanels = 0;
  std::optional<CodeFormat> coded = {}; ///< the weight is codes and scales, and `element` is that of A alone
  /// Not 0: each column has `kept` weights, so many of each four steps of K.
  int64_t keptOfFour = 0;

  /// A and W are 8-bit integers.
  bool isIntegral() const { return element && element.isInteger(8); }
  /// K in lanes of 32 bits, of which one of 8-bit integers holds four steps; and of sparse weights the steps of K that are kept.
  int64_t laneSteps() const { return isIntegral() ? k / 4 : k; }
  int64_t keptSteps() const { return isIntegral() ? 4 * kept : kept; }
};

/// All schedules of a contraction; the parameters are documented there.
ScheduleSpaceOf<ContractionSchedule> contractionSpace(const CpuTarget &target,
                                                      const ContractionSize &size);

/// Where an epilogue stands: `lanes` consecutive columns of one row, from `column` on.
struct EpilogueSite {
  mlir::Value row;
  mlir::Value column;
  unsigned lanes;
  /// Null but for gated products: the same columns of the second half.
  mlir::Value second = {};
  /// Null but for grouped rows: the number of the weight.
  mlir::Value group = {};
};

/// Rows sorted by the weight that each takes; see tfm.group_by and tfm.grouped_linear.
struct GroupedRows {
  /// i64: count + 1 offsets, then the numbers of the rows.
  mlir::Value table;
  int64_t count = 0;
  /// Row r of the result reads row r / repeat of A.
  int64_t repeat = 1;
};

/// W as of tfm.expand_blocks with blocks of 1 x 16 * panels: a slab of so many panels holds `kept` rows [panels][16]. Of 8-bit integers
/// blocks are of 4 x 16, and rows [16][4]. Or as of tfm.expand_quads.
struct SparseRows {
  /// i32 [slabs][kept]: the step of K of each row, or which four, ascending. Of quads: their steps.
  mlir::Value numbers;
  int64_t kept = 0, panels = 1;
  /// As of ContractionSize.
  int64_t keptOfFour = 0;
};

/// C[M, N] = epilogue(A[M, K] W[K, N]); A row-major, W in panels (Panels.h), sums in f32. A of f16 or bf16 is widened into
/// the worker's scratch, a block of rows at a time; W is widened where it is used. With groups, W is a stack of such
/// matrices, and the rows of a block, which share one, are gathered into the scratch.
struct Contraction {
  mlir::Value a;
  mlir::Value weights;
  mlir::Value rows; ///< M, i64
  int64_t n = 0;
  int64_t k = 0;
  /// Computes from the product and stores: called once for each vector of a row of the tile.
  llvm::function_ref<void(const EpilogueSite &site, mlir::Value product)> epilogue;
  /// f32 (null), f16 or bf16: what A and W hold. Or i8 or ui8, what W holds: the product that the epilogue gets is then i32.
  mlir::Type element = {};
  /// Of 8-bit integers: whether A's are signed.
  bool signedRows = true;
  std::optional<GroupedRows> groups = {};
  /// The product has two halves, whose columns the epilogue gets side by side: it runs over the first N / 2 columns, which
  /// are whole panels.
  bool gated = false;
  /// As of ContractionSize.
  bool split = false;
  /// Sparse weights, of f32 or i8 and without groups: the loop over K walks the rows that are kept.
  std::optional<SparseRows> sparse = {};
  /// Instead of `weights`; `element` is then that of A alone.
  std::optional<CodedWeight> coded = {};

  bool isIntegral() const { return element && element.isInteger(8); }
};

/// Tiles of the grid for each block of rows: groups of panels side by side. The grid of a
/// contraction has ceil(M / blockRows) * groups tiles, groups fastest, so that a worker keeps a
/// block of A in its cache and streams the weights past it.
int64_t contractionGroups(const ContractionSchedule &schedule, int64_t n);

/// Bytes of scratch that a worker needs.
int64_t contractionScratchBytes(const ContractionSchedule &schedule, int64_t k,
                                mlir::Type element = {});
int64_t sparseScratchBytes(const ContractionSchedule &schedule, const ContractionSize &size);

/// The same three for grouped rows. Any grouping of M rows has at most M / blockRows + min(M, groups) blocks; tiles past the
/// last block return at once.
ContractionSchedule chooseGroupedSchedule(const CpuTarget &target, int64_t n, int64_t k, bool gated,
                                          mlir::Type element);
int64_t groupedContractionGroups(const ContractionSchedule &schedule, int64_t n, bool gated);
int64_t groupedScratchBytes(const ContractionSchedule &schedule, int64_t k, bool gated,
                            mlir::Type element);

/// Emits the loop over the tiles [tileBegin, tileEnd) of the kernel's grid.
void emitContraction(KernelBuilder &b, const Contraction &contraction,
                     const ContractionSchedule &schedule);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_CONTRACTION_H
