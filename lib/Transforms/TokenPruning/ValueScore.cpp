//===- ValueScore.cpp - the most similar values merge -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Scores.h"
#include "permalloy/Transforms/TokenScore.h"

using namespace mlir;
using namespace permalloy;

namespace {

/// Keys say what a token is to be found by, values what others get from it. A model that finds tokens by their places has keys
/// that are alike for neighbours whatever they hold.
struct ValueScore : TokenScore {
  std::string name() const override { return "values"; }
  Value build(OpBuilder &builder, SymbolicShapes &shapes, const TokenSite &site) const override {
    return tfm::create<tfm::TokenScoreOp>(builder, site.loc, shapes, builder.getI64Type(), site.values, site.kept, 1,
                                          site.protectedTokens, site.prune);
  }
};

} // namespace

std::unique_ptr<TokenScore> permalloy::makeValueScore() { return std::make_unique<ValueScore>(); }
