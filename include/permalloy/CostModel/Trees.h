//===- Trees.h - boosted trees from a flat file ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What benchmarks/cost_model/train.py writes and the compiler evaluates, without a framework. Numbers are little-endian:
//
//   8 bytes   "PMTREES1"
//   u32       version of this layout, kTreesVersion
//   u32       number of features
//   u64       hash of their names (CostFeatures.h)
//   char[32]  target kind, zero-padded: "cpu"
//   u32       kinds of CPUs that the rows were measured on; char[64] each, zero-padded
//   f64 x 2   scales of the deviation: ln of a time, ln of the quotient of two schedules of a kernel
//   u32, u32  members of the ensemble, heads of each (absolute, ranking)
//   u32 each  number of trees, of every head of every member; then all trees:
//   u32       inner nodes; of each: u16 feature, i16 left, i16 right, u16 0, f32 threshold; leaves follow as f64, inner nodes + 1
//
// A row goes left where its feature is at most the threshold. A child that is negative is leaf number -1 - child. A head's value is the
// sum of its trees' leaves in order, in double: the same bits that LightGBM gives (thresholds, which it keeps in double, were
// rounded down to f32, which decides the same for features in f32).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_TREES_H
#define PERMALLOY_COSTMODEL_TREES_H

#include "permalloy/Artifact/Status.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace permalloy {

inline constexpr uint32_t kTreesVersion = 2;

/// An ensemble of which each member predicts ln(time / prior) and, for choosing among schedules of one kernel, a score that
/// orders them: a lower one is faster.
class Trees {
public:
  enum Head { Absolute, Ranking, kHeads };

  /// Refuses a file that is cut short, of another version or target kind, or of other features, and says which.
  static Result<Trees> parse(std::string_view bytes, std::string_view targetKind, uint64_t featureHash, size_t features);

  size_t members() const { return heads.size() / kHeads; }
  /// Of one member.
  double predict(size_t member, Head head, std::span<const float> row) const;
  /// Mean and standard deviation over the members.
  void predict(Head head, std::span<const float> row, double &mean, double &deviation) const;

  /// Whether rows of that kind of CPU are among those that they were trained on.
  bool knows(const std::string &cpu) const { return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end(); }
  double absoluteScale() const { return scales[0]; }
  double rankingScale() const { return scales[1]; }

private:
  /// Eight bytes, so that two levels of a tree share a line of the cache. Children stand side by side; a leaf is its own child.
  struct Node {
    float threshold;
    uint16_t feature, left; ///< within the tree
  };
  struct Tree {
    uint32_t first; ///< of its nodes
    uint32_t depth; ///< steps from the root that reach every leaf
  };
  /// As the file has it.
  struct FileNode {
    uint16_t feature;
    int16_t left, right;
    uint16_t unused;
    float threshold;
  };
  /// False where the nodes make no tree.
  bool addTree(std::vector<Tree> &head, std::span<const FileNode> inner, std::span<const double> leaves);

  std::vector<Node> nodes;
  std::vector<double> values;           ///< of each node: what it adds, where it is a leaf
  std::vector<std::vector<Tree>> heads; ///< of member 0: absolute, ranking; of member 1: ...
  std::vector<std::string> cpus;
  double scales[2] = {1, 1};
};

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_TREES_H
