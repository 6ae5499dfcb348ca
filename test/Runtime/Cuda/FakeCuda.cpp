//===- FakeCuda.cpp - a GPU's driver on the host's memory --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FakeCuda.h"
#include "Cuda/Driver.h"
#include "FakeThreads.h"
#include "permalloy/Runtime/CodeImage.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#define FAKE extern "C" __attribute__((visibility("default"))) int

using namespace permalloy;
using namespace permalloy::cuda;
using namespace permalloy::fakecuda;

namespace {

enum : int {
  kInvalidValue = 1,
  kNotInitialized = 3,
  kInvalidContext = 201,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kMisaligned = 716,
  kLaunchFailed = 719,
  kCaptureUnsupported = 900,
};

/// Makes the driver's other calls on this thread wait; work of streams may call in again.
std::recursive_mutex lock;
bool isInitialized = false;
/// Once work on the device failed, nothing of the context works.
int sticky = 0;

using Work = std::function<int()>;

struct Stream {
  std::deque<Work> work;
  uint64_t queued = 0, done = 0;
  std::vector<Work> *capture = nullptr;

  void put(Work item) {
    if (capture)
      return capture->push_back(std::move(item));
    work.push_back(std::move(item));
    ++queued;
  }
  /// Carries out work until `until` items are done.
  void run(uint64_t until) {
    while (done < until && !work.empty()) {
      Work item = std::move(work.front());
      work.pop_front();
      ++done;
      if (!sticky)
        sticky = item();
    }
  }
};

struct Event {
  Stream *stream = nullptr;
  uint64_t ticket = 0;
  bool hasTiming = true, isReached = false;
  std::chrono::steady_clock::time_point time;
};

struct Function {
  std::string name;
  FakeImage head;
  std::optional<CodeImage> image;
  KernelFunction code = nullptr; ///< null: launches are recorded alone
  int mostShared = 48 << 10;
};
struct Module {
  std::map<std::string, std::unique_ptr<Function>> functions;
};
using Graph = std::vector<Work>;

struct State {
  State();
  Control control;
  std::map<uint64_t, std::pair<std::unique_ptr<std::byte, FreeMemory>, size_t>> memory; ///< by host address
  std::map<uint64_t, size_t> pinned;
  std::set<Stream *> streams = {&legacy};
  Stream legacy;
  int retained = 0;
};

State &state() {
  static auto *all = new State(); // outlives the sessions in globals of others
  return *all;
}

State::State() {
  const char *text = std::getenv("PERMALLOY_FAKE_CUDA");
  std::string rest = text ? text : "";
  while (!rest.empty()) {
    std::string entry = rest.substr(0, rest.find(','));
    rest = rest.size() > entry.size() ? rest.substr(entry.size() + 1) : "";
    std::string name = entry.substr(0, entry.find('='));
    long long value = std::atoll(entry.substr(std::min(entry.find('=') + 1, entry.size())).c_str());
    if (name == "version")
      control.version = static_cast<int>(value);
    else if (name == "devices")
      control.devices = static_cast<int>(value);
    else if (name == "capability")
      control.capability = static_cast<int>(value);
    else if (name == "memory")
      control.memory = static_cast<uint64_t>(value);
    else
      std::fprintf(stderr, "PERMALLOY_FAKE_CUDA: '%s' is unknown\n", name.c_str()), std::abort();
  }
}

thread_local std::vector<ContextHandle> contexts;
thread_local int captures = 0;

/// What every call but the first ones begins with.
struct Call {
  Call() : guard(lock) {
    if (!isInitialized)
      error = kNotInitialized;
    else if (contexts.empty() || !contexts.back())
      error = kInvalidContext;
    else
      error = sticky;
  }
  std::lock_guard<std::recursive_mutex> guard;
  int error;
};
#define BEGIN                                                                                                                  \
  Call call;                                                                                                                   \
  if (call.error)                                                                                                              \
  return call.error

/// What is let go is let go after a failure, too.
#define BEGIN_RELEASE                                                                                                          \
  Call call;                                                                                                                   \
  if (call.error && call.error != sticky)                                                                                      \
  return call.error

int complain(const char *what, int error) {
  std::fprintf(stderr, "fake CUDA driver: %s\n", what);
  return error;
}

/// Host address of device memory; null where `bytes` are not all in one allocation.
std::byte *hostOf(DevicePointer address, size_t bytes) {
  uint64_t host = address & ~kDeviceBit;
  auto &memory = state().memory;
  auto next = memory.upper_bound(host);
  if (!(address & kDeviceBit) || next == memory.begin())
    return nullptr;
  auto &[begin, block] = *std::prev(next);
  return host - begin <= block.second && bytes <= block.second - (host - begin) ? reinterpret_cast<std::byte *>(host) : nullptr;
}

bool isPinned(const void *address, size_t bytes) {
  auto host = reinterpret_cast<uint64_t>(address);
  auto next = state().pinned.upper_bound(host);
  return next != state().pinned.begin() && host + bytes <= std::prev(next)->first + std::prev(next)->second;
}

Stream *streamOf(StreamHandle handle) { return handle == legacyStream() || !handle ? &state().legacy : reinterpret_cast<Stream *>(handle); }

void runAll() {
  for (Stream *stream : state().streams)
    stream->run(stream->queued);
}

template <class T, class Handle> T *of(Handle handle) { return reinterpret_cast<T *>(handle); }

} // namespace

extern "C" __attribute__((visibility("default"))) Control *permalloyFakeCuda() { return &state().control; }

//===-- Devices -----------------------------------------------------------===//

FAKE cuInit(unsigned) {
  if (state().control.devices == 0)
    return kNoDevice;
  isInitialized = true;
  return kSuccess;
}
FAKE cuDriverGetVersion(int *version) { return *version = state().control.version, kSuccess; }
FAKE cuGetErrorName(int error, const char **name) {
  static const std::map<int, const char *> names = {{kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},     {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                    {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED"},     {kMisaligned, "CUDA_ERROR_MISALIGNED_ADDRESS"},
                                                    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"}, {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED"},
                                                    {kInvalidPtx, "CUDA_ERROR_INVALID_PTX"}};
  auto known = names.find(error);
  return *name = known == names.end() ? nullptr : known->second, known == names.end() ? int(kInvalidValue) : int(kSuccess);
}
FAKE cuGetErrorString(int, const char **text) { return *text = "as a test wanted it", kSuccess; }
FAKE cuDeviceGetCount(int *count) { return *count = state().control.devices, kSuccess; }
FAKE cuDeviceGet(int *device, int number) { return *device = number, number < state().control.devices ? int(kSuccess) : int(kInvalidValue); }
FAKE cuDeviceGetName(char *name, int length, int) { return std::snprintf(name, static_cast<size_t>(length), "Fake GPU"), kSuccess; }
FAKE cuDeviceGetAttribute(int *value, int attribute, int) {
  int capability = state().control.capability;
  *value = attribute == kMajorCapability ? capability / 10 : attribute == kMinorCapability ? capability % 10 : 163 << 10;
  return kSuccess;
}
FAKE cuDevicePrimaryCtxRetain(ContextHandle *context, int device) {
  std::lock_guard guard(lock);
  if (!isInitialized)
    return kNotInitialized;
  ++state().control.contexts;
  *context = reinterpret_cast<ContextHandle>(static_cast<uintptr_t>(device) + 16);
  return kSuccess;
}
FAKE cuDevicePrimaryCtxRelease_v2(int) {
  std::lock_guard guard(lock);
  if (--state().control.contexts == 0)
    sticky = 0;
  return kSuccess;
}
FAKE cuCtxPushCurrent_v2(ContextHandle context) { return contexts.push_back(context), kSuccess; }
FAKE cuCtxPopCurrent_v2(ContextHandle *context) {
  if (contexts.empty())
    return kInvalidContext;
  *context = contexts.back();
  contexts.pop_back();
  return kSuccess;
}

//===-- Code --------------------------------------------------------------===//

/// What a "cubin" holds; false where it is none of ours.
static bool readImage(const void *image, Function &function) {
  const auto *bytes = static_cast<const std::byte *>(image);
  FakeImage head;
  if (std::memcmp(bytes, head.magic, sizeof head.magic) != 0)
    return false;
  std::memcpy(&function.head, bytes, sizeof head);
  function.name.assign(reinterpret_cast<const char *>(bytes) + sizeof head, function.head.nameBytes);
  const std::byte *elf = bytes + sizeof head + function.head.nameBytes;
  // The driver gets no size: the section headers end an ELF file.
  uint64_t table;
  uint16_t entryBytes, entries;
  std::memcpy(&table, elf + 0x28, sizeof table);
  std::memcpy(&entryBytes, elf + 0x3a, sizeof entryBytes);
  std::memcpy(&entries, elf + 0x3c, sizeof entries);
  Result<CodeImage> loaded = CodeImage::load({elf, table + uint64_t(entryBytes) * entries}, function.name);
  if (!loaded.ok())
    return complain(loaded.status().message().c_str(), 0);
  function.image = std::move(*loaded);
  Result<KernelFunction> entry = function.image->entry(function.head.entry);
  if (!entry.ok())
    return complain(entry.status().message().c_str(), 0);
  function.code = *entry;
  return true;
}

FAKE cuModuleLoadDataEx(ModuleHandle *module, const void *image, unsigned count, int *options, void **values) {
  BEGIN;
  auto fresh = std::make_unique<Module>();
  auto function = std::make_unique<Function>();
  bool isPtx = count > 0; // the runtime asks for a log of those
  if (!isPtx && state().control.refusesCubins)
    return kNoBinaryForGpu;
  if (isPtx) {
    ++state().control.ptxModules;
    const char *text = static_cast<const char *>(image);
    if (!std::strstr(text, ".entry ")) {
      for (unsigned i = 0; i < count; ++i)
        if (options[i] == kJitErrorLog)
          std::snprintf(static_cast<char *>(values[i]), 100, "line 1: fake syntax error");
      return kInvalidPtx;
    }
  } else if (readImage(image, *function)) {
    std::string name = function->name;
    fresh->functions[name] = std::move(function);
  }
  ++state().control.modules;
  *module = reinterpret_cast<ModuleHandle>(fresh.release());
  return kSuccess;
}
FAKE cuModuleUnload(ModuleHandle module) {
  BEGIN_RELEASE;
  runAll();
  delete of<Module>(module);
  --state().control.modules;
  return kSuccess;
}
FAKE cuModuleGetFunction(FunctionHandle *function, ModuleHandle module, const char *name) {
  BEGIN;
  auto &functions = of<Module>(module)->functions;
  bool knowsNames = !functions.empty(); // of our images
  std::unique_ptr<Function> &entry = functions[name];
  if (!entry && knowsNames)
    return functions.erase(name), kNotFound;
  if (!entry) {
    entry = std::make_unique<Function>();
    entry->name = name;
  }
  *function = reinterpret_cast<FunctionHandle>(entry.get());
  return kSuccess;
}
FAKE cuFuncSetAttribute(FunctionHandle function, int attribute, int value) {
  BEGIN;
  if (attribute == kFunctionMostDynamicShared)
    of<Function>(function)->mostShared = value;
  return kSuccess;
}
FAKE cuFuncGetAttribute(int *value, int, FunctionHandle) { return *value = 0, kSuccess; }

//===-- Memory ------------------------------------------------------------===//

FAKE cuMemAlloc_v2(DevicePointer *address, size_t bytes) {
  BEGIN;
  Control &control = state().control;
  ++control.allocationCalls;
  if (captures)
    return kCaptureUnsupported;
  if (bytes == 0 || bytes > control.memory || control.bytes > control.memory - bytes)
    return bytes ? int(kOutOfMemory) : int(kInvalidValue);
  size_t rounded = (bytes + 511) / 512 * 512;
  std::unique_ptr<std::byte, FreeMemory> block(static_cast<std::byte *>(std::aligned_alloc(512, rounded)));
  std::memset(block.get(), 0xff, rounded);
  auto host = reinterpret_cast<uint64_t>(block.get());
  state().memory[host] = {std::move(block), bytes};
  ++control.allocations;
  control.bytes += bytes;
  *address = host | kDeviceBit;
  return kSuccess;
}
FAKE cuMemFree_v2(DevicePointer address) {
  BEGIN_RELEASE;
  if (captures)
    return kCaptureUnsupported;
  runAll();
  auto known = state().memory.find(address & ~kDeviceBit);
  if (known == state().memory.end())
    return kInvalidValue;
  state().control.bytes -= known->second.second;
  --state().control.allocations;
  state().memory.erase(known);
  return kSuccess;
}
FAKE cuMemGetInfo_v2(size_t *free, size_t *total) {
  BEGIN;
  *total = state().control.memory;
  *free = state().control.memory - state().control.bytes;
  return kSuccess;
}
FAKE cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  BEGIN;
  *memory = std::malloc(bytes);
  std::memset(*memory, 0xff, bytes);
  state().pinned[reinterpret_cast<uint64_t>(*memory)] = bytes;
  ++state().control.pinned;
  return kSuccess;
}
FAKE cuMemFreeHost(void *memory) {
  BEGIN_RELEASE;
  runAll();
  if (!state().pinned.erase(reinterpret_cast<uint64_t>(memory)))
    return kInvalidValue;
  --state().control.pinned;
  std::free(memory);
  return kSuccess;
}
FAKE cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from, size_t bytes, StreamHandle stream) {
  BEGIN;
  std::byte *target = hostOf(to, bytes);
  if (!target)
    return complain("a copy to the device leaves its allocation", kInvalidValue);
  state().control.toDevice += bytes;
  if (isPinned(from, bytes)) {
    streamOf(stream)->put([=] { return std::memcpy(target, from, bytes), kSuccess; });
    return kSuccess;
  }
  const auto *first = static_cast<const std::byte *>(from);
  streamOf(stream)->put([target, copy = std::vector<std::byte>(first, first + bytes)] { return std::memcpy(target, copy.data(), copy.size()), kSuccess; });
  return kSuccess;
}
FAKE cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes, StreamHandle stream) {
  BEGIN;
  std::byte *source = hostOf(from, bytes);
  if (!source)
    return complain("a copy from the device leaves its allocation", kInvalidValue);
  state().control.toHost += bytes;
  Stream *queue = streamOf(stream);
  queue->put([=] { return std::memcpy(to, source, bytes), kSuccess; });
  if (!isPinned(to, bytes))
    queue->run(queue->queued);
  return sticky;
}
FAKE cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, StreamHandle stream) {
  BEGIN;
  std::byte *target = hostOf(to, bytes), *source = hostOf(from, bytes);
  if (!target || !source)
    return complain("a copy on the device leaves its allocation", kInvalidValue);
  streamOf(stream)->put([=] { return std::memcpy(target, source, bytes), kSuccess; });
  return kSuccess;
}
FAKE cuMemcpy2DAsync_v2(const Copy2D *copy, StreamHandle stream) {
  BEGIN;
  size_t fromBytes = (copy->rows - 1) * copy->fromPitch + copy->bytes, toBytes = (copy->rows - 1) * copy->toPitch + copy->bytes;
  const auto *source = copy->fromKind == 2 ? hostOf(copy->fromDevice, fromBytes) : static_cast<const std::byte *>(copy->fromHost);
  auto *target = copy->toKind == 2 ? hostOf(copy->toDevice, toBytes) : static_cast<std::byte *>(copy->toHost);
  if (!source || !target || copy->bytes > copy->fromPitch || copy->bytes > copy->toPitch)
    return complain("a copy of rows leaves its allocation", kInvalidValue);
  state().control.toDevice += copy->fromKind == 1 ? copy->bytes * copy->rows : 0;
  state().control.toHost += copy->toKind == 1 ? copy->bytes * copy->rows : 0;
  Stream *queue = streamOf(stream);
  queue->put([=, what = *copy] {
    for (size_t row = 0; row < what.rows; ++row)
      std::memcpy(target + row * what.toPitch, source + row * what.fromPitch, what.bytes);
    return kSuccess;
  });
  if (copy->fromKind == 1 || copy->toKind == 1)
    queue->run(queue->queued);
  return sticky;
}
FAKE cuMemsetD8Async(DevicePointer to, unsigned char value, size_t bytes, StreamHandle stream) {
  BEGIN;
  std::byte *target = hostOf(to, bytes);
  if (!target)
    return complain("a memset leaves its allocation", kInvalidValue);
  streamOf(stream)->put([=] { return std::memset(target, value, bytes), kSuccess; });
  return kSuccess;
}
FAKE cuPointerGetAttribute(void *value, int attribute, DevicePointer address) {
  BEGIN;
  if (!hostOf(address, 1))
    return kInvalidValue;
  *static_cast<int *>(value) = 0;
  return attribute == kPointerDevice ? int(kSuccess) : int(kInvalidValue);
}

//===-- Streams, events, graphs -------------------------------------------===//

FAKE cuStreamCreate(StreamHandle *stream, unsigned) {
  BEGIN;
  auto *fresh = new Stream();
  state().streams.insert(fresh);
  ++state().control.streams;
  *stream = reinterpret_cast<StreamHandle>(fresh);
  return kSuccess;
}
FAKE cuStreamDestroy_v2(StreamHandle stream) {
  BEGIN_RELEASE;
  runAll();
  state().streams.erase(of<Stream>(stream));
  delete of<Stream>(stream);
  --state().control.streams;
  return kSuccess;
}
FAKE cuStreamSynchronize(StreamHandle stream) {
  BEGIN;
  Stream *queue = streamOf(stream);
  if (queue->capture)
    return kCaptureUnsupported;
  queue->run(queue->queued);
  return sticky;
}
FAKE cuStreamWaitEvent(StreamHandle stream, EventHandle event, unsigned) {
  BEGIN;
  Stream *other = of<Event>(event)->stream;
  uint64_t ticket = of<Event>(event)->ticket;
  if (other)
    streamOf(stream)->put([=] { return other->run(ticket), kSuccess; });
  return kSuccess;
}
FAKE cuEventCreate(EventHandle *event, unsigned flags) {
  BEGIN;
  auto *fresh = new Event();
  fresh->hasTiming = !(flags & kEventNoTiming);
  ++state().control.events;
  *event = reinterpret_cast<EventHandle>(fresh);
  return kSuccess;
}
FAKE cuEventDestroy_v2(EventHandle event) {
  BEGIN_RELEASE;
  runAll();
  delete of<Event>(event);
  --state().control.events;
  return kSuccess;
}
FAKE cuEventRecord(EventHandle event, StreamHandle stream) {
  BEGIN;
  auto *mark = of<Event>(event);
  mark->isReached = false;
  mark->stream = streamOf(stream);
  mark->stream->put([=] { return mark->isReached = true, mark->time = std::chrono::steady_clock::now(), kSuccess; });
  mark->ticket = mark->stream->queued;
  return kSuccess;
}
FAKE cuEventSynchronize(EventHandle event) {
  BEGIN;
  if (auto *mark = of<Event>(event); mark->stream)
    mark->stream->run(mark->ticket);
  return sticky;
}
FAKE cuEventElapsedTime(float *milliseconds, EventHandle begin, EventHandle end) {
  BEGIN;
  auto *first = of<Event>(begin), *last = of<Event>(end);
  if (!first->hasTiming || !last->hasTiming)
    return kInvalidHandle;
  if (!first->isReached || !last->isReached)
    return kNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(last->time - first->time).count();
  return kSuccess;
}
FAKE cuStreamBeginCapture_v2(StreamHandle stream, int) {
  BEGIN;
  if (streamOf(stream)->capture || streamOf(stream) == &state().legacy)
    return kCaptureUnsupported;
  streamOf(stream)->capture = new Graph();
  ++captures;
  return kSuccess;
}
FAKE cuStreamEndCapture(StreamHandle stream, GraphHandle *graph) {
  BEGIN;
  Stream *queue = streamOf(stream);
  if (!queue->capture)
    return kInvalidValue;
  --captures;
  ++state().control.graphs;
  *graph = reinterpret_cast<GraphHandle>(std::exchange(queue->capture, nullptr));
  return kSuccess;
}
FAKE cuGraphInstantiateWithFlags(GraphExecHandle *exec, GraphHandle graph, unsigned long long) {
  BEGIN;
  if (state().control.lacksGraphs)
    return kInvalidValue;
  ++state().control.graphs;
  ++state().control.instantiations;
  *exec = reinterpret_cast<GraphExecHandle>(new Graph(*of<Graph>(graph)));
  return kSuccess;
}
FAKE cuGraphLaunch(GraphExecHandle exec, StreamHandle stream) {
  BEGIN;
  ++state().control.graphLaunches;
  for (const Work &work : *of<Graph>(exec))
    streamOf(stream)->put(work);
  return kSuccess;
}
FAKE cuGraphExecDestroy(GraphExecHandle exec) {
  BEGIN_RELEASE;
  runAll();
  delete of<Graph>(exec);
  --state().control.graphs;
  return kSuccess;
}
FAKE cuGraphDestroy(GraphHandle graph) {
  BEGIN_RELEASE;
  delete of<Graph>(graph);
  --state().control.graphs;
  return kSuccess;
}

//===-- Launches ----------------------------------------------------------===//

/// The counters before a launch's scratch, 4,096 of 32 bits, are zero.
static bool areCountersZero(const std::byte *scratch) {
  for (size_t i = 1; i <= 4096 * 4; ++i)
    if (scratch[-static_cast<ptrdiff_t>(i)] != std::byte{0})
      return false;
  return true;
}

static int carryOut(Function *function, const LaunchRecord &launch) {
  Control &control = state().control;
  control.launches.push_back(launch);
  if (control.failingLaunch >= 0 && control.failingLaunch-- == 0)
    return kLaunchFailed;
  if (!function->code)
    return kSuccess;
  std::vector<void *> buffers;
  for (size_t i = 0; i < function->head.buffers; ++i) {
    if (launch.words[i] % 16 != 0)
      return complain("an operand is not aligned to 16 bytes", kMisaligned);
    buffers.push_back(reinterpret_cast<void *>(launch.words[i] & ~kDeviceBit));
  }
  std::vector<int64_t> scalars(launch.words.begin() + function->head.buffers, launch.words.end() - 1);
  std::byte *scratch = hostOf(launch.words.back() - 4096 * 4, 4096 * 4);
  if (!scratch || !areCountersZero(scratch + 4096 * 4))
    return complain("the counters before the scratch are not zero", kLaunchFailed);
  scratch += 4096 * 4;
  auto block = std::prev(state().memory.upper_bound(reinterpret_cast<uint64_t>(scratch)));
  std::memset(scratch, 0xff, block->first + block->second.second - reinterpret_cast<uint64_t>(scratch));
  if (!function->head.isThread)
    function->code(buffers.data(), scalars.data(), 0, launch.blocks, scratch);
  else if (std::string fault = runThreads(function->code, buffers.data(), scalars.data(), launch.blocks, launch.threads, launch.sharedBytes, scratch); !fault.empty())
    return complain((launch.kernel + ": " + fault).c_str(), kLaunchFailed);
  return areCountersZero(scratch) ? int(kSuccess) : complain("a launch leaves counters that are not zero", kLaunchFailed);
}

FAKE cuLaunchKernel(FunctionHandle handle, unsigned blocks, unsigned blocksY, unsigned blocksZ, unsigned threads, unsigned threadsY,
                    unsigned threadsZ, unsigned shared, StreamHandle stream, void **parameters, void **extra) {
  BEGIN;
  auto *function = of<Function>(handle);
  bool isPacked = !parameters && extra && extra[0] == kParameterBuffer && extra[2] == kParameterBytes && !extra[4];
  if (!isPacked || blocks == 0 || blocksY != 1 || blocksZ != 1 || threads == 0 || threads > 1024 || threadsY != 1 || threadsZ != 1 ||
      static_cast<int>(shared) > function->mostShared)
    return kInvalidValue;
  const auto *words = static_cast<const uint64_t *>(extra[1]);
  LaunchRecord launch{function->name, blocks, threads, shared, {words, words + *static_cast<size_t *>(extra[3]) / sizeof(uint64_t)}};
  streamOf(stream)->put([function, launch] { return carryOut(function, launch); });
  return kSuccess;
}
