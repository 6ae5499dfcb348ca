//===- Trees.cpp - boosted trees from a flat file ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/Trees.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

using namespace permalloy;

namespace {
/// Reads on until the bytes end; then everything is zero and `cut` says so.
class Reader {
public:
  explicit Reader(std::string_view bytes) : bytes(bytes) {}

  template <typename T> T number() {
    T value = {};
    take(&value, sizeof value);
    return value;
  }
  std::string text(size_t size) {
    std::string value(size, '\0');
    take(value.data(), size);
    return value.c_str();
  }
  void take(void *to, size_t size) {
    if (size > bytes.size()) {
      cut = true;
      return;
    }
    std::memcpy(to, bytes.data(), size);
    bytes.remove_prefix(size);
  }
  size_t left() const { return bytes.size(); }
  bool cut = false;

private:
  std::string_view bytes;
};
} // namespace

static std::string hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

Result<Trees> Trees::parse(std::string_view bytes, std::string_view targetKind, uint64_t featureHash, size_t features) {
  auto bad = [](const std::string &why) { return Status(StatusCode::invalidArgument, "cost model: " + why); };
  Reader in(bytes);
  char magic[8] = {};
  in.take(magic, sizeof magic);
  if (std::memcmp(magic, "PMTREES1", sizeof magic) != 0)
    return bad("the file does not begin with \"PMTREES1\", so it holds no trees");
  if (uint32_t version = in.number<uint32_t>(); version != kTreesVersion)
    return bad("the trees have version " + std::to_string(version) + ", this compiler reads version " + std::to_string(kTreesVersion));
  uint32_t count = in.number<uint32_t>();
  uint64_t hash = in.number<uint64_t>();
  std::string target = in.text(32);
  Trees trees;
  for (uint32_t kinds = in.number<uint32_t>(); kinds > 0 && !in.cut; --kinds)
    trees.cpus.push_back(in.text(64));
  if (target != targetKind)
    return bad("the trees are for target kind '" + target + "', not '" + std::string(targetKind) + "'");
  if (hash != featureHash || count != features)
    return bad("the trees were trained on " + std::to_string(count) + " features with hash " + hex(hash) + ", this compiler computes " +
               std::to_string(features) + " with hash " + hex(featureHash) + "; train them anew (benchmarks/cost_model/train.py)");
  for (double &scale : trees.scales)
    scale = in.number<double>();
  uint32_t members = in.number<uint32_t>();
  if (in.number<uint32_t>() != kHeads || members == 0 || members > 64 || in.cut)
    return bad("the trees' header is damaged");
  trees.heads.resize(members * kHeads);
  std::vector<uint32_t> sizes(trees.heads.size());
  for (uint32_t &size : sizes)
    if (size = in.number<uint32_t>(); in.cut || size > in.left())
      return bad("the file is cut short");
  std::vector<FileNode> nodes;
  std::vector<double> leaves;
  for (std::vector<Tree> &head : trees.heads)
    for (size_t tree = 0; tree < sizes[size_t(&head - trees.heads.data())]; ++tree) {
      uint32_t inner = in.number<uint32_t>();
      if (in.cut || inner > INT16_MAX || inner * sizeof(FileNode) + (inner + 1) * sizeof(double) > in.left())
        return bad("the file is cut short");
      nodes.clear(), leaves.clear();
      for (uint32_t i = 0; i < inner; ++i) {
        FileNode node = {in.number<uint16_t>(), in.number<int16_t>(), in.number<int16_t>(), in.number<uint16_t>(), in.number<float>()};
        // Children come behind their parents, so every walk ends.
        for (int32_t child : {node.left, node.right})
          if (child >= 0 ? child <= int32_t(i) || child >= int32_t(inner) : -1 - child > int32_t(inner))
            return bad("a tree is damaged");
        if (node.feature >= features)
          return bad("a tree is damaged");
        nodes.push_back(node);
      }
      for (uint32_t i = 0; i <= inner; ++i)
        leaves.push_back(in.number<double>());
      if (!trees.addTree(head, nodes, leaves))
        return bad("a tree is damaged");
    }
  if (in.left() != 0)
    return bad("the file goes on behind its last tree");
  return trees;
}

/// Breadth first: the nodes that most rows pass stand together.
bool Trees::addTree(std::vector<Tree> &head, std::span<const FileNode> inner, std::span<const double> leaves) {
  struct Place {
    int32_t child;  ///< as the file numbers it
    uint32_t depth;
  };
  std::vector<Place> order = {{inner.empty() ? -1 : 0, 0}};
  Tree tree{uint32_t(nodes.size()), 0};
  for (size_t at = 0; at < order.size(); ++at) {
    auto [child, depth] = order[at];
    tree.depth = std::max(tree.depth, depth);
    if (child < 0) {
      nodes.push_back({std::numeric_limits<float>::infinity(), 0, uint16_t(at)});
      values.push_back(leaves[size_t(-1 - child)]);
      continue;
    }
    if (order.size() > 2 * inner.size()) // a node that two others lead to
      return false;
    const FileNode &node = inner[size_t(child)];
    nodes.push_back({node.threshold, node.feature, uint16_t(order.size())});
    values.push_back(0);
    order.push_back({node.left, depth + 1}), order.push_back({node.right, depth + 1});
  }
  head.push_back(tree);
  return true;
}

/// Several trees at once: a step waits for two loads, and those of other trees do not wait for them.
double Trees::predict(size_t member, Head head, std::span<const float> row) const {
  constexpr size_t kTogether = 8;
  std::span<const Tree> trees = heads[member * kHeads + head];
  const float *features = row.data();
  double sum = 0;
  for (size_t begin = 0; begin < trees.size(); begin += kTogether) {
    const Node *roots[kTogether];
    uint32_t at[kTogether] = {}, depth = 0;
    size_t count = std::min(kTogether, trees.size() - begin);
    for (size_t i = 0; i < kTogether; ++i) {
      const Tree &tree = trees[begin + std::min(i, count - 1)];
      roots[i] = nodes.data() + tree.first, depth = std::max(depth, tree.depth);
    }
    for (uint32_t step = 0; step < depth; ++step)
      for (size_t i = 0; i < kTogether; ++i) {
        const Node &node = roots[i][at[i]];
        at[i] = node.left + !(features[node.feature] <= node.threshold);
      }
    for (size_t i = 0; i < count; ++i)
      sum += values[trees[begin + i].first + at[i]];
  }
  return sum;
}

void Trees::predict(Head head, std::span<const float> row, double &mean, double &deviation) const {
  double sum = 0, squares = 0, count = double(members());
  for (size_t member = 0; member < members(); ++member) {
    double value = predict(member, head, row);
    sum += value, squares += value * value;
  }
  mean = sum / count;
  deviation = std::sqrt(std::max(squares / count - mean * mean, 0.0));
}
