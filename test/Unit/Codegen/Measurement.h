//===- Measurement.h - what the tests that print times share ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// They are no tests of a threshold, since machines are shared: with PERMALLOY_MEASURE=1 they print.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_MEASUREMENT_H
#define PERMALLOY_TEST_UNIT_CODEGEN_MEASUREMENT_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <cstdlib>
#include <string>
#include <time.h>
#include <vector>

namespace permalloy::codegen::test {

/// Processor time of this thread in seconds: what others run meanwhile does not count (their use of
/// the caches does).
inline double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

/// The numbers in an environment variable, "100 50 25"; `otherwise` where it is not set.
inline std::vector<int64_t> numbers(const char *name, std::vector<int64_t> otherwise) {
  const char *text = getenv(name);
  if (!text)
    return otherwise;
  llvm::SmallVector<llvm::StringRef> parts;
  llvm::StringRef(text).split(parts, ' ', -1, false);
  std::vector<int64_t> result;
  for (llvm::StringRef part : parts)
    result.push_back(std::stol(part.str()));
  return result;
}

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_MEASUREMENT_H
