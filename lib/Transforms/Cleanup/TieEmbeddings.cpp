//===- TieEmbeddings.cpp - read embeddings from the output layer -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "permalloy/Transforms/Passes.h"

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
    DenseMap<WeightOp, WeightOp> transposeOf; // of those that a linear layer takes
    getOperation().walk([&](LinearOp linear) {
      auto use = linear.getWeight().getDefiningOp<GetWeightOp>();
      auto weight = use ? symbols.lookup<WeightOp>(use.getWeight()) : WeightOp();
      if (WeightOp source = weight ? transposed(weight, symbols) : WeightOp())
        transposeOf.try_emplace(source, weight);
    });
    SmallVector<std::pair<GatherOp, WeightOp>> found;
    getOperation().walk([&](GatherOp gather) {
      auto use = gather.getInput().getDefiningOp<GetWeightOp>();
      if (use && gather.getAxis() == 0)
        if (WeightOp columns = transposeOf.lookup(symbols.lookup<WeightOp>(use.getWeight())))
          found.push_back({gather, columns});
    });
    for (auto [gather, columns] : found)
      gatherColumns(gather, columns);
    numTied += found.size();
  }
};

} // namespace
