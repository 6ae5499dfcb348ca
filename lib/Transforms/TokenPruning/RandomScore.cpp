//===- RandomScore.cpp - any tokens merge -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "Positions.h"
#include "Scores.h"
#include "permalloy/Transforms/TokenScore.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Numbers that follow from positions alone, in integers, so that every machine and the interpreter agree.
constexpr int64_t kWidth = 8, kPrime = 2147483647, kFirst = 48271, kSecond = 69621, kSeedStep = 1000003;

struct RandomScore : TokenScore {
  explicit RandomScore(uint64_t seed) : seed(seed) {}
  std::string name() const override { return "random"; }
  std::unique_ptr<TokenScore> withSeed(uint64_t other) const override { return std::make_unique<RandomScore>(other); }

  /// The same matching as `tome`, of noise instead of keys.
  Value build(OpBuilder &builder, SymbolicShapes &shapes, const TokenSite &site) const override {
    Positions numbers(builder, site.loc, shapes);
    Dims dims = shapes.dims(site.tokens);
    DimExprAttr width = numbers.number(kWidth), one = numbers.number(1);
    Value k = numbers.range(DimExprAttr::mul(dims[1], width));
    if (seed != 0) // other numbers of the same sequence, far away
      k = numbers.binary(BinaryKind::Add, k, int64_t(seed * kSeedStep % kPrime));
    // Two turns of a multiplicative generator, with a square between that takes neighbours apart.
    auto turn = [&](Value x, int64_t factor) {
      x = numbers.binary(BinaryKind::Add, numbers.binary(BinaryKind::Mul, x, factor), 12345);
      return numbers.binary(BinaryKind::Mod, x, kPrime);
    };
    Value noise = turn(k, kFirst);
    noise = numbers.binary(BinaryKind::Mod, numbers.binary(BinaryKind::Mul, noise, noise), kPrime);
    noise = numbers.binary(BinaryKind::Sub, turn(noise, kSecond), kPrime / 2);
    noise = tfm::create<CastOp>(builder, site.loc, shapes, builder.getF32Type(), noise);
    noise = createReshape(builder, site.loc, shapes, noise, {one, dims[1], width});
    noise = createBroadcast(builder, site.loc, shapes, noise, {dims[0], dims[1], width});
    return tfm::create<TokenScoreOp>(builder, site.loc, shapes, builder.getI64Type(), noise, site.kept, 1, site.protectedTokens,
                                     site.prune);
  }

  uint64_t seed;
};

} // namespace

std::unique_ptr<TokenScore> permalloy::makeRandomScore() { return std::make_unique<RandomScore>(0); }
