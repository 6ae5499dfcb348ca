//===- Threads.h - how many threads a solver may use -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_SOLVERS_THREADS_H
#define PERMALLOY_SOLVERS_THREADS_H

namespace permalloy::solvers {

/// While it lives, solvers that the calling thread calls use `threads` threads at most; 0: as many as this process may use, the default.
class ThreadLimit {
public:
  explicit ThreadLimit(unsigned threads);
  ~ThreadLimit();
  ThreadLimit(const ThreadLimit &) = delete;
  ThreadLimit &operator=(const ThreadLimit &) = delete;

private:
  unsigned before;
};

} // namespace permalloy::solvers

#endif // PERMALLOY_SOLVERS_THREADS_H
