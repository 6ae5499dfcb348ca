//===- Blocks.cpp - weights of which blocks are left out ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// blockP: P percent of the blocks of 1 step x 16 columns are kept in each panel, as f32; blockPxC: blocks of C columns, a multiple
// of 16, which share one list of steps. The weight of a layer becomes
//
//   @w.block50         = prune_weight(@w)                     what the solver leaves
//   @w.block50.rows    = block_rows(@w.block50)
//   @w.block50.values  = compact_blocks(@w.block50, @w.block50.rows)
//   %w = tfm.expand_blocks %values, %rows                     in front of the layer, which walks the rows
//
//===----------------------------------------------------------------------===//

#include "Builtins.h"
#include "Pruned.h"
#include "Tfm/Panels.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// Where no cost model answers: kept percent above which blocks are not faster than the dense kernel: the break-even of
/// docs/sparsity.md, measured for 1, 16 and 128 rows.
static constexpr int64_t kMostKept = 80;

namespace {

struct Blocks {
  int64_t percent = 0, columns = kPanelColumns;

  static std::optional<Blocks> parse(StringRef text) {
    Blocks result;
    if (!text.consume_front("block") || text.consumeInteger(10, result.percent) || result.percent < 1 || result.percent > 100)
      return std::nullopt;
    if (text.consume_front("x") && (text.consumeInteger(10, result.columns) || result.columns < 1 || result.columns % kPanelColumns != 0))
      return std::nullopt;
    return text.empty() ? std::optional(result) : std::nullopt;
  }
  /// Steps of K that are kept, at least one.
  int64_t kept(int64_t k) const { return std::max<int64_t>(1, (k * percent + 50) / 100); }
};

/// The weight of a layer from the blocks that are kept.
Value expandBlocks(Blocks blocks, PrunedLayer &layer) {
  OpBuilder &builder = layer.builder;
  Location loc = layer.loc();
  std::array<int64_t, 2> sides = {1, blocks.columns};
  auto block = builder.getDenseI64ArrayAttr(sides);
  int64_t kept = blocks.kept(layer.type.getDimSize(0)), slabs = llvm::divideCeil(layer.type.getDimSize(1), blocks.columns);
  WeightOp pruned = layer.prune(kept, sides);
  auto rowsType = RankedTensorType::get({slabs, kept}, builder.getI32Type());
  WeightOp rows = layer.part(".rows", rowsType, pruned, [&](Value zeroed) {
    return BlockRowsOp::create(builder, loc, rowsType, zeroed, builder.getI64IntegerAttr(kept), block).getResult();
  });
  auto valuesType = RankedTensorType::get({slabs, kept, blocks.columns}, layer.type.getElementType());
  WeightOp values = layer.part(".values", valuesType, pruned, [&](Value zeroed) {
    return CompactBlocksOp::create(builder, loc, valuesType, zeroed, layer.get(rows), block).getResult();
  });
  layer.atLayer();
  Value keptValues = layer.get(values), keptRows = layer.get(rows);
  return ExpandBlocksOp::create(builder, loc, layer.type, keptValues, keptRows, block, builder.getDenseI64ArrayAttr(layer.type.getShape()));
}

/// "768x3072x"
std::string sizes(ArrayRef<int64_t> shape) {
  std::string text;
  for (int64_t size : shape)
    text += std::to_string(size) + "x";
  return text;
}

/// A layer alone: any number of rows, a weight [K, N] that `decode` makes of arguments of the types `stored`.
std::string layerKernel(ArrayRef<int64_t> shape, const std::string &decode, const std::string &weight, ArrayRef<std::pair<std::string, std::string>> stored = {}) {
  auto dims = [](StringRef sizes) { // "48x384x" as #tfm.dim<48>, #tfm.dim<384>
    std::string text;
    SmallVector<StringRef> parts;
    sizes.split(parts, 'x', -1, /*KeepEmpty=*/false);
    for (StringRef part : parts)
      text += (text.empty() ? "[#tfm.dim<" : ", #tfm.dim<") + part.str() + ">";
    return text + "]";
  };
  std::string k = std::to_string(shape[0]), n = std::to_string(shape[1]), x = "tensor<?x" + k + "xf32>", y = "tensor<?x" + n + "xf32>";
  std::string argDims = "[#tfm.dim<d0>, #tfm.dim<" + k + ">]", arguments = "%x: " + x;
  if (stored.empty())
    argDims += ", " + dims(sizes(shape)), arguments += ", %w: " + weight;
  for (auto [index, argument] : llvm::enumerate(stored)) {
    argDims += ", " + dims(argument.first);
    arguments += ", %s" + std::to_string(index) + ": tensor<" + argument.first + argument.second + ">";
  }
  return "kern.kernel @kernel contraction attributes {arg_dims = [" + argDims + "], symbols = [\"d0\"]} {\n^bb0(" + arguments + "):\n" + decode +
         "  %0 = tfm.linear %x, %w : (" + x + ", " + weight + ") -> " + y + "\n  kern.yield %0 : " + y + "\n}\n";
}

std::string sparseKernel(const Blocks &blocks, ArrayRef<int64_t> shape) {
  int64_t slabs = llvm::divideCeil(shape[1], blocks.columns), kept = blocks.kept(shape[0]);
  std::string values = sizes({slabs, kept, blocks.columns}), rows = sizes({slabs, kept}), weight = "tensor<" + sizes(shape) + "f32>";
  std::string decode = "  %w = tfm.expand_blocks %s0, %s1 {block = array<i64: 1, " + std::to_string(blocks.columns) + ">, shape = array<i64: " +
                       std::to_string(shape[0]) + ", " + std::to_string(shape[1]) + ">} : (tensor<" + values + "f32>, tensor<" + rows + "i32>) -> " + weight + "\n";
  return layerKernel(shape, decode, weight, {{values, "f32"}, {rows, "i32"}});
}

class BlockFormat : public WeightFormat {
public:
  std::string names() const override { return "blockP, blockPxC (P: percent of blocks of 1 step x C columns that are kept; C: 16)"; }
  std::string defaultSolver() const override { return kDefaultPruner.str(); }
  bool accepts(StringRef level) const override { return Blocks::parse(level).has_value(); }
  bool isOfF32(StringRef) const override { return true; }

  double bitsPerWeight(StringRef level, int64_t k, int64_t n) const override {
    Blocks blocks = *Blocks::parse(level);
    double bits = 32 + 32.0 / blocks.columns; // a number of 32 bits for each block
    return bits * blocks.kept(k) * llvm::alignTo(n, blocks.columns) / (double(k) * n);
  }

  std::string whyNot(StringRef level, WeightSite site) const override {
    auto type = cast<RankedTensorType>(site.weight.getType());
    if (!isa<LinearOp>(site.op))
      return "its table is read by rows; blocks are left out of layers only";
    if (!type.getElementType().isF32())
      return "blocks are unsupported in elements other than f32";
    return "";
  }

  std::string whySlower(StringRef level, WeightSite site, const KernelCosts *costs) const override {
    Blocks blocks = *Blocks::parse(level);
    ArrayRef<int64_t> shape = cast<RankedTensorType>(site.weight.getType()).getShape();
    std::string percent = std::to_string(blocks.percent) + "% of the blocks take ";
    if (auto quotient = costs ? costs->quotient(sparseKernel(blocks, shape), layerKernel(shape, "", "tensor<" + sizes(shape) + "f32, #tfm.panels>"))
                              : std::nullopt)
      return *quotient < 1 ? "" : percent + llvm::formatv("{0:f2} times as long as a dense weight, by the cost model", *quotient).str();
    return blocks.percent <= kMostKept ? "" : percent + "longer than all of a dense weight; at most " + std::to_string(kMostKept) + "% are faster";
  }

  LogicalResult encode(StringRef level, StringRef named, WeightSite site, EncodeContext &context) const override {
    PrunedLayer layer(level, named, site, context);
    layer.linear.getWeightMutable().assign(expandBlocks(*Blocks::parse(level), layer));
    return success();
  }
};

} // namespace

std::unique_ptr<WeightFormat> permalloy::makeBlockFormat() { return std::make_unique<BlockFormat>(); }
