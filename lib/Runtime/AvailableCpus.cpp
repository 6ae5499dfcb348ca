//===- AvailableCpus.cpp - CPUs of the cpuset and the cgroup quota -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/ThreadPool.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sched.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace permalloy {

static int cpusetSize() {
  // The mask must be as wide as the kernel's: more than 1024 CPUs need a larger one.
  for (size_t cpus = 1024; cpus <= 1 << 17; cpus *= 4) {
    std::vector<cpu_set_t> mask(cpus / 1024);
    size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0)
      return CPU_COUNT_S(bytes, mask.data());
  }
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

/// CPUs worth of `quota` microseconds in each `period`; 0 when there is no limit.
static double quotaCpus(const std::string &quota, const std::string &period) {
  double limit = std::atof(quota.c_str()), length = std::atof(period.c_str());
  return limit > 0 && length > 0 ? limit / length : 0;
}

static double readQuota(const std::string &directory) {
  std::string quota, period;
  if (std::ifstream file(directory + "/cpu.max"); file >> quota >> period) // version 2
    return quota == "max" ? 0 : quotaCpus(quota, period);
  std::ifstream quotaFile(directory + "/cpu.cfs_quota_us");
  std::ifstream periodFile(directory + "/cpu.cfs_period_us");
  if (quotaFile >> quota && periodFile >> period)
    return quotaCpus(quota, period);
  return 0;
}

/// The smallest limit of a cgroup and the groups round it, up to the mount point `root`.
static double smallestQuota(const std::string &root, std::string group) {
  double smallest = 0;
  for (;;) {
    double quota = readQuota(root + group);
    if (quota > 0 && (smallest == 0 || quota < smallest))
      smallest = quota;
    size_t slash = group.rfind('/');
    if (group.empty() || slash == std::string::npos)
      return smallest;
    group.resize(slash);
  }
}

static double cgroupCpus() {
  std::ifstream file("/proc/self/cgroup");
  double smallest = 0;
  for (std::string line; std::getline(file, line);) {
    // "0::/group" (version 2) or "5:cpu,cpuacct:/group" (version 1)
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    bool unified = controllers == ",,";
    if (!unified && controllers.find(",cpu,") == std::string::npos)
      continue;
    double quota =
        smallestQuota(unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", line.substr(second + 1));
    if (quota > 0 && (smallest == 0 || quota < smallest))
      smallest = quota;
  }
  return smallest;
}

int availableCpus() {
  int cpus = cpusetSize();
  if (double quota = cgroupCpus(); quota > 0)
    cpus = std::min(cpus, static_cast<int>(std::ceil(quota)));
  return std::max(cpus, 1);
}

} // namespace permalloy
