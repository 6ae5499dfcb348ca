//===- Model.cpp - a compiled model, from either kind of file ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Model.h"

#include "Compare.h"
#include "CompileModel.h"

#include "permalloy/Codegen/GPU/Target.h"
#include "permalloy/Runtime/Gpu.h"
#include "permalloy/Runtime/RunRecord.h"
#include "permalloy/Runtime/Strided.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace permalloy {

bool isArtifact(const std::string &path) {
  Result<std::vector<std::byte>> start = readFileStart(path, sizeof artifact::kMagic);
  return start.ok() && start->size() == sizeof artifact::kMagic &&
         std::memcmp(start->data(), artifact::kMagic, sizeof artifact::kMagic) == 0;
}

bool hasNarrowProducts(const Artifact &artifact) {
  const std::string &options = artifact.manifest().options;
  bool quantized = options.find("--quantize ") != std::string::npos;
  return quantized || (options.find("--precision ") != std::string::npos && options.find("--precision f32") == std::string::npos);
}

double productTolerance(const OpenModel &model) {
  const std::string &options = model.artifact().manifest().options;
  bool isTf32 = options.find("--precision tf32") != std::string::npos && options.find("--quantize ") == std::string::npos;
  if (!hasNarrowProducts(model.artifact()) || (isTf32 && !codegen::GpuTarget::isGpuName(model.session->target())))
    return defaultTolerance(artifact::DType::f32);
  return defaultTolerance(isTf32 ? artifact::DType::f16 : artifact::DType::bf16);
}

std::vector<InputTensor> inputTensors(std::span<const NamedArray> arrays) {
  std::vector<InputTensor> inputs;
  for (const NamedArray &entry : arrays)
    inputs.push_back({entry.array.dtype, entry.array.dims, entry.array.data.data()});
  return inputs;
}

Result<std::vector<NamedArray>> OpenModel::run(std::span<const NamedArray> inputs,
                                               std::span<int64_t> stepNanoseconds,
                                               RunRecord *record) {
  const std::vector<artifact::TensorInfo> &infos = artifact().manifest().outputs;
  std::vector<OutputTensor> outputs(infos.size());
  std::vector<InputTensor> tensors = inputTensors(inputs);
  RunOptions options;
  options.stepNanoseconds = stepNanoseconds;
  options.record = record;
  int64_t begin = monotonicNanoseconds();
  if (Status status = session->run(tensors, outputs, options); !status.ok())
    return status;
  if (record)
    record->run = {begin, monotonicNanoseconds()};
  std::vector<NamedArray> arrays;
  for (size_t i = 0; i < outputs.size(); ++i) {
    OutputTensor &output = outputs[i];
    Array array{output.dtype, output.dims, {}};
    array.data.resize(static_cast<size_t>(tensorBytes(output.dtype, output.dims)));
    std::vector<int64_t> dense = denseStrides(output.dims);
    copyStrided(array.data.data(), dense, output.data,
                output.strides.empty() ? dense : output.strides, output.dims,
                artifact::dtypeSize(output.dtype));
    arrays.push_back({infos[i].name, std::move(array)});
    output.release();
  }
  return arrays;
}

/// Compiles `path` into a folder of its own.
static Status compileInto(OpenModel &model, const std::string &path,
                          const CompileSettings &settings, bool &compiled) {
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return folder.status();
  model.folder = std::move(*folder);
  model.path = model.folder->file("model.alloy");
  CompileCommand command;
  command.settings = settings;
  command.model = path;
  command.output = model.path;
  auto start = std::chrono::steady_clock::now();
  compiled = compileModel(command, /*summary=*/settings.verbose);
  model.compileSeconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return {};
}

/// `settings` with the GPU among its targets; an error, before anything is compiled, where it is not there.
static Result<CompileSettings> settingsFor(const CompileSettings &settings, const std::string &device) {
  Result<int> number = parseDevice(device);
  if (!number.ok())
    return number.status();
  CompileSettings result = settings;
  if (*number == kHostMemory)
    return result;
  if (Result<GpuInfo> gpu = findGpu(*number); !gpu.ok())
    return Status(gpu.status().code(), "--device " + device + ": " + gpu.status().message());
  if (std::ranges::none_of(settings.targets, [](const std::string &name) { return codegen::GpuTarget::isGpuName(name); }))
    result.targets.push_back(device);
  return result;
}

Result<std::optional<OpenModel>> openModel(const std::string &path, const CompileSettings &settings,
                                           int threads, const std::string &device) {
  OpenModel model;
  model.path = path;
  bool compiled = true;
  Result<CompileSettings> ownSettings = settingsFor(settings, device);
  if (!ownSettings.ok())
    return ownSettings.status();
  if (!isArtifact(path))
    if (Status status = compileInto(model, path, *ownSettings, compiled); !status.ok())
      return status;
  if (!compiled)
    return std::optional<OpenModel>();
  Result<std::shared_ptr<const Artifact>> artifact = Artifact::open(model.path);
  if (!artifact.ok())
    return artifact.status();
  SessionOptions options;
  options.threads = threads;
  options.device = device;
  Result<std::unique_ptr<Session>> session = Session::create(*artifact, options);
  if (!session.ok())
    return session.status();
  model.session = std::move(*session);
  return std::optional<OpenModel>(std::move(model));
}

} // namespace permalloy
