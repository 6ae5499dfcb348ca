//===- PerfMap.cpp - names of kernels for perf -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "PerfMap.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <unistd.h>

namespace permalloy {

static std::string mapText(const CodeImage &image, std::span<const artifact::Kernel> kernels,
                           std::span<const KernelFunction> entries) {
  std::map<uintptr_t, std::string> names;
  for (size_t i = 0; i < entries.size(); ++i)
    names[reinterpret_cast<uintptr_t>(entries[i])] = kernels[i].name;
  std::string text;
  for (auto at = names.begin(); at != names.end(); ++at) {
    auto next = std::next(at);
    uintptr_t end = image.codeEnd(at->first);
    if (next != names.end())
      end = std::min(end, next->first);
    char range[48];
    std::snprintf(range, sizeof range, "%lx %lx ", static_cast<unsigned long>(at->first),
                  static_cast<unsigned long>(end - at->first));
    text += range + ("permalloy:" + at->second) + "\n";
  }
  return text;
}

void writePerfMap(const CodeImage &image, std::span<const artifact::Kernel> kernels,
                  std::span<const KernelFunction> entries) {
  const char *wanted = std::getenv("PERMALLOY_PERF");
  if (!wanted || std::strcmp(wanted, "1") != 0)
    return;
  std::string path = "/tmp/perf-" + std::to_string(::getpid()) + ".map";
  // Others may write to /tmp: no link is followed.
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0)
    return;
  std::string text = mapText(image, kernels, entries);
  [[maybe_unused]] ssize_t written = ::write(file, text.data(), text.size());
  ::close(file);
}

} // namespace permalloy
