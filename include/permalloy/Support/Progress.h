//===- Progress.h - one line of progress on a terminal -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_SUPPORT_PROGRESS_H
#define PERMALLOY_SUPPORT_PROGRESS_H

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace permalloy {

/// Shows what goes on in one line that is overwritten, when stderr is a terminal; otherwise prints
/// nothing. Remembers how long each stage took either way.
class Progress {
public:
  Progress();
  ~Progress() { finish(); }
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  /// Begins `stage`, or reports within it; `total` 0: not countable.
  void update(const std::string &stage, unsigned done = 0, unsigned total = 0);
  /// Ends the last stage and clears the line.
  void finish();

  /// Stages so far with their wall time in seconds.
  const std::vector<std::pair<std::string, double>> &stages() const { return done; }

private:
  using Clock = std::chrono::steady_clock;
  bool terminal;
  std::string current;
  Clock::time_point began, shown;
  std::vector<std::pair<std::string, double>> done;
};

} // namespace permalloy

#endif // PERMALLOY_SUPPORT_PROGRESS_H
