//===- Profile.cpp - the time of each step and kernel ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Profile.h"

#include "Report.h"
#include "Statistics.h"

#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Runtime/Binding.h"
#include "permalloy/Runtime/Profile.h"
#include "permalloy/Support/Text.h"

#include <algorithm>
#include <map>

namespace permalloy {

using artifact::Program;
using artifact::Step;

static constexpr int kWarmUp = 2, kRuns = 11, kTracedRuns = 5;

namespace {
/// Time and work of a step, or of all steps of a kernel.
struct Cost {
  uint64_t steps = 0;
  double seconds = 0, flops = 0, bytes = 0;

  void add(const Cost &other) {
    steps += other.steps, seconds += other.seconds, flops += other.flops, bytes += other.bytes;
  }
};
} // namespace

static std::string share(double part, double whole) {
  return formatNumber(whole > 0 ? 100 * part / whole : 0, 3) + " %";
}

static std::string rate(double work, double seconds, const char *unit) {
  return work > 0 && seconds > 0 ? formatNumber(work / seconds / 1e9, 3) + unit : "";
}

Result<std::vector<double>> measureSteps(OpenModel &model, std::span<const NamedArray> inputs, const std::function<void()> &between) {
  size_t count = model.artifact().program().steps.size();
  std::vector<std::vector<double>> times(count);
  std::vector<int64_t> nanoseconds(count);
  for (int i = 0; i < kWarmUp + kRuns; ++i) {
    between();
    if (auto outputs = model.run(inputs, nanoseconds); !outputs.ok())
      return outputs.status();
    for (size_t step = 0; step < count && i >= kWarmUp; ++step)
      times[step].push_back(static_cast<double>(nanoseconds[step]));
  }
  std::vector<double> medians;
  for (std::vector<double> &all : times)
    medians.push_back(median(all));
  return medians;
}

static Result<std::vector<Cost>> stepCosts(OpenModel &model, std::span<const NamedArray> inputs) {
  const Artifact &artifact = model.artifact();
  std::vector<int64_t> symbols, values;
  if (Status status = bindSymbols(artifact.manifest(), inputTensors(inputs), symbols); !status.ok())
    return status;
  if (Status status = artifact::evaluateAll(artifact.program().expressions,
                                            artifact.manifest().symbols, symbols, values);
      !status.ok())
    return status;
  Result<std::vector<double>> times = measureSteps(model, inputs);
  if (!times.ok())
    return times.status();
  auto value = [&](uint32_t expr) {
    return expr == artifact::kNone ? 0 : static_cast<double>(values[expr]);
  };
  std::vector<Cost> costs;
  const std::vector<Step> &steps = artifact.program().steps;
  for (size_t i = 0; i < steps.size(); ++i)
    costs.push_back({1, (*times)[i] * 1e-9, value(steps[i].flops), value(steps[i].bytes)});
  return costs;
}

static std::vector<std::string> row(std::string name, const Cost &cost, double total,
                                    std::string last) {
  return {std::move(name),
          formatSeconds(cost.seconds),
          share(cost.seconds, total),
          rate(cost.flops, cost.seconds, " GFLOP/s"),
          rate(cost.bytes, cost.seconds, " GB/s"),
          std::move(last)};
}

Status printProfile(OpenModel &model, std::span<const NamedArray> inputs) {
  Result<std::vector<Cost>> costs = stepCosts(model, inputs);
  if (!costs.ok())
    return costs.status();
  const Program &program = model.artifact().program();
  std::map<std::string, Cost> kernels;
  Cost total;
  Table steps("  ");
  steps.alignRight({1, 2, 3, 4});
  for (size_t i = 0; i < costs->size(); ++i)
    total.add((*costs)[i]);
  for (size_t i = 0; i < costs->size(); ++i) {
    std::string name = stepText(program, program.steps[i]);
    kernels[name].add((*costs)[i]);
    steps.row(row(name, (*costs)[i], total.seconds, program.steps[i].name));
  }
  std::vector<std::pair<std::string, Cost>> sorted(kernels.begin(), kernels.end());
  std::sort(sorted.begin(), sorted.end(),
            [](auto &a, auto &b) { return a.second.seconds > b.second.seconds; });
  Table summary("  ");
  summary.alignRight({1, 2, 3, 4});
  for (auto &[name, cost] : sorted)
    summary.row(row(name, cost, total.seconds, formatCount(cost.steps, "step")));
  llvm::outs() << "steps (median of " << kRuns << " runs, "
               << formatCount(static_cast<uint64_t>(model.session->threads()), "thread") << "):\n";
  steps.print(llvm::outs());
  llvm::outs() << "kernels:\n";
  summary.print(llvm::outs());
  llvm::outs() << "all steps: " << formatSeconds(total.seconds) << "\n";
  return {};
}

Status writeTrace(OpenModel &model, std::span<const NamedArray> inputs, const std::string &path) {
  permalloy::Profile profile(model.session->sharedArtifact());
  for (int i = 0; i < kWarmUp + kTracedRuns; ++i) {
    RunRecord record;
    if (auto outputs = model.run(inputs, {}, &record); !outputs.ok())
      return outputs.status();
    if (i >= kWarmUp)
      profile.add(std::move(record));
  }
  return profile.write(path);
}

} // namespace permalloy
