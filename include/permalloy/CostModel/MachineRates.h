//===- MachineRates.h - what a core of a machine can do at most --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The constants of the roofline: peaks of each unit and bandwidths of each level, measured once per machine by small loops
// (Measure/Calibration.h, which `permalloy tune` runs) and kept beside the tuning database as <kind of CPU>.rates.json:
//
//   {"permalloy":"rates","version":1,"cpu":"GenuineIntel-6-167-926136e5","avx512_gflops":214,...,"date":"2026-11-22"}
//
// Where nothing was measured, the constants of a kind of CPU that was seen (they are in the source) stand in or, failing that, those of
// another kind without the units that this CPU lacks, and `source` says so.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_MACHINERATES_H
#define PERMALLOY_COSTMODEL_MACHINERATES_H

#include "permalloy/Artifact/Status.h"
#include "permalloy/CostModel/Cpu.h"

#include <span>
#include <string>

namespace permalloy {

/// How fast a core is at a moment: its clock, and what its neighbours leave of the memory. Measure/Yardstick.h takes it, in a millisecond.
struct MachineSpeed {
  double fmaGflops = 0; ///< f32 multiply-adds in the widest registers
  double readGbps = 0;  ///< reads from memory
  bool isKnown() const { return fmaGflops > 0 && readGbps > 0; }
};

/// Of one core; GFLOP/s and GOP/s count a product and its sum as two, GB/s are 1e9 bytes of reading.
struct MachineRates {
  std::string cpu;    ///< Cpu::kind()
  std::string source; ///< "measured 2026-11-22", "committed, of GenuineIntel-6-167-926136e5", "assumed, those of ..."
  double avx2Gflops = 0, avx512Gflops = 0;  ///< f32 multiply-adds; 0: the CPU has no such unit
  double amxBf16Gflops = 0, amxInt8Gops = 0, vnniGops = 0, avx2Int8Gops = 0;
  double l1 = 0, l2 = 0, l3 = 0, memory = 0; ///< GB/s
  double launchNs = 0; ///< from one step of a program to the next
  uint64_t l1Bytes = 0, l2Bytes = 0;
  uint64_t l3Bytes = 0; ///< where it was measured, what reads of one core get of it

  /// Those measured on `cpu` (`<folder of the tuning database>/<kind>.rates.json`), else the fallback; a file that cannot be read
  /// counts as none.
  static MachineRates of(const Cpu &cpu = Cpu::host());
  /// Of a kind that is not this machine's, for rows of a database: committed constants, else those of another kind, one of the same vendor where there is one.
  static MachineRates committed(const std::string &kind);
  /// Of the seen kind that has every unit.
  static MachineRates withAllUnits();
  /// $XDG_DATA_HOME/permalloy/tuning/KIND.rates.json, or below ~/.local/share; empty where neither is known.
  static std::string defaultPath(const Cpu &cpu = Cpu::host());

  /// What a yardstick says where these constants hold.
  MachineSpeed speed() const { return {avx512Gflops > 0 ? avx512Gflops : avx2Gflops, memory}; }
  /// The same core at another speed: units and its own caches follow the multiply-adds, what is behind them the reads. An unknown
  /// speed changes nothing.
  MachineRates at(const MachineSpeed &speed) const;

  static Result<MachineRates> parse(const std::string &json);
  std::string toJson() const;

  /// A constant by its name in the file, for printing.
  struct Field {
    const char *name, *unit, *meaning;
    double MachineRates::*member;
  };
  static std::span<const Field> fields();
};

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_MACHINERATES_H
