//===- ValidateDevices.cpp - are the tables for GPUs sound? -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/Validate.h"

#include <set>

namespace permalloy::artifact {

namespace {

/// Threads that a block can have on any GPU.
constexpr uint32_t kMaxThreads = 1024;

Status fault(const std::string &what) { return {StatusCode::invalidArtifact, what}; }

Status checkKernel(const DeviceKernel &kernel, uint64_t codeSize, const std::string &where) {
  if (kernel.threads == 0 || kernel.threads > kMaxThreads)
    return fault(where + " has blocks of " + std::to_string(kernel.threads) + " threads");
  for (const CodeRange &range : {kernel.ptx, kernel.cubin})
    if (range.offset > codeSize || range.size > codeSize - range.offset)
      return fault(where + " has code outside its section");
  if (kernel.ptx.size == 0)
    return fault(where + " has no PTX");
  return {};
}

Status checkTarget(const DeviceTarget &target, const Program &program, uint64_t codeSize) {
  std::string where = "device target '" + target.name + "'";
  if (target.exact > 1 || target.capability < 10)
    return fault(where + " has compute capability " + std::to_string(target.capability));
  if (target.kernels.size() != program.kernels.size())
    return fault(where + " has " + std::to_string(target.kernels.size()) + " kernels for " +
                 std::to_string(program.kernels.size()));
  for (size_t i = 0; i < target.kernels.size(); ++i)
    if (Status status = checkKernel(target.kernels[i], codeSize, where + ", kernel '" + program.kernels[i].name + "'"); !status.ok())
      return status;
  return {};
}

Status checkStep(const DeviceStep &step, size_t index, size_t targets, const Program &program) {
  std::string where = "step " + std::to_string(index);
  bool launches = program.steps[index].kind == StepKind::launch;
  if (step.grids.size() != (launches ? targets : 0))
    return fault(where + " has " + std::to_string(step.grids.size()) + " device grids for " + std::to_string(targets) + " targets");
  size_t count = program.expressions.size();
  for (const DeviceGrid &grid : step.grids)
    if (grid.blocks >= count || (grid.sharedBytes != kNone && grid.sharedBytes >= count) ||
        (grid.scratchBytes != kNone && grid.scratchBytes >= count))
      return fault(where + " has a device grid of an unknown expression");
  return {};
}

} // namespace

Status validateDevices(const DeviceTables &devices, const Program &program, std::span<const uint64_t> codeSizes) {
  if (devices.targets.empty())
    return program.targets.empty() ? fault("the program has no target") : Status();
  if (devices.steps.size() != program.steps.size() || codeSizes.size() != devices.targets.size())
    return fault("the device tables have " + std::to_string(devices.steps.size()) + " steps and " +
                 std::to_string(codeSizes.size()) + " codes for " + std::to_string(program.steps.size()) + " and " +
                 std::to_string(devices.targets.size()));
  std::set<std::string> names;
  for (size_t i = 0; i < devices.targets.size(); ++i) {
    if (!names.insert(devices.targets[i].name).second)
      return fault("device target '" + devices.targets[i].name + "' appears twice");
    if (Status status = checkTarget(devices.targets[i], program, codeSizes[i]); !status.ok())
      return status;
  }
  for (size_t i = 0; i < devices.steps.size(); ++i)
    if (Status status = checkStep(devices.steps[i], i, devices.targets.size(), program); !status.ok())
      return status;
  return {};
}

} // namespace permalloy::artifact
