//===- Model.cpp - a session with tensors that belong to it ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Model.h"

#include <algorithm>
#include <chrono>

namespace permalloy::checkgpu {

std::string take(permalloy_status *status) {
  std::string message = permalloy_status_message(status);
  if (status && message.empty())
    message = "a failure without a message";
  permalloy_status_release(status);
  return message;
}

std::string Model::open(const std::string &path, const std::string &device) {
  permalloy_session_options options = {};
  options.struct_size = sizeof options;
  options.device = device.c_str();
  permalloy_session *session = nullptr;
  std::string error = take(permalloy_session_open(path.c_str(), &options, &session));
  session_.reset(session);
  return error;
}

std::string Model::target() const {
  const char *target = permalloy_session_metadata(session_.get(), "target");
  return target ? target : "";
}

std::vector<std::string> Model::outputNames() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < permalloy_session_output_count(session_.get()); ++i) {
    permalloy_tensor_info info = {};
    info.struct_size = sizeof info;
    take(permalloy_session_output(session_.get(), i, &info));
    names.push_back(info.name);
  }
  return names;
}

permalloy_dtype Model::inputType(const std::string &name) const {
  for (size_t i = 0; i < permalloy_session_input_count(session_.get()); ++i) {
    permalloy_tensor_info info = {};
    info.struct_size = sizeof info;
    if (take(permalloy_session_input(session_.get(), i, &info)).empty() && name == info.name)
      return info.dtype;
  }
  return PERMALLOY_UNDEFINED;
}

std::string Model::addInput(const std::string &name, std::vector<int64_t> dims, std::vector<char> bytes) {
  permalloy_dtype dtype = inputType(name);
  size_t size = permalloy_dtype_size(dtype);
  for (int64_t dim : dims)
    size *= static_cast<size_t>(dim);
  if (dtype == PERMALLOY_UNDEFINED)
    return "there is no input '" + name + "'";
  if (size != bytes.size() || dims.size() > PERMALLOY_MAX_RANK)
    return "input '" + name + "' has " + std::to_string(bytes.size()) + " bytes, not " + std::to_string(size);
  permalloy_tensor tensor = {};
  tensor.dtype = dtype;
  tensor.rank = static_cast<int32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), tensor.dims);
  names_.push_back(name), bytes_.push_back(std::move(bytes));
  inputs_.push_back(tensor);
  for (size_t i = 0; i < inputs_.size(); ++i) // both vectors may have moved
    inputs_[i].name = names_[i].c_str(), inputs_[i].data = inputs_[i].device_type == PERMALLOY_CUDA ? inputs_[i].data : bytes_[i].data();
  return "";
}

std::string Model::runOnce(std::vector<permalloy_tensor> &outputs, const permalloy_run_options *options) {
  if (outputs.empty())
    outputs.assign(permalloy_session_output_count(session_.get()), permalloy_tensor{});
  return take(permalloy_session_run(session_.get(), inputs_.data(), inputs_.size(), outputs.data(), outputs.size(), options));
}

std::string Model::run() {
  return run([](const permalloy_tensor &) {});
}

namespace {
/// Memory of a GPU, for a scope.
struct Buffers {
  std::vector<void *> owners;
  ~Buffers() {
    for (void *owner : owners)
      permalloy_owner_release(owner);
  }
  std::string allocate(int number, size_t bytes, void *&data) {
    void *owner = nullptr;
    std::string error = take(permalloy_gpu_allocate(static_cast<size_t>(number), std::max<size_t>(bytes, 1), &data, &owner));
    if (error.empty())
      owners.push_back(owner);
    return error;
  }
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}
} // namespace

size_t bytesOf(const permalloy_tensor &tensor) {
  size_t bytes = permalloy_dtype_size(tensor.dtype);
  for (int i = 0; i < tensor.rank; ++i)
    bytes *= static_cast<size_t>(tensor.dims[i]);
  return bytes;
}

std::string Model::repeat(int number, const std::vector<std::vector<char>> &expected) {
  constexpr int runs = 6;
  Buffers buffers;
  std::vector<permalloy_tensor> host = inputs_;
  auto move = [&](size_t i) {
    inputs_[i].device_type = PERMALLOY_CUDA, inputs_[i].device_id = number;
    std::string error = buffers.allocate(number, bytes_[i].size(), inputs_[i].data);
    return error.empty() ? take(permalloy_copy(&inputs_[i], &host[i], bytes_[i].size())) : error;
  };
  std::string error;
  for (size_t i = 0; i < inputs_.size() && error.empty(); ++i)
    error = move(i);
  for (int k = 0; k < runs && error.empty(); ++k) {
    size_t index = 0;
    std::string wrong;
    auto compare = [&](const permalloy_tensor &output) {
      const std::vector<char> &bytes = expected[index++];
      if (!bytes.empty() && !std::equal(bytes.begin(), bytes.end(), static_cast<const char *>(output.data)))
        wrong = "output " + std::to_string(index - 1) + " of repeated run " + std::to_string(k) + " has other bits than the first";
    };
    error = run(compare);
    if (error.empty())
      error = wrong;
    if (error.empty() && !inputs_.empty() && k > 0)
      error = move(static_cast<size_t>(k) % inputs_.size());
  }
  inputs_ = host;
  return error;
}

Graphs Model::graphs() const {
  Graphs graphs;
  permalloy_session_graphs(session_.get(), &graphs.launches, &graphs.nodesSet);
  return graphs;
}

bool Model::repeatsAsGraph() const {
  if (permalloy_session_cache_count(session_.get()) > 0)
    return false;
  size_t count = permalloy_session_step_count(session_.get());
  for (size_t i = 0; i < count; ++i) {
    permalloy_step_info info = {};
    info.struct_size = sizeof info;
    std::string kind = take(permalloy_session_step(session_.get(), i, &info)).empty() ? info.kernel : "";
    if (kind == "jump" || kind == "bind size")
      return false;
  }
  return count > 0;
}

std::string Model::time(int number, double seconds, Times &times) {
  Buffers buffers;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    permalloy_tensor host = inputs_[i];
    if (std::string error = buffers.allocate(number, bytes_[i].size(), inputs_[i].data); !error.empty())
      return error;
    inputs_[i].device_type = PERMALLOY_CUDA, inputs_[i].device_id = number;
    if (std::string error = take(permalloy_copy(&inputs_[i], &host, bytes_[i].size())); !error.empty())
      return error;
  }
  std::vector<permalloy_tensor> outputs(permalloy_session_output_count(session_.get()));
  if (std::string error = take(permalloy_session_infer_shapes(session_.get(), inputs_.data(), inputs_.size(), outputs.data(), outputs.size()));
      !error.empty())
    return error;
  for (permalloy_tensor &output : outputs) {
    output.capacity = bytesOf(output);
    if (std::string error = buffers.allocate(number, output.capacity, output.data); !error.empty())
      return error;
    output.device_type = PERMALLOY_CUDA, output.device_id = number;
  }
  using Clock = std::chrono::steady_clock;
  auto since = [](Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  times.launches = permalloy_session_step_count(session_.get());
  std::vector<int64_t> steps(times.launches);
  permalloy_run_options options = {};
  options.struct_size = sizeof options;
  options.step_nanoseconds = steps.data(), options.step_count = steps.size();
  std::vector<double> byStep, byRun;
  Clock::time_point start = Clock::now();
  for (int i = -3; i < 10 || (since(start) < seconds && i < 1000); ++i) {
    if (std::string error = runOnce(outputs, &options); !error.empty())
      return error;
    double sum = 0;
    for (int64_t step : steps)
      sum += double(step) / 1e3;
    Clock::time_point begin = Clock::now();
    if (std::string error = runOnce(outputs); !error.empty())
      return error;
    if (i >= 0)
      byStep.push_back(sum), byRun.push_back(since(begin) * 1e6);
  }
  times.steps = median(byStep), times.run = median(byRun);
  return "";
}

} // namespace permalloy::checkgpu
