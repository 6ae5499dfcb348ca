//===- Affine.cpp - integer codes with a scale for each group ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// wB: codes of B bits, one scale of f32 for each column; wBgG: one of f16 for each G steps of K; asym: with zero points.
// Codes of 2 and 3 bits are stored in 4, those of 5 to 7 in 8. wBauto: the longest group that loses little more than 32
// steps do, chosen for each weight (after Kim et al.: FineQuant, 2023, which shortens groups where their range is wide).
//
//===----------------------------------------------------------------------===//

#include "Builtins.h"
#include "Tfm/PrecisionAttr.h"
#include "permalloy/Reference/WeightEvaluator.h"
#include "permalloy/Solvers/WeightSolver.h"
#include "permalloy/Transforms/EncodeAsCodes.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Groups that `auto` chooses among, the shortest of which it measures by.
constexpr int64_t kShortest = 32;
constexpr int64_t kGroups[] = {1024, 512, 256, 128, 64};
/// How much more squared error than groups of kShortest a longer group may have.
constexpr double kMoreError = 1.25;
/// Columns of a weight that are looked at.
constexpr int64_t kSample = 64;

struct Affine {
  unsigned bits;
  int64_t group = 0; ///< 0: K
  bool asymmetric = false, chooses = false;

  static std::optional<Affine> parse(StringRef text) {
    Affine result;
    if (!text.consume_front("w") || text.consumeInteger(10, result.bits) || result.bits < 2 || result.bits > 8)
      return std::nullopt;
    if (text.consume_front("g") && (text.consumeInteger(10, result.group) || result.group < 1))
      return std::nullopt;
    result.chooses = result.group == 0 && text.consume_front("auto");
    if (result.chooses)
      result.group = kShortest;
    result.asymmetric = text.consume_front("asym");
    return text.empty() ? std::optional(result) : std::nullopt;
  }
  int64_t groupOf(int64_t k) const { return group == 0 ? k : group; }
  QuantType code(MLIRContext *context, int64_t k) const { return QuantType::get(context, !asymmetric, bits, groupOf(k)); }
  Type scale(MLIRContext *context) const {
    return group == 0 ? Type(Float32Type::get(context)) : Type(Float16Type::get(context));
  }
};

/// Up to kSample columns of a site's weight, [K, n], spread over all; empty after an error, which was emitted.
std::vector<float> sampleColumns(WeightSite site, int64_t k, int64_t n, bool isTransposed) {
  std::vector<char> bytes;
  reference::WeightEvaluator evaluator;
  auto keep = [&](ArrayRef<char> piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return success();
  };
  if (failed(evaluator.evaluate(site.weight, keep)))
    return {};
  auto tensor = reference::Tensor::view(cast<RankedTensorType>(site.weight.getType()), bytes, nullptr);
  int64_t columns = std::min(n, kSample);
  std::vector<float> sample(k * columns);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      int64_t column = j * n / columns;
      sample[i * columns + j] = float(tensor.number(isTransposed ? column * k + i : i * n + column));
    }
  return sample;
}

double errorOf(const Affine &affine, int64_t group, int64_t k, std::span<const float> sample) {
  solvers::Grid grid{affine.bits, !affine.asymmetric, !affine.asymmetric, group, {}, true};
  solvers::Solution solution;
  if (!solvers::solve("rtn", {k, int64_t(sample.size()) / k, sample, {}, {}, grid, {}}, solution).empty())
    return 0; // what is not finite is reported when the weight is written
  double sum = 0;
  for (size_t i = 0; i < sample.size(); ++i)
    sum += (sample[i] - solution.weight[i]) * (sample[i] - solution.weight[i]);
  return sum;
}

class AffineFormat : public WeightFormat {
public:
  std::string names() const override { return "wB, wBgG, wBgGasym, wBauto (B: 2 to 8 bits, G: steps of K that share a scale)"; }
  bool accepts(StringRef level) const override { return Affine::parse(level).has_value(); }
  /// Groups that do not fit the tiles of tf32 are multiplied in f32.
  bool ignores(StringRef level, StringRef precision) const override {
    int64_t group = Affine::parse(level)->group;
    return precision == kTf32Precision && group % 16 != 0 && group != 8;
  }

  double bitsPerWeight(StringRef level, int64_t k, int64_t n) const override {
    Affine affine = *Affine::parse(level);
    int64_t group = affine.groupOf(k), stored = affine.bits <= 4 ? 4 : 8, scale = affine.group == 0 ? 32 : 16;
    return stored + double((k + group - 1) / group) * scale * (affine.asymmetric ? 2 : 1) / k;
  }

  std::string whyNot(StringRef level, WeightSite site) const override { return ""; }

  std::string resolve(StringRef level, WeightSite site) const override {
    Affine affine = *Affine::parse(level);
    if (!affine.chooses)
      return level.str();
    auto type = cast<RankedTensorType>(site.weight.getType());
    bool isTransposed = isa<GatherOp>(site.op);
    int64_t k = type.getDimSize(isTransposed ? 1 : 0), n = type.getDimSize(isTransposed ? 0 : 1), chosen = kShortest;
    std::vector<float> sample = sampleColumns(site, k, n, isTransposed);
    double limit = sample.empty() ? 0 : kMoreError * errorOf(affine, kShortest, k, sample);
    for (int64_t group : kGroups)
      if (!sample.empty() && group <= k && errorOf(affine, group, k, sample) <= limit) {
        chosen = group;
        break;
      }
    return "w" + std::to_string(affine.bits) + "g" + std::to_string(chosen) + (affine.asymmetric ? "asym" : "");
  }

  LogicalResult encode(StringRef name, StringRef solver, WeightSite site, EncodeContext &context) const override {
    std::string level = resolve(name, site);
    Affine affine = *Affine::parse(level);
    MLIRContext *mlir = site.op->getContext();
    return encodeAsCodes(level, solver, site, context,
                         [&](int64_t k) { return CodeTypes{affine.code(mlir, k), affine.scale(mlir), affine.asymmetric, {}}; });
  }
};

} // namespace

std::unique_ptr<WeightFormat> permalloy::makeAffineFormat() { return std::make_unique<AffineFormat>(); }
