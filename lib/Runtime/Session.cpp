//===- Session.cpp - runs a model.alloy --------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/Session.h"

#include "Cuda/Backend.h"
#include "HostBackend.h"
#include "OutputPool.h"
#include "SessionCaches.h"
#include "permalloy/Runtime/CallContext.h"
#include "permalloy/Runtime/Strided.h"
#include "permalloy/Runtime/ThreadPool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unistd.h>

namespace permalloy {

using namespace artifact;

namespace {
/// What calls left for those that follow.
struct IdleContexts final : IdleMemory {
  std::unique_ptr<CallContext> take() {
    std::lock_guard guard(lock);
    if (contexts.empty())
      return nullptr;
    std::unique_ptr<CallContext> context = std::move(contexts.back());
    contexts.pop_back();
    return context;
  }
  void giveBack(std::unique_ptr<CallContext> context) {
    std::lock_guard guard(lock);
    contexts.push_back(std::move(context));
  }
  bool free() override {
    std::vector<std::unique_ptr<CallContext>> all;
    {
      std::lock_guard guard(lock);
      all.swap(contexts);
    }
    bool anyOutputs = outputs && outputs->idleBytes() > 0;
    if (anyOutputs)
      outputs->expect({});
    return anyOutputs || !all.empty();
  }

  std::mutex lock; ///< of `contexts`
  std::vector<std::unique_ptr<CallContext>> contexts;
  std::shared_ptr<OutputPool> outputs; ///< of a session on a GPU
};
} // namespace

/// What calls share. It belongs to one process: a child of fork() makes a new one (the old one's
/// threads do not exist there and its locks may be held by nobody) and leaves the old one alone.
struct Session::Shared {
  pid_t process = ::getpid();
  std::shared_ptr<IdleContexts> idle = std::make_shared<IdleContexts>();
  std::mutex poolLock; ///< held for a whole run
  std::unique_ptr<ThreadPool> pool;
  std::shared_ptr<CacheRegistry> caches = std::make_shared<CacheRegistry>();
  std::shared_ptr<OutputPool> outputs = std::make_shared<OutputPool>();
};

/// One call in flight: takes a context and, when it is free, the pool; gives both back.
class Session::Call {
public:
  explicit Call(Session &session)
      : session_(session), shared_(session.shared()), context_(shared_.idle->take()) {
    if (!context_)
      context_ = session.backend_->makeContext();
  }
  ~Call() { shared_.idle->giveBack(std::move(context_)); }

  CallContext &context() { return *context_; }

  /// Runs `body` with the pool, or with null when it is in use or there is none.
  template <class Body> void withPool(Body body) {
    std::unique_lock lock(shared_.poolLock, std::defer_lock);
    if (session_.threads_ == 1 || !lock.try_lock())
      return body(nullptr);
    if (!shared_.pool)
      shared_.pool = std::make_unique<ThreadPool>(session_.threads_);
    body(shared_.pool.get());
  }

private:
  Session &session_;
  Shared &shared_;
  std::unique_ptr<CallContext> context_;
};

static bool guardByDefault() {
#ifdef PERMALLOY_GUARD_SLOTS
  return true;
#else
  const char *text = std::getenv("PERMALLOY_GUARD_SLOTS");
  return text && *text && std::strcmp(text, "0") != 0;
#endif
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Artifact> artifact,
                                                 const SessionOptions &options) {
  if (options.threads < 0 || options.threads > 4096)
    return Status(StatusCode::invalidArgument, "threads is " + std::to_string(options.threads) +
                                                   ", accepted are 1..4096, or 0 for all CPUs");
  std::unique_ptr<Session> session(new Session());
  session->artifact_ = std::move(artifact);
  PERMALLOY_TRY(session->load(options));
  return session;
}

Status Session::load(const SessionOptions &options) {
  mostRows_ = mostCacheRows(artifact_->manifest(), artifact_->program());
  Result<int> device = parseDevice(options.device);
  if (!device.ok())
    return device.status();
  if (*device != kHostMemory) {
    Result<std::shared_ptr<Backend>> gpu = cuda::openBackend(artifact_, *device, options.stream);
    if (!gpu.ok())
      return gpu.status();
    backend_ = std::move(*gpu);
    return {};
  }
  if (options.stream)
    return {StatusCode::invalidArgument,
            "a stream is given for a session on the CPU; give one with device cuda:0"};
  threads_ = options.threads ? options.threads : availableCpus();
  Result<std::shared_ptr<HostBackend>> host =
      HostBackend::create(artifact_, threads_, options.allowedFeatures, options.guardBuffers || guardByDefault());
  if (!host.ok())
    return host.status();
  target_ = (*host)->targetIndex();
  backend_ = std::move(*host);
  return {};
}

Result<int> parseDevice(const std::string &text) {
  if (text.empty() || text == "cpu")
    return kHostMemory;
  std::string number = text == "cuda" ? "0" : text.starts_with("cuda:") ? text.substr(5) : "";
  bool isNumber = !number.empty() && number.size() < 5 && number.find_first_not_of("0123456789") == std::string::npos;
  if (!isNumber)
    return Status(StatusCode::invalidArgument, "device '" + text + "' is unknown; accepted are cpu, cuda and cuda:0, cuda:1 ...");
  return std::stoi(number);
}

Session::~Session() {
  Shared *shared = shared_.load();
  // After a fork, the parent's threads cannot be joined here: its part is left to the system.
  if (shared && shared->process == ::getpid())
    delete shared;
}

Session::Shared &Session::shared() {
  Shared *current = shared_.load(std::memory_order_acquire);
  if (current && current->process == ::getpid())
    return *current;
  auto *fresh = new Shared();
  if (device() != kHostMemory)
    fresh->idle->outputs = std::make_shared<OutputPool>(/*least=*/0);
  if (shared_.compare_exchange_strong(current, fresh, std::memory_order_acq_rel)) {
    backend_->offer(fresh->idle);
    return *fresh;
  }
  delete fresh; // another thread was faster
  return *current;
}

std::shared_ptr<CacheRegistry> Session::registry() { return shared().caches; }

Status Session::inferShapes(std::span<const InputTensor> inputs,
                            std::vector<std::vector<int64_t>> &dims) {
  // Data is not needed for shapes: give every input an address that passes the checks.
  alignas(64) static const char noData[64] = {};
  std::vector<InputTensor> shapes(inputs.begin(), inputs.end());
  for (InputTensor &input : shapes)
    input.data = noData;
  std::vector<int64_t> symbols;
  PERMALLOY_TRY(bindSymbols(artifact_->manifest(), shapes, symbols));
  Call call(*this);
  PERMALLOY_TRY(call.context().prepare(symbols, shapes));
  const std::vector<LateOutput> &late = artifact_->program().lateOutputs;
  if (!late.empty())
    return {StatusCode::invalidArgument,
            "the shape of output '" + artifact_->manifest().outputs[late[0].output].name +
                "' depends on data, not only on the inputs' shapes"};
  dims.clear();
  for (size_t i = 0; i < artifact_->manifest().outputs.size(); ++i)
    dims.push_back(call.context().outputDims(i));
  return {};
}

/// Whether the caller's memory for an output can take it.
static Status checkOutputMemory(const TensorInfo &info, const OutputTensor &output, uint64_t bytes,
                                const Manifest &manifest, std::span<const InputTensor> inputs) {
  std::string what = "the buffer given for output '" + info.name + "'";
  if (output.capacity < bytes)
    return {StatusCode::invalidArgument,
            "output '" + info.name + "' of shape " + shapeText(output.dims) + " needs " +
                std::to_string(bytes) + " bytes, the buffer given has " +
                std::to_string(output.capacity)};
  auto begin = reinterpret_cast<uintptr_t>(output.data);
  if (begin % dtypeSize(info.dtype) != 0)
    return {StatusCode::invalidArgument, what + " is not aligned to its elements"};
  for (size_t i = 0; i < inputs.size(); ++i)
    if (bytesOf(inputs[i].data, inputs[i].dims, inputs[i].strides, dtypeSize(inputs[i].dtype))
            .overlaps({begin, begin + bytes}))
      return {StatusCode::invalidArgument,
              what + " overlaps input '" + manifest.inputs[i].name + "'"};
  return {};
}

/// Memory from the pool of the host's or the GPU's outputs.
Result<std::shared_ptr<void>> Session::allocatePooled(uint64_t bytes, int device, const std::string &name) {
  std::string what = "output '" + name + "'";
  if (device == kHostMemory) {
    std::shared_ptr<void> memory = shared().outputs->take(bytes);
    if (!memory)
      return Status(StatusCode::outOfMemory, "cannot allocate the " + std::to_string(bytes) + " bytes of " + what);
    return memory;
  }
  Status failure;
  std::shared_ptr<void> memory = shared().idle->outputs->take(bytes, [&](uint64_t size) {
    Result<std::unique_ptr<BufferSet>> buffers = backend_->allocate({&size, 1}, what);
    if (!buffers.ok()) {
      failure = buffers.status();
      return std::shared_ptr<void>();
    }
    std::shared_ptr<BufferSet> owner = std::move(*buffers);
    return std::shared_ptr<void>(owner, owner->buffer(0));
  });
  if (!memory)
    return failure;
  return memory;
}

/// The caller's memory, which is checked, or memory of its own.
Status Session::placeOutput(uint32_t index, std::span<const InputTensor> inputs,
                            OutputTensor &output, OutputPlaces &places) {
  const TensorInfo &info = artifact_->manifest().outputs[index];
  uint64_t bytes = tensorBytes(info.dtype, output.dims);
  TensorMemory &place = places.memory[index];
  place.device = output.device;
  if (output.data) {
    place.data = output.data;
    return checkOutputMemory(info, output, bytes, artifact_->manifest(), inputs);
  }
  if (output.device == kHostMemory && bytes < OutputPool::kLeastBytes) {
    place.data = (places.allocated[index] = allocateOutput(bytes)).get();
    return place.data ? Status() : Status(StatusCode::outOfMemory, "cannot allocate the " + std::to_string(bytes) + " bytes of output '" + info.name + "'");
  }
  Result<std::shared_ptr<void>> pooled = allocatePooled(bytes, output.device, info.name);
  if (!pooled.ok())
    return pooled.status();
  places.pooled[index] = std::move(*pooled);
  place.data = places.pooled[index].get();
  return {};
}

Status Session::prepareOutputs(CallContext &context, std::span<const InputTensor> inputs,
                               std::span<OutputTensor> outputs, bool withCaches,
                               OutputPlaces &places) {
  const Manifest &manifest = artifact_->manifest();
  std::vector<uint32_t> placed;
  std::vector<uint64_t> sizes, deviceSizes;
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    OutputTensor &output = outputs[i];
    bool isCache = std::ranges::find(manifest.caches, i, &Cache::output) != manifest.caches.end();
    if ((isCache && !withCaches) || artifact_->program().isLate(i))
      continue;
    output.dtype = manifest.outputs[i].dtype;
    output.dims = context.outputDims(i);
    if (isCache && !output.data && output.device == device()) // a view
      continue;
    placed.push_back(i);
    if (!output.data)
      (output.device == kHostMemory ? sizes : deviceSizes).push_back(tensorBytes(output.dtype, output.dims));
  }
  shared().outputs->expect(sizes);
  if (OutputPool *pool = shared().idle->outputs.get())
    pool->expect(deviceSizes);
  for (uint32_t index : placed)
    PERMALLOY_TRY(placeOutput(index, inputs, outputs[index], places));
  return {};
}

/// Outputs whose size was not known before the run.
Status Session::takeLateOutputs(CallContext &context, std::span<const InputTensor> inputs,
                                std::span<OutputTensor> outputs, OutputPlaces &places) {
  const Manifest &manifest = artifact_->manifest();
  for (const LateOutput &late : artifact_->program().lateOutputs) {
    const TensorInfo &info = manifest.outputs[late.output];
    OutputTensor &output = outputs[late.output];
    output.dtype = info.dtype;
    output.dims = context.outputDims(late.output);
    uint64_t bytes = tensorBytes(info.dtype, output.dims);
    if (bytes > context.slotBytes(late.slot))
      return {StatusCode::internal, "output '" + info.name + "' of shape " +
                                        shapeText(output.dims) + " reaches beyond its slot of " +
                                        std::to_string(context.slotBytes(late.slot)) + " bytes"};
    PERMALLOY_TRY(placeOutput(late.output, inputs, output, places));
    PERMALLOY_TRY(context.copySlot(late.slot, bytes, places.memory[late.output]));
  }
  return {};
}

/// Inputs that kernels read must be dense: those that are not are copied, and `copies` owns them.
/// Caches look after themselves.
static std::vector<InputTensor> denseInputs(const Manifest &manifest,
                                            std::span<const InputTensor> inputs,
                                            std::vector<std::unique_ptr<std::byte[]>> &copies) {
  std::vector<InputTensor> dense(inputs.begin(), inputs.end());
  for (uint32_t i = 0; i < dense.size(); ++i) {
    InputTensor &input = dense[i];
    if (sameStrides(input.dims, input.strides, {}) || input.device != kHostMemory ||
        std::ranges::find(manifest.caches, i, &Cache::input) != manifest.caches.end())
      continue;
    // new[] aligns to 16 bytes, which is enough for any element.
    copies.push_back(std::make_unique<std::byte[]>(tensorBytes(input.dtype, input.dims)));
    copyStrided(copies.back().get(), denseStrides(input.dims), input.data, input.strides,
                input.dims, dtypeSize(input.dtype));
    input.data = copies.back().get();
    input.strides.clear();
  }
  return dense;
}

static std::string placeText(int device) {
  return device == kHostMemory ? "this process' memory" : "the memory of cuda:" + std::to_string(device);
}

/// Tensors on a GPU must be on the session's; they cannot be rearranged there.
Status Session::checkPlaces(std::span<const InputTensor> inputs, std::span<const OutputTensor> outputs) const {
  auto isOnHost = [](const auto &tensor) { return tensor.device == kHostMemory; };
  if (std::ranges::all_of(inputs, isOnHost) && std::ranges::all_of(outputs, isOnHost))
    return {};
  const Manifest &manifest = artifact_->manifest();
  auto accepted = [&] {
    return "; this session takes " + placeText(kHostMemory) +
           (device() == kHostMemory ? "" : " and " + placeText(device()));
  };
  for (uint32_t i = 0; i < inputs.size(); ++i) {
    auto what = [&] {
      return "input '" + manifest.inputs[i].name + "' lies in " + placeText(inputs[i].device);
    };
    if (inputs[i].device == kHostMemory)
      continue;
    if (inputs[i].device != device())
      return {StatusCode::invalidArgument, what() + accepted()};
    bool isCache = std::ranges::find(manifest.caches, i, &Cache::input) != manifest.caches.end();
    if (!isCache && !sameStrides(inputs[i].dims, inputs[i].strides, {}))
      return {StatusCode::invalidArgument, what() + " and is not dense; give a contiguous copy"};
  }
  for (uint32_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].device != kHostMemory && outputs[i].device != device())
      return {StatusCode::invalidArgument, "output '" + manifest.outputs[i].name + "' is wanted in " +
                                               placeText(outputs[i].device) + accepted()};
  return {};
}

Status Session::run(std::span<const InputTensor> inputs, std::span<OutputTensor> outputs,
                    const RunOptions &options) {
  const Manifest &manifest = artifact_->manifest();
  if (outputs.size() != manifest.outputs.size())
    return {StatusCode::invalidArgument, std::to_string(outputs.size()) +
                                             " outputs given, the model has " +
                                             std::to_string(manifest.outputs.size())};
  if (!options.stepNanoseconds.empty() &&
      options.stepNanoseconds.size() != artifact_->program().steps.size())
    return {StatusCode::invalidArgument,
            "the profile has " + std::to_string(options.stepNanoseconds.size()) +
                " entries, the program " + std::to_string(artifact_->program().steps.size()) +
                " steps"};
  return options.state ? runState(inputs, outputs, options) : runChecked(inputs, outputs, options);
}

Status Session::runChecked(std::span<const InputTensor> inputs, std::span<OutputTensor> outputs,
                           const RunOptions &options) {
  const Manifest &manifest = artifact_->manifest();
  std::vector<int64_t> symbols;
  PERMALLOY_TRY(bindSymbols(manifest, inputs, symbols));
  PERMALLOY_TRY(checkPlaces(inputs, outputs));
  std::vector<std::unique_ptr<std::byte[]>> copies;
  std::vector<InputTensor> dense = denseInputs(manifest, inputs, copies);
  Call call(*this);
  CallContext &context = call.context();
  CacheUse use;
  PERMALLOY_TRY(prepareCaches(context, symbols, dense, options.state, use));
  OutputPlaces places(outputs.size());
  PERMALLOY_TRY(prepareOutputs(context, dense, outputs, !options.state, places));
  Status status;
  call.withPool([&](ThreadPool *pool) {
    status = context.run(dense, places.memory, use.buffers(), pool, options);
  });
  PERMALLOY_TRY(status);
  PERMALLOY_TRY(takeLateOutputs(context, dense, outputs, places));
  if (!options.state)
    PERMALLOY_TRY(copyOutCaches(use, outputs, places));
  use.kept = true;
  places.handOut(outputs);
  if (options.state)
    options.state->replaceSet(use.set);
  else
    handOut(use, outputs);
  return {};
}

void OutputTensor::release() {
  if (!owner)
    std::free(data);
  *this = {};
}

} // namespace permalloy
