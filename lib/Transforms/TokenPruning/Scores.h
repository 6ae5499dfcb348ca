//===- Scores.h - the scores of this folder ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registered by name rather than by static objects, which the linker drops from a static library.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_TOKENPRUNING_SCORES_H
#define PERMALLOY_LIB_TRANSFORMS_TOKENPRUNING_SCORES_H

#include <memory>

namespace permalloy {

class TokenScore;

/// Tokens with the most similar keys: bipartite soft matching. Bolya et al.: Token Merging, 2023.
std::unique_ptr<TokenScore> makeTomeScore();
std::unique_ptr<TokenScore> makeValueScore();
/// Any pairs, the same in every run: what a score has to beat.
std::unique_ptr<TokenScore> makeRandomScore();
/// Pairs of neighbours at equal distances, whatever they hold: pooling.
std::unique_ptr<TokenScore> makeStridedScore();

} // namespace permalloy

#endif
