//===- MachineRates.cpp - what a core of a machine can do at most *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/MachineRates.h"
#include "permalloy/CostModel/TuningDatabase.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace permalloy;

static constexpr int64_t kVersion = 1;

static constexpr MachineRates::Field kFields[] = {
    {"avx2_gflops", "GFLOP/s", "f32 multiply-adds in AVX2 registers", &MachineRates::avx2Gflops},
    {"avx512_gflops", "GFLOP/s", "f32 multiply-adds in AVX-512 registers", &MachineRates::avx512Gflops},
    {"amx_bf16_gflops", "GFLOP/s", "tiles of bf16", &MachineRates::amxBf16Gflops},
    {"amx_int8_gops", "GOP/s", "tiles of int8", &MachineRates::amxInt8Gops},
    {"vnni_gops", "GOP/s", "int8 dot products in AVX-512 registers", &MachineRates::vnniGops},
    {"avx2_int8_gops", "GOP/s", "int8 products in AVX2 registers", &MachineRates::avx2Int8Gops},
    {"l1_gbps", "GB/s", "reads from the first-level cache", &MachineRates::l1},
    {"l2_gbps", "GB/s", "reads from the second-level cache", &MachineRates::l2},
    {"l3_gbps", "GB/s", "reads from the third-level cache", &MachineRates::l3},
    {"memory_gbps", "GB/s", "reads from memory", &MachineRates::memory},
    {"launch_ns", "ns", "from one step of a program to the next", &MachineRates::launchNs},
};

std::span<const MachineRates::Field> MachineRates::fields() { return kFields; }

/// Measured by `permalloy tune --calibrate` on the machines that were at hand.
static std::vector<MachineRates> seenMachines() {
  MachineRates xeon; // has every unit
  xeon.cpu = "GenuineIntel-6-167-926136e5";
  xeon.avx2Gflops = 107, xeon.avx512Gflops = 214, xeon.amxBf16Gflops = 3150, xeon.amxInt8Gops = 6300;
  xeon.vnniGops = 855, xeon.avx2Int8Gops = 214;
  xeon.l1 = 350, xeon.l2 = 130, xeon.l3 = 26, xeon.memory = 15.2, xeon.launchNs = 100;
  xeon.l1Bytes = 48 << 10, xeon.l2Bytes = 2 << 20, xeon.l3Bytes = 80 << 20; // of 480 MB, what reads get before they come from memory

  MachineRates epyc; // Zen 4, which takes two cycles for 512 bits
  epyc.cpu = "AuthenticAMD-25-17-4f99f299";
  epyc.avx2Gflops = epyc.avx512Gflops = 118, epyc.vnniGops = 471, epyc.avx2Int8Gops = 157;
  epyc.l1 = 211, epyc.l2 = 114, epyc.l3 = 73, epyc.memory = 33.5, epyc.launchNs = 100;
  epyc.l1Bytes = 32 << 10, epyc.l2Bytes = 1 << 20, epyc.l3Bytes = 24 << 20; // of 32 MB, likewise
  return {xeon, epyc};
}

static const std::vector<MachineRates> &seen() {
  static const std::vector<MachineRates> machines = seenMachines();
  return machines;
}

/// That kind, else one of the same vendor, else the first.
static const MachineRates &nearest(llvm::StringRef kind) {
  auto find = [&](auto isLike) { return llvm::find_if(seen(), [&](const MachineRates &each) { return isLike(llvm::StringRef(each.cpu)); }); };
  auto found = find([&](llvm::StringRef cpu) { return cpu == kind; });
  if (found == seen().end())
    found = find([&](llvm::StringRef cpu) { return cpu.split('-').first == kind.split('-').first; });
  return found == seen().end() ? seen().front() : *found;
}

MachineRates MachineRates::committed(const std::string &kind) {
  MachineRates rates = nearest(kind);
  rates.source = (rates.cpu == kind ? "committed, of " : "assumed, those of ") + rates.cpu;
  rates.cpu = kind;
  return rates;
}

MachineRates MachineRates::withAllUnits() { return committed(seen().front().cpu); }

std::string MachineRates::defaultPath(const Cpu &cpu) {
  std::string path = TuningDatabase::defaultPath(cpu);
  size_t end = path.rfind(".jsonl");
  return end == std::string::npos ? "" : path.substr(0, end) + ".rates.json";
}

MachineRates MachineRates::of(const Cpu &cpu) {
  if (std::string path = defaultPath(cpu); !path.empty())
    if (auto file = llvm::MemoryBuffer::getFile(path))
      if (auto rates = parse((*file)->getBuffer().str()); rates.ok() && rates->cpu == cpu.kind())
        return *rates;
  MachineRates rates = committed(cpu.kind());
  auto has = [&](const char *feature) { return llvm::StringRef(" " + cpu.features + " ").contains(" " + std::string(feature) + " "); };
  if (!has("avx512f"))
    rates.avx512Gflops = 0, rates.vnniGops = 0;
  if (!has("avx512vnni"))
    rates.vnniGops = 0;
  if (!has("amx-bf16"))
    rates.amxBf16Gflops = rates.amxInt8Gops = 0;
  if (nearest(rates.cpu).cpu != rates.cpu)
    for (auto [own, known] : {std::pair(&rates.l1Bytes, cpu.l1Bytes), {&rates.l2Bytes, cpu.l2Bytes}, {&rates.l3Bytes, cpu.l3Bytes}})
      *own = known ? known : *own;
  return rates;
}

MachineRates MachineRates::at(const MachineSpeed &now) const {
  MachineSpeed own = speed();
  if (!now.isKnown() || !own.isKnown())
    return *this;
  MachineRates scaled = *this;
  for (auto rate : {&MachineRates::avx2Gflops, &MachineRates::avx512Gflops, &MachineRates::amxBf16Gflops, &MachineRates::amxInt8Gops,
                    &MachineRates::vnniGops, &MachineRates::avx2Int8Gops, &MachineRates::l1, &MachineRates::l2})
    scaled.*rate *= now.fmaGflops / own.fmaGflops;
  for (auto rate : {&MachineRates::l3, &MachineRates::memory})
    scaled.*rate *= now.readGbps / own.readGbps;
  scaled.launchNs *= own.fmaGflops / now.fmaGflops;
  return scaled;
}

std::string MachineRates::toJson() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream out(os);
  out.object([&] {
    out.attribute("permalloy", "rates");
    out.attribute("version", kVersion);
    out.attribute("cpu", cpu);
    out.attribute("source", source);
    for (const Field &field : kFields)
      out.attribute(field.name, this->*field.member);
    out.attribute("l1_bytes", int64_t(l1Bytes));
    out.attribute("l2_bytes", int64_t(l2Bytes));
    out.attribute("l3_bytes", int64_t(l3Bytes));
  });
  return text + "\n";
}

Result<MachineRates> MachineRates::parse(const std::string &json) {
  auto bad = [](const std::string &why) { return Status(StatusCode::invalidArgument, "no constants of a machine: " + why); };
  auto value = llvm::json::parse(json);
  if (!value)
    return bad(llvm::toString(value.takeError()));
  const llvm::json::Object *object = value->getAsObject();
  if (!object || object->getString("permalloy") != "rates")
    return bad("\"permalloy\" is not \"rates\"");
  if (object->getInteger("version") != kVersion)
    return bad("version is not " + std::to_string(kVersion));
  MachineRates rates;
  rates.cpu = object->getString("cpu").value_or("").str();
  rates.source = object->getString("source").value_or("").str();
  for (const Field &field : kFields) {
    auto number = object->getNumber(field.name);
    if (!number || !(*number >= 0))
      return bad("\"" + std::string(field.name) + "\" is no number of at least 0");
    rates.*field.member = *number;
  }
  rates.l1Bytes = uint64_t(object->getInteger("l1_bytes").value_or(0));
  rates.l2Bytes = uint64_t(object->getInteger("l2_bytes").value_or(0));
  rates.l3Bytes = uint64_t(object->getInteger("l3_bytes").value_or(0));
  return rates;
}
