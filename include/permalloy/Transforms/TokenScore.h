//===- TokenScore.h - what chooses the tokens that go -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A score writes the operations that decide, for each sequence, which tokens merge with which. A new one is a file with a class
// that `registerTokenScore` learns of (those of lib/Transforms/TokenPruning: a line in Scores.h); `--token-score NAME` then finds it.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TRANSFORMS_TOKENSCORE_H
#define PERMALLOY_TRANSFORMS_TOKENSCORE_H

#include "permalloy/Analysis/SymbolicShapes.h"

#include <memory>
#include <string>

namespace permalloy {

/// Where tokens are to go.
struct TokenSite {
  mlir::Value keys;            ///< [batch, n, heads * size] of the attention before
  int64_t heads = 1;           ///< of the keys
  mlir::Value values;          ///< [batch, n, width of all heads] of the attention before
  mlir::Value tokens;          ///< [batch, n, width] that will be merged
  int64_t protectedTokens = 0; ///< leading ones that must stay, alone and in place
  tfm::DimExprAttr kept;       ///< tokens that stay, perhaps a shared number (SharedNumbers.h); n - kept <= (n - protectedTokens) / 2
  bool prune = false;          ///< the others are dropped, not merged
  mlir::Location loc;
};

class TokenScore {
public:
  virtual ~TokenScore() = default;
  virtual std::string name() const = 0;
  /// Writes a map as tfm.token_score gives it, [batch, n] of i64: the position in [0, kept) of each token, protected ones at
  /// their own, or -1 for one that is dropped. Every position gets a token.
  virtual mlir::Value build(mlir::OpBuilder &builder, SymbolicShapes &shapes, const TokenSite &site) const = 0;
  /// Another draw of a score that draws: "random7" is `random` with seed 7. Null for one that does not.
  virtual std::unique_ptr<TokenScore> withSeed(uint64_t seed) const;
};

/// `tome`, `values`, `random` and `strided`, and whatever else is linked in. Names are not registered twice (a fatal error).
void registerTokenScore(std::unique_ptr<TokenScore> score);
/// Null for a name that is unknown. A number behind the name of a score that draws is its seed.
const TokenScore *findTokenScore(llvm::StringRef name);
/// Sorted.
std::vector<std::string> tokenScoreNames();

} // namespace permalloy

#endif
