//===- Interrupt.cpp - Ctrl-C that keeps what was found ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Interrupt.h"

#include <atomic>
#include <csignal>

namespace permalloy {

static std::atomic<bool> interrupted{false};

void stopOnInterrupt() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESETHAND;
  for (int signal : {SIGINT, SIGTERM}) {
    struct sigaction old;
    if (::sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN)
      ::sigaction(signal, &action, nullptr);
  }
}

bool wasInterrupted() { return interrupted; }

} // namespace permalloy
