//===- TokenReduction.h - how many tokens each block gives up ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A level is the word of a plan for one encoder block: "merge13" (13 tokens merge into others behind its attention), "prune8"
// (8 are dropped), "merge0" (none). A schedule gives the levels of all blocks: "13", "16,16,8,0", "26..0", "prune13".
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TRANSFORMS_TOKENREDUCTION_H
#define PERMALLOY_TRANSFORMS_TOKENREDUCTION_H

#include "Tfm/Tfm.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace permalloy {

/// What one block gives up: at most half of the tokens that are not protected go, whatever the count.
struct TokenLevel {
  int64_t count = 0;
  bool prune = false;

  static llvm::Expected<TokenLevel> parse(llvm::StringRef text);
  std::string str() const;
};

/// The levels of `blocks` blocks. A list counts from the first block on, its last entry for the rest; "26..0" is a line from
/// the first to the last block, rounded so that the sum is that of the line.
llvm::Expected<std::vector<TokenLevel>> parseTokenSchedule(llvm::StringRef text, size_t blocks);

/// An entry of a plan file for one attention.
struct TokenChoice {
  std::string op; ///< its ONNX node
  TokenLevel level;
  std::string score = {};  ///< empty: the default
  std::string reason = {}; ///< why it gives up none
};
/// What apply-token-reduction carried out and left on `main` of `module`; nothing where it did not run.
std::vector<TokenChoice> readTokenChoices(mlir::ModuleOp module);
/// The entries of kind "tokens" of {"plan": [...]}; those of other kinds are skipped.
llvm::Expected<std::vector<TokenChoice>> parseTokenPlan(llvm::StringRef json);

/// How many tokens are left after each block, as expressions. With m = n - protected tokens that may go, a block leaves
/// max(m - r, ceil(m / 2)), and both functions rise with m, so that after several blocks m is the maximum over j of
/// ceil((m_0 - a_j) / 2^j): one term for each number of halvings, with the least a_j of all ways to get there. (Written as
/// m - min(r, m floordiv 2) the expressions would double with each block.)
class TokenCounts {
public:
  TokenCounts(tfm::DimExprAttr tokens, int64_t protectedTokens);
  /// After one more block that gives up `count`.
  tfm::DimExprAttr next(int64_t count);

private:
  tfm::DimExprAttr free; ///< m_0
  int64_t first;
  std::vector<int64_t> offsets = {0}; ///< a_j
};

/// Attributes of an attention and of its function; see plan-token-reduction.
inline constexpr llvm::StringLiteral kTokensAttr = "tfm.tokens", kTokenScoreAttr = "tfm.token_score",
                                     kTokensReasonAttr = "tfm.tokens_reason", kProtectedAttr = "tfm.protected_tokens",
                                     kTokenReductionAttr = "tfm.token_reduction", kTokenPlanAttr = "tfm.token_plan";

} // namespace permalloy

#endif
