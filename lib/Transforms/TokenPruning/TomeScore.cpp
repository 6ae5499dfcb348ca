//===- TomeScore.cpp - the most similar keys merge --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Scores.h"
#include "permalloy/Transforms/TokenScore.h"

using namespace mlir;
using namespace permalloy;

namespace {

struct TomeScore : TokenScore {
  std::string name() const override { return "tome"; }
  Value build(OpBuilder &builder, SymbolicShapes &shapes, const TokenSite &site) const override {
    return tfm::create<tfm::TokenScoreOp>(builder, site.loc, shapes, builder.getI64Type(), site.keys, site.kept, site.heads,
                                          site.protectedTokens, site.prune);
  }
};

} // namespace

std::unique_ptr<TokenScore> permalloy::makeTomeScore() { return std::make_unique<TomeScore>(); }
