//===- DataSizesTest.cpp - sizes that a step binds, jumps, late outputs -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include "permalloy/Artifact/Validate.h"

#include <functional>
#include <gtest/gtest.h>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

/// One run of firstElements on x = 0, 1, 2 ... and z = 100, 101, 102 ...; `output` is the only output.
Status runFirst(Session &session, int64_t n, int64_t count, bool flag, OutputTensor &output) {
  std::vector<float> x, z;
  for (int64_t i = 0; i < n; ++i)
    x.push_back(static_cast<float>(i)), z.push_back(static_cast<float>(100 + i));
  std::vector<InputTensor> inputs = {{DType::f32, {n}, x.data()},
                                     {DType::f32, {n}, z.data()},
                                     {DType::i64, {}, &count},
                                     {DType::boolean, {}, &flag}};
  return session.run(inputs, {&output, 1});
}

void expectFirst(Session &session, int64_t n, int64_t count, bool flag) {
  OutputTensor output;
  Status status = runFirst(session, n, count, flag, output);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(output.dims, std::vector<int64_t>{count});
  for (int64_t i = 0; i < count; ++i)
    EXPECT_EQ(static_cast<const float *>(output.data)[i], static_cast<float>(i + 100 * flag));
  output.release();
}

TEST(DataSizes, FollowTheirValueFromRunToRun) {
  for (bool guard : {false, true}) {
    auto session = openSession(firstElements(), {.threads = 1, .guardBuffers = guard});
    ASSERT_TRUE(session);
    for (bool flag : {false, true})
      for (int64_t count : {3, 0, 1, 1, 4000, 2})
        expectFirst(*session, 4096, count, flag);
    expectFirst(*session, 5, 5, true);
  }
}

TEST(DataSizes, AFailedRunHarmsNoLaterOne) {
  auto session = openSession(firstElements());
  ASSERT_TRUE(session);
  OutputTensor output;
  EXPECT_EQ(runFirst(*session, 4, -2, false, output).message(),
            "size 'size', which depends on data, is -2");
  EXPECT_EQ(runFirst(*session, 4, 5, false, output).code(), StatusCode::internal);
  EXPECT_EQ(runFirst(*session, 4, INT64_MAX / 2, false, output).code(),
            StatusCode::invalidArgument);
  EXPECT_FALSE(output.data);
  expectFirst(*session, 4, 4, false);
  expectFirst(*session, 4, 1, false);
}

TEST(DataSizes, TheCallersMemoryMustBeLargeEnough) {
  auto session = openSession(firstElements());
  ASSERT_TRUE(session);
  float memory[3] = {};
  OutputTensor output{.data = memory, .capacity = sizeof memory};
  EXPECT_EQ(runFirst(*session, 8, 4, false, output).message(),
            "output 'y' of shape [4] needs 16 bytes, the buffer given has 12");
  ASSERT_TRUE(runFirst(*session, 8, 3, true, output).ok());
  EXPECT_EQ(output.data, memory);
  EXPECT_EQ(memory[2], 102);
}

TEST(DataSizes, NoShapesBeforeTheRun) {
  auto session = openSession(firstElements());
  ASSERT_TRUE(session);
  std::vector<InputTensor> inputs = {{DType::f32, {4}, nullptr},
                                     {DType::f32, {4}, nullptr},
                                     {DType::i64, {}, nullptr},
                                     {DType::boolean, {}, nullptr}};
  std::vector<std::vector<int64_t>> dims;
  EXPECT_EQ(session->inferShapes(inputs, dims).message(),
            "the shape of output 'y' depends on data, not only on the inputs' shapes");
}

//===-- Tables that no compiler writes ------------------------------------===//

/// The expression 4 * other.
constexpr uint32_t kOtherBytes = 5;

TEST(DataSizes, ASlotIsAsLargeAsItWasPlaced) {
  ArtifactContents contents = firstElements();
  contents.program.slots[0].size = kOtherBytes; // bound after the slot was placed
  auto session = openSession(contents);
  ASSERT_TRUE(session);
  OutputTensor output;
  EXPECT_EQ(runFirst(*session, 64, 60, false, output).message(),
            "step '' reaches beyond a buffer of 4 bytes");
  // Without the copies, too: what the late output shows.
  contents.program.steps.resize(2);
  session = openSession(contents);
  ASSERT_TRUE(session);
  EXPECT_EQ(runFirst(*session, 64, 60, false, output).message(),
            "output 'y' of shape [60] reaches beyond its slot of 4 bytes");
  EXPECT_FALSE(output.data);
}

TEST(DataSizes, ValidationNamesEachFault) {
  struct Damage {
    const char *message;
    std::function<void(ArtifactContents &)> change;
  };
  const Damage damages[] = {
      {"output 'y' has a size that depends on data and is no late output",
       [](auto &c) { c.program.lateOutputs.clear(); }},
      {"a late output appears twice",
       [](auto &c) {
         c.program.lateOutputs.push_back({0, 0});
       }},
      {"a late output refers to an unknown output or slot",
       [](auto &c) { c.program.lateOutputs[0].slot = 1; }},
      {"input 'z' has a size that depends on data",
       [](auto &c) { c.manifest.inputs[1].dims[0] = c.manifest.outputs[0].dims[0]; }},
      {"a slot is placed after a symbol that is none of data",
       [](auto &c) { c.program.slots[0].after = 0; }},
      {"a slot has a size that depends on data and is placed after no symbol",
       [](auto &c) { c.program.slots[0].after = kNone; }},
      {"step '' uses output 0, which is late",
       [](auto &c) {
         c.program.steps[3].operands[1] = {OperandKind::output, 0, kNone};
       }},
      {"symbol 'size' is bound by no input and no step",
       [](auto &c) { c.program.steps[0].target = 2; }},
      {"step 6 '' binds a symbol that is none of data",
       [](auto &c) {
         c.program.steps.push_back(c.program.steps[0]), c.program.steps[6].target = 0;
       }},
      {"step 2 '' jumps to step 7 of 6", [](auto &c) { c.program.steps[2].target = 7; }},
      {"step 4 '' jumps with 1 operands",
       [](auto &c) { c.program.steps[4].operands = c.program.steps[2].operands; }},
  };
  for (const Damage &damage : damages) {
    ArtifactContents contents = firstElements();
    damage.change(contents);
    EXPECT_EQ(validate(contents.manifest, contents.program, 4096).message(), damage.message);
  }
}

} // namespace
