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
      {"step 0 '/affine' has 1 grids for 0 targets", [](auto &c) { c.program.targets.clear(); }},
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

/// The tiny model with code for one GPU, which nothing here runs.
ArtifactContents deviceModel() {
  ArtifactContents contents = tinyModel();
  std::vector<DeviceKernel> kernels(contents.program.kernels.size(), {128, 32, {0, 16}, {64, 32}});
  contents.devices.targets = {{"sm_80", 80, 0, kernels}};
  for (const Step &step : contents.program.steps) {
    DeviceStep &row = contents.devices.steps.emplace_back();
    if (step.kind == StepKind::launch)
      row.grids = {{step.grids[0].tiles, kNone, kNone}};
  }
  contents.deviceCode = {std::vector<std::byte>(96, std::byte{7})};
  return contents;
}

TEST(Artifact, CarriesCodeForDevices) {
  std::vector<std::byte> bytes = artifactBytes(deviceModel());
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "m.alloy");
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  const DeviceTables &devices = (*artifact)->devices();
  ASSERT_EQ(devices.targets.size(), 1u);
  EXPECT_EQ(devices.targets[0].name, "sm_80");
  EXPECT_EQ((*artifact)->deviceCode(0).size(), 96u);
  EXPECT_EQ((*artifact)->deviceCode(0, devices.targets[0].kernels[0].cubin).size(), 32u);
  EXPECT_EQ(devices.steps[0].grids[0].blocks, (*artifact)->program().steps[0].grids[0].tiles);
  bytes.back() ^= std::byte{1};
  EXPECT_EQ(openError(bytes), "'m.alloy' is damaged: the checksum of its device code 0 does not match");
}

TEST(Artifact, WithoutCodeForCpusASessionSaysSo) {
  ArtifactContents contents = deviceModel();
  contents.program.targets.clear();
  contents.images.clear();
  for (Step &step : contents.program.steps)
    step.grids.clear();
  std::vector<std::byte> bytes = artifactBytes(contents);
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "m.alloy");
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  EXPECT_EQ(Session::create(*artifact, {}).status().message(),
            "'m.alloy' has no code for CPUs, only for sm_80; run it with device cuda:0, or compile the model with --target host, too");
}

TEST(Artifact, ValidationNamesEachFaultOfDevices) {
  const Damage damages[] = {
      {"device target 'sm_80', kernel 'affine' has blocks of 0 threads",
       [](auto &c) { c.devices.targets[0].kernels[0].threads = 0; }},
      {"device target 'sm_80', kernel 'affine' has blocks of 2048 threads",
       [](auto &c) { c.devices.targets[0].kernels[0].threads = 2048; }},
      {"device target 'sm_80', kernel 'mask_rows' has code outside its section",
       [](auto &c) { c.devices.targets[0].kernels[1].cubin.size = 33; }},
      {"device target 'sm_80', kernel 'mask_rows' has no PTX",
       [](auto &c) { c.devices.targets[0].kernels[1].ptx.size = 0; }},
      {"device target 'sm_80' has 2 kernels for 3", [](auto &c) { c.devices.targets[0].kernels.pop_back(); }},
      {"device target 'sm_80' appears twice",
       [](auto &c) {
         c.devices.targets.push_back(c.devices.targets[0]);
         c.deviceCode.push_back(c.deviceCode[0]);
       }},
      {"step 0 has 0 device grids for 1 targets", [](auto &c) { c.devices.steps[0].grids.clear(); }},
      {"step 0 has a device grid of an unknown expression",
       [](auto &c) { c.devices.steps[0].grids[0].sharedBytes = 99; }},
      {"the program has no target",
       [](auto &c) {
         c.program.targets.clear();
         c.devices = {};
         c.deviceCode.clear();
       }},
  };
  for (const Damage &damage : damages) {
    ArtifactContents contents = deviceModel();
    damage.change(contents);
    std::vector<uint64_t> sizes;
    for (const std::vector<std::byte> &code : contents.deviceCode)
      sizes.push_back(code.size());
    EXPECT_EQ(validateDevices(contents.devices, contents.program, sizes).message(), damage.message);
  }
}

} // namespace
