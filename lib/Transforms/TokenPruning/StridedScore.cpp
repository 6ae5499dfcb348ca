//===- StridedScore.cpp - neighbours merge, at equal distances --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "Positions.h"
#include "Scores.h"
#include "permalloy/Transforms/TokenScore.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct StridedScore : TokenScore {
  std::string name() const override { return "strided"; }

  /// As tfm.token_score orders tokens: source a of s, at an even position, goes when floor((a + 1) r / s) > floor(a r / s), into
  /// the target behind it.
  Value build(OpBuilder &builder, SymbolicShapes &shapes, const TokenSite &site) const override {
    Positions p(builder, site.loc, shapes);
    using enum BinaryKind;
    Dims dims = shapes.dims(site.tokens);
    int64_t first = site.protectedTokens, firstSource = (first + 1) / 2 * 2, firstTarget = first | 1;
    DimExprAttr n = dims[1], two = p.number(2), removed = DimExprAttr::sub(n, site.kept);
    DimExprAttr sources = DimExprAttr::sub(DimExprAttr::floorDiv(DimExprAttr::add(n, p.number(1)), two), p.number(firstSource / 2));
    DimExprAttr targets = DimExprAttr::sub(DimExprAttr::floorDiv(n, two), p.number(first / 2));
    DimExprAttr some = DimExprAttr::max(sources, p.number(1)), base = DimExprAttr::sub(site.kept, targets);
    Value token = p.range(n);
    Value source = p.binary(Div, p.binary(Sub, token, firstSource), 2);
    auto goneBefore = [&](Value a) { return p.binary(Div, p.binary(Mul, a, removed), some); };
    Value before = goneBefore(source), goes = p.less(before, goneBefore(p.binary(Add, source, 1)));
    Value stays = p.binary(Sub, p.binary(Add, source, first), before);
    Value partner = p.binary(Min, p.binary(Div, p.binary(Sub, token, firstTarget - 1), 2), DimExprAttr::sub(targets, p.number(1)));
    Value there = site.prune ? p.value(p.number(-1)) : p.binary(Add, partner, base);
    Value target = p.binary(Add, p.binary(Div, p.binary(Sub, token, firstTarget), 2), base);
    Value isTarget = p.less(p.value(p.number(0)), p.binary(Mod, token, 2));
    Value map = p.select(isTarget, target, p.select(goes, there, stays));
    map = p.select(p.less(token, p.value(p.number(first))), token, map);
    map = createReshape(builder, site.loc, shapes, map, {p.number(1), n});
    return createBroadcast(builder, site.loc, shapes, map, {dims[0], n});
  }
};

} // namespace

std::unique_ptr<TokenScore> permalloy::makeStridedScore() { return std::make_unique<StridedScore>(); }
