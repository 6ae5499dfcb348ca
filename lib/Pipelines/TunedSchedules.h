//===- TunedSchedules.h - measured schedules for a compilation ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_PIPELINES_TUNEDSCHEDULES_H
#define PERMALLOY_LIB_PIPELINES_TUNEDSCHEDULES_H

#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/Codegen/ScheduleSpace.h"
#include "permalloy/CostModel/CostModel.h"
#include "permalloy/CostModel/TuningDatabase.h"
#include "permalloy/Pipelines/Compile.h"

namespace permalloy {

/// The rows of the tuning database that are about the kernels at hand.
class TunedSchedules {
public:
  /// Reads CompileOptions::database. A file that is no database is an error where the user named it, else a warning: the
  /// default database must not keep anything from compiling.
  static llvm::FailureOr<TunedSchedules> load(mlir::ModuleOp module, const CompileOptions &options);

  /// Replaces the schedule of a kernel, which is the default, where another one was measured as faster, or else where the cost
  /// model is sure that one is.
  llvm::LogicalResult apply(kern::KernelOp kernel, const codegen::CpuTarget &target);

  /// Gives a kernel for a GPU its schedule: one that was measured as faster than what the compiler takes by itself, which is the
  /// prior's choice (codegen::selectGpuSchedule), or with CompileOptions::gpuRules the form's own.
  llvm::LogicalResult choose(kern::KernelOp kernel, const codegen::GpuTarget &target);

  const std::vector<TunedKernel> &used() const { return kernels; }
  /// Rows that were of interest but measured with other code than this compiler generates.
  unsigned outdatedRows() const { return outdated.size(); }
  /// " --database HASH" of the file where any of it was used, and " --cost-model KIND": what the artifact's bytes depend on.
  std::string commandLine() const;
  /// Where the schedule of a kernel comes from: "default", "measured" or "predicted".
  std::string originOf(llvm::StringRef kernel, llvm::StringRef target) const;

private:
  template <typename Target> bool isCurrent(const TuningRow &row, const Target &target);
  codegen::KernelContext &contextFor(bool isGpu);
  template <typename Target>
  ScheduleQuery queryFor(kern::KernelOp kernel, const Target &target, const std::string &machine, const codegen::ScheduleSpace &space);
  std::optional<TunedSchedule> measured(kern::KernelOp kernel, const codegen::GpuTarget &target, const codegen::ScheduleSpace &space);
  std::string deviceOf(const std::string &structure, const codegen::GpuTarget &target) const;
  const NamedNumbers &defaultOf(const std::string &id, const codegen::GpuTarget &target);
  bool isSameWay(const TuningRow &row, double rows);
  llvm::LogicalResult predict(kern::KernelOp kernel, const codegen::CpuTarget &target, const codegen::ScheduleSpace &space);

  TuningDatabase database;
  std::string hash;
  std::unique_ptr<CostModel> model; ///< null: none
  codegen::GpuChooser gpuChooser = codegen::GpuChooser::Prior;
  /// Names of the code that measured kernels get today (codegen::codeOf), by kernel, target and schedule; empty: none.
  llvm::StringMap<std::string> codes;
  std::unique_ptr<codegen::KernelContext> context, gpuContext; ///< made when the first is wanted
  std::map<std::string, NamedNumbers> defaults; ///< of kernels of the database on GPUs, by their names and the target
  llvm::DenseSet<const TuningRow *> outdated;
  std::vector<TunedKernel> kernels;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_PIPELINES_TUNEDSCHEDULES_H
