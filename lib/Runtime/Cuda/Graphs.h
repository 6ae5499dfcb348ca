//===- Graphs.h - runs that repeat, as one launch ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Putting a launch into a stream costs the host about 2 us, a graph of a hundred of them about as
// much in all. What a graph depends on is its key: the sizes and every address of the run. The
// first run with a key goes step by step, the second is captured, those that follow launch what was
// captured. Runs whose sizes never repeat (a decoder's steps, each of which is one token longer)
// cost a comparison more.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_GRAPHS_H
#define PERMALLOY_LIB_RUNTIME_CUDA_GRAPHS_H

#include "Device.h"

#include <functional>

namespace permalloy::cuda {

/// Graphs of one context. The calling thread has the device's context.
class Graphs {
public:
  /// Keys that are remembered; the one that was not used for longest makes room.
  static constexpr size_t kMost = 16;

  explicit Graphs(std::shared_ptr<const Device> device) : device_(std::move(device)) {}
  ~Graphs();
  Graphs(const Graphs &) = delete;
  Graphs &operator=(const Graphs &) = delete;

  /// Puts into `stream` what `steps` puts there: itself, or its graph.
  Status run(std::vector<uint64_t> key, StreamHandle stream, const std::function<Status()> &steps);

private:
  struct Entry {
    std::vector<uint64_t> key;
    GraphExecHandle graph = nullptr;
    bool isRefused = false; ///< by the driver: it is not asked again
    uint64_t used = 0;
  };
  Entry &add(std::vector<uint64_t> key);
  Status capture(Entry &entry, StreamHandle stream, const std::function<Status()> &steps);

  std::shared_ptr<const Device> device_;
  std::vector<Entry> entries_;
  uint64_t runs_ = 0;
};

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_GRAPHS_H
