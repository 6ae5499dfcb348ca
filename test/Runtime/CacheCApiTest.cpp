//===- CacheCApiTest.cpp - caches through the C interface --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CApiFixture.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace permalloy::test;

namespace {

class CacheCApi : public CApiFixture {
protected:
  CacheCApi() : CApiFixture(cacheModel()) {}

  /// What a run gave as present, to be given as past.
  static permalloy_tensor past(const char *name, const permalloy_tensor &present) {
    permalloy_tensor result = present;
    result.name = name;
    result.owned = 0;
    return result;
  }

  const float x_[8] = {1, 2, 3, 4, 5, 6, 7, 8};
};

TEST_F(CacheCApi, NamesTheCachesAndHidesTheirCapacity) {
  EXPECT_EQ(permalloy_session_symbol_count(session_), 3u);
  ASSERT_EQ(permalloy_session_cache_count(session_), 2u);
  size_t input = 0, output = 0;
  EXPECT_EQ(take(permalloy_session_cache(session_, 1, &input, &output)), "");
  EXPECT_EQ(input, 2u);
  EXPECT_EQ(output, 2u);
  EXPECT_EQ(take(permalloy_session_cache(session_, 2, &input, &output)),
            "there is no cache 2; the model has 2");
}

TEST_F(CacheCApi, ViewsGivenBackAreContinuedInPlace) {
  permalloy_tensor inputs[] = {tensor("x", {1, 2, 1, 4}, x_),
                               tensor("past.k", {1, 2, 0, 4}, nullptr),
                               tensor("past.v", {1, 2, 0, 4}, nullptr)};
  permalloy_tensor first[3] = {};
  ASSERT_EQ(take(permalloy_session_run(session_, inputs, 3, first, 3, nullptr)), "");
  EXPECT_EQ(first[0].strided, 0);
  EXPECT_EQ(first[0].owner, nullptr);
  ASSERT_EQ(first[1].strided, 1);
  EXPECT_NE(first[1].owner, nullptr);
  EXPECT_EQ(std::vector<int64_t>(first[1].strides, first[1].strides + 4),
            (std::vector<int64_t>{512, 256, 4, 1})); // two heads of 64 rows of 4
  inputs[1] = past("past.k", first[1]);
  inputs[2] = past("past.v", first[2]);
  permalloy_tensor second[3] = {};
  ASSERT_EQ(take(permalloy_session_run(session_, inputs, 3, second, 3, nullptr)), "");
  EXPECT_EQ(second[1].data, first[1].data);
  EXPECT_EQ(second[1].dims[2], 2);
  const float *k = static_cast<const float *>(second[1].data);
  EXPECT_EQ(k[4], 1);       // row 1 of head 0
  EXPECT_EQ(k[256 + 4], 5); // row 1 of head 1
  for (permalloy_tensor &output : first)
    permalloy_tensor_release(&output);
  EXPECT_EQ(k[4], 1); // the second run's views keep it
  for (permalloy_tensor &output : second)
    permalloy_tensor_release(&output);
}

TEST_F(CacheCApi, StateRunsWithoutPastAndPresent) {
  permalloy_state *state = nullptr;
  ASSERT_EQ(take(permalloy_state_create(session_, 1, 8, &state)), "");
  EXPECT_EQ(permalloy_state_bytes(state), 8u * 2 * 2 * 4 * 4);
  permalloy_tensor inputs[] = {tensor("x", {1, 2, 1, 4}, x_),
                               tensor("past.k", {1, 2, 0, 4}, nullptr)};
  permalloy_tensor outputs[2] = {};
  outputs[0].name = "y";
  outputs[1].name = "present.k";
  for (int step = 1; step <= 3; ++step) {
    ASSERT_EQ(take(permalloy_state_run(state, inputs, 1, outputs, 1, nullptr)), "");
    EXPECT_EQ(permalloy_state_length(state), step);
    permalloy_tensor_release(outputs);
  }
  EXPECT_EQ(take(permalloy_state_run(state, inputs, 2, outputs, 1, nullptr)),
            "input 'past.k' is a cache, which the state holds");
  EXPECT_EQ(take(permalloy_state_run(state, inputs, 1, outputs, 2, nullptr)),
            "output 'present.k' is a cache, which stays in the state");
  EXPECT_EQ(take(permalloy_state_truncate(state, 4)), "cannot truncate a state of length 3 to 4");
  EXPECT_EQ(take(permalloy_state_truncate(state, 1)), "");
  EXPECT_EQ(permalloy_state_length(state), 1);
  EXPECT_EQ(take(permalloy_state_reset(state)), "");
  EXPECT_EQ(permalloy_state_length(state), 0);
  EXPECT_EQ(permalloy_state_capacity(state), 8);
  EXPECT_EQ(permalloy_state_batch(state), 1);
  float k[] = {1, 2, 3, 4, 5, 6, 7, 8};
  permalloy_tensor pasts[] = {tensor("past.v", {1, 2, 1, 4}, k), tensor("past.k", {1, 2, 1, 4}, k),
                              inputs[0]};
  EXPECT_EQ(take(permalloy_state_load(state, pasts, 1)), "input 'past.k' is missing");
  EXPECT_EQ(take(permalloy_state_load(state, pasts, 3)),
            "input 'x' is not a cache: a state is loaded with past keys and values only");
  EXPECT_EQ(take(permalloy_state_load(state, pasts, 2)), "");
  EXPECT_EQ(permalloy_state_length(state), 1);
  permalloy_state_release(state);
  permalloy_state_release(nullptr);
}

} // namespace
