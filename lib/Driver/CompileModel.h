//===- CompileModel.h - import and compile, for every command ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_COMPILEMODEL_H
#define PERMALLOY_LIB_DRIVER_COMPILEMODEL_H

#include "Commands.h"
#include "permalloy/Codegen/GPU/Target.h"
#include "permalloy/Pipelines/Price.h"
#include "permalloy/Runtime/Gpu.h"
#include "permalloy/Transforms/Calibration.h"
#include "permalloy/Transforms/Precision.h"
#include "permalloy/Transforms/Quantization.h"

namespace permalloy {

class ToolContext;

/// Which levels a compilation is to have, once --precision, --quantize and --plan are understood.
struct PrecisionRequest {
  std::optional<PrecisionPlan> plan; ///< as this plan says
  std::string uniform = "f32";       ///< else: bf16 or tf32 for all that can have it
  std::optional<QuantizationRequest> quantization; ///< beside either: weights as codes
  KernelMemo *memo = nullptr; ///< of a search
  bool fallback = true;       ///< whether the file gets code for where Linux refuses AMX
  std::string mergeTokens; ///< beside these: tokens that each block gives up, as --merge-tokens; empty: as the settings say
  PrecisionPlan *switches = nullptr; ///< else: a switch for each product, listed here
  PrecisionPlan *carriedOut = nullptr; ///< gets the plan that was carried out
  std::vector<CalibrationValue> *calibration = nullptr; ///< else: a model that returns what layers read, listed here
  std::string statistics;                               ///< file of statistics for solvers; may be empty
};

/// Compiles with that precision rather than that of the settings, in a context of the caller's.
bool compileModelWith(const CompileCommand &command, bool summary, const PrecisionRequest &precision, ToolContext &context);

/// Prices what compileModel would make of `command.model` (Pipelines/Price.h); `plan`, if not null, becomes the plan that was carried
/// out, as JSON, where there is one. Nothing after an error, which was reported.
std::optional<ProgramPrice> priceModel(const CompileCommand &command, const PriceRequest &request, std::string *plan = nullptr);
/// Prices what compileModelWith would make.
std::optional<ProgramPrice> priceModelWith(const CompileCommand &command, const PriceRequest &request, const PrecisionRequest &precision,
                                           ToolContext &context);

/// Whether a GPU runs code for a target, and the latest target that it runs (an error names the oldest that there is).
bool runsOn(const codegen::GpuTarget &target, const GpuInfo &gpu);
Result<codegen::GpuTarget> gpuTargetFor(const GpuInfo &gpu);

/// $XDG_CACHE_HOME/permalloy/NAME, or below ~/.cache, whose parent was made; empty when there is no such place.
std::string cacheFolder(const std::string &name);

/// Compiles `command.model` as `permalloy compile` does, with a closing line about the file if
/// `summary`. False after an error, which was reported.
bool compileModel(const CompileCommand &command, bool summary);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_COMPILEMODEL_H
