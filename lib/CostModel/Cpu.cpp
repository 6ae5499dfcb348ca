//===- Cpu.cpp - which kind of CPU this is ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/Cpu.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Artifact/Hash.h"
#include "permalloy/Support/Text.h"

#include <cpuid.h>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <unistd.h>

using namespace permalloy;

static std::string brandString() {
  char text[49] = {};
  for (unsigned leaf = 0; leaf < 3; ++leaf) {
    uint32_t r[4];
    if (!__get_cpuid(0x80000002 + leaf, &r[0], &r[1], &r[2], &r[3]))
      return "";
    memcpy(text + 16 * leaf, r, 16);
  }
  std::string brand = text;
  return brand.substr(0, brand.find_last_not_of(' ') + 1);
}

static std::string firstLine(const std::string &path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Of the data cache of that level that the first core reads from, in Linux's list: an L3 that a group of cores shares, not the sum of
/// all of them, which sysconf has.
static uint64_t cacheBytes(unsigned level, int name) {
  for (int index = 0;; ++index) {
    std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/", type = firstLine(folder + "type");
    if (type.empty())
      break;
    if (type == "Instruction" || firstLine(folder + "level") != std::to_string(level))
      continue;
    std::string size = firstLine(folder + "size"); // "1024K"
    char unit = size.empty() ? ' ' : size.back();
    return std::strtoull(size.c_str(), nullptr, 10) << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0);
  }
  long size = ::sysconf(name);
  return size > 0 ? static_cast<uint64_t>(size) : 0;
}

static Cpu identify() {
  Cpu cpu;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  char vendor[13] = {};
  __get_cpuid(0, &a, &b, &c, &d);
  memcpy(vendor, &b, 4), memcpy(vendor + 4, &d, 4), memcpy(vendor + 8, &c, 4);
  cpu.vendor = vendor;
  __get_cpuid(1, &a, &b, &c, &d);
  cpu.family = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? (a >> 20 & 255) : 0);
  cpu.model = (a >> 4 & 15) | (a >> 16 & 15) << 4;
  cpu.stepping = a & 15;
  cpu.brand = brandString();
  cpu.features = joined(cpuFeatureNames(hostCpuFeatures()), " ");
  cpu.l1Bytes = cacheBytes(1, _SC_LEVEL1_DCACHE_SIZE);
  cpu.l2Bytes = cacheBytes(2, _SC_LEVEL2_CACHE_SIZE);
  cpu.l3Bytes = cacheBytes(3, _SC_LEVEL3_CACHE_SIZE);
  return cpu;
}

const Cpu &Cpu::host() {
  static const Cpu cpu = identify();
  return cpu;
}

std::string Cpu::kind() const {
  std::string rest = features + " " + std::to_string(l1Bytes) + " " + std::to_string(l2Bytes);
  return vendor + "-" + std::to_string(family) + "-" + std::to_string(model) + "-" +
         hash128(rest.data(), rest.size()).hex().substr(0, 8);
}
