//===- DeviceModel.cpp - test models for the fake GPU ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceModel.h"

#include <cstdlib>
#include <dlfcn.h>

namespace permalloy::test {

using namespace artifact;

static CodeRange append(std::vector<std::byte> &code, std::span<const std::byte> bytes) {
  code.resize((code.size() + 63) / 64 * 64);
  CodeRange range{code.size(), bytes.size()};
  code.insert(code.end(), bytes.begin(), bytes.end());
  return range;
}

ArtifactContents withDevice(ArtifactContents contents, const std::string &name, uint32_t capability, uint32_t exact) {
  DeviceTarget &target = contents.devices.targets.emplace_back();
  target.name = name;
  target.capability = capability;
  target.exact = exact;
  std::vector<std::byte> &code = contents.deviceCode.emplace_back();
  std::vector<std::byte> elf = readFile(PERMALLOY_TEST_IMAGE);
  for (const Kernel &kernel : contents.program.kernels) {
    std::string ptx = ".version 8.0\n.target sm_80\n.visible .entry " + kernel.name + "()";
    fakecuda::FakeImage head;
    head.buffers = kernel.bufferCount;
    head.entry = entryPoints(elf, {kernel.name})[0];
    CodeRange text = append(code, std::as_bytes(std::span(ptx)));
    target.kernels.push_back({32, 16, text, append(code, fakecuda::makeImage(head, kernel.name, elf))});
  }
  contents.devices.steps.resize(contents.program.steps.size());
  for (size_t i = 0; i < contents.program.steps.size(); ++i)
    if (const Step &step = contents.program.steps[i]; step.kind == StepKind::launch)
      contents.devices.steps[i].grids.push_back({step.grids[0].tiles, kNone, step.grids[0].scratchBytes});
  return contents;
}

ScopedEnvironment::ScopedEnvironment(std::string name, const std::string &value) : name_(std::move(name)) {
  ::setenv(name_.c_str(), value.c_str(), 1);
}
ScopedEnvironment::~ScopedEnvironment() { ::unsetenv(name_.c_str()); }

static fakecuda::Control &controlOf(const char *path) {
  void *library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    ADD_FAILURE() << ::dlerror(), std::abort();
  return *reinterpret_cast<fakecuda::GetControl>(::dlsym(library, "permalloyFakeCuda"))();
}

FakeGpuTest::FakeGpuTest() : gpu(controlOf(PERMALLOY_FAKE_CUDA_LIBRARY)), driver("PERMALLOY_LIBCUDA", PERMALLOY_FAKE_CUDA_LIBRARY) {
  gpu = {};
}

FakeGpuTest::~FakeGpuTest() {
  // Whatever a test did: sessions that are gone have left nothing behind.
  EXPECT_EQ(gpu.allocations, 0);
  EXPECT_EQ(gpu.bytes, 0u);
  EXPECT_EQ(gpu.wrongStreams, 0u);
  for (int left : {gpu.contexts, gpu.pinned, gpu.modules, gpu.streams, gpu.events, gpu.graphs})
    EXPECT_EQ(left, 0);
}

Status FakeGpuTest::openFails(ArtifactContents contents, const std::string &device) {
  std::vector<std::byte> bytes = artifactBytes(std::move(contents));
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "model.alloy");
  EXPECT_TRUE(artifact.ok()) << artifact.status().message();
  auto session = Session::create(*artifact, {.device = device});
  EXPECT_FALSE(session.ok());
  return session.status();
}

} // namespace permalloy::test
