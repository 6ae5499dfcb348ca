//===- Cpu.cpp - which kind of CPU this is ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/Cpu.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Artifact/Hash.h"
#include "permalloy/Support/Text.h"

#include <cpuid.h>
#include <cstring>
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

static uint64_t cacheBytes(int name) {
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
  cpu.l1Bytes = cacheBytes(_SC_LEVEL1_DCACHE_SIZE);
  cpu.l2Bytes = cacheBytes(_SC_LEVEL2_CACHE_SIZE);
  cpu.l3Bytes = cacheBytes(_SC_LEVEL3_CACHE_SIZE);
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
