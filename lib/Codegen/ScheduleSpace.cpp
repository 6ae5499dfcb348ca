//===- ScheduleSpace.cpp - schedules as data --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/ScheduleSpace.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace permalloy::codegen;
using llvm::ArrayRef;
using llvm::StringRef;

/// Parameters count registers, rows, steps and elements: a larger number is a mistake.
static constexpr int64_t kMaxValue = int64_t(1) << 30;

bool ScheduleSpace::forEach(Values &before, llvm::function_ref<bool(ArrayRef<int64_t>)> visit) const {
  if (before.size() == declared.size())
    return !whyIllegal(before).empty() || visit(before);
  for (int64_t value : choices(before)) {
    before.push_back(value);
    bool more = forEach(before, visit);
    before.pop_back();
    if (!more)
      return false;
  }
  return true;
}

void ScheduleSpace::forEach(llvm::function_ref<bool(ArrayRef<int64_t>)> visit) const {
  Values before;
  forEach(before, visit);
}

std::vector<ScheduleSpace::Values> ScheduleSpace::all(size_t limit) const {
  std::vector<Values> result;
  forEach([&](ArrayRef<int64_t> values) {
    if (result.size() < limit)
      result.emplace_back(values.begin(), values.end());
    return result.size() < limit;
  });
  return result;
}

/// The choice closest to `value`, the smaller of two; nullopt when there is none.
static std::optional<int64_t> nearest(ArrayRef<int64_t> choices, int64_t value) {
  if (choices.empty())
    return std::nullopt;
  return *llvm::min_element(choices, [&](int64_t a, int64_t b) {
    return std::pair(std::abs(a - value), a) < std::pair(std::abs(b - value), b);
  });
}

std::vector<ScheduleSpace::Values> ScheduleSpace::neighbours(ArrayRef<int64_t> values) const {
  std::vector<Values> result;
  auto tryWith = [&](size_t parameter, int64_t value) {
    Values candidate(values.take_front(parameter));
    candidate.push_back(value);
    while (candidate.size() < values.size()) {
      auto next = nearest(choices(candidate), values[candidate.size()]);
      if (!next)
        return;
      candidate.push_back(*next);
    }
    if (whyIllegal(candidate).empty() && candidate != values && !llvm::is_contained(result, candidate))
      result.push_back(candidate);
  };
  for (size_t i = 0; i < values.size(); ++i) {
    Values possible = choices(values.take_front(i));
    auto above = llvm::upper_bound(possible, values[i]);
    auto below = llvm::lower_bound(possible, values[i]);
    if (below != possible.begin())
      tryWith(i, *std::prev(below));
    if (above != possible.end())
      tryWith(i, *above);
  }
  return result;
}

std::optional<ScheduleSpace::Values>
ScheduleSpace::sample(llvm::function_ref<uint64_t(uint64_t)> random, unsigned tries) const {
  while (tries-- > 0) {
    Values values;
    while (values.size() < declared.size()) {
      Values possible = choices(values);
      if (possible.empty())
        break;
      values.push_back(possible[random(possible.size())]);
    }
    if (values.size() == declared.size() && whyIllegal(values).empty())
      return values;
  }
  return std::nullopt;
}

mlir::DictionaryAttr ScheduleSpace::attribute(mlir::MLIRContext *context, ArrayRef<int64_t> values) const {
  mlir::Builder builder(context);
  llvm::SmallVector<mlir::NamedAttribute> entries;
  for (auto [parameter, value] : llvm::zip_equal(declared, values))
    entries.push_back(builder.getNamedAttr(parameter.name, builder.getI64IntegerAttr(value)));
  return builder.getDictionaryAttr(entries);
}

llvm::Expected<ScheduleSpace::Values> ScheduleSpace::values(mlir::DictionaryAttr schedule) const {
  std::vector<std::pair<std::string, int64_t>> numbers;
  for (mlir::NamedAttribute entry : schedule ? schedule.getValue() : ArrayRef<mlir::NamedAttribute>()) {
    auto number = mlir::dyn_cast<mlir::IntegerAttr>(entry.getValue());
    if (!number || number.getValue().getSignificantBits() > 64)
      return llvm::createStringError("'" + entry.getName().getValue() + "' is no number");
    numbers.push_back({entry.getName().str(), number.getInt()});
  }
  return values(numbers);
}

llvm::Expected<ScheduleSpace::Values>
ScheduleSpace::values(ArrayRef<std::pair<std::string, int64_t>> schedule) const {
  auto names = [&] {
    return llvm::join(llvm::map_range(declared, [](const Parameter &p) { return p.name; }), ", ");
  };
  Values result;
  for (const auto &[name, value] : schedule)
    if (llvm::none_of(declared, [&](const Parameter &p) { return p.name == name; }))
      return llvm::createStringError("'" + name + "' is unknown; the parameters are " + names());
  for (const Parameter &parameter : declared) {
    auto found = llvm::find_if(schedule, [&](const auto &entry) { return entry.first == parameter.name; });
    if (found == schedule.end())
      return llvm::createStringError("'" + parameter.name + "' is missing; the parameters are " + names());
    if (found->second < 0 || found->second > kMaxValue)
      return llvm::createStringError("'" + parameter.name + "' is " + std::to_string(found->second) +
                                     ", which is not within 0 and " + std::to_string(kMaxValue));
    result.push_back(found->second);
  }
  if (std::string why = whyIllegal(result); !why.empty())
    return llvm::createStringError(why);
  return result;
}

std::vector<std::pair<std::string, int64_t>> ScheduleSpace::named(ArrayRef<int64_t> values) const {
  std::vector<std::pair<std::string, int64_t>> numbers;
  for (auto [parameter, value] : llvm::zip_equal(declared, values))
    numbers.push_back({parameter.name, value});
  llvm::sort(numbers);
  return numbers;
}

std::string ScheduleSpace::str(ArrayRef<int64_t> values) const {
  std::string text;
  for (auto [parameter, value] : llvm::zip_equal(declared, values))
    text += (text.empty() ? "" : " ") + parameter.name + "=" + std::to_string(value);
  return text;
}

/// Values that a parameter takes in any schedule of the space.
static llvm::SmallVector<int64_t> valuesAnywhere(ArrayRef<ScheduleSpace::Values> all, size_t parameter) {
  llvm::SmallVector<int64_t> values;
  for (const ScheduleSpace::Values &schedule : all)
    values.push_back(schedule[parameter]);
  llvm::sort(values);
  values.erase(llvm::unique(values), values.end());
  return values;
}

void ScheduleSpace::print(llvm::raw_ostream &os) const {
  std::vector<Values> schedules = all();
  for (auto [index, parameter] : llvm::enumerate(declared)) {
    os << "  " << parameter.name << ": ";
    llvm::interleave(valuesAnywhere(schedules, index), os, " ");
    os << "  (" << parameter.doc << ")\n";
  }
  os << "  " << schedules.size() << " legal schedules\n";
}

void permalloy::codegen::printSpace(llvm::raw_ostream &os, const llvm::Twine &heading,
                                    const ScheduleSpace *space) {
  os << heading << "\n";
  if (space)
    space->print(os);
  else
    os << "  one schedule\n";
}
