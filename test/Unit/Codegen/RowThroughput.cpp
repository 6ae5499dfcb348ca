//===- RowThroughput.cpp - row kernels against the speed of a copy -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// No check, a measurement: PERMALLOY_MEASURE=1 PermalloyCodegenTests --gtest_filter='*Throughput*'
// Bytes are those read and written once by the kernel; the copy moves as many with memcpy, out of the same caches.
//
//===----------------------------------------------------------------------===//
#include "KernelCheck.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

/// `$` in `pattern` replaced by `with`.
std::string fill(std::string pattern, const std::string &with) { return replaceAll(std::move(pattern), "$", with); }

/// The shortest of many runs, interleaved with nothing: seconds.
double secondsOf(llvm::function_ref<void()> run) {
  using Clock = std::chrono::steady_clock;
  double best = 1;
  for (auto until = Clock::now() + std::chrono::milliseconds(200); Clock::now() < until;) {
    auto start = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

struct Memory {
  explicit Memory(size_t bytes) : data(static_cast<float *>(std::aligned_alloc(64, llvm::alignTo(bytes + 64, 64)))) {
    for (size_t i = 0; i < bytes / 4; ++i)
      data[i] = float(i % 97) * 0.01f;
  }
  ~Memory() { std::free(data); }
  float *data;
};

class RowThroughput : public CpuTargetTest {
protected:
  /// Times `text` on b=1, s=rows: `wide` of its buffers are rows x width, the others one row or less.
  void measure(const char *name, const std::string &text, int64_t rows, int64_t width, llvm::ArrayRef<bool> wide) {
    KernelCheck check(text, "row");
    ASSERT_TRUE(check);
    auto compiled = check.compile(target(), "b=1,s=" + std::to_string(rows));
    ASSERT_TRUE(compiled.function);
    std::vector<std::unique_ptr<Memory>> memory;
    llvm::SmallVector<void *> buffers;
    size_t bytes = 0;
    for (bool isWide : wide) {
      memory.push_back(std::make_unique<Memory>((isWide ? rows : 1) * width * 4));
      buffers.push_back(memory.back()->data);
      bytes += isWide ? rows * width * 4 : 0;
    }
    Memory scratch(compiled.scratchBytes), from(bytes / 2), to(bytes / 2);
    double kernel = secondsOf([&] {
      compiled.function(buffers.data(), compiled.scalars.data(), 0, compiled.tiles, scratch.data);
    });
    double copy = secondsOf([&] {
      memcpy(to.data, from.data, bytes / 2);
      asm volatile("" : : "r"(from.data), "r"(to.data) : "memory"); // what was copied may be read
    });
    std::printf("%-10s %5ldx%-5ld %-10s %7.1f us %7.1f GB/s   copy %7.1f GB/s   %4.0f %%\n", name, long(rows), long(width),
                target().name.str().c_str(), kernel * 1e6, bytes / kernel * 1e-9, bytes / copy * 1e-9, 100 * copy / kernel);
  }
};

const char *const kNorm = R"(func.func @main(%x: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]}, %g: tensor<$xf32>, %h: tensor<$xf32>)
    -> tensor<?x?x$xf32> {
  %0 = tfm.layer_norm %x, %g, %h {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x$xf32>, tensor<$xf32>, tensor<$xf32>) -> tensor<?x?x$xf32>
  return %0 : tensor<?x?x$xf32>
})";
const char *const kAddNorm = R"(func.func @main(%x: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]},
    %y: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]}, %g: tensor<$xf32>, %h: tensor<$xf32>) -> tensor<?x?x$xf32> {
  %0 = tfm.binary add %x, %y : (tensor<?x?x$xf32>, tensor<?x?x$xf32>) -> tensor<?x?x$xf32>
  %1 = tfm.layer_norm %0, %g, %h {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x$xf32>, tensor<$xf32>, tensor<$xf32>) -> tensor<?x?x$xf32>
  return %1 : tensor<?x?x$xf32>
})";
const char *const kSoftmax = R"(func.func @main(%x: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]}) -> tensor<?x?x$xf32> {
  %0 = tfm.softmax %x {axis = 2 : i64} : (tensor<?x?x$xf32>) -> tensor<?x?x$xf32>
  return %0 : tensor<?x?x$xf32>
})";
const char *const kAdd = R"(func.func @main(%x: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]},
    %y: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]}) -> tensor<?x?x$xf32> {
  %0 = tfm.binary add %x, %y : (tensor<?x?x$xf32>, tensor<?x?x$xf32>) -> tensor<?x?x$xf32>
  return %0 : tensor<?x?x$xf32>
})";
const char *const kGelu = R"(func.func @main(%x: tensor<?x?x$xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<$>]}) -> tensor<?x?x$xf32> {
  %0 = tfm.unary gelu_erf %x : (tensor<?x?x$xf32>) -> tensor<?x?x$xf32>
  return %0 : tensor<?x?x$xf32>
})";

} // namespace

TEST_P(RowThroughput, AgainstCopy) {
  if (!std::getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement, not a check: set PERMALLOY_MEASURE=1";
  for (auto [rows, width] : {std::pair<int64_t, int64_t>{128, 384}, {1024, 768}}) {
    std::string text = std::to_string(width);
    measure("norm", fill(kNorm, text), rows, width, {true, false, false, true});
    measure("add+norm", fill(kAddNorm, text), rows, width, {true, true, false, false, true});
    measure("softmax", fill(kSoftmax, text), rows, width, {true, true});
    measure("add", fill(kAdd, text), rows, width, {true, true, true});
    measure("gelu", fill(kGelu, text), rows, width, {true, true});
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, RowThroughput, ::testing::ValuesIn(allTargets()), targetTestName);
