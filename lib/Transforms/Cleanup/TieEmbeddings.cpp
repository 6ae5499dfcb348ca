//===- TieEmbeddings.cpp - read embeddings from the output layer -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "permalloy/Reference/WeightEvaluator.h"
#include "permalloy/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"

namespace permalloy {
#define GEN_PASS_DEF_TIEEMBEDDINGS
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// The weight that `weight` records the transpose of; null for any other.
static WeightOp transposed(WeightOp weight, SymbolTable &symbols) {
  if (weight.getBody().empty())
    return {};
  auto yield = cast<YieldOp>(weight.getBody().front().getTerminator());
  auto transpose = yield.getValue().getDefiningOp<TransposeOp>();
  auto source = transpose ? transpose.getInput().getDefiningOp<GetWeightOp>() : GetWeightOp();
  bool isMatrix = source && transpose.getPerm() == ArrayRef<int64_t>{1, 0};
  return isMatrix ? symbols.lookup<WeightOp>(source.getWeight()) : WeightOp();
}

/// Whether `columns` holds the transpose of `rows`, by their contents. Weights that cannot be read are none.
static bool holdsTranspose(WeightOp columns, WeightOp rows, SymbolTable &symbols) {
  ScopedDiagnosticHandler quiet(columns.getContext(), [](Diagnostic &) { return success(); });
  OpBuilder builder(columns);
  auto type = cast<RankedTensorType>(rows.getType());
  Location loc = columns.getLoc();
  auto recorded = WeightOp::create(builder, loc, "transposed", columns.getType(), Attribute());
  symbols.insert(recorded);
  builder.createBlock(&recorded.getBody());
  Value source = GetWeightOp::create(builder, loc, type, FlatSymbolRefAttr::get(rows.getSymNameAttr()));
  YieldOp::create(builder, loc, createTranspose(builder, loc, source, {1, 0}));
  reference::WeightEvaluator evaluator;
  auto stored = evaluator.hash(columns), wanted = evaluator.hash(recorded);
  symbols.erase(recorded);
  return succeeded(stored) && succeeded(wanted) && *stored == *wanted;
}

/// gather(w, ids) as transpose(gather(w^T, ids, axis = 1)), which takes columns.
static void gatherColumns(GatherOp gather, WeightOp columns) {
  OpBuilder builder(gather);
  Location loc = gather.getLoc();
  auto type = cast<RankedTensorType>(gather.getType());
  int64_t rank = type.getRank();
  SmallVector<int64_t> shape = {type.getShape().back()}, perm;
  llvm::append_range(shape, type.getShape().drop_back());
  for (int64_t i = 1; i < rank; ++i)
    perm.push_back(i);
  perm.push_back(0);
  Value weight = GetWeightOp::create(builder, loc, columns.getType(), FlatSymbolRefAttr::get(columns.getSymNameAttr()));
  Value taken = GatherOp::create(builder, loc, RankedTensorType::get(shape, type.getElementType()), weight,
                                 gather.getIndices(), builder.getI64IntegerAttr(1));
  Value result = TransposeOp::create(builder, loc, type, taken, perm);
  auto source = gather.getInput().getDefiningOp<GetWeightOp>();
  gather.getResult().replaceAllUsesWith(result);
  gather.erase();
  if (source->use_empty())
    source.erase();
}

namespace {

struct TieEmbeddings : permalloy::impl::TieEmbeddingsBase<TieEmbeddings> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      tie(function, symbols);
  }

  void tie(func::FuncOp function, SymbolTable &symbols) {
    auto weightOf = [&](Value value) {
      auto use = value.getDefiningOp<GetWeightOp>();
      return use ? symbols.lookup<WeightOp>(use.getWeight()) : WeightOp();
    };
    llvm::SetVector<WeightOp> layers;
    function.walk([&](LinearOp linear) {
      if (WeightOp weight = weightOf(linear.getWeight()))
        layers.insert(weight);
    });
    SmallVector<GatherOp> gathers;
    function.walk([&](GatherOp gather) {
      if (gather.getAxis() == 0 && weightOf(gather.getInput()))
        gathers.push_back(gather);
    });
    for (GatherOp gather : gathers)
      if (WeightOp columns = layerOf(weightOf(gather.getInput()), layers.getArrayRef(), symbols)) {
        gatherColumns(gather, columns);
        ++numTied;
      }
  }

  /// The layer whose weight is the transpose of `table`: recorded as such, or equal to it.
  WeightOp layerOf(WeightOp table, ArrayRef<WeightOp> layers, SymbolTable &symbols) {
    for (WeightOp layer : layers)
      if (transposed(layer, symbols) == table)
        return layer;
    auto type = cast<RankedTensorType>(table.getType());
    for (WeightOp layer : layers) {
      auto other = cast<RankedTensorType>(layer.getType());
      bool fits = type.getRank() == 2 && other.getRank() == 2 && type.getElementType() == other.getElementType() &&
                  type.getDimSize(0) == other.getDimSize(1) && type.getDimSize(1) == other.getDimSize(0);
      // Square matrices are layers; a table has more rows than columns.
      if (fits && type.getDimSize(0) > type.getDimSize(1) && holdsTranspose(layer, table, symbols))
        return layer;
    }
    return {};
  }
};

} // namespace
