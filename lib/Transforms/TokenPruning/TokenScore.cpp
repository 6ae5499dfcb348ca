//===- TokenScore.cpp - the scores that there are ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Scores.h"
#include "permalloy/Transforms/TokenScore.h"

#include <map>

using namespace permalloy;

using Registry = std::map<std::string, std::unique_ptr<TokenScore>, std::less<>>;

static Registry &registry() {
  static Registry scores = [] {
    Registry own;
    for (auto make : {makeTomeScore, makeRandomScore, makeStridedScore}) {
      auto score = make();
      own[score->name()] = std::move(score);
    }
    return own;
  }();
  return scores;
}

void permalloy::registerTokenScore(std::unique_ptr<TokenScore> score) {
  std::string name = score->name();
  if (!registry().try_emplace(name, std::move(score)).second)
    llvm::report_fatal_error(llvm::Twine("internal error: two token scores have the name ") + name);
}

const TokenScore *permalloy::findTokenScore(llvm::StringRef name) {
  auto it = registry().find(name.str());
  return it == registry().end() ? nullptr : it->second.get();
}

std::vector<std::string> permalloy::tokenScoreNames() {
  std::vector<std::string> names;
  for (auto &entry : registry())
    names.push_back(entry.first);
  return names;
}
