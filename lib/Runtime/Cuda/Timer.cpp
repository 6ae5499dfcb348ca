//===- Timer.cpp - single kernels on a GPU, timed ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"
#include "Graphs.h"
#include "permalloy/Runtime/GpuTimer.h"

namespace permalloy {

using namespace cuda;

/// What is let go goes in the opposite order: graphs and events before the stream, all before the device.
struct GpuTimer::State {
  explicit State(std::shared_ptr<Device> of) : device(std::move(of)), graph(device) {}
  ~State();
  Status load(const GpuKernelCode &code);
  Status prepare(const GpuKernelCode &code);
  void plan(unsigned count);
  Status launchAll();

  std::shared_ptr<Device> device;
  std::string name;
  GpuKernelGrid grid;
  std::vector<std::vector<uint64_t>> parameters;
  ModuleHandle module = nullptr;
  FunctionHandle function = nullptr;
  DeviceMemory scratch;
  Stream stream;
  Event begin, end;
  WorkList work;        ///< of the last run
  unsigned planned = 0; ///< launches in it
  Graph graph;
  bool hasGraph = false; ///< of `work`
};

GpuTimer::State::~State() {
  if (!module || !device->isOfThisProcess())
    return;
  Device::Scope scope(*device);
  device->driver().waitForStream(stream.get());
  graph = Graph(device); // before the code that it launches
  device->driver().unloadModule(module);
}

Status GpuTimer::State::load(const GpuKernelCode &code) {
  const Driver &driver = device->driver();
  if (!code.cubin.empty() && driver.loadModule(&module, code.cubin.data(), 0, nullptr, nullptr) == kSuccess)
    return {};
  char log[1024] = "";
  int options[] = {kJitErrorLog, kJitErrorLogBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log - 1)};
  int error = driver.loadModule(&module, code.ptx.c_str(), 2, options, values);
  if (error == kSuccess)
    return {};
  Status status = driver.failure(error, "compile kernel '" + name + "' for " + device->info().text());
  return {status.code(), status.message() + (*log ? ": " + std::string(log) : "")};
}

Status GpuTimer::State::prepare(const GpuKernelCode &code) {
  const Driver &driver = device->driver();
  PERMALLOY_TRY(load(code));
  PERMALLOY_CUDA_TRY(driver, moduleFunction(&function, module, name.c_str()), "find kernel '" + name + "'");
  int fixed = 0;
  PERMALLOY_CUDA_TRY(driver, functionAttribute(&fixed, kFunctionSharedBytes, function), "ask about kernel '" + name + "'");
  PERMALLOY_CUDA_TRY(driver, setFunctionAttribute(function, kFunctionMostDynamicShared, device->mostSharedBytes() - fixed),
                     "allow kernel '" + name + "' its shared memory");
  Result<Stream> own = Stream::create(device);
  Result<Event> first = Event::create(device, /*timing=*/true), last = Event::create(device, /*timing=*/true);
  for (const Status &status : {own.status(), first.status(), last.status()})
    PERMALLOY_TRY(status);
  stream = std::move(*own), begin = std::move(*first), end = std::move(*last);
  PERMALLOY_TRY(DeviceMemory::reserve(scratch, device, kCounterBytes + grid.scratchBytes, "the scratch memory of kernel '" + name + "'"));
  PERMALLOY_CUDA_TRY(driver, setBytes(scratch.address(), 0, kCounterBytes, stream.get()), "clear counters");
  for (std::vector<uint64_t> &words : parameters)
    words.push_back(scratch.address() + kCounterBytes);
  return {};
}

void GpuTimer::State::plan(unsigned count) {
  work.clear();
  for (unsigned i = 0; i < count; ++i) {
    const std::vector<uint64_t> &words = parameters[i % parameters.size()];
    work.items.push_back({function, grid.blocks, grid.threads, grid.sharedBytes, work.words.size(), words.size()});
    work.words.insert(work.words.end(), words.begin(), words.end());
  }
  graph = Graph(device);
  hasGraph = device->driver().graphInstantiate && graph.build(work) == kSuccess;
  planned = count;
}

Status GpuTimer::State::launchAll() {
  if (hasGraph) {
    int error = graph.launch(stream.get());
    return error == kSuccess ? Status() : device->driver().failure(error, "launch a graph");
  }
  for (const Work &item : work.items) {
    size_t bytes = item.words * sizeof(uint64_t);
    void *extra[] = {kParameterBuffer, const_cast<uint64_t *>(work.wordsOf(item)), kParameterBytes, &bytes, nullptr};
    PERMALLOY_CUDA_TRY(device->driver(),
                       launch(function, item.blocks, 1, 1, item.threads, 1, 1, item.sharedBytes, stream.get(), nullptr, extra),
                       "launch kernel '" + name + "'");
  }
  return {};
}

GpuTimer::GpuTimer(std::unique_ptr<State> of) : state(std::move(of)) {}
GpuTimer::GpuTimer(GpuTimer &&) noexcept = default;
GpuTimer &GpuTimer::operator=(GpuTimer &&) noexcept = default;
GpuTimer::~GpuTimer() = default;

Result<GpuTimer> GpuTimer::open(int number, const GpuKernelCode &code, const GpuKernelGrid &grid,
                                std::vector<std::vector<uint64_t>> parameters) {
  Result<std::shared_ptr<Device>> device = Device::open(number);
  if (!device.ok())
    return device.status();
  auto state = std::make_unique<State>(*device);
  state->name = code.name, state->grid = grid, state->parameters = std::move(parameters);
  Device::Scope scope(**device);
  PERMALLOY_TRY(state->prepare(code));
  return GpuTimer(std::move(state));
}

unsigned GpuTimer::turns() const { return unsigned(state->parameters.size()); }

Result<double> GpuTimer::run(unsigned count) {
  const Driver &driver = state->device->driver();
  Device::Scope scope(*state->device);
  if (state->planned != count)
    state->plan(count);
  PERMALLOY_CUDA_TRY(driver, recordEvent(state->begin.get(), state->stream.get()), "time kernel '" + state->name + "'");
  PERMALLOY_TRY(state->launchAll());
  PERMALLOY_CUDA_TRY(driver, recordEvent(state->end.get(), state->stream.get()), "time kernel '" + state->name + "'");
  PERMALLOY_CUDA_TRY(driver, waitForEvent(state->end.get()), "run kernel '" + state->name + "'");
  float milliseconds = 0;
  PERMALLOY_CUDA_TRY(driver, elapsed(&milliseconds, state->begin.get(), state->end.get()), "time kernel '" + state->name + "'");
  return double(milliseconds) * 1e6 / std::max(count, 1u);
}

} // namespace permalloy
