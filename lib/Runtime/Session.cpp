//===- Session.cpp - runs a model.alloy --------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/Session.h"

#include "OutputPool.h"
#include "PerfMap.h"
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

/// What calls share. It belongs to one process: a child of fork() makes a new one (the old one's
/// threads do not exist there and its locks may be held by nobody) and leaves the old one alone.
struct Session::Shared {
  pid_t process = ::getpid();
  std::mutex contextsLock;
  std::vector<std::unique_ptr<CallContext>> idleContexts;
  std::mutex poolLock; ///< held for a whole run
  std::unique_ptr<ThreadPool> pool;
  std::shared_ptr<CacheRegistry> caches = std::make_shared<CacheRegistry>();
  std::shared_ptr<OutputPool> outputs = std::make_shared<OutputPool>();
};

/// One call in flight: takes a context and, when it is free, the pool; gives both back.
class Session::Call {
public:
  explicit Call(Session &session) : session_(session), shared_(session.shared()) {
    std::lock_guard lock(shared_.contextsLock);
    if (!shared_.idleContexts.empty()) {
      context_ = std::move(shared_.idleContexts.back());
      shared_.idleContexts.pop_back();
    }
    if (!context_)
      context_ =
          std::make_unique<CallContext>(*session.artifact_, session.target_, session.kernels_,
                                        session.threads_, session.guarded_);
  }
  ~Call() {
    std::lock_guard lock(shared_.contextsLock);
    shared_.idleContexts.push_back(std::move(context_));
  }

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
  const Program &program = artifact_->program();
  threads_ = options.threads ? options.threads : availableCpus();
  mostRows_ = mostCacheRows(artifact_->manifest(), program);
  guarded_ = options.guardBuffers || guardByDefault();
  if (program.targets.empty())
    return {StatusCode::unsupportedCpu, "'" + artifact_->name() + "' has no code for CPUs, only for " +
                                            artifact_->devices().targets.front().name +
                                            "; compile the model with --target host, too"};
  Result<size_t> target =
      selectTarget(program.targets, hostCpuFeatures() & options.allowedFeatures);
  if (!target.ok())
    return target.status();
  target_ = *target;
  Result<CodeImage> image =
      CodeImage::load(artifact_->image(target_), program.targets[target_].name);
  if (!image.ok())
    return image.status();
  image_ = std::move(*image);
  for (uint64_t address : program.targets[target_].entryPoints) {
    Result<KernelFunction> kernel = image_.entry(address);
    if (!kernel.ok())
      return kernel.status();
    kernels_.push_back(*kernel);
  }
  writePerfMap(image_, program.kernels, kernels_);
  return {};
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
  if (shared_.compare_exchange_strong(current, fresh, std::memory_order_acq_rel))
    return *fresh;
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

/// Where a run writes each output; what it allocated for them is freed when it fails.
struct Session::OutputPlaces {
  explicit OutputPlaces(size_t count) : pointers(count), allocated(count), pooled(count) {}

  /// The outputs own their memory from here on.
  void handOut(std::span<OutputTensor> outputs) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!pointers[i])
        continue;
      if (!outputs[i].data) // else the caller's memory keeps its owner
        outputs[i].owner = std::move(pooled[i]);
      outputs[i].data = pointers[i];
      allocated[i].release();
    }
  }

  std::vector<void *> pointers;
  std::vector<OutputMemory> allocated;
  std::vector<std::shared_ptr<void>> pooled;
};

/// The caller's memory, which is checked, or memory of its own.
Status Session::placeOutput(uint32_t index, std::span<const InputTensor> inputs,
                            OutputTensor &output, OutputPlaces &places) {
  const TensorInfo &info = artifact_->manifest().outputs[index];
  uint64_t bytes = tensorBytes(info.dtype, output.dims);
  void *&pointer = places.pointers[index];
  if (output.data) {
    pointer = output.data;
    return checkOutputMemory(info, output, bytes, artifact_->manifest(), inputs);
  }
  if (bytes >= OutputPool::kLeastBytes)
    pointer = (places.pooled[index] = shared().outputs->take(bytes)).get();
  else
    pointer = (places.allocated[index] = allocateOutput(bytes)).get();
  if (!pointer)
    return {StatusCode::outOfMemory, "cannot allocate the " + std::to_string(bytes) +
                                         " bytes of output '" + info.name + "'"};
  return {};
}

Status Session::prepareOutputs(CallContext &context, std::span<const InputTensor> inputs,
                               std::span<OutputTensor> outputs, bool withCaches,
                               OutputPlaces &places) {
  const Manifest &manifest = artifact_->manifest();
  std::vector<uint32_t> placed;
  std::vector<uint64_t> sizes;
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    OutputTensor &output = outputs[i];
    bool isCache = std::ranges::find(manifest.caches, i, &Cache::output) != manifest.caches.end();
    if ((isCache && !withCaches) || artifact_->program().isLate(i))
      continue;
    output.dtype = manifest.outputs[i].dtype;
    output.dims = context.outputDims(i);
    if (isCache && !output.data)
      continue;
    placed.push_back(i);
    if (!output.data)
      sizes.push_back(tensorBytes(output.dtype, output.dims));
  }
  shared().outputs->expect(sizes);
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
    if (bytes)
      std::memcpy(places.pointers[late.output], context.slotData(late.slot), bytes);
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
    if (sameStrides(input.dims, input.strides, {}) ||
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
  std::vector<std::unique_ptr<std::byte[]>> copies;
  std::vector<InputTensor> dense = denseInputs(manifest, inputs, copies);
  Call call(*this);
  CallContext &context = call.context();
  CacheUse use;
  PERMALLOY_TRY(prepareCaches(context, std::move(symbols), dense, options.state, use));
  OutputPlaces places(outputs.size());
  PERMALLOY_TRY(prepareOutputs(context, dense, outputs, !options.state, places));
  Status status;
  call.withPool([&](ThreadPool *pool) {
    status = context.run(dense, places.pointers, use.buffers(), pool, options);
  });
  PERMALLOY_TRY(status);
  PERMALLOY_TRY(takeLateOutputs(context, dense, outputs, places));
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
