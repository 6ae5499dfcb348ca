//===- TuningRow.h - one measurement, and the lines of the database *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_COSTMODEL_TUNINGROW_H
#define PERMALLOY_COSTMODEL_TUNINGROW_H

#include "permalloy/CostModel/Cpu.h"
#include "permalloy/CostModel/KernelIdentity.h"
#include "permalloy/CostModel/MachineRates.h"

#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <string>
#include <utility>
#include <vector>

namespace permalloy {

/// Names with numbers, in the order of declaration: a schedule, or the values of a kernel's symbols.
using NamedNumbers = std::vector<std::pair<std::string, int64_t>>;

/// "tile_panels=3 tile_rows=8"
std::string str(const NamedNumbers &numbers);
/// The numbers of a schedule attribute, by name; of a GPU kernel's without its form.
NamedNumbers numbersOf(mlir::DictionaryAttr schedule);

/// One measured (kernel, schedule, target, sizes). Times are of one launch, all its tiles on one thread; docs/tuning.md has the
/// meaning of every field.
struct TuningRow {
  std::string kernel; ///< KernelIdentity::id
  std::string cpu;    ///< Cpu::kind(), or the name of the GPU
  std::string target; ///< "x86-64-v4", "sm_90a"
  std::string form;   ///< of a kernel on a GPU, "tensor"; empty: of a CPU
  NamedNumbers schedule, symbols;
  std::vector<int64_t> sizes; ///< KernelIdentity::dims at these symbols
  bool isDefault = false;     ///< what the compiler took without measurements
  bool coldWeights = false;   ///< packed weights came from memory, as in a model; everything else from the caches
  double minNs = 0, medianNs = 0, madNs = 0; ///< MAD: median distance from the median
  unsigned repeats = 0;
  /// The median of the default schedule, measured by turns with this one; 0: this was measured alone.
  double defaultNs = 0;
  std::string defaultCode; ///< `code` of that default; empty: measured alone, or before rows said so
  double drift = 1;   ///< time of the reference work round this measurement, relative to what is usual in the session
  MachineSpeed speed; ///< of the machine round this measurement; unknown in rows of old versions
  double weightSpan = 0; ///< bytes of the memory that the copies of the weights take turns in; 0: no weights, or not known
  std::string code;   ///< hash of the kernel's LLVM dialect: what was timed
  unsigned instructions = 0, spills = 0; ///< of the function; in its innermost loops
  unsigned codeBytes = 0;
  unsigned registers = 0; ///< of a thread on a GPU, as ptxas says; 0: it was not asked
  int64_t flops = -1, bytes = -1; ///< KernelWork; -1: unknown
  double estimateNs = 0;          ///< what the prior said; 0: a size depends on data
  std::string compiler, date;

  /// What makes a measurement the same as another.
  std::string key() const { return kernel + code + cpu + target + str(symbols) + "|" + str(schedule); }
};

/// Now, as rows have it: UTC, "2026-11-23T02:48:00Z".
std::string dateOfRow();

/// Lines, without their end. A kernel's line holds its text once; rows refer to it.
std::string headerLine();
std::string lineOf(const Cpu &cpu);
std::string lineOf(const KernelIdentity &kernel);
std::string lineOf(const TuningRow &row);

/// Readers of the objects that begin with "kernel" and with "row". The error names the field that is missing or of the wrong
/// kind.
llvm::Expected<KernelIdentity> kernelOf(const llvm::json::Object &object);
llvm::Expected<TuningRow> rowOf(const llvm::json::Object &object);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_TUNINGROW_H
