//===- Compile.h - from an imported model to model.alloy ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The whole road behind `permalloy compile`, as functions over a module that the importer made
// (which also fixes and narrows dimensions, ImportOptions::dims).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_PIPELINES_COMPILE_H
#define PERMALLOY_PIPELINES_COMPILE_H

#include "permalloy/Artifact/Writer.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "permalloy/Transforms/Calibration.h"
#include "permalloy/Transforms/Precision.h"
#include "permalloy/Transforms/Quantization.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace permalloy {

class KernelMemo;

/// Fewer tokens in encoders (Transforms/TokenReduction.h).
struct TokenOptions {
  std::string schedule;       ///< tokens that each block gives up: "13", "16,16,8,0", "26..0"; empty: none
  std::string plan;           ///< file of a plan instead, of which entries of kind "tokens" count; empty: none
  std::string score = "tome"; ///< what chooses them (Transforms/TokenScore.h)
  int64_t protect = -1;       ///< leading tokens that stay alone; -1: found from the graph
  bool countSizes = true;     ///< attention counts a merged token as many
};

/// How to compile. The defaults are those of the command line.
struct CompileOptions {
  /// Instruction sets as codegen::CpuTarget::parse and codegen::GpuTarget::parse take them; the artifact gets an image for each, and one for AVX-512
  /// where the only one uses AMX, which Linux may refuse.
  std::vector<std::string> targets = {"host"};
  /// Which products run in bf16, or in tf32 on GPUs. None: no operation, the module keeps the model's types.
  std::optional<PrecisionPlan> precision;
  /// Instead of a plan: the precision of all products that can have it, "bf16" or "tf32"; "f32": the model's types. Only a compilation
  /// with a GPU among its targets takes tf32, here or in a plan.
  std::string uniform = "f32";
  /// Beside either: weights that stand as codes.
  std::optional<QuantizationRequest> quantization;
  /// Instead of all: the module gets a switch for each product (see addPrecisionSwitches), listed here; null: no.
  PrecisionPlan *switches = nullptr;
  /// Instead of the model: one that returns what its linear layers read, listed here (see addCalibrationOutputs); null: no.
  std::vector<CalibrationValue> *calibration = nullptr;
  /// Statistics of what linear layers read, for solvers: a file that StatisticsWriter wrote; empty: none.
  std::string statistics;
  /// Measure what solvers do to layers that have statistics.
  bool measureSolves = false;
  /// Threads that generate code; 0: as many as this process may use.
  unsigned jobs = 0;
  /// Folder of the kernel cache; empty: no cache.
  std::string cacheDir;
  /// Of a search, which compiles the model again and again (KernelMemo.h); null: none.
  KernelMemo *memo = nullptr;
  /// Whether an artifact whose only image uses AMX gets another for AVX-512.
  bool fallback = true;
  /// Tuning database with measured schedules (CostModel/TuningDatabase.h); empty: the default schedules. A file that is not
  /// there counts as empty unless `databaseIsRequired`.
  std::string database;
  bool databaseIsRequired = false;
  /// The cost model that looks for a schedule where none was measured (CostModel::make); empty: none does.
  std::string costModel;
  /// The one that passes ask what is faster (KernelCosts.h); empty: they keep to bounds of their own.
  std::string passCosts;
  /// Whether kernels for GPUs keep the schedules of their forms' rules where none was measured, and the prior is not asked.
  bool gpuRules = false;
  /// The options as the user would type them, for the artifact's manifest (no paths, no times).
  std::string commandLine;
  /// Compute the real tokens of padded batches only; outputs are then 0 at padded positions.
  bool packPadding = false;
  TokenOptions tokens;
  /// Where to print what fusion raised and what stopped an almost-attention; null: nowhere.
  llvm::raw_ostream *fusionReport = nullptr;
  /// Called on every pass manager before it runs: IR printing, timing, crash reproducers.
  std::function<llvm::LogicalResult(mlir::PassManager &)> configure;
  /// Told when a stage begins ("fuse", "generate code") and, within it, how much is done; total 0:
  /// not countable. May be called from any thread, never from two at once.
  std::function<void(llvm::StringRef stage, unsigned done, unsigned total)> progress;
};

/// What `compileToText` stops at: the graph after fusion; kernels, launches and slots; the kernels'
/// LLVM IR; their assembly (the last two for the most demanding target, and for a GPU where one is among them).
enum class EmitKind { Tfm, Kern, Llvm, Asm };

/// A kernel that got a measured or a predicted schedule.
struct TunedKernel {
  std::string kernel, target;
  std::string schedule;            ///< "tile_panels=3 tile_rows=8 ..."
  std::vector<std::string> shapes; ///< the sizes that it was measured at, "d0=1 d1=128"; none: the cost model chose it
  double gain = 1;                 ///< time of the default by that of this schedule
};

/// What a solver did to a layer whose inputs it knew.
struct SolvedLayer {
  std::string layer, solver; ///< ONNX node, name
  double relativeError = 0;  ///< |X (W - W')| / |X W|, X the inputs of the calibration
};

/// What a compilation made.
struct CompileReport {
  /// Wall time of each stage in the order they ran.
  std::vector<std::pair<std::string, double>> stageSeconds;
  unsigned kernels = 0;          ///< distinct ones
  unsigned kernelsFromCache = 0; ///< of those, not generated anew
  std::vector<TunedKernel> tuned;
  unsigned outdatedRows = 0;     ///< of the tuning database, of interest but measured with other code
  unsigned launches = 0;
  /// Layers that were solved with statistics, where CompileOptions asked for it.
  std::vector<SolvedLayer> solved;
  PrecisionPlan precision;       ///< of each product, where CompileOptions asked for one
  uint64_t fileSize = 0;    ///< bytes
  uint64_t weightBytes = 0; ///< bytes of stored weights
  std::string padding;      ///< what packing of padding did, in a sentence; empty: not asked for
  std::string tokens;       ///< what merging of tokens did, in a sentence; empty: not asked for
};

/// Appends the passes that carry out the levels that are written on operations (see Transforms/Precision.h).
void buildPrecisionPipeline(mlir::OpPassManager &passes);
/// Appends the passes from fused `tfm` (see TfmPipeline.h) to kernels, launches and slots.
void buildKernPipeline(mlir::OpPassManager &passes, const KernelCosts *costs = nullptr);
/// Makes the pipelines known as `--tfm-pipeline`, `--precision-pipeline` and `--kern-pipeline`.
void registerCompilePipelines();

/// Compiles `module`, which is changed, and writes `path`, complete or not at all. Errors are
/// emitted as diagnostics.
llvm::LogicalResult compileToArtifact(mlir::ModuleOp module, const CompileOptions &options,
                                      llvm::StringRef path, CompileReport *report = nullptr);

/// The kernels of `module`, which is changed, and their launches, without schedules and code: fills manifest and program, whose
/// steps have no grids.
llvm::LogicalResult compileToLaunches(mlir::ModuleOp module, const CompileOptions &options,
                                      artifact::ArtifactContents &contents, CompileReport *report = nullptr);

/// Compiles `module` as far as `kind` and prints the result.
llvm::LogicalResult compileToText(mlir::ModuleOp module, const CompileOptions &options,
                                  EmitKind kind, llvm::raw_ostream &out,
                                  CompileReport *report = nullptr);

} // namespace permalloy

#endif // PERMALLOY_PIPELINES_COMPILE_H
