//===- ScheduleSpace.h - schedules as data: parameters and legal values -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An emitter keeps its schedule as a struct and declares beside it what stands in the kernel's `schedule` attribute, once:
//
//   static ScheduleSpaceOf<ContractionSchedule> contractionSpace(const CpuTarget &target, int64_t k) {
//     using S = ContractionSchedule;
//     ScheduleSpaceOf<S> space;
//     space.add("tile_panels", "panels of 16 columns side by side in the register tile", &S::panels, {1, 2, 3, 4});
//     space.add("tile_rows", "rows of A in the register tile", &S::rows,
//               [=](const S &s) { return rowsThatFit(target, s.panels); });    // may depend on what was added before
//     space.require([=](const S &s) { return s.fits(target) ? "" : "the tile does not fit the registers"; });
//     return space;
//   }
//
// From that come the attribute's reading, writing and checking (every parameter once, none unknown, all requirements met),
// the list of all schedules (`permalloy tune --list-space`, and a test that runs each), and the neighbours that the tuner
// tries. The declared values are those worth measuring; an edited schedule may have others, so long as it meets the
// requirements.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_SCHEDULESPACE_H
#define PERMALLOY_CODEGEN_SCHEDULESPACE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

#include <functional>
#include <string>
#include <vector>

namespace permalloy::codegen {

/// The schedules of one kernel on one target. A schedule is one number per parameter, in the order of declaration.
class ScheduleSpace {
public:
  using Values = llvm::SmallVector<int64_t, 8>;

  struct Parameter {
    std::string name; ///< in the attribute: "tile_rows"
    std::string doc;  ///< what it means, with its unit, in one line
  };

  virtual ~ScheduleSpace() = default;

  llvm::ArrayRef<Parameter> parameters() const { return declared; }
  /// The declared values of parameter `before.size()`, ascending, when those declared earlier have the values `before`.
  virtual Values choices(llvm::ArrayRef<int64_t> before) const = 0;
  /// Why the emitter does not take this schedule; empty when it does.
  virtual std::string whyIllegal(llvm::ArrayRef<int64_t> values) const = 0;

  /// Calls `visit` for every legal schedule of declared values, in lexical order, until it returns false.
  void forEach(llvm::function_ref<bool(llvm::ArrayRef<int64_t>)> visit) const;
  /// All of them; at most `limit`.
  std::vector<Values> all(size_t limit = ~size_t(0)) const;
  /// Legal schedules that differ in one parameter by one step, up or down; parameters declared later, whose choices may
  /// change with it, take the nearest choice.
  std::vector<Values> neighbours(llvm::ArrayRef<int64_t> values) const;
  /// The legal schedule of declared values that a choice at random gives, one parameter after the other; `random(n)` is below
  /// n. Nothing when `tries` of them were illegal.
  std::optional<Values> sample(llvm::function_ref<uint64_t(uint64_t)> random, unsigned tries = 100) const;

  /// {tile_panels = 3, tile_rows = 8, ...}
  mlir::DictionaryAttr attribute(mlir::MLIRContext *context, llvm::ArrayRef<int64_t> values) const;
  /// The values of a `schedule` attribute. Fails with a message for a parameter that is missing, unknown or no number, and for
  /// an illegal schedule.
  llvm::Expected<Values> values(mlir::DictionaryAttr schedule) const;
  /// As `values`, from names and numbers.
  llvm::Expected<Values> values(llvm::ArrayRef<std::pair<std::string, int64_t>> schedule) const;
  /// The parameters with their values, by name.
  std::vector<std::pair<std::string, int64_t>> named(llvm::ArrayRef<int64_t> values) const;
  /// "tile_panels=3 tile_rows=8"
  std::string str(llvm::ArrayRef<int64_t> values) const;
  /// Each parameter with its values and doc, one a line.
  void print(llvm::raw_ostream &os) const;

protected:
  std::vector<Parameter> declared;

private:
  bool forEach(Values &before, llvm::function_ref<bool(llvm::ArrayRef<int64_t>)> visit) const;
};

/// `heading` and the space, or that there is one schedule where it is null.
void printSpace(llvm::raw_ostream &os, const llvm::Twine &heading, const ScheduleSpace *space);

/// A space whose schedules are structs.
template <typename S> class ScheduleSpaceOf final : public ScheduleSpace {
public:
  /// The values of a parameter, given those declared before it; the rest of the struct is as by default.
  using Choices = std::function<Values(const S &before)>;

  /// Declares a parameter, which stands in `member`, an integer.
  template <typename T> void add(llvm::StringRef name, llvm::StringRef doc, T S::*member, Choices choices) {
    declared.push_back({name.str(), doc.str()});
    fields.push_back({[member](const S &s) { return static_cast<int64_t>(s.*member); },
                      [member](S &s, int64_t value) { s.*member = static_cast<T>(value); }, std::move(choices)});
  }
  template <typename T> void add(llvm::StringRef name, llvm::StringRef doc, T S::*member, Values values) {
    add(name, doc, member, Choices([values](const S &) { return values; }));
  }
  /// Declares what a legal schedule meets: `why` says in a few words what is wrong, or nothing.
  void require(std::function<std::string(const S &)> why) { requirements.push_back(std::move(why)); }

  S schedule(llvm::ArrayRef<int64_t> values) const {
    S result;
    for (size_t i = 0; i < values.size(); ++i)
      fields[i].set(result, values[i]);
    return result;
  }
  Values valuesOf(const S &schedule) const {
    Values result;
    for (const Field &field : fields)
      result.push_back(field.get(schedule));
    return result;
  }
  mlir::DictionaryAttr write(mlir::MLIRContext *context, const S &schedule) const {
    return attribute(context, valuesOf(schedule));
  }
  /// The struct of an attribute; fails like `values`.
  llvm::Expected<S> read(mlir::DictionaryAttr attribute) const {
    auto numbers = values(attribute);
    if (!numbers)
      return numbers.takeError();
    return schedule(*numbers);
  }

  Values choices(llvm::ArrayRef<int64_t> before) const override {
    return fields[before.size()].choices(schedule(before));
  }
  std::string whyIllegal(llvm::ArrayRef<int64_t> values) const override {
    S s = schedule(values);
    for (const auto &requirement : requirements)
      if (std::string why = requirement(s); !why.empty())
        return why;
    return "";
  }

private:
  struct Field {
    std::function<int64_t(const S &)> get;
    std::function<void(S &, int64_t)> set;
    Choices choices;
  };
  std::vector<Field> fields;
  std::vector<std::function<std::string(const S &)>> requirements;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_SCHEDULESPACE_H
