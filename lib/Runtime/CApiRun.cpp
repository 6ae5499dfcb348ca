//===- CApiRun.cpp - the C interface: runs and states ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CApi.h"

#include <algorithm>
#include <cstddef>

using namespace permalloy;
using artifact::DType;
using artifact::TensorInfo;

//===-- Running -----------------------------------------------------------===//

/// Which of the model's tensors each entry of the caller's array means; no tensor twice.
static Status resolveNames(const std::vector<TensorInfo> &infos, const permalloy_tensor *tensors,
                           size_t count, const char *role, std::vector<size_t> &indices) {
  std::vector<bool> seen(infos.size());
  for (size_t i = 0; i < count; ++i) {
    size_t index = i;
    if (tensors[i].name) {
      Result<size_t> found = findTensor(infos, tensors[i].name, role);
      if (!found.ok())
        return found.status();
      index = *found;
    }
    if (index >= infos.size())
      return invalid(std::to_string(count) + " " + role + "s given, the model has " +
                     std::to_string(infos.size()));
    if (seen[index])
      return invalid(std::string(role) + " '" + infos[index].name + "' is given twice");
    seen[index] = true;
    indices.push_back(index);
  }
  return {};
}

/// Whether input or output `index` (`side`) is a cache.
static bool isCache(const artifact::Manifest &manifest, uint32_t artifact::Cache::*side,
                    size_t index) {
  return std::ranges::find(manifest.caches, index, side) != manifest.caches.end();
}

/// Which inputs the caller must give.
enum class Given { all, allButCaches, cachesOnly };

static Status checkGiven(const TensorInfo &info, bool isCache, bool given, Given which) {
  bool wanted = which == Given::all || isCache == (which == Given::cachesOnly);
  if (given == wanted)
    return {};
  if (!given)
    return invalid("input '" + info.name + "' is missing");
  return invalid("input '" + info.name +
                 (isCache ? "' is a cache, which the state holds"
                          : "' is not a cache: a state is loaded with past keys and values only"));
}

static Status readInputs(const artifact::Manifest &manifest, Given which,
                         const permalloy_tensor *tensors, size_t count,
                         std::vector<InputTensor> &inputs) {
  const std::vector<TensorInfo> &infos = manifest.inputs;
  if (count && !tensors)
    return invalid("inputs is NULL");
  std::vector<size_t> indices;
  PERMALLOY_TRY(resolveNames(infos, tensors, count, "input", indices));
  for (size_t i = 0; i < infos.size(); ++i) {
    bool given = std::find(indices.begin(), indices.end(), i) != indices.end();
    PERMALLOY_TRY(
        checkGiven(infos[i], isCache(manifest, &artifact::Cache::input, i), given, which));
  }
  inputs.resize(infos.size());
  for (size_t i = 0; i < count; ++i) {
    const permalloy_tensor &tensor = tensors[i];
    if (tensor.rank < 0 || tensor.rank > PERMALLOY_MAX_RANK)
      return invalid("input '" + infos[indices[i]].name + "' has rank " +
                     std::to_string(tensor.rank) + ", accepted are 0.." +
                     std::to_string(PERMALLOY_MAX_RANK));
    InputTensor &input = inputs[indices[i]];
    input.dtype = static_cast<DType>(tensor.dtype);
    input.dims.assign(tensor.dims, tensor.dims + tensor.rank);
    input.data = tensor.data;
    Result<int> device = deviceOf(tensor);
    if (!device.ok())
      return device.status();
    input.device = *device;
    if (tensor.strided)
      input.strides.assign(tensor.strides, tensor.strides + tensor.rank);
  }
  return {};
}

static void writeShape(DType dtype, const std::vector<int64_t> &dims, permalloy_tensor &tensor) {
  tensor.dtype = static_cast<permalloy_dtype>(dtype);
  tensor.rank = static_cast<int32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), tensor.dims);
}

static Status readOptions(const permalloy_run_options *options, RunOptions &into) {
  if (!options)
    return {};
  if (options->struct_size < offsetof(permalloy_run_options, terminate))
    return invalid("permalloy_run_options.struct_size is not set");
  if (options->step_nanoseconds)
    into.stepNanoseconds = {options->step_nanoseconds, options->step_count};
  if (options->struct_size > offsetof(permalloy_run_options, terminate))
    into.terminate = options->terminate;
  return {};
}

static permalloy_profile *profileOf(const permalloy_run_options *options) {
  bool knows = options && options->struct_size > offsetof(permalloy_run_options, profile);
  return knows ? options->profile : nullptr;
}

static Status runProfiled(Session &session, std::span<const InputTensor> inputs,
                          std::span<OutputTensor> outputs, RunOptions options,
                          permalloy_profile *profile) {
  if (!profile)
    return session.run(inputs, outputs, options);
  if (!profile->profile.isOf(session.artifact()))
    return invalid("the profile belongs to another session");
  RunRecord record;
  options.record = &record;
  record.run.begin = monotonicNanoseconds();
  PERMALLOY_TRY(session.run(inputs, outputs, options));
  record.run.end = monotonicNanoseconds();
  profile->profile.add(std::move(record));
  return {};
}

/// Hands a result of a run to the caller.
static void writeOutput(OutputTensor &result, permalloy_tensor &tensor) {
  writeShape(result.dtype, result.dims, tensor);
  tensor.owned = tensor.data == nullptr;
  tensor.strided = !result.strides.empty();
  std::copy(result.strides.begin(), result.strides.end(), tensor.strides);
  tensor.owner = result.owner ? new std::shared_ptr<void>(std::move(result.owner)) : nullptr;
  tensor.data = std::exchange(result.data, nullptr);
}

static Status runSession(Session &session, CacheState *state, const permalloy_tensor *inputs,
                         size_t inputCount, permalloy_tensor *outputs, size_t outputCount,
                         const permalloy_run_options *options) {
  const artifact::Manifest &manifest = session.artifact().manifest();
  std::vector<InputTensor> inputTensors;
  PERMALLOY_TRY(readInputs(manifest, state ? Given::allButCaches : Given::all, inputs, inputCount,
                           inputTensors));
  if (outputCount && !outputs)
    return invalid("outputs is NULL");
  std::vector<size_t> wanted;
  PERMALLOY_TRY(resolveNames(manifest.outputs, outputs, outputCount, "output", wanted));
  for (size_t i = 0; state && i < outputCount; ++i)
    if (isCache(manifest, &artifact::Cache::output, wanted[i]))
      return invalid("output '" + manifest.outputs[wanted[i]].name +
                     "' is a cache, which stays in the state");
  std::vector<OutputTensor> outputTensors(manifest.outputs.size());
  for (size_t i = 0; i < outputCount; ++i) {
    outputTensors[wanted[i]].data = outputs[i].data;
    outputTensors[wanted[i]].capacity = outputs[i].capacity;
    Result<int> device = deviceOf(outputs[i]);
    if (!device.ok())
      return device.status();
    outputTensors[wanted[i]].device = *device;
  }
  RunOptions runOptions;
  PERMALLOY_TRY(readOptions(options, runOptions));
  runOptions.state = state;
  PERMALLOY_TRY(runProfiled(session, inputTensors, outputTensors, runOptions, profileOf(options)));
  for (size_t i = 0; i < outputCount; ++i)
    writeOutput(outputTensors[wanted[i]], outputs[i]);
  for (OutputTensor &unwanted : outputTensors) // what was handed out is null by now
    unwanted.release();
  return {};
}

permalloy_status *permalloy_session_run(permalloy_session *session, const permalloy_tensor *inputs,
                                        size_t input_count, permalloy_tensor *outputs,
                                        size_t output_count, const permalloy_run_options *options) {
  return guarded([&]() -> Status {
    if (!session)
      return invalid("session is NULL");
    return runSession(*session->session, nullptr, inputs, input_count, outputs, output_count,
                      options);
  });
}

permalloy_status *permalloy_session_infer_shapes(permalloy_session *session,
                                                 const permalloy_tensor *inputs, size_t input_count,
                                                 permalloy_tensor *outputs, size_t output_count) {
  return guarded([&]() -> Status {
    if (!session || (output_count && !outputs))
      return invalid("session or outputs is NULL");
    const artifact::Manifest &manifest = session->session->artifact().manifest();
    std::vector<InputTensor> inputTensors;
    PERMALLOY_TRY(readInputs(manifest, Given::all, inputs, input_count, inputTensors));
    std::vector<size_t> wanted;
    PERMALLOY_TRY(resolveNames(manifest.outputs, outputs, output_count, "output", wanted));
    std::vector<std::vector<int64_t>> dims;
    PERMALLOY_TRY(session->session->inferShapes(inputTensors, dims));
    for (size_t i = 0; i < output_count; ++i)
      writeShape(manifest.outputs[wanted[i]].dtype, dims[wanted[i]], outputs[i]);
    return {};
  });
}

//===-- States ------------------------------------------------------------===//

permalloy_status *permalloy_state_create(permalloy_session *session, int64_t batch,
                                         int64_t capacity, permalloy_state **state) {
  return guarded([&]() -> Status {
    if (!session || !state)
      return invalid("session or state is NULL");
    *state = nullptr;
    Result<std::unique_ptr<CacheState>> made = session->session->createState(batch, capacity);
    if (!made.ok())
      return made.status();
    *state = new permalloy_state{session->session.get(), std::move(*made)};
    return {};
  });
}

permalloy_status *permalloy_state_run(permalloy_state *state, const permalloy_tensor *inputs,
                                      size_t input_count, permalloy_tensor *outputs,
                                      size_t output_count, const permalloy_run_options *options) {
  return guarded([&]() -> Status {
    if (!state)
      return invalid("state is NULL");
    return runSession(*state->session, state->state.get(), inputs, input_count, outputs,
                      output_count, options);
  });
}

permalloy_status *permalloy_state_load(permalloy_state *state, const permalloy_tensor *inputs,
                                       size_t input_count) {
  return guarded([&]() -> Status {
    if (!state)
      return invalid("state is NULL");
    std::vector<InputTensor> tensors;
    const artifact::Manifest &manifest = state->session->artifact().manifest();
    PERMALLOY_TRY(readInputs(manifest, Given::cachesOnly, inputs, input_count, tensors));
    return state->session->loadState(*state->state, tensors);
  });
}

int64_t permalloy_state_length(const permalloy_state *state) { return state->state->length(); }
int64_t permalloy_state_capacity(const permalloy_state *state) { return state->state->capacity(); }
int64_t permalloy_state_batch(const permalloy_state *state) { return state->state->batch(); }
uint64_t permalloy_state_bytes(const permalloy_state *state) { return state->state->bytes(); }

permalloy_status *permalloy_state_truncate(permalloy_state *state, int64_t length) {
  return guarded([&]() -> Status {
    return state ? state->state->truncate(length) : invalid("state is NULL");
  });
}

permalloy_status *permalloy_state_reset(permalloy_state *state) {
  return permalloy_state_truncate(state, 0);
}

void permalloy_state_release(permalloy_state *state) { delete state; }
