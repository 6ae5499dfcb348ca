//===- FakeCuda.cpp - devices, code and launches of the fake driver *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FakeState.h"
#include "FakeThreads.h"

using namespace permalloy;
using namespace permalloy::fakecuda;

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
    else if (name == "graphs")
      control.lacksGraphs = value == 0;
    else
      std::fprintf(stderr, "PERMALLOY_FAKE_CUDA: '%s' is unknown\n", name.c_str()), std::abort();
  }
}

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
                                                    {kInvalidPtx, "CUDA_ERROR_INVALID_PTX"},
                                                    {kNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU"}};
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

/// Of the two options that the runtime gives: the log's size becomes its length.
static void writeLog(unsigned count, int *options, void **values, const char *text) {
  char *log = nullptr;
  for (unsigned i = 0; i < count; ++i)
    log = options[i] == kJitErrorLog ? static_cast<char *>(values[i]) : log;
  for (unsigned i = 0; i < count; ++i)
    if (options[i] == kJitErrorLogBytes) {
      int length = std::snprintf(log, reinterpret_cast<size_t>(values[i]), "%s", text);
      values[i] = reinterpret_cast<void *>(static_cast<uintptr_t>(length));
    }
}

FAKE cuModuleLoadDataEx(ModuleHandle *module, const void *image, unsigned count, int *options, void **values) {
  BEGIN_TAKING;
  auto fresh = std::make_unique<Module>();
  auto function = std::make_unique<Function>();
  bool isPtx = count > 0; // the runtime asks for a log of those
  if (!isPtx && state().control.refusesCubins)
    return kNoBinaryForGpu;
  if (isPtx) {
    ++state().control.ptxModules;
    if (state().control.refusesPtx)
      return writeLog(count, options, values, ""), state().control.refusesPtx;
    const char *text = static_cast<const char *>(image);
    if (!std::strstr(text, ".entry ")) {
      writeLog(count, options, values, "line 1: fake syntax error");
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

int permalloy::fakecuda::makeLaunch(Function *function, unsigned blocks, unsigned threads,
                                    unsigned shared, void **parameters, void **extra, Work &work) {
  bool isPacked = !parameters && extra && extra[0] == kParameterBuffer && extra[2] == kParameterBytes && !extra[4];
  if (!isPacked || blocks == 0 || threads == 0 || threads > 1024 || static_cast<int>(shared) > function->mostShared)
    return kInvalidValue;
  const auto *words = static_cast<const uint64_t *>(extra[1]);
  LaunchRecord launch{function->name, blocks, threads, shared, {words, words + *static_cast<size_t *>(extra[3]) / sizeof(uint64_t)}};
  work = [function, launch] { return carryOut(function, launch); };
  return kSuccess;
}

FAKE cuLaunchKernel(FunctionHandle handle, unsigned blocks, unsigned blocksY, unsigned blocksZ, unsigned threads, unsigned threadsY,
                    unsigned threadsZ, unsigned shared, StreamHandle stream, void **parameters, void **extra) {
  BEGIN_TAKING;
  if (blocksY != 1 || blocksZ != 1 || threadsY != 1 || threadsZ != 1)
    return kInvalidValue;
  Work work;
  int error = makeLaunch(of<Function>(handle), blocks, threads, shared, parameters, extra, work);
  ON_STREAM(stream);
  if (error == kSuccess)
    queue->put(std::move(work));
  ++state().control.launchCalls;
  return error;
}
