//===- Graphs.cpp - runs as one launch ---------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Graphs.h"

#include <utility>

namespace permalloy::cuda {

//===-- Graph -------------------------------------------------------------===//

namespace {
/// A launch as nodes take it. Points into itself and into the words, which the driver copies.
struct KernelNode {
  KernelNode(const Work &work, const uint64_t *words)
      : bytes(work.words * sizeof(uint64_t)),
        extra{kParameterBuffer, const_cast<uint64_t *>(words), kParameterBytes, &bytes, nullptr} {
    parameters.function = work.function;
    parameters.blocksX = work.blocks;
    parameters.threadsX = work.threads;
    parameters.sharedBytes = work.sharedBytes;
    parameters.extra = extra;
  }
  KernelNode(const KernelNode &) = delete;

  size_t bytes;
  void *extra[5];
  KernelParameters parameters;
};
} // namespace

/// Bytes that drivers take for a row, as which a node copies.
static constexpr uint64_t kMostRow = INT32_MAX;

static bool fitsNode(const Work &work, const WorkList &list) {
  return work.function || list.wordsOf(work)[2] <= kMostRow;
}

static Copy3D copyNode(const uint64_t *words) {
  Copy3D copy;
  copy.toKind = copy.fromKind = kDeviceMemoryKind;
  copy.toDevice = words[0];
  copy.fromDevice = words[1];
  copy.bytes = copy.fromPitch = copy.toPitch = words[2];
  copy.rows = copy.planes = copy.fromHeight = copy.toHeight = 1;
  return copy;
}

Graph &Graph::operator=(Graph &&other) noexcept {
  std::swap(device_, other.device_);
  std::swap(work_, other.work_);
  std::swap(graph_, other.graph_);
  std::swap(nodes_, other.nodes_);
  std::swap(exec_, other.exec_);
  return *this;
}

void Graph::destroy() {
  freeze();
  if (exec_ && device_->isOfThisProcess()) {
    Device::Scope scope(*device_);
    device_->driver().destroyGraphExec(exec_);
  }
  exec_ = nullptr;
  work_.clear();
}

void Graph::freeze() {
  if (graph_ && device_->isOfThisProcess()) {
    Device::Scope scope(*device_);
    device_->driver().destroyGraph(graph_);
  }
  graph_ = nullptr;
  nodes_.clear();
}

/// Each node waits for the one before, as in a stream.
int Graph::addNode(const Work &work) {
  const Driver &driver = device_->driver();
  const GraphNodeHandle *before = nodes_.empty() ? nullptr : &nodes_.back();
  GraphNodeHandle node = nullptr;
  int error;
  if (work.function) {
    KernelNode kernel(work, work_.wordsOf(work));
    error = driver.addKernelNode(&node, graph_, before, before != nullptr, &kernel.parameters);
  } else {
    Copy3D copy = copyNode(work_.wordsOf(work));
    error = driver.addCopyNode(&node, graph_, before, before != nullptr, &copy, device_->context());
  }
  nodes_.push_back(node);
  return error;
}

int Graph::build(const WorkList &work) {
  const Driver &driver = device_->driver();
  destroy();
  work_ = work;
  nodes_.reserve(work_.items.size());
  int error = driver.createGraph(&graph_, 0);
  for (size_t i = 0; i < work_.items.size() && error == kSuccess; ++i)
    error = addNode(work_.items[i]);
  if (error == kSuccess)
    error = driver.graphInstantiate(&exec_, graph_, 0);
  if (error != kSuccess)
    destroy();
  return error;
}

int Graph::update(const WorkList &work, uint64_t &set) {
  const Driver &driver = device_->driver();
  for (size_t i = 0; i < work.items.size(); ++i) {
    if (!work.differsAt(i, work_))
      continue;
    const Work &item = work.items[i];
    int error;
    if (item.function) {
      KernelNode kernel(item, work.wordsOf(item));
      error = driver.setKernelNode(exec_, nodes_[i], &kernel.parameters);
    } else {
      Copy3D copy = copyNode(work.wordsOf(item));
      error = driver.setCopyNode(exec_, nodes_[i], &copy, device_->context());
    }
    if (error != kSuccess)
      return destroy(), error;
    ++set;
  }
  work_ = work;
  return kSuccess;
}

bool Graph::holds(const WorkList &work) const {
  if (!exec_ || work.words != work_.words || !work_.hasShapeOf(work))
    return false;
  for (size_t i = 0; i < work.items.size(); ++i)
    if (work.differsAt(i, work_))
      return false;
  return true;
}

int Graph::launch(StreamHandle stream) const {
  return device_->tryTwice([&] { return device_->driver().launchGraph(exec_, stream); });
}

//===-- Graphs ------------------------------------------------------------===//

/// Whether at most half of the work is other than `before`.
static bool isLittleChanged(const WorkList &work, const WorkList &before) {
  if (!work.hasShapeOf(before))
    return false;
  size_t changed = 0;
  for (size_t i = 0; i < work.items.size(); ++i)
    changed += work.differsAt(i, before);
  return 2 * changed <= work.items.size();
}

static uint64_t hashOf(const WorkList &work) {
  uint64_t hash = work.items.size();
  for (uint64_t word : work.words)
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u, hash ^= hash >> 32;
  return hash;
}

/// Whether `work` is among the latest runs, and notes it.
bool Graphs::cameBefore(const WorkList &work) {
  uint64_t hash = hashOf(work);
  if (std::ranges::find(seen_, hash) != seen_.end())
    return true;
  seen_[runs_ % kMost] = hash;
  return false;
}

/// A graph of its own for work that came before.
Graph *Graphs::repeated(const WorkList &work) {
  if (isRepeatedRefused_)
    return nullptr;
  if (entries_.size() == kMost)
    entries_.erase(std::ranges::min_element(entries_, {}, &Entry::used));
  Graph graph(device_);
  int error = device_->tryTwice([&] { return graph.build(work); });
  isRepeatedRefused_ = error != kSuccess && error != kOutOfMemory;
  graph.freeze();
  return error ? nullptr : &entries_.emplace_back(std::move(graph), runs_).graph;
}

/// The graph that follows, brought to `work`.
Graph *Graphs::moved(const WorkList &work) {
  if (isMovingRefused_)
    return nullptr;
  int error = moving_.hasShapeOf(work) ? moving_.update(work, nodesSet_)
                                       : device_->tryTwice([&] { return moving_.build(work); });
  isMovingRefused_ = error != kSuccess && error != kOutOfMemory;
  return error ? nullptr : &moving_;
}

/// Null where there is none to be.
Graph *Graphs::graphOf(const WorkList &work) {
  if (work.items.empty() || !device_->driver().graphInstantiate ||
      !std::ranges::all_of(work.items, [&](const Work &item) { return fitsNode(item, work); }))
    return nullptr;
  ++runs_;
  for (Entry &entry : entries_)
    if (entry.graph.holds(work))
      return entry.used = runs_, &entry.graph;
  if (moving_.holds(work))
    return &moving_;
  if (cameBefore(work))
    return repeated(work);
  Graph *graph = isLittleChanged(work, last_) ? moved(work) : nullptr;
  last_ = work;
  return graph;
}

Result<bool> Graphs::launch(const WorkList &work, StreamHandle stream) {
  Graph *graph = graphOf(work);
  if (!graph)
    return false;
  int error = graph->launch(stream);
  if (error == kOutOfMemory)
    return drop(*graph), false;
  if (error != kSuccess)
    return device_->driver().failure(error, "launch a graph");
  ++launches_;
  return true;
}

void Graphs::drop(Graph &graph) {
  graph.destroy();
  std::erase_if(entries_, [](const Entry &entry) { return entry.graph.isEmpty(); });
}

} // namespace permalloy::cuda
