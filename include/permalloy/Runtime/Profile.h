//===- Profile.h - when the launches of runs happened ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A run that is asked to fills a RunRecord: begin and end of every step, and of every thread's part
// in it. A Profile collects records of one artifact and writes them as a Chrome trace, which
// ui.perfetto.dev and chrome://tracing open: an array of complete events ("ph": "X", times in
// microseconds of CLOCK_MONOTONIC).
//
//   cat "Session"  one event a run, on the lane of the calling thread
//   cat "Node"     one event a step below it: name is the model's nodes; args: kernel, symbols,
//   flops,
//                  bytes, GFLOP/s, GB/s, threads that took part
//   cat "Worker"   the parts of the other threads, on lanes of their own
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_RUNTIME_PROFILE_H
#define PERMALLOY_RUNTIME_PROFILE_H

#include "permalloy/Runtime/Artifact.h"
#include "permalloy/Runtime/RunRecord.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace permalloy {

/// Records of runs of one artifact. May be used by several threads at once.
class Profile {
public:
  explicit Profile(std::shared_ptr<const Artifact> artifact) : artifact_(std::move(artifact)) {}

  /// Steps that a profile holds; later runs are counted only.
  static constexpr size_t kMostSteps = 1'000'000;

  /// Whether runs of `artifact` may be added.
  bool isOf(const Artifact &artifact) const { return artifact_.get() == &artifact; }
  void add(RunRecord record);
  /// The trace of all runs so far as JSON.
  std::string json() const;
  /// Writes the trace to `path`, complete or not at all.
  Status write(const std::string &path) const;

private:
  std::shared_ptr<const Artifact> artifact_;
  mutable std::mutex lock_;
  std::vector<RunRecord> records_;
  size_t steps_ = 0, dropped_ = 0;
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_PROFILE_H
