//===- TokenReduction.cpp - levels, schedules and counts --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/TokenReduction.h"
#include "permalloy/Support/Text.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"

#include <limits>

using namespace permalloy;
using llvm::StringRef;
using llvm::Twine;
using tfm::DimExprAttr;

//===----------------------------------------------------------------------===//
// As text
//===----------------------------------------------------------------------===//

static constexpr int64_t kMostTokens = 1 << 24;

static llvm::Error wrong(const Twine &what) { return llvm::createStringError(what); }

/// A count of tokens without a sign.
static bool parseCount(StringRef text, int64_t &count) {
  return !text.empty() && llvm::all_of(text, llvm::isDigit) && !text.getAsInteger(10, count) && count <= kMostTokens;
}

llvm::Expected<TokenLevel> TokenLevel::parse(StringRef text) {
  TokenLevel level;
  StringRef count = text;
  level.prune = count.consume_front("prune");
  if ((level.prune || count.consume_front("merge")) && parseCount(count, level.count))
    return level;
  return wrong("'" + text + "' is no level of tokens; levels are \"merge13\" and \"prune13\"");
}

std::string TokenLevel::str() const { return (prune ? "prune" : "merge") + std::to_string(count); }

/// From `first` to `last`; each count is what the line adds up to by then, less what went before.
static std::vector<int64_t> line(int64_t first, int64_t last, size_t blocks) {
  std::vector<int64_t> counts;
  double sum = 0;
  int64_t given = 0;
  for (size_t i = 0; i < blocks; ++i) {
    sum += double(first) + (blocks > 1 ? double(last - first) * double(i) / double(blocks - 1) : 0);
    counts.push_back(int64_t(sum + 0.5) - given);
    given += counts.back();
  }
  return counts;
}

llvm::Expected<std::vector<TokenLevel>> permalloy::parseTokenSchedule(StringRef text, size_t blocks) {
  StringRef rest = text;
  bool prune = rest.consume_front("prune");
  if (!prune)
    rest.consume_front("merge");
  std::vector<int64_t> counts;
  auto [begin, end] = rest.split("..");
  int64_t first = 0, last = 0;
  if (!end.empty() && parseCount(begin, first) && parseCount(end, last)) {
    counts = line(first, last, blocks);
  } else {
    for (StringRef entry : llvm::split(rest, ',')) {
      if (!parseCount(entry.trim(), counts.emplace_back()))
        return wrong("'" + text + "' is no schedule of tokens; schedules are a count (13), a list (16,16,8,0) and a line (26..0), "
                                  "perhaps with merge or prune in front");
    }
    if (counts.size() > std::max<size_t>(blocks, 1))
      return wrong("the schedule '" + text + "' has " + Twine(counts.size()) + " entries for " + Twine(blocks) + " blocks");
    counts.resize(blocks, counts.back());
  }
  std::vector<TokenLevel> levels;
  for (int64_t count : counts)
    levels.push_back({count, prune});
  return levels;
}

llvm::Expected<std::vector<TokenChoice>> permalloy::parseTokenPlan(StringRef json) {
  if (nestsTooDeeply(json))
    return wrong("the plan nests too deeply");
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(json);
  if (!value)
    return wrong("the plan is no JSON: " + llvm::toString(value.takeError()));
  const llvm::json::Object *object = value->getAsObject();
  const llvm::json::Array *array = object ? object->getArray("plan") : nullptr;
  std::vector<TokenChoice> choices;
  if (!array)
    return choices; // a plan of something else
  for (auto [index, entry] : llvm::enumerate(*array)) {
    const llvm::json::Object *item = entry.getAsObject();
    auto text = [&, item = item](StringRef key) { return item ? item->getString(key).value_or("").str() : std::string(); };
    if (text("kind") != "tokens")
      continue;
    if (text("op").empty())
      return wrong("entry " + Twine(index) + " of the plan has no op");
    auto level = TokenLevel::parse(text("level"));
    if (!level)
      return wrong("the plan's \"" + text("op") + "\": " + llvm::toString(level.takeError()));
    choices.push_back({text("op"), *level, text("score"), text("reason")});
  }
  return choices;
}

std::vector<TokenChoice> permalloy::readTokenChoices(mlir::ModuleOp module) {
  std::vector<TokenChoice> choices;
  mlir::Operation *main = module.lookupSymbol("main");
  auto plan = main ? main->getAttrOfType<mlir::ArrayAttr>(kTokenPlanAttr) : mlir::ArrayAttr();
  for (mlir::Attribute entry : plan ? plan.getValue() : llvm::ArrayRef<mlir::Attribute>()) {
    auto text = [&](unsigned i) { return mlir::cast<mlir::StringAttr>(mlir::cast<mlir::ArrayAttr>(entry)[i]).str(); };
    if (auto level = TokenLevel::parse(text(1)))
      choices.push_back({text(0), *level, text(2), text(3)});
  }
  return choices;
}

//===----------------------------------------------------------------------===//
// Counts
//===----------------------------------------------------------------------===//

TokenCounts::TokenCounts(DimExprAttr tokens, int64_t protectedTokens)
    : free(DimExprAttr::sub(tokens, DimExprAttr::constant(tokens.getContext(), protectedTokens))), first(protectedTokens) {}

DimExprAttr TokenCounts::next(int64_t count) {
  auto number = [&](int64_t value) { return DimExprAttr::constant(free.getContext(), value); };
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  // Of a chain of subtractions and halvings, ceil((m - a) / 2^j) - r is ceil((m - a - r 2^j) / 2^j). Offsets of more
  // tokens than there can be stop counting.
  std::vector<int64_t> after(offsets.size() + 1, kNone);
  for (size_t j = 0; j < offsets.size(); ++j) {
    if (offsets[j] == kNone)
      continue;
    int64_t moved = j < 30 ? offsets[j] + (count << j) : kNone;
    if (moved <= kMostTokens)
      after[j] = std::min(after[j], moved);
    after[j + 1] = std::min(after[j + 1], offsets[j]);
  }
  if (count > 0)
    offsets = after; // else nothing goes, so nothing is halved
  DimExprAttr most = number(0);
  for (size_t j = 0; j < offsets.size() && j < 30; ++j)
    if (offsets[j] != kNone) {
      DimExprAttr term = DimExprAttr::ceilDiv(DimExprAttr::sub(free, number(offsets[j])), number(int64_t(1) << j));
      most = most.isConstant(0) ? term : DimExprAttr::max(most, term);
    }
  return DimExprAttr::add(most, number(first));
}
