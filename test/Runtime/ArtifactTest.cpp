//===- ArtifactTest.cpp - what a damaged or foreign file is called ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include "permalloy/Artifact/Validate.h"

#include <cstring>
#include <functional>
#include <gtest/gtest.h>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

std::string openError(const std::vector<std::byte> &bytes) {
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "m.alloy");
  return artifact.ok() ? "" : artifact.status().message();
}

TEST(Artifact, RoundTrips) {
  std::vector<std::byte> bytes = artifactBytes(tinyModel());
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size());
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  const Manifest &manifest = (*artifact)->manifest();
  EXPECT_EQ(manifest.model.graphName, "tiny");
  EXPECT_EQ(manifest.model.custom[0].value, "nobody");
  EXPECT_EQ(manifest.inputs[1].name, "m");
  EXPECT_EQ(manifest.outputs[0].dims[1].text, "seq");
  EXPECT_EQ(manifest.symbols[1].max, 512);
  EXPECT_EQ((*artifact)->program().steps[2].name, "/sum");
  EXPECT_TRUE((*artifact)->verifyWeights().ok());
}

TEST(Artifact, SaysWhatAFileIsNot) {
  EXPECT_EQ(openError({}), "'m.alloy' is not a model.alloy file");
  EXPECT_EQ(openError(std::vector<std::byte>(10000)), "'m.alloy' is not a model.alloy file");
  EXPECT_EQ(Artifact::open("/nonexistent.alloy").status().message(),
            "cannot open '/nonexistent.alloy': No such file or directory");
  EXPECT_EQ(Artifact::open("/tmp").status().message(), "cannot open '/tmp': not a regular file");
}

TEST(Artifact, NamesTruncationVersionAndDamage) {
  const std::vector<std::byte> good = artifactBytes(tinyModel());
  std::vector<std::byte> bytes = good;
  bytes.resize(good.size() - 1);
  EXPECT_EQ(openError(bytes), "'m.alloy' is truncated or altered: it has " +
                                  std::to_string(good.size() - 1) + " bytes, its header says " +
                                  std::to_string(good.size()));
  bytes = good;
  bytes[8] = std::byte{9};
  EXPECT_EQ(openError(bytes), "'m.alloy' has format version 9.2, this runtime reads version 2.2: "
                              "compile the model again");
  bytes = good;
  bytes[100] ^= std::byte{1};
  EXPECT_EQ(openError(bytes), "'m.alloy' is damaged: the header's checksum does not match");
  bytes = good;
  bytes.back() ^= std::byte{1};
  EXPECT_EQ(openError(bytes), "'m.alloy' is damaged: the checksum of its manifest does not match");
}

TEST(Artifact, WeightsAreVerifiedOnRequest) {
  std::vector<std::byte> bytes = artifactBytes(tinyModel());
  bytes[kPageSize + 64] ^= std::byte{1};
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "m.alloy");
  ASSERT_TRUE(artifact.ok());
  EXPECT_EQ((*artifact)->verifyWeights().message(),
            "'m.alloy' is damaged: the checksum of weight 'b' does not match");
}

/// A change of the model and the fault that validation must name.
struct Damage {
  const char *message;
  std::function<void(ArtifactContents &)> change;
};

TEST(Artifact, ValidationNamesEachFault) {
  const Damage damages[] = {
      {"expression 2 has an unknown operation",
       [](auto &c) { c.program.expressions[2].op = static_cast<ExprOp>(77); }},
      {"expression 3 refers to a later expression",
       [](auto &c) { c.program.expressions[3] = {ExprOp::add, 3, 0, 0}; }},
      {"expression 0 refers to an unknown symbol",
       [](auto &c) { c.program.expressions[0].lhs = 2; }},
      {"input 'm' has unknown dtype 8",
       [](auto &c) { c.manifest.inputs[1].dtype = static_cast<DType>(8); }},
      {"input 'x' appears twice", [](auto &c) { c.manifest.inputs[1].name = "x"; }},
      {"output 's' refers to expression 99 of 6",
       [](auto &c) { c.manifest.outputs[1].dims[0].expr = 99; }},
      {"symbol 'seq' is bound by no input", [](auto &c) { c.manifest.symbols[1].input = 2; }},
      {"symbol 'seq' is bound by a dimension that is another expression",
       [](auto &c) { c.manifest.symbols[1].axis = 2; }},
      {"symbol 'seq' has the empty or negative range 5..4",
       [](auto &c) { c.manifest.symbols[1].min = 5, c.manifest.symbols[1].max = 4; }},
      {"weight 'w' lies outside the weights section",
       [](auto &c) { c.program.weights[0].size = 1 << 20; }},
      {"target 'x86-64' has 2 entry points for 3 kernels",
       [](auto &c) { c.program.targets[0].entryPoints.pop_back(); }},
      {"the program has no target", [](auto &c) { c.program.targets.clear(); }},
      {"an assumption refers to expression 9 of 6",
       [](auto &c) { c.program.assumptions = {{9, "no"}}; }},
      {"step 0 '/affine' launches an unknown kernel",
       [](auto &c) { c.program.steps[0].kernel = 3; }},
      {"step 0 '/affine' gives kernel 'affine' 3 buffers, it takes 4",
       [](auto &c) { c.program.steps[0].operands.pop_back(); }},
      {"step 1 '/mask' gives kernel 'mask_rows' 0 scalars, it takes 1",
       [](auto &c) { c.program.steps[1].scalars.clear(); }},
      {"step 2 '/sum' has an operand of unknown kind",
       [](auto &c) { c.program.steps[2].operands[0].kind = static_cast<OperandKind>(9); }},
      {"step 3 '/identity' writes to weight 0",
       [](auto &c) { c.program.steps[3].operands[1] = {OperandKind::weight, 0, kNone}; }},
      {"step 3 '/identity' copies and launches",
       [](auto &c) { c.program.steps[3].grids = {{0, 0}}; }},
      {"step 3 '/identity' is of unknown kind",
       [](auto &c) { c.program.steps[3].kind = static_cast<StepKind>(5); }},
  };
  for (const Damage &damage : damages) {
    ArtifactContents contents = tinyModel();
    damage.change(contents);
    EXPECT_EQ(validate(contents.manifest, contents.program, 4096).message(), damage.message);
  }
}

} // namespace
