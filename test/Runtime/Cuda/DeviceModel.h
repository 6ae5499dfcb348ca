//===- DeviceModel.h - test models for the fake GPU --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_RUNTIME_CUDA_DEVICEMODEL_H
#define PERMALLOY_TEST_RUNTIME_CUDA_DEVICEMODEL_H

#include "FakeCuda.h"
#include "TestModel.h"

#include <gtest/gtest.h>

namespace permalloy::test {

/// `contents` with code for a GPU as well: the same kernels, whose tiles are blocks, for the fake driver.
artifact::ArtifactContents withDevice(artifact::ArtifactContents contents, const std::string &name = "sm_80", uint32_t capability = 80,
                                      uint32_t exact = 0);

/// An environment variable, for a scope.
class ScopedEnvironment {
public:
  ScopedEnvironment(std::string name, const std::string &value);
  ~ScopedEnvironment();
  ScopedEnvironment(const ScopedEnvironment &) = delete;
  ScopedEnvironment &operator=(const ScopedEnvironment &) = delete;

private:
  std::string name_;
};

/// A machine with a fake GPU, as a test sets it up; whole again afterwards.
class FakeGpuTest : public ::testing::Test {
protected:
  FakeGpuTest();
  ~FakeGpuTest() override;

  /// A session on it; fails the test on an error.
  std::unique_ptr<Session> open(artifact::ArtifactContents contents) { return openSession(std::move(contents), {.device = "cuda:0"}); }
  /// What opening says, with its code.
  Status openFails(artifact::ArtifactContents contents, const std::string &device = "cuda:0");

  fakecuda::Control &gpu;

private:
  ScopedEnvironment driver;
};

} // namespace permalloy::test

#endif // PERMALLOY_TEST_RUNTIME_CUDA_DEVICEMODEL_H
