//===- Graphs.cpp - runs that repeat, as one launch --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Graphs.h"

#include <algorithm>

namespace permalloy::cuda {

Graphs::~Graphs() {
  if (!device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  for (const Entry &entry : entries_)
    if (entry.graph)
      device_->driver().destroyGraphExec(entry.graph);
}

Graphs::Entry &Graphs::add(std::vector<uint64_t> key) {
  if (entries_.size() == kMost) {
    auto oldest = std::ranges::min_element(entries_, {}, &Entry::used);
    if (oldest->graph)
      device_->driver().destroyGraphExec(oldest->graph);
    entries_.erase(oldest);
  }
  return entries_.emplace_back(std::move(key));
}

/// Captures the steps without running them; `entry` has their graph, or is refused.
Status Graphs::capture(Entry &entry, StreamHandle stream, const std::function<Status()> &steps) {
  const Driver &driver = device_->driver();
  if (driver.beginCapture(stream, kCaptureThreadLocal) != kSuccess)
    return entry.isRefused = true, Status();
  Status status = steps();
  GraphHandle graph = nullptr;
  int error = driver.endCapture(stream, &graph);
  if (status.ok())
    entry.isRefused =
        error != kSuccess || driver.graphInstantiate(&entry.graph, graph, 0) != kSuccess;
  if (graph)
    driver.destroyGraph(graph);
  return status;
}

Status Graphs::run(std::vector<uint64_t> key, StreamHandle stream,
                   const std::function<Status()> &steps) {
  if (!device_->driver().graphInstantiate)
    return steps();
  auto known = std::ranges::find(entries_, key, &Entry::key);
  bool isFirst = known == entries_.end();
  Entry &entry = isFirst ? add(std::move(key)) : *known;
  entry.used = ++runs_;
  if (isFirst || entry.isRefused)
    return steps();
  if (!entry.graph)
    PERMALLOY_TRY(capture(entry, stream, steps));
  if (!entry.graph)
    return steps();
  PERMALLOY_CUDA_TRY(device_->driver(), launchGraph(entry.graph, stream), "launch a graph");
  return {};
}

} // namespace permalloy::cuda
