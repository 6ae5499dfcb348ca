//===- SessionTest.cpp - shapes, inputs, outputs, profiles ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"
#include "permalloy/Runtime/Memory.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <xmmintrin.h>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

TEST(Session, RunsDynamicShapesInAnyOrder) {
  for (int threads : {1, 2, 3}) {
    auto session = openSession(tinyModel(), {.threads = threads});
    ASSERT_TRUE(session);
    for (int64_t seq : {1, 7, 512, 16, 7, 511, 2})
      for (int64_t batch : {1, 8, 3})
        EXPECT_TRUE(TinyCase(batch, seq, static_cast<int>(seq)).runsRight(*session));
  }
}

TEST(Session, HandlesAnEmptyBatch) {
  auto session = openSession(tinyModel(), {.threads = 2});
  ASSERT_TRUE(session);
  EXPECT_TRUE(TinyCase(0, 5).runsRight(*session));
  EXPECT_TRUE(TinyCase(1, 5).runsRight(*session));
}

TEST(Session, TakesInputsThatAreOnlyElementAligned) {
  auto session = openSession(tinyModel());
  ASSERT_TRUE(session);
  TinyCase tiny(2, 3);
  std::vector<float> shifted(tiny.x.size() + 1);
  std::copy(tiny.x.begin(), tiny.x.end(), shifted.begin() + 1);
  std::vector<InputTensor> inputs = tiny.inputs();
  inputs[0].data = shifted.data() + 1;
  std::vector<OutputTensor> outputs(3);
  ASSERT_TRUE(session->run(inputs, outputs).ok());
  EXPECT_EQ(std::memcmp(outputs[0].data, tiny.y.data(), tiny.y.size() * 4), 0);
  for (OutputTensor &output : outputs)
    output.release();
}

TEST(Session, OutputMemoryOfAnySize) {
  // Sizes round those where large pages begin; a sanitizer checks how they are asked for.
  for (size_t size : {size_t(0), size_t(1), size_t(4) << 20, (size_t(4) << 20) + 1, (size_t(6) << 20) - 64}) {
    OutputMemory memory = allocateOutput(size);
    ASSERT_TRUE(memory) << size;
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(memory.get()) % artifact::kBufferAlignment);
    std::memset(memory.get(), 1, size);
  }
  EXPECT_FALSE(allocateOutput(SIZE_MAX));
}

TEST(Session, UsesLargeOutputsAgainOnceTheyAreLetGo) {
  artifact::ArtifactContents contents = tinyModel();
  contents.manifest.symbols[1].max = 1 << 16;
  auto session = openSession(contents);
  ASSERT_TRUE(session);
  TinyCase large(8, 9000, 1), other(8, 9000, 2);
  auto isRight = [](const OutputTensor &y, const TinyCase &of) {
    return std::memcmp(y.data, of.y.data(), of.y.size() * 4) == 0;
  };
  std::vector<OutputTensor> kept(3), second(3), third(3);
  ASSERT_TRUE(session->run(large.inputs(), kept).ok());
  ASSERT_TRUE(kept[0].owner);
  ASSERT_TRUE(session->run(other.inputs(), second).ok());
  EXPECT_TRUE(isRight(kept[0], large)) << "a kept output changed";
  EXPECT_TRUE(isRight(second[0], other));
  void *address = second[0].data;
  for (OutputTensor &output : second)
    output.release();
  ASSERT_TRUE(session->run(large.inputs(), third).ok());
  EXPECT_EQ(address, third[0].data);
  EXPECT_TRUE(isRight(third[0], large));
  // Given back as the caller's memory, an output still belongs to whom it did.
  third[0].capacity = large.y.size() * 4;
  std::weak_ptr<void> owner = third[0].owner;
  for (size_t i : {1, 2})
    third[i].release();
  ASSERT_TRUE(session->run(other.inputs(), third).ok());
  EXPECT_EQ(address, third[0].data);
  EXPECT_FALSE(owner.expired());
  EXPECT_TRUE(isRight(third[0], other));
  session.reset();
  EXPECT_TRUE(isRight(kept[0], large)) << "it outlives the session";
  for (std::vector<OutputTensor> *outputs : {&kept, &third})
    for (OutputTensor &output : *outputs)
      output.release();
}

TEST(Session, WritesToTheCallersMemory) {
  auto session = openSession(tinyModel());
  ASSERT_TRUE(session);
  TinyCase tiny(2, 3);
  std::vector<float> y(48), s(5);
  std::vector<OutputTensor> outputs(3);
  outputs[0] = {y.data(), y.size() * 4, DType::f32, {}};
  outputs[1] = {s.data(), s.size() * 4, DType::f32, {}};
  EXPECT_EQ(session->run(tiny.inputs(), outputs).message(),
            "output 's' of shape [2, 3] needs 24 bytes, the buffer given has 20");
  EXPECT_EQ(outputs[2].data, nullptr);
  s.resize(6);
  outputs[1] = {s.data(), s.size() * 4, DType::f32, {}};
  ASSERT_TRUE(session->run(tiny.inputs(), outputs).ok());
  EXPECT_EQ(y, tiny.y);
  EXPECT_EQ(s, tiny.s);
  outputs[2].release();
}

TEST(Session, RefusesOutputsThatOverlapInputs) {
  auto session = openSession(tinyModel());
  ASSERT_TRUE(session);
  TinyCase tiny(2, 3);
  std::vector<OutputTensor> outputs(3);
  outputs[0] = {tiny.x.data(), tiny.x.size() * 4, DType::f32, {}};
  EXPECT_EQ(session->run(tiny.inputs(), outputs).message(),
            "the buffer given for output 'y' overlaps input 'x'");
}

TEST(Session, InfersShapesWithoutData) {
  auto session = openSession(tinyModel());
  ASSERT_TRUE(session);
  std::vector<InputTensor> inputs = {{DType::f32, {4, 9, 8}, nullptr},
                                     {DType::f32, {4, 9}, nullptr}};
  std::vector<std::vector<int64_t>> dims;
  ASSERT_TRUE(session->inferShapes(inputs, dims).ok());
  EXPECT_EQ(dims, (std::vector<std::vector<int64_t>>{{4, 9, 8}, {4, 9}, {4, 9, 8}}));
}

/// Runs with inputs of these dtypes and shapes; gives the error.
std::string runError(Session &session, DType dtype, std::vector<int64_t> x,
                     std::vector<int64_t> m) {
  static std::vector<float> data(8 * 600 * 8);
  std::vector<InputTensor> inputs = {{dtype, x, data.data()}, {DType::f32, m, data.data()}};
  std::vector<OutputTensor> outputs(3);
  Status status = session.run(inputs, outputs);
  for (OutputTensor &output : outputs)
    output.release();
  return status.message();
}

TEST(Session, BadInputsNameTheCulprit) {
  auto session = openSession(tinyModel());
  ASSERT_TRUE(session);
  EXPECT_EQ(runError(*session, DType::f32, {2, 3, 8}, {2, 3}), "");
  EXPECT_EQ(runError(*session, DType::f64, {2, 3, 8}, {2, 3}),
            "input 'x' has dtype float64, expected float32");
  EXPECT_EQ(runError(*session, DType::f32, {2, 3}, {2, 3}),
            "input 'x' has shape [2, 3] of rank 2, expected rank 3 as in [batch, seq, 8]");
  EXPECT_EQ(runError(*session, DType::f32, {2, 600, 8}, {2, 600}),
            "input 'x' has shape [2, 600, 8]: axis 1 is 600, but 'seq' accepts 1..512");
  EXPECT_EQ(runError(*session, DType::f32, {2, 3, 7}, {2, 3}),
            "input 'x' has shape [2, 3, 7]: axis 2 is 7, expected 8 as in [batch, seq, 8]");
  EXPECT_EQ(runError(*session, DType::f32, {2, 3, 8}, {2, 4}),
            "input 'm' has shape [2, 4]: axis 1 is 4, expected seq = 3 (from input 'x' axis 1)");
  EXPECT_EQ(runError(*session, DType::f32, {2, -3, 8}, {2, 3}),
            "input 'x' has shape [2, -3, 8], which is no possible size");
  std::vector<OutputTensor> outputs(3);
  EXPECT_EQ(session->run({}, outputs).message(), "0 inputs given, the model has 2");
  TinyCase tiny(2, 3);
  std::vector<InputTensor> inputs = tiny.inputs();
  inputs[1].data = nullptr;
  EXPECT_EQ(session->run(inputs, outputs).message(), "input 'm' has no data");
  EXPECT_TRUE(tiny.runsRight(*session)); // still usable
}

TEST(Session, AssumptionsAreChecked) {
  ArtifactContents contents = tinyModel();
  ExprBuilder exprs(contents.program.expressions);
  contents.program.assumptions = {{exprs.binary(ExprOp::le, exprs.symbol(1), exprs.constant(100)),
                                   "seq must be at most 100"}};
  auto session = openSession(std::move(contents));
  ASSERT_TRUE(session);
  EXPECT_TRUE(TinyCase(1, 100).runsRight(*session));
  EXPECT_EQ(runError(*session, DType::f32, {1, 101, 8}, {1, 101}),
            "seq must be at most 100; they are 101 and 100");
  EXPECT_TRUE(TinyCase(1, 99).runsRight(*session));
}

TEST(Session, OverflowingSizesAreErrors) {
  ArtifactContents contents = tinyModel();
  ExprBuilder exprs(contents.program.expressions);
  uint32_t huge = exprs.binary(ExprOp::mul, exprs.symbol(1), exprs.constant(int64_t(1) << 60));
  contents.program.slots.push_back({huge});
  auto session = openSession(std::move(contents));
  ASSERT_TRUE(session);
  EXPECT_EQ(runError(*session, DType::f32, {1, 9, 8}, {1, 9}),
            "the size seq * 1152921504606846976 exceeds 64 bits with batch = 1, seq = 9");
  EXPECT_NE(runError(*session, DType::f32, {1, 7, 8}, {1, 7}), "");
}

TEST(Session, StepsThatReachBeyondABufferAreRefused) {
  ArtifactContents contents = tinyModel();
  ExprBuilder exprs(contents.program.expressions);
  contents.program.steps[1].operands[2].offset = exprs.constant(4096);
  auto session = openSession(std::move(contents));
  ASSERT_TRUE(session);
  EXPECT_EQ(runError(*session, DType::f32, {1, 9, 8}, {1, 9}),
            "step '/mask' reaches beyond a buffer of 288 bytes");
}

TEST(Session, ProfilesEachStep) {
  auto session = openSession(tinyModel());
  ASSERT_TRUE(session);
  TinyCase tiny(8, 512);
  std::vector<int64_t> times(4, -1);
  std::vector<OutputTensor> outputs(3);
  ASSERT_TRUE(session->run(tiny.inputs(), outputs, {times}).ok());
  for (int64_t time : times)
    EXPECT_GT(time, 0);
  std::vector<int64_t> tooFew(3);
  for (OutputTensor &output : outputs) {
    output.release();
    output.data = nullptr;
  }
  EXPECT_EQ(session->run(tiny.inputs(), outputs, {tooFew}).message(),
            "the profile has 3 entries, the program 4 steps");
}

TEST(Session, EndsBetweenStepsWhenTerminated) {
  auto session = openSession(tinyModel(), {.threads = 2});
  ASSERT_TRUE(session);
  TinyCase tiny(8, 512);
  int32_t terminate = 1;
  RunOptions options;
  options.terminate = &terminate;
  std::vector<OutputTensor> outputs(3);
  Status status = session->run(tiny.inputs(), outputs, options);
  EXPECT_EQ(status.code(), StatusCode::terminated);
  EXPECT_EQ(status.message(), "the run was terminated before step 0 of 4");
  for (const OutputTensor &output : outputs)
    EXPECT_EQ(output.data, nullptr);
  terminate = 0;
  ASSERT_TRUE(session->run(tiny.inputs(), outputs, options).ok());
  EXPECT_EQ(std::memcmp(outputs[0].data, tiny.y.data(), tiny.y.size() * 4), 0);
  for (OutputTensor &output : outputs)
    output.release();
}

TEST(Session, TheCallersFloatModeChangesNothing) {
  auto session = openSession(oneKernelModel("control_word", {}), {.threads = 2});
  ASSERT_TRUE(session);
  std::vector<float> x(4096); // enough work for two threads
  std::vector<uint32_t> words(4096);
  std::vector<InputTensor> inputs = {{DType::f32, {4096}, x.data()}};
  std::vector<OutputTensor> outputs(1);
  outputs[0] = {words.data(), words.size() * 4, DType::f32, {}};
  unsigned saved = _mm_getcsr();
  _mm_setcsr(saved | 0x8040); // flush to zero, denormals are zero
  ASSERT_TRUE(session->run(inputs, outputs).ok());
  EXPECT_EQ(_mm_getcsr() & 0x8040u, 0x8040u);
  _mm_setcsr(saved);
  for (uint32_t word : words)
    EXPECT_EQ(word & ~0x3fu, 0x1f80u);
}

TEST(SessionDeathTest, GuardPagesStopAnOverrun) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  // 64 floats end exactly at the guard page; one byte more faults.
  auto session =
      openSession(oneKernelModel("overrun", {1, 256}), {.threads = 1, .guardBuffers = true});
  ASSERT_TRUE(session);
  std::vector<float> x(64);
  std::vector<InputTensor> inputs = {{DType::f32, {64}, x.data()}};
  std::vector<OutputTensor> outputs(1);
  EXPECT_DEATH((void)session->run(inputs, outputs), "");
  auto guarded = openSession(tinyModel(), {.threads = 2, .guardBuffers = true});
  ASSERT_TRUE(guarded);
  EXPECT_TRUE(TinyCase(3, 7).runsRight(*guarded));
  EXPECT_TRUE(TinyCase(2, 100).runsRight(*guarded));
}

} // namespace
