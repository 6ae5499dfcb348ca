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
// blockPw8a8: blocks of 4 steps x 16 columns of a layer in 8-bit integers (DynamicInt8.cpp). They are chosen, and repaired, before what
// is kept is rounded, so codes, rows and values are made of @w.block50w8a8, the pruned weight. Its rows have no outliers: those would
// need any row of the weight.
//
//===----------------------------------------------------------------------===//

#include "../DynamicQuantization.h"
#include "Builtins.h"
#include "LayerKernels.h"
#include "Pruned.h"
#include "Tfm/Panels.h"
#include "Tfm/PrecisionAttr.h"

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
  bool ofCodes = false; ///< of 8 bits

  static std::optional<Blocks> parse(StringRef text) {
    Blocks result;
    if (!text.consume_front("block") || text.consumeInteger(10, result.percent) || result.percent < 1 || result.percent > 100)
      return std::nullopt;
    if (text.consume_front("x") && (text.consumeInteger(10, result.columns) || result.columns < 1 || result.columns % kPanelColumns != 0))
      return std::nullopt;
    if (result.columns == kPanelColumns)
      result.ofCodes = text.consume_front(kDynamicLevel);
    return text.empty() ? std::optional(result) : std::nullopt;
  }
  /// Steps of K in a block, and blocks of each slab that are kept, at least one.
  int64_t depth() const { return ofCodes ? 4 : 1; }
  int64_t kept(int64_t k) const { return std::max<int64_t>(1, (k / depth() * percent + 50) / 100); }
  std::array<int64_t, 2> sides() const { return {depth(), columns}; }
  RankedTensorType rowsType(ArrayRef<int64_t> shape, MLIRContext *context) const {
    return RankedTensorType::get({int64_t(llvm::divideCeil(shape[1], columns)), kept(shape[0])}, IntegerType::get(context, 32));
  }
  RankedTensorType valuesType(ArrayRef<int64_t> shape, Type element) const {
    return RankedTensorType::get({int64_t(llvm::divideCeil(shape[1], columns)), kept(shape[0]), depth() * columns}, element);
  }
};

/// `stored`, in which what is not kept is zero, from its blocks: in front of `product`.
Value expandBlocks(Blocks blocks, WeightOp stored, StringRef suffix, LinearOp product, PrunedLayer &layer) {
  OpBuilder &builder = layer.builder;
  Location loc = layer.loc();
  auto type = cast<RankedTensorType>(stored.getType());
  auto block = builder.getDenseI64ArrayAttr(blocks.sides());
  auto rowsType = blocks.rowsType(type.getShape(), builder.getContext());
  WeightOp rows = layer.part((suffix + ".rows").str(), rowsType, stored, [&](Value zeroed) {
    return BlockRowsOp::create(builder, loc, rowsType, zeroed, builder.getI64IntegerAttr(rowsType.getDimSize(1)), block).getResult();
  });
  auto valuesType = blocks.valuesType(type.getShape(), type.getElementType());
  WeightOp values = layer.part((suffix + ".values").str(), valuesType, stored, [&](Value zeroed) {
    return CompactBlocksOp::create(builder, loc, valuesType, zeroed, layer.get(rows), block).getResult();
  });
  builder.setInsertionPoint(product);
  Value keptValues = layer.get(values), keptRows = layer.get(rows);
  return ExpandBlocksOp::create(builder, loc, type, keptValues, keptRows, block, builder.getDenseI64ArrayAttr(type.getShape()));
}

/// A layer in 8-bit integers, of the pruned weight's codes.
void encodeCodes(Blocks blocks, WeightOp pruned, PrunedLayer &layer, SymbolTable &symbols) {
  layer.builder.setInsertionPoint(layer.linear);
  Value whole = layer.linear.getWeight(), weight = layer.get(pruned);
  layer.linear.getWeightMutable().assign(weight);
  LinearOp product = quantizeDynamically(layer.linear, symbols, /*outliers=*/0);
  layer.linear.getWeightMutable().assign(whole); // nobody reads its result any more
  weight.getDefiningOp()->erase();
  auto codes = product.getWeight().getDefiningOp<GetWeightOp>();
  product.getWeightMutable().assign(expandBlocks(blocks, symbols.lookup<WeightOp>(codes.getWeight()), ".codes", product, layer));
  codes.erase();
}

std::string sparseKernel(const Blocks &blocks, const LayerKernels &layer) {
  std::array<int64_t, 2> shape = {layer.steps(), layer.columns()};
  Type element = blocks.ofCodes ? Type(IntegerType::get(layer.context(), 8)) : Type(Float32Type::get(layer.context()));
  std::string decode = llvm::formatv("tfm.expand_blocks %s0, %s1 {{block = array<i64: {0}, {1}>, shape = array<i64: {2}, {3}>}", blocks.depth(),
                                     blocks.columns, shape[0], shape[1]);
  return layer.sparse(decode, {blocks.valuesType(shape, element), blocks.rowsType(shape, layer.context())}, blocks.ofCodes);
}

class BlockFormat : public WeightFormat {
public:
  std::string names() const override { return "blockP, blockPxC, blockPw8a8 (P: percent of blocks of 1 step x C columns that are kept; C: 16; of w8a8 of 4 x 16)"; }
  std::string defaultSolver() const override { return kDefaultPruner.str(); }
  bool accepts(StringRef level) const override { return Blocks::parse(level).has_value(); }
  bool ignores(StringRef level, StringRef precision) const override { return precision == kTf32Precision || !Blocks::parse(level)->ofCodes; }
  std::string instead(StringRef level) const override { return Blocks::parse(level)->ofCodes ? kDynamicLevel.str() : ""; }

  double bitsPerWeight(StringRef level, int64_t k, int64_t n) const override {
    Blocks blocks = *Blocks::parse(level);
    double bits = (blocks.ofCodes ? 8 : 32) + 32.0 / double(blocks.depth() * blocks.columns); // a number of 32 bits for each block
    return bits * double(blocks.kept(k) * blocks.depth() * llvm::alignTo(n, blocks.columns)) / (double(k) * double(n)) + (blocks.ofCodes ? 32.0 / double(k) : 0);
  }

  std::string whyNot(StringRef level, WeightSite site) const override {
    Blocks blocks = *Blocks::parse(level);
    auto type = cast<RankedTensorType>(site.weight.getType());
    if (!isa<LinearOp>(site.op))
      return "its table is read by rows; blocks are left out of layers only";
    if (std::string reason = blocks.ofCodes ? whyNotDynamic(cast<LinearOp>(site.op)) : ""; !reason.empty())
      return reason;
    if (!type.getElementType().isF32())
      return "blocks are unsupported in elements other than f32";
    if (type.getDimSize(0) % blocks.depth() != 0)
      return "its " + std::to_string(type.getDimSize(0)) + " steps of K are no multiple of four";
    return "";
  }

  std::string whySlower(StringRef level, WeightSite site, const LayerSetting &setting) const override {
    Blocks blocks = *Blocks::parse(level);
    std::string percent = std::to_string(blocks.percent) + "% of the blocks take ";
    LayerKernels layer(site, setting);
    std::optional<double> quotient;
    if (setting.costs && blocks.ofCodes) // no model has learned from these
      quotient = setting.costs->estimatedQuotient(sparseKernel(blocks, layer), layer.denseOfCodes());
    else if (setting.costs)
      quotient = setting.costs->quotient(sparseKernel(blocks, layer), layer.dense());
    if (quotient)
      return *quotient < 1 ? "" : percent + llvm::formatv("{0:f2} times as long as a dense weight, by the cost model", *quotient).str();
    return blocks.percent <= kMostKept ? "" : percent + "longer than all of a dense weight; at most " + std::to_string(kMostKept) + "% are faster";
  }

  LogicalResult encode(StringRef level, StringRef named, WeightSite site, EncodeContext &context) const override {
    Blocks blocks = *Blocks::parse(level);
    PrunedLayer layer(level, named, site, context);
    WeightOp pruned = layer.prune(blocks.kept(layer.type.getDimSize(0)), blocks.sides());
    if (blocks.ofCodes)
      encodeCodes(blocks, pruned, layer, context.symbols);
    else
      layer.linear.getWeightMutable().assign(expandBlocks(blocks, pruned, "", layer.linear, layer));
    return success();
  }
};

} // namespace

std::unique_ptr<WeightFormat> permalloy::makeBlockFormat() { return std::make_unique<BlockFormat>(); }
