//===- Progress.cpp - one line of progress on a terminal ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Progress.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace permalloy {

Progress::Progress() {
  const char *term = std::getenv("TERM");
  terminal = ::isatty(STDERR_FILENO) && !(term && std::string_view(term) == "dumb");
}

void Progress::update(const std::string &stage, unsigned count, unsigned total) {
  Clock::time_point now = Clock::now();
  bool fresh = stage != current;
  if (fresh) {
    finish();
    current = stage;
    began = now;
  }
  // Ten times a second is enough for a reader.
  if (!terminal || (!fresh && now - shown < std::chrono::milliseconds(100)))
    return;
  shown = now;
  if (total)
    std::fprintf(stderr, "\r\033[K%s %u/%u", stage.c_str(), count, total);
  else
    std::fprintf(stderr, "\r\033[K%s ...", stage.c_str());
  std::fflush(stderr);
}

void Progress::finish() {
  if (current.empty())
    return;
  done.emplace_back(current, std::chrono::duration<double>(Clock::now() - began).count());
  current.clear();
  if (terminal)
    std::fputs("\r\033[K", stderr);
}

} // namespace permalloy
