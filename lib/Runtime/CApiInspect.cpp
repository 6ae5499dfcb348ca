//===- CApiInspect.cpp - the C interface: what a model is --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CApi.h"

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Runtime/ThreadPool.h"

using namespace permalloy;
using namespace permalloy::artifact;

static const Manifest &manifestOf(const permalloy_session *session) {
  return session->session->artifact().manifest();
}

static const Program &programOf(const permalloy_session *session) {
  return session->session->artifact().program();
}

//===-- Element types -----------------------------------------------------===//

size_t permalloy_dtype_size(permalloy_dtype dtype) { return dtypeSize(static_cast<DType>(dtype)); }

const char *permalloy_dtype_name(permalloy_dtype dtype) {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (uint32_t i = 0; i <= static_cast<uint32_t>(DType::bf16); ++i)
      all.push_back(dtypeSize(static_cast<DType>(i)) ? dtypeName(static_cast<DType>(i))
                                                     : "undefined");
    return all;
  }();
  size_t index = static_cast<uint32_t>(dtype);
  return index < names.size() ? names[index].c_str() : "undefined";
}

//===-- Inputs, outputs, symbols ------------------------------------------===//

/// Whether the caller's struct is at least as long as `Info` of this version, and `index` exists.
template <class Info>
static Status checkQuery(const char *what, const Info *info, size_t index, size_t count) {
  if (!info || info->struct_size < sizeof(Info))
    return {StatusCode::invalidArgument, std::string(what) + " info is NULL or has no struct_size"};
  if (index >= count)
    return {StatusCode::invalidArgument, "there is no " + std::string(what) + " " +
                                             std::to_string(index) + ", the model has " +
                                             std::to_string(count)};
  return {};
}

static void fillInfo(const Program &program, const TensorInfo &tensor,
                     permalloy_tensor_info *info) {
  info->name = tensor.name.c_str();
  info->dtype = static_cast<permalloy_dtype>(tensor.dtype);
  info->rank = static_cast<int32_t>(tensor.dims.size());
  for (size_t i = 0; i < PERMALLOY_MAX_RANK; ++i) {
    bool used = i < tensor.dims.size();
    const Expr *expr = used ? &program.expressions[tensor.dims[i].expr] : nullptr;
    info->dims[i] = !used ? 0 : expr->op == ExprOp::constant ? expr->value : -1;
    info->dim_texts[i] = used ? tensor.dims[i].text.c_str() : nullptr;
  }
}

size_t permalloy_session_input_count(const permalloy_session *session) {
  return manifestOf(session).inputs.size();
}

size_t permalloy_session_output_count(const permalloy_session *session) {
  return manifestOf(session).outputs.size();
}

size_t permalloy_session_symbol_count(const permalloy_session *session) {
  return manifestOf(session).inputSymbols().size();
}

permalloy_status *permalloy_session_input(const permalloy_session *session, size_t index,
                                          permalloy_tensor_info *info) {
  return guarded([&]() -> Status {
    const std::vector<TensorInfo> &inputs = manifestOf(session).inputs;
    PERMALLOY_TRY(checkQuery("input", info, index, inputs.size()));
    fillInfo(programOf(session), inputs[index], info);
    return {};
  });
}

permalloy_status *permalloy_session_output(const permalloy_session *session, size_t index,
                                           permalloy_tensor_info *info) {
  return guarded([&]() -> Status {
    const std::vector<TensorInfo> &outputs = manifestOf(session).outputs;
    PERMALLOY_TRY(checkQuery("output", info, index, outputs.size()));
    fillInfo(programOf(session), outputs[index], info);
    return {};
  });
}

size_t permalloy_session_cache_count(const permalloy_session *session) {
  return manifestOf(session).caches.size();
}

permalloy_status *permalloy_session_cache(const permalloy_session *session, size_t index,
                                          size_t *input, size_t *output) {
  return guarded([&]() -> Status {
    const std::vector<Cache> &caches = manifestOf(session).caches;
    if (!input || !output)
      return Status(StatusCode::invalidArgument, "input or output is NULL");
    if (index >= caches.size())
      return Status(StatusCode::invalidArgument, "there is no cache " + std::to_string(index) +
                                                     "; the model has " +
                                                     std::to_string(caches.size()));
    *input = caches[index].input;
    *output = caches[index].output;
    return {};
  });
}

permalloy_status *permalloy_session_symbol(const permalloy_session *session, size_t index,
                                           permalloy_symbol_info *info) {
  return guarded([&]() -> Status {
    std::span<const Symbol> symbols = manifestOf(session).inputSymbols();
    PERMALLOY_TRY(checkQuery("symbol", info, index, symbols.size()));
    info->name = symbols[index].name.c_str();
    info->min = symbols[index].min;
    info->max = symbols[index].max;
    return {};
  });
}

//===-- Metadata ----------------------------------------------------------===//

std::vector<Property> permalloy::collectMetadata(const Session &session) {
  const Manifest &manifest = session.artifact().manifest();
  const ModelInfo &model = manifest.model;
  std::vector<Property> all = {
      {"producer_name", model.producerName},
      {"producer_version", model.producerVersion},
      {"graph_name", model.graphName},
      {"graph_description", model.graphDescription},
      {"domain", model.domain},
      {"description", model.description},
      {"version", std::to_string(model.version)},
      {"ir_version", std::to_string(model.irVersion)},
      {"compiler", manifest.producer},
      {"compiler_version", manifest.producerVersion},
      {"compile_options", manifest.options},
      {"target", session.target()},
  };
  for (const Property &opset : model.opsets)
    all.push_back({"opset." + opset.key, opset.value});
  for (const Property &custom : model.custom)
    all.push_back({"custom." + custom.key, custom.value});
  return all;
}

const char *permalloy_session_metadata(const permalloy_session *session, const char *key) {
  for (const Property &entry : session->metadata)
    if (key && entry.key == key)
      return entry.value.c_str();
  return nullptr;
}

size_t permalloy_session_metadata_count(const permalloy_session *session) {
  return session->metadata.size();
}

const char *permalloy_session_metadata_key(const permalloy_session *session, size_t index) {
  return index < session->metadata.size() ? session->metadata[index].key.c_str() : nullptr;
}

const char *permalloy_session_metadata_value(const permalloy_session *session, size_t index) {
  return index < session->metadata.size() ? session->metadata[index].value.c_str() : nullptr;
}

//===-- Kernels and steps -------------------------------------------------===//

const char *permalloy_session_device(const permalloy_session *session) { return session->device.c_str(); }

void permalloy_session_graphs(const permalloy_session *session, uint64_t *launches,
                              uint64_t *nodes_set) {
  GraphCounts counts = session->session->graphCounts();
  *launches = counts.launches;
  *nodes_set = counts.nodesSet;
}

int32_t permalloy_session_threads(const permalloy_session *session) {
  return session->session->threads();
}

size_t permalloy_session_kernel_count(const permalloy_session *session) {
  return programOf(session).kernels.size();
}

const char *permalloy_session_kernel_name(const permalloy_session *session, size_t index) {
  const std::vector<Kernel> &kernels = programOf(session).kernels;
  return index < kernels.size() ? kernels[index].name.c_str() : nullptr;
}

size_t permalloy_session_step_count(const permalloy_session *session) {
  return programOf(session).steps.size();
}

permalloy_status *permalloy_session_step(const permalloy_session *session, size_t index,
                                         permalloy_step_info *info) {
  return guarded([&]() -> Status {
    const Program &program = programOf(session);
    PERMALLOY_TRY(checkQuery("step", info, index, program.steps.size()));
    const Step &step = program.steps[index];
    info->name = step.name.c_str();
    info->kernel = stepText(program, step);
    return {};
  });
}

permalloy_status *permalloy_session_verify_weights(const permalloy_session *session) {
  return guarded([&] { return session->session->artifact().verifyWeights(); });
}

//===-- The machine -------------------------------------------------------===//

int32_t permalloy_available_cpus(void) { return availableCpus(); }

const char *permalloy_cpu_features(void) {
  static const std::string text = [] {
    std::string all;
    for (const std::string &name : cpuFeatureNames(hostCpuFeatures()))
      all += (all.empty() ? "" : " ") + name;
    return all;
  }();
  return text.c_str();
}
