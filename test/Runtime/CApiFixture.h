//===- CApiFixture.h - a session behind the C interface ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_RUNTIME_CAPIFIXTURE_H
#define PERMALLOY_TEST_RUNTIME_CAPIFIXTURE_H

#include "TestModel.h"
#include "permalloy-c/permalloy.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace permalloy::test {

/// Message of a status, which is freed; "" for success.
inline std::string take(permalloy_status *status) {
  std::string message = permalloy_status_message(status);
  permalloy_status_release(status);
  return message;
}

/// A session of `contents` while the test runs.
class CApiFixture : public ::testing::Test {
protected:
  explicit CApiFixture(const artifact::ArtifactContents &contents)
      : bytes_(artifactBytes(contents)) {}
  void SetUp() override {
    ASSERT_EQ(take(permalloy_session_open_memory(bytes_.data(), bytes_.size(), nullptr, &session_)),
              "");
  }
  void TearDown() override { permalloy_session_close(session_); }

  static permalloy_tensor tensor(const char *name, std::vector<int64_t> dims, const float *data) {
    permalloy_tensor result = {};
    result.name = name;
    result.dtype = PERMALLOY_FLOAT32;
    result.rank = static_cast<int32_t>(dims.size());
    std::copy(dims.begin(), dims.end(), result.dims);
    result.data = const_cast<float *>(data);
    return result;
  }

  std::vector<std::byte> bytes_;
  permalloy_session *session_ = nullptr;
};

} // namespace permalloy::test

#endif
