//===- Graphs.h - runs as one launch -----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Putting a launch into a stream costs the host 2 to 3 us, a graph of a hundred of them about as
// much in all, and the GPU begins the next kernel of a graph sooner. A graph holds the kernels of a
// run with their grids and parameters:
//
//   run   past       what is done
//   1     16         its work is put into the stream, piece by piece
//   2     17         most of it is as in run 1: it becomes a graph, which is launched
//   3     18         the graph's nodes that differ (attention, the new rows' place) are set anew
//   ...
//
// Runs of which most differs from the run before (a text of another length) go piece by piece: to
// set all nodes costs about as much as to launch them. A run that comes a second time, whatever was
// between, gets a graph of its own.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_GRAPHS_H
#define PERMALLOY_LIB_RUNTIME_CUDA_GRAPHS_H

#include "Device.h"
#include "Work.h"

#include <array>

namespace permalloy::cuda {

/// Work as the driver keeps it for launches.
class Graph {
public:
  explicit Graph(std::shared_ptr<const Device> device) : device_(std::move(device)) {}
  Graph(Graph &&other) noexcept : device_(other.device_) { *this = std::move(other); }
  Graph &operator=(Graph &&other) noexcept;
  ~Graph() { destroy(); }

  /// What the driver gives back; after a failure it holds nothing.
  int build(const WorkList &work);
  /// The same for work of the same shape: sets the nodes that differ, and counts them.
  int update(const WorkList &work, uint64_t &set);
  /// It is not updated any more.
  void freeze();
  bool holds(const WorkList &work) const;
  bool hasShapeOf(const WorkList &work) const { return exec_ && work_.hasShapeOf(work); }
  bool isEmpty() const { return !exec_; }
  int launch(StreamHandle stream) const;
  void destroy();

private:
  int addNode(const Work &work);

  std::shared_ptr<const Device> device_;
  WorkList work_;
  GraphHandle graph_ = nullptr; ///< by whose nodes those of exec_ are known
  std::vector<GraphNodeHandle> nodes_;
  GraphExecHandle exec_ = nullptr;
};

/// Graphs of one context. The calling thread has the device's context.
class Graphs {
public:
  /// Graphs of runs that came twice; the one that was not used for longest makes room.
  static constexpr size_t kMost = 16;

  explicit Graphs(std::shared_ptr<const Device> device)
      : device_(std::move(device)), moving_(device_) {}

  /// Launches a graph of `work`. False where `work` is to be put into the stream piece by piece, as
  /// it is where there is no memory for a graph.
  Result<bool> launch(const WorkList &work, StreamHandle stream);
  uint64_t launches() const { return launches_; }
  uint64_t nodesSet() const { return nodesSet_; }

private:
  struct Entry {
    Graph graph;
    uint64_t used = 0;
  };
  bool cameBefore(const WorkList &work);
  Graph *repeated(const WorkList &work);
  Graph *moved(const WorkList &work);
  Graph *graphOf(const WorkList &work);
  void drop(Graph &graph);

  std::shared_ptr<const Device> device_;
  std::vector<Entry> entries_;
  uint64_t runs_ = 0, launches_ = 0, nodesSet_ = 0;
  std::array<uint64_t, kMost> seen_ = {}; ///< hashes of runs; one too many costs a graph
  Graph moving_;                          ///< follows runs that change little
  WorkList last_;                         ///< of the run before
  /// By the driver, of each kind: it is not asked again.
  bool isRepeatedRefused_ = false, isMovingRefused_ = false;
};

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_GRAPHS_H
