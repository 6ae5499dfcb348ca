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
#include "Tfm/Panels.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

static constexpr llvm::StringLiteral kDefaultPruner = "magnitude";

/// Kept percent above which blocks are not faster than the dense kernel, and where blocks of one panel have so many steps of K: the
/// break-even of docs/sparsity.md, measured for 1, 16 and 128 rows.
static constexpr int64_t kMostKept = 80, kLongDepth = 1024, kMostKeptLong = 70;

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

/// Makes the weights of one site.
class BlockEncoder {
public:
  BlockEncoder(Blocks blocks, StringRef solver, LinearOp linear, WeightSite site, EncodeContext &context)
      : solver(solver), linear(linear), site(site), context(context),
        builder(linear.getContext()), type(cast<RankedTensorType>(site.weight.getType())), kept(blocks.kept(type.getDimSize(0))),
        slabs(llvm::divideCeil(type.getDimSize(1), blocks.columns)), block({1, blocks.columns}) {}

  Value expand(const std::string &name) {
    WeightOp pruned = weight(name, type, site.weight, [&](Value original) {
      return PruneWeightOp::create(builder, loc(), type, original, gram(), builder.getStringAttr(solver), builder.getI64IntegerAttr(kept),
                                   builder.getDenseI64ArrayAttr(block), IntegerAttr())
          .getResult();
    });
    auto rowsType = RankedTensorType::get({slabs, kept}, builder.getI32Type());
    WeightOp rows = weight(name + ".rows", rowsType, pruned, [&](Value zeroed) {
      return BlockRowsOp::create(builder, loc(), rowsType, zeroed, builder.getI64IntegerAttr(kept), builder.getDenseI64ArrayAttr(block)).getResult();
    });
    auto valuesType = RankedTensorType::get({slabs, kept, block[1]}, type.getElementType());
    WeightOp values = weight(name + ".values", valuesType, pruned, [&](Value zeroed) {
      return CompactBlocksOp::create(builder, loc(), valuesType, zeroed, get(rows), builder.getDenseI64ArrayAttr(block)).getResult();
    });
    builder.setInsertionPoint(linear);
    return ExpandBlocksOp::create(builder, loc(), type, get(values), get(rows), builder.getDenseI64ArrayAttr(block),
                                  builder.getDenseI64ArrayAttr(type.getShape()));
  }

private:
  Location loc() { return linear.getLoc(); }
  Value get(WeightOp weight) {
    return GetWeightOp::create(builder, loc(), weight.getType(), FlatSymbolRefAttr::get(weight.getSymNameAttr()));
  }
  /// The statistics of the layer's input, or null.
  Value gram() {
    auto symbol = linear->getAttrOfType<FlatSymbolRefAttr>(kGramAttr);
    auto weight = symbol ? context.symbols.lookup<WeightOp>(symbol.getValue()) : WeightOp();
    return weight ? get(weight) : Value();
  }
  /// The weight `name`, whose body makes it from `source`, unless another layer has made it.
  WeightOp weight(const std::string &name, RankedTensorType own, WeightOp source, function_ref<Value(Value)> make) {
    if (auto existing = context.symbols.lookup<WeightOp>(name))
      return existing;
    builder.setInsertionPointAfter(source);
    auto result = WeightOp::create(builder, loc(), name, own, Attribute());
    context.symbols.insert(result, std::next(Block::iterator(source)));
    builder.createBlock(&result.getBody());
    YieldOp::create(builder, loc(), make(get(source)));
    return result;
  }

  StringRef solver;
  LinearOp linear;
  WeightSite site;
  EncodeContext &context;
  OpBuilder builder;
  RankedTensorType type; ///< [K, N]
  int64_t kept, slabs;
  std::array<int64_t, 2> block;
};

class BlockFormat : public WeightFormat {
public:
  std::string names() const override { return "blockP, blockPxC (P: percent of blocks of 1 step x C columns that are kept; C: 16)"; }
  std::string defaultSolver() const override { return kDefaultPruner.str(); }
  bool accepts(StringRef level) const override { return Blocks::parse(level).has_value(); }

  double bitsPerWeight(StringRef level, int64_t k, int64_t n) const override {
    Blocks blocks = *Blocks::parse(level);
    double bits = 32 + 32.0 / blocks.columns; // a number of 32 bits for each block
    return bits * blocks.kept(k) * llvm::alignTo(n, blocks.columns) / (double(k) * n);
  }

  std::string whyNot(StringRef level, WeightSite site) const override {
    Blocks blocks = *Blocks::parse(level);
    auto type = cast<RankedTensorType>(site.weight.getType());
    if (!isa<LinearOp>(site.op))
      return "its table is read by rows; blocks are left out of layers only";
    if (!type.getElementType().isF32())
      return "blocks are unsupported in elements other than f32";
    int64_t most = blocks.columns == kPanelColumns && type.getDimSize(0) > kLongDepth ? kMostKeptLong : kMostKept;
    if (blocks.percent > most)
      return std::to_string(blocks.percent) + "% of the blocks take longer than all of a dense weight; at most " + std::to_string(most) +
             "% are faster";
    return "";
  }

  LogicalResult encode(StringRef level, StringRef named, WeightSite site, EncodeContext &context) const override {
    auto linear = cast<LinearOp>(site.op);
    StringRef solver = named == kDefaultSolver ? StringRef(kDefaultPruner) : named; // which only rounds
    std::string name = (site.weight.getSymName() + "." + level + (solver == kDefaultPruner ? "" : "." + solver)).str();
    linear.getWeightMutable().assign(BlockEncoder(*Blocks::parse(level), solver, linear, site, context).expand(name));
    return success();
  }
};

} // namespace

std::unique_ptr<WeightFormat> permalloy::makeBlockFormat() { return std::make_unique<BlockFormat>(); }
