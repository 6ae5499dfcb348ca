//===- AttentionSpeedTest.cpp - attention as a share of the machine -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prints; see KernelSpeedTest.cpp. Prefill and encoders beside the peak of FMAs, steps of a decoder
// beside a plain sweep over the same memory, with more of it than the caches hold:
//   PERMALLOY_MEASURE=1 taskset -c 1 PermalloyCodegenTests --gtest_filter='*AttentionSpeed*'
//
//===----------------------------------------------------------------------===//
#include "KernelRunner.h"
#include "Measurement.h"
#include "permalloy/Codegen/CPU/Attention.h"

#include <cmath>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using mlir::Value;

namespace {

/// One shape of attention; `layers` copies of the keys and values are read in turn.
struct Shape {
  const char *name;
  int64_t batch, heads, kvHeads, queries, keys, size;
  bool causal = false;
  bool packedQueries = true, packedKeys = true;
  const char *element = "f32";
  int64_t layers = 1;

  int64_t bytes() const { return llvm::StringRef(element) == "f32" ? 4 : 2; }
  /// Of keys and values, all layers.
  double cacheBytes() const { return 2.0 * layers * batch * kvHeads * keys * size * bytes(); }
  double flops() const {
    return 4.0 * batch * heads * queries * keys * size * (causal && queries > 1 ? 0.5 : 1);
  }
};

mlir::Type elementOf(const Shape &shape, mlir::MLIRContext &context) {
  mlir::Builder builder(&context);
  llvm::StringRef name = shape.element;
  return name == "f16" ? builder.getF16Type() : name == "bf16" ? builder.getBF16Type() : builder.getF32Type();
}

/// buffers: q, k, v, output; scalars: batch, queries, keys.
void buildKernel(KernelModule &module, const CpuTarget &target, const Shape &shape,
                 const AttentionSchedule &schedule) {
  KernelBuilder b(*module.module, module.loc(), "kernel", target, 4, 3);
  int64_t rowBytes = shape.size * shape.bytes();
  auto tensor = [&](unsigned buffer, int64_t heads, Value length, bool packed) {
    return HeadTensor{b.buffer(buffer), b.mul(length, heads * rowBytes),
                      packed ? b.i64(rowBytes) : b.mul(length, rowBytes),
                      (packed ? heads : 1) * rowBytes};
  };
  Attention a;
  a.batch = b.scalar(0);
  a.queries = b.scalar(1);
  a.keys = b.scalar(2);
  a.query = tensor(0, shape.heads, a.queries, shape.packedQueries);
  a.key = tensor(1, shape.kvHeads, a.keys, shape.packedKeys);
  a.value = tensor(2, shape.kvHeads, a.keys, shape.packedKeys);
  a.output = tensor(3, shape.heads, a.queries, shape.packedQueries);
  a.heads = shape.heads;
  a.kvHeads = shape.kvHeads;
  a.headSize = shape.size;
  a.scale = 1 / std::sqrt(float(shape.size));
  a.causal = shape.causal;
  a.element = elementOf(shape, module.context);
  emitAttention(b, a, schedule);
  b.finish();
}

/// Sums buffer 0 of [begin, end) units of 1 KB, 16 vectors at a time, into buffer 1.
void buildSweep(KernelModule &module, const CpuTarget &target) {
  KernelBuilder b(*module.module, module.loc(), "kernel", target, 2, 0);
  int64_t vectors = 1024 / (target.lanes() * 4), sums = std::min<int64_t>(vectors, 8);
  llvm::SmallVector<Value> init(sums, b.splat(0));
  auto total = b.loop(b.tileBegin(), b.tileEnd(), 1, init, [&](Value unit, mlir::ValueRange carried) {
    llvm::SmallVector<Value> next(carried);
    Value row = b.at(b.buffer(0), b.mul(unit, 1024));
    for (int64_t v = 0; v < vectors; ++v)
      next[v % sums] = b.addf(next[v % sums], b.loadVector(b.at(row, v * target.lanes() * 4)));
    return next;
  });
  for (int64_t v = 0; v < sums; ++v)
    b.store(total[v], b.at(b.buffer(1), v * target.lanes() * 4));
  b.finish();
}

class AttentionSpeedTest : public CpuTargetTest {
protected:
  void SetUp() override {
    CpuTargetTest::SetUp();
    if (!getenv("PERMALLOY_MEASURE"))
      GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  }

  void measure(const Shape &shape) {
    KernelModule module, sweepModule;
    mlir::Type element = elementOf(shape, module.context);
    AttentionSchedule schedule = AttentionSchedule::choose(target(), element);
    buildKernel(module, target(), shape, schedule);
    buildSweep(sweepModule, target());
    CompiledKernel kernel(module, target()), sweep(sweepModule, target());
    ASSERT_TRUE(kernel && sweep);
    int64_t layer = shape.batch * shape.kvHeads * shape.keys * shape.size * shape.bytes() / 4;
    int64_t queries = shape.batch * shape.heads * shape.queries * shape.size;
    // Small numbers in the upper halves of a f32, and in both as f16 and bf16.
    float small = llvm::bit_cast<float>(0x2c002c00u);
    std::vector<float> q(queries, small), out(queries), k(layer * shape.layers, small), v(k);
    int64_t bytes = attentionScratchBytes(target(), schedule, shape.heads / shape.kvHeads, shape.size, element);
    std::vector<float> memory(bytes / 4 + 64);
    void *scratch = reinterpret_cast<void *>(llvm::alignTo(reinterpret_cast<uintptr_t>(memory.data()), 64));
    int64_t tiles = shape.batch * shape.kvHeads *
                    attentionTilesPerHead(target(), schedule, shape.heads / shape.kvHeads, shape.queries);
    double seconds = 1e9, sweepSeconds = 1e9, end = threadSeconds() + 0.8;
    for (int repeat = 0; repeat < 3 || threadSeconds() < end; ++repeat) {
      double begin = threadSeconds();
      for (int64_t l = 0; l < shape.layers; ++l)
        kernel({q.data(), k.data() + l * layer, v.data() + l * layer, out.data()},
               {shape.batch, shape.queries, shape.keys}, 0, tiles, scratch);
      double middle = threadSeconds();
      seconds = std::min(seconds, middle - begin);
      if (shape.queries == 1) {
        int64_t units = shape.cacheBytes() / 2048;
        alignas(64) float sums[128];
        sweep({k.data(), sums}, {}, 0, units);
        sweep({v.data(), sums}, {}, 0, units);
        sweepSeconds = std::min(sweepSeconds, threadSeconds() - middle);
      }
    }
    if (shape.queries == 1)
      printf("%-18s %s past %5ld: %5.1f GB/s, %3.0f%% of a sweep at %.1f\n", shape.name, shape.element,
             long(shape.keys), 1e-9 * shape.cacheBytes() / seconds, 100 * sweepSeconds / seconds,
             1e-9 * shape.cacheBytes() / sweepSeconds);
    else
      printf("%-18s %s s%-4ld: %5.0f GFLOP/s\n", shape.name, shape.element, long(shape.queries),
             1e-9 * shape.layers * shape.flops() / seconds);
  }
};

TEST_P(AttentionSpeedTest, Prefill) {
  for (int64_t s : {128, 384, 1024, 2048, 4096}) {
    if (s <= 1024)
      measure({"MiniLM 12 x 32", 1, 12, 12, s, s, 32});
    measure({"BERT 12 x 64", 1, 12, 12, s, s, 64});
    measure({"GPT-2 12 x 64", 1, 12, 12, s, s, 64, true});
    measure({"Llama 16/4 x 64", 1, 16, 4, s, s, 64, true, true, false});
    measure({"8 x 128", 1, 8, 8, s, s, 128, true});
  }
}

TEST_P(AttentionSpeedTest, Decode) {
  for (const char *element : {"f32", "f16", "bf16"})
    for (int64_t past : {128, 512, 2048}) {
      Shape shape{"GPT-2 12 x 64", 1, 12, 12, 1, past, 64, true, true, false, element};
      shape.layers = 400e6 / shape.cacheBytes() + 1;
      measure(shape);
      Shape grouped{"Llama 16/4 x 64", 1, 16, 4, 1, past, 64, true, true, false, element};
      grouped.layers = 400e6 / grouped.cacheBytes() + 1;
      measure(grouped);
      shape = {"GPT-2, in L2", 1, 12, 12, 1, past, 64, true, true, false, element};
      if (shape.cacheBytes() < 1.5e6)
        measure(shape);
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, AttentionSpeedTest, ::testing::ValuesIn(allTargets()),
                         targetTestName);

} // namespace
