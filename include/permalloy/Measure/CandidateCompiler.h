//===- CandidateCompiler.h - candidates compiled while others are measured *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Generating a candidate's code takes longer than measuring it. Where the process may run on more than one CPU, a thread of the
// lowest priority compiles what is measured next; whoever waits for a candidate compiles others meanwhile:
//
//   CPU 0   measure A   measure B   wait for C: compile D   measure C ...
//   CPU 1   compile B   compile C ................   compile E
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_MEASURE_CANDIDATECOMPILER_H
#define PERMALLOY_MEASURE_CANDIDATECOMPILER_H

#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/Measure/Candidate.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace permalloy::measure {

/// For one thread that measures.
class CandidateCompiler {
public:
  /// A candidate on its way; not to be looked into before `wait`.
  struct Job {
    std::string text; ///< the kernel with its schedule (codegen::textOf)
    std::optional<Candidate> candidate;
    std::string error; ///< why there is none
    bool isDone = false;
  };
  using Handle = std::shared_ptr<Job>;

  explicit CandidateCompiler(const codegen::CpuTarget &target) : target(target) {}
  /// Abandons what has not begun.
  ~CandidateCompiler();

  /// Asks for the kernel with the schedule that stands on it.
  Handle begin(kern::KernelOp kernel);
  /// Returns when the job is done.
  void wait(const Handle &job);

private:
  /// A context, renewed now and then: what a context has seen stays in memory.
  struct Workplace {
    std::unique_ptr<codegen::KernelContext> context;
    unsigned kernels = 0;
  };

  Handle takeNext();
  void compile(Workplace &workplace, Job &job);
  void work();

  const codegen::CpuTarget &target;
  std::mutex mutex; ///< of `waiting`, `ends` and Job::isDone
  std::condition_variable changed;
  std::deque<Handle> waiting;
  bool ends = false;
  std::thread helper; ///< begun with the first job; none where there is one CPU
  Workplace own;
};

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_CANDIDATECOMPILER_H
