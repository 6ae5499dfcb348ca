//===- TuningDatabase.h - measured schedules --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A database is a text file of one JSON object a line, which is only ever appended to, a whole line at a time:
//
//   {"permalloy":"tuning","version":1}
//   {"cpu":"GenuineIntel-6-143-3f2a9c01","brand":...}           a kind of CPU
//   {"kernel":"<id>","structure":...,"text":"kern.kernel ..."}   a kernel, before the first row that names it
//   {"row":"<id>","cpu":...,"schedule":{...},"median_ns":...}     a measurement
//
// so an interrupted tuner leaves a complete file, `cat` joins the rows of two, and a compilation reads only the lines of its
// own kernels. docs/tuning.md describes every field.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_TUNINGDATABASE_H
#define PERMALLOY_COSTMODEL_TUNINGDATABASE_H

#include "permalloy/Artifact/Status.h"
#include "permalloy/CostModel/TuningRow.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

#include <functional>
#include <optional>

namespace permalloy {

/// A schedule that was measured as faster than the default.
struct TunedSchedule {
  NamedNumbers schedule;
  double gain = 1;              ///< median of the default's time by this one's, over `shapes` the geometric mean
  std::vector<std::string> shapes; ///< symbols of the measurements it rests on: "d0=128"
};

/// The kernel and the machine that a schedule is wanted for.
struct ScheduleQuery {
  std::string structure;      ///< KernelIdentity::structure
  std::vector<int64_t> sizes; ///< KernelIdentity::dims; -1: known only at run time
  std::string target, cpu;
  NamedNumbers byDefault; ///< the schedule without measurements
  /// The schedule of this kernel that a row's stands for; nothing: the row says nothing of it. Kernels of one structure may have
  /// different parameters.
  std::function<std::optional<NamedNumbers>(const TuningRow &)> scheduleOf = [](const TuningRow &row) { return row.schedule; };
  /// Whether the emitter takes a schedule for this kernel.
  std::function<bool(const NamedNumbers &)> isLegal = [](const NamedNumbers &) { return true; };
  /// Whether a row was measured with the code that its kernel and schedule would get today; what is not counts as not measured.
  /// Asked only of rows that would matter, as the answer takes milliseconds.
  std::function<bool(const TuningRow &)> isCurrent = [](const TuningRow &) { return true; };
};

class TuningDatabase {
public:
  /// $XDG_DATA_HOME/permalloy/tuning/KIND.jsonl, or the same under ~/.local/share; empty where neither is known.
  static std::string defaultPath(const Cpu &cpu = Cpu::host());

  /// Reads `path`. With `structures`, only rows of kernels of these (KernelIdentity::structure) are looked at. An error names
  /// the line that is no row: "FILE:12: ...".
  static Result<TuningDatabase> load(const std::string &path, const llvm::StringSet<> *structures = nullptr);

  const llvm::StringMap<KernelIdentity> &kernels() const { return known; }
  const std::vector<TuningRow> &rows() const { return measured; }
  bool hasCpu(const std::string &kind) const { return cpus.contains(kind); }

  /// The best schedule for a kernel: of the sizes at which its structure was measured with `query.byDefault` those nearest in
  /// the logarithms of the known dimensions, all where none is known, and of the schedules measured at each of them the fastest.
  /// Nothing when that gains less than 3% over the default: less than 10% where it was not measured by turns with this default
  /// (TuningRow::defaultCode) but with none or another. Nothing when the default, or nothing else, was measured.
  std::optional<TunedSchedule> choose(const ScheduleQuery &query) const;

  void add(const KernelIdentity &kernel) { known[kernel.id] = kernel; }
  void add(TuningRow row) { measured.push_back(std::move(row)); }

private:
  Status addLine(const std::string &text, const llvm::StringSet<> *structures);

  llvm::StringMap<KernelIdentity> known;
  llvm::StringSet<> cpus;
  std::vector<TuningRow> measured;
};

/// Appends to a database file, which it makes with its folders.
class TuningWriter {
public:
  /// Fails when the file exists and is no database, or cannot be written.
  static Result<TuningWriter> open(const std::string &path);
  TuningWriter(TuningWriter &&other) noexcept;
  ~TuningWriter();

  /// What the file held when it was opened, and what was appended since.
  const TuningDatabase &database() const { return contents; }
  /// The median, in nanoseconds, of a row with this key (TuningRow::key), which need not hold a measurement; nothing for none.
  std::optional<double> find(const TuningRow &row) const;
  /// The default's median by that of such a row, where it was measured by turns with the default of code `row.defaultCode`.
  std::optional<double> findGain(const TuningRow &row) const;
  /// Whether there is any row of the kernel.
  bool knows(const KernelIdentity &kernel) const { return contents.kernels().contains(kernel.id); }

  /// One row, with its kernel and, where it is of the host's CPU, that before it where they are new.
  Status append(const KernelIdentity &kernel, const TuningRow &row);

private:
  TuningWriter() = default;
  Status write(const std::string &lines);
  void note(const TuningRow &row);

  std::string path;
  int file = -1;
  TuningDatabase contents;
  llvm::StringMap<double> medians, gains; ///< by TuningRow::key, and the default's code
  bool wroteCpu = false;
};

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_TUNINGDATABASE_H
