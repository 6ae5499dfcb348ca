//===- GpuTuner.h - measures schedules of kernels on a GPU ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_GPUTUNER_H
#define PERMALLOY_MEASURE_GPUTUNER_H

#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Measure/Tuner.h"
#include "permalloy/Runtime/Gpu.h"

namespace permalloy::measure {

/// Where a GpuTuner measures.
struct GpuSite {
  GpuInfo device;
  codegen::GpuTarget target; ///< which the device runs
  /// Code of a kernel that has a schedule, in a context with the dialects of registerGpuDialects; the function is called `name`.
  std::function<llvm::Expected<codegen::GpuCode>(kern::KernelOp kernel, llvm::StringRef name)> compile;
};

/// As Tuner, for kernels on a GPU: of each first what the compiler takes without measurements and the rule of its form, then schedules
/// that differ in one parameter from the best so far, those first that the prior finds fastest, by turns with others at random.
/// TuningOptions::target is not looked at.
class GpuTuner : public TunerBase {
public:
  GpuTuner(TuningWriter &writer, GpuSite site, TuningOptions options);
  ~GpuTuner();
  Status run(llvm::ArrayRef<TuningTask> tasks);

private:
  struct TaskState;
  struct Prepared;

  Status runTask(TaskState &state);
  std::vector<Values> nearest(const TaskState &state) const;
  std::optional<Prepared> prepare(TaskState &state, const Values &values);
  bool compile(Prepared &prepared);
  Status measureAt(TaskState &state, Prepared &prepared, size_t size, double &median);
  Status confirmAt(TaskState &state, Prepared &best, Prepared &byDefault, size_t size,
                   double &median, double &usual);
  TuningRow rowFor(const TaskState &state, const Prepared &prepared, size_t size) const;
  Status append(TaskState &state, const Prepared &prepared, size_t size, const Timing &timing,
                double defaultNs = 0, const std::string &defaultCode = "");

  GpuSite site;
  std::unique_ptr<codegen::KernelContext> context; ///< of code generation
  unsigned contextUses = 0;                        ///< kernels that it and those before have seen
};

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_GPUTUNER_H
