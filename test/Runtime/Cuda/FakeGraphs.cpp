//===- FakeGraphs.cpp - graphs of the fake driver ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Nodes that nothing puts in an order run in the reverse of the one in which they were added.
//
//===----------------------------------------------------------------------===//
#include "FakeState.h"

#include <algorithm>

using namespace permalloy;
using namespace permalloy::fakecuda;

namespace {

struct Node {
  std::vector<const Node *> before;
  Work work;
  bool isCopy = false;
};
struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;

  bool has(const Node *node) const {
    return std::ranges::find(nodes, node, &std::unique_ptr<Node>::get) != nodes.end();
  }
};
/// Work in an order that the graph allows, by node.
struct GraphExec {
  const Graph *graph;
  std::vector<std::pair<const Node *, Work>> work;
};
std::set<const Graph *> graphs; ///< that were not destroyed

} // namespace

static int checkCopy(const Copy3D &copy, Work &work) {
  std::byte *target = hostOf(copy.toDevice, copy.bytes);
  const std::byte *source = hostOf(copy.fromDevice, copy.bytes);
  bool isOnDevice = copy.fromKind == kDeviceMemoryKind && copy.toKind == kDeviceMemoryKind;
  if (!isOnDevice || copy.bytes == 0 || copy.rows != 1 || copy.planes != 1 ||
      copy.fromPitch < copy.bytes || copy.toPitch < copy.bytes)
    return kInvalidValue;
  if (!target || !source)
    return complain("a copy of a graph leaves its allocation", kInvalidValue);
  work = [=, bytes = copy.bytes] { return std::memcpy(target, source, bytes), kSuccess; };
  return kSuccess;
}

static int checkKernel(const KernelParameters &kernel, Work &work) {
  if (kernel.blocksY != 1 || kernel.blocksZ != 1 || kernel.threadsY != 1 || kernel.threadsZ != 1)
    return kInvalidValue;
  return makeLaunch(of<Function>(kernel.function), kernel.blocksX, kernel.threadsX,
                    kernel.sharedBytes, kernel.parameters, kernel.extra, work);
}

static int addNode(GraphNodeHandle *handle, GraphHandle graph, const GraphNodeHandle *before,
                   size_t count, Work work, bool isCopy) {
  auto node = std::make_unique<Node>();
  for (size_t i = 0; i < count; ++i) {
    node->before.push_back(of<Node>(before[i]));
    if (!of<Graph>(graph)->has(node->before.back()))
      return kInvalidValue;
  }
  node->work = std::move(work);
  node->isCopy = isCopy;
  *handle = reinterpret_cast<GraphNodeHandle>(node.get());
  of<Graph>(graph)->nodes.push_back(std::move(node));
  return kSuccess;
}

FAKE cuGraphCreate(GraphHandle *graph, unsigned flags) {
  BEGIN_TAKING;
  if (flags)
    return kInvalidValue;
  ++state().control.graphs;
  auto *fresh = new Graph();
  graphs.insert(fresh);
  *graph = reinterpret_cast<GraphHandle>(fresh);
  return kSuccess;
}
FAKE cuGraphAddKernelNode(GraphNodeHandle *node, GraphHandle graph, const GraphNodeHandle *before,
                          size_t count, const KernelParameters *parameters) {
  BEGIN_TAKING;
  Work work;
  int error = checkKernel(*parameters, work);
  return error ? error : addNode(node, graph, before, count, std::move(work), false);
}
FAKE cuGraphAddMemcpyNode(GraphNodeHandle *node, GraphHandle graph, const GraphNodeHandle *before,
                          size_t count, const Copy3D *copy, ContextHandle) {
  BEGIN;
  Work work;
  int error = checkCopy(*copy, work);
  return error ? error : addNode(node, graph, before, count, std::move(work), true);
}

FAKE cuGraphInstantiateWithFlags(GraphExecHandle *handle, GraphHandle graph, unsigned long long) {
  BEGIN_TAKING;
  if (state().control.lacksGraphs)
    return kInvalidValue;
  auto exec = std::make_unique<GraphExec>(of<Graph>(graph));
  auto &work = exec->work;
  std::set<const Node *> done;
  auto isDone = [&](const Node *node) { return done.contains(node); };
  const auto &nodes = exec->graph->nodes;
  while (work.size() < nodes.size()) // the last one that may
    for (size_t i = nodes.size(); i-- > 0;)
      if (!isDone(nodes[i].get()) && std::ranges::all_of(nodes[i]->before, isDone)) {
        work.emplace_back(nodes[i].get(), nodes[i]->work);
        done.insert(nodes[i].get());
        break;
      }
  ++state().control.graphs;
  ++state().control.instantiations;
  *handle = reinterpret_cast<GraphExecHandle>(exec.release());
  return kSuccess;
}

static int setNode(GraphExecHandle handle, GraphNodeHandle node, Work work, bool isCopy) {
  auto *exec = of<GraphExec>(handle);
  Control &control = state().control;
  if (!graphs.contains(exec->graph))
    return complain("a node is set whose graph is gone", kInvalidValue);
  if (control.refusesUpdates || !exec->graph->has(of<Node>(node)) || of<Node>(node)->isCopy != isCopy)
    return kInvalidValue;
  for (auto &[known, its] : exec->work)
    if (known == of<Node>(node))
      its = std::move(work);
  ++control.nodeUpdates;
  return kSuccess;
}
FAKE cuGraphExecKernelNodeSetParams(GraphExecHandle exec, GraphNodeHandle node,
                                    const KernelParameters *parameters) {
  BEGIN_TAKING;
  Work work;
  int error = checkKernel(*parameters, work);
  return error ? error : setNode(exec, node, std::move(work), false);
}
FAKE cuGraphExecMemcpyNodeSetParams(GraphExecHandle exec, GraphNodeHandle node, const Copy3D *copy,
                                    ContextHandle) {
  BEGIN;
  Work work;
  int error = checkCopy(*copy, work);
  return error ? error : setNode(exec, node, std::move(work), true);
}

FAKE cuGraphLaunch(GraphExecHandle exec, StreamHandle stream) {
  BEGIN_TAKING;
  ON_STREAM(stream);
  ++state().control.graphLaunches;
  for (const auto &[node, work] : of<GraphExec>(exec)->work)
    queue->put(work);
  return kSuccess;
}
FAKE cuGraphExecDestroy(GraphExecHandle exec) {
  BEGIN_RELEASE;
  runAll();
  delete of<GraphExec>(exec);
  --state().control.graphs;
  return kSuccess;
}
FAKE cuGraphDestroy(GraphHandle graph) {
  BEGIN_RELEASE;
  graphs.erase(of<Graph>(graph));
  delete of<Graph>(graph);
  --state().control.graphs;
  return kSuccess;
}
