//===- TokenScore.cpp - the scores that there are ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Scores.h"
#include "permalloy/Transforms/TokenScore.h"

#include <map>
#include <mutex>

using namespace permalloy;

using Registry = std::map<std::string, std::unique_ptr<TokenScore>, std::less<>>;

static Registry &registry() {
  static Registry scores = [] {
    Registry own;
    for (auto make : {makeTomeScore, makeValueScore, makeRandomScore, makeStridedScore}) {
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

std::unique_ptr<TokenScore> TokenScore::withSeed(uint64_t) const { return nullptr; }

/// Scores with seeds stay, so that they can be pointed to; compilations may ask for them at once.
static const TokenScore *findSeeded(const TokenScore &score, uint64_t seed) {
  static std::mutex mutex;
  static Registry seeded;
  std::lock_guard lock(mutex);
  auto &found = seeded[score.name() + std::to_string(seed)];
  if (!found)
    found = score.withSeed(seed);
  return found.get();
}

const TokenScore *permalloy::findTokenScore(llvm::StringRef name) {
  if (auto it = registry().find(name.str()); it != registry().end())
    return it->second.get();
  llvm::StringRef base = name.rtrim("0123456789");
  uint32_t seed = 0;
  auto it = registry().find(base.str());
  if (it == registry().end() || name.drop_front(base.size()).getAsInteger(10, seed))
    return nullptr;
  return findSeeded(*it->second, seed);
}

std::vector<std::string> permalloy::tokenScoreNames() {
  std::vector<std::string> names;
  for (auto &entry : registry())
    names.push_back(entry.first);
  return names;
}
