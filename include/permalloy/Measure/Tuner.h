//===- Tuner.h - measures schedules of kernels into a database --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_TUNER_H
#define PERMALLOY_MEASURE_TUNER_H

#include "permalloy/CostModel/MachineRates.h"
#include "permalloy/CostModel/TuningDatabase.h"
#include "permalloy/Measure/CandidateCompiler.h"
#include "permalloy/Measure/KernelBuffers.h"
#include "permalloy/Measure/Timing.h"
#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::measure {

/// A kernel and the sizes it is launched with.
struct TuningTask {
  kern::KernelOp kernel;
  std::vector<reference::Symbols> sizes;
};

struct TuningProgress {
  unsigned measured = 0; ///< rows of this session
  unsigned known = 0;    ///< candidates that the database had
  unsigned refused = 0;  ///< kernels or candidates that could not be compiled or run
  unsigned noisy = 0;    ///< rows that did not pass the noise gate
  unsigned round = 0, task = 0, tasks = 0;
  std::string refusal;   ///< why the last one was refused
};

struct TuningOptions {
  const codegen::CpuTarget *target = nullptr;
  uint64_t seed = 0;
  /// Memory that packed weights come from: those of the model, where there is one.
  size_t weightBytes = WeightArena::kMostBytes;
  /// Schedules measured of each kernel in one round.
  unsigned candidates = 8;
  /// Of those, at most so many are then measured by turns with the default.
  unsigned confirmed = 2;
  /// Rounds at most.
  unsigned rounds = ~0u;
  /// The user, or the time, says stop.
  std::function<bool()> stop = [] { return false; };
  /// Told after each measurement.
  std::function<void(const TuningProgress &)> progress = [](const TuningProgress &) {};
};

struct TuningState;

/// What the tuners of CPUs and GPUs share: which schedules come next, what they score, and the
/// rows.
class TunerBase {
public:
  const TuningProgress &progress() const { return counts; }

protected:
  using Values = codegen::ScheduleSpace::Values;
  /// Medians in nanoseconds; they stay 0 where there is none. Of `best` by turns with the default:
  /// `usual` is that one's.
  using MeasureAt = llvm::function_ref<Status(size_t size, double &median)>;
  using ConfirmAt =
      llvm::function_ref<Status(const Values &best, size_t size, double &median, double &usual)>;

  TunerBase(TuningWriter &writer, TuningOptions options);
  void refuse(std::string why);
  /// Of the schedules that were not tried `first`, then by turns one of `near` and one at random:
  /// as many as a round measures.
  std::vector<Values> candidates(TuningState &state, llvm::ArrayRef<Values> first,
                                 llvm::ArrayRef<Values> near) const;
  /// Scores a schedule by its medians at all sizes, if it has them all.
  Status measure(TuningState &state, const Values &values, MeasureAt measureAt);
  /// Measures the fastest by turns with the default, if they gain enough, and corrects what is
  /// known of them: what the best of some fifty measurements gains is mostly chance, and the
  /// machine's speed a minute ago was another.
  Status confirm(TuningState &state, ConfirmAt confirmAt);
  /// Completes a row by its timing, and what CPUs and GPUs know alike, and appends it.
  Status append(const TuningState &state, TuningRow row, size_t size, const Timing &timing);

  TuningWriter &writer;
  TuningOptions options;
  TuningProgress counts;
  WeightArena arena;
};

/// Measures round after round: each kernel's default schedule, then its neighbours, those of the best so far, and random ones,
/// each at all sizes of the task. A schedule that turns out faster than the default is then measured by turns with it. Until
/// `stop`, or until no kernel has a schedule left.
class Tuner : public TunerBase {
public:
  Tuner(TuningWriter &writer, TuningOptions options);
  ~Tuner();
  Status run(llvm::ArrayRef<TuningTask> tasks);

private:
  struct TaskState;
  struct Prepared;
  struct Runner;

  Status prepare(TaskState &state);
  Status runTask(TaskState &state);
  Status measureAt(TaskState &state, const Prepared &prepared, size_t size, double &median);
  TuningRow rowFor(const TaskState &state, const Prepared &prepared, size_t size) const;
  Status confirmAt(TaskState &state, const Prepared &best, const Prepared &byDefault, size_t size,
                   double &median, double &usual);
  std::optional<Runner> runner(TaskState &state, const Prepared &prepared, size_t size);
  Status append(TaskState &state, const Prepared &prepared, size_t size, const Timing &timing, double defaultNs = 0,
                const std::string &defaultCode = "");
  bool setSchedule(TaskState &state, const Values &values);

  Yardstick yardstick;
  MachineRates rates = MachineRates::of();
  CandidateCompiler compiler;
};

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_TUNER_H
