//===- FakeCuda.h - a GPU's driver on the host's memory ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A shared library with the functions of libcuda.so.1 that the runtime uses, so that all of its road to a GPU is tested without one:
// PERMALLOY_LIBCUDA=.../libpermalloy_fake_cuda.so. It is strict where a device would be silently wrong:
//
//   - "Device memory" is host memory at addresses with bit 62 set: whoever follows such an address on the host faults. It begins as
//     NaN, and copies must stay within one allocation.
//   - Work of a stream is done when somebody waits for it, not before: a missing wait shows. Copies from pinned memory read it then.
//   - Launches take what is aligned to 16 bytes, find the counters before their scratch zero and must leave them so; the scratch
//     is NaN.
//   - Calls need a current context, and streams that are there.
//   - Nodes of a graph that no edge orders run in the wrong order.
//
// What runs: a "cubin" that begins with FakeImage is code for this CPU. Of PTX and NVIDIA's own cubins the launches are recorded and
// nothing is computed.
//
// In other processes the environment sets it up: PERMALLOY_FAKE_CUDA="version=11040,devices=2,capability=90,memory=1000000,graphs=0".
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TEST_RUNTIME_CUDA_FAKECUDA_H
#define PERMALLOY_TEST_RUNTIME_CUDA_FAKECUDA_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace permalloy::fakecuda {

/// Start of a "cubin" of this driver; the kernel's name and an ELF image as in an artifact follow.
struct FakeImage {
  char magic[8] = {'F', 'A', 'K', 'E', 'G', 'P', 'U', '1'};
  uint32_t isThread = 0;       ///< 0: of the CPU kernel's ABI, tiles are blocks; 1: one thread, as toCpuThread makes it
  uint32_t buffers = 0;        ///< the other parameters are scalars
  uint64_t entry = 0;          ///< address in the image
  uint32_t nameBytes = 0, pad = 0;
};

/// The bytes of such a "cubin".
inline std::vector<std::byte> makeImage(FakeImage head, const std::string &name, std::span<const std::byte> elf) {
  head.nameBytes = static_cast<uint32_t>(name.size());
  std::vector<std::byte> bytes(sizeof head + name.size() + elf.size());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, name.data(), name.size());
  std::memcpy(bytes.data() + sizeof head + name.size(), elf.data(), elf.size());
  return bytes;
}

/// Bit of addresses in device memory.
constexpr uint64_t kDeviceBit = uint64_t(1) << 62;

/// A launch that was carried out.
struct LaunchRecord {
  std::string kernel;
  unsigned blocks = 0, threads = 0, sharedBytes = 0;
  std::vector<uint64_t> words; ///< parameters
};

/// What a test sets and reads, while no call of the driver is in progress.
struct Control {
  int version = 12080;
  int devices = 1;
  int capability = 80;         ///< of all devices
  uint64_t memory = 1 << 30;   ///< bytes of each device
  bool lacksGraphs = false;    ///< an instantiation fails
  bool refusesUpdates = false; ///< of nodes of graphs
  bool refusesCubins = false;  ///< as if they were of a newer ptxas
  int refusesPtx = 0;          ///< the error that PTX meets
  std::string failing;         ///< a function that takes memory; it finds none after `goodCalls` calls
  int goodCalls = 0;
  bool isCapturing = false;    ///< every stream, into a graph
  bool isForeign = false;      ///< every stream: of another context
  int failingLaunch = -1;      ///< launches until one fails; -1: none

  std::vector<LaunchRecord> launches;
  /// What is there now.
  int contexts = 0, allocations = 0, pinned = 0, modules = 0, streams = 0, events = 0, graphs = 0;
  uint64_t bytes = 0;
  /// What happened so far.
  uint64_t toDevice = 0, toHost = 0;     ///< bytes over the bus
  uint64_t eventRecords = 0, launchCalls = 0, graphLaunches = 0, nodeUpdates = 0, instantiations = 0;
  uint64_t allocationCalls = 0, ptxModules = 0;
  uint64_t wrongStreams = 0; ///< calls that named a stream that is not there
};

/// Looked up by name in the library: "permalloyFakeCuda".
using GetControl = Control *(*)();

} // namespace permalloy::fakecuda

#endif // PERMALLOY_TEST_RUNTIME_CUDA_FAKECUDA_H
