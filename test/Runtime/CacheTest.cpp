//===- CacheTest.cpp - past keys and values kept in place --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include "permalloy/Runtime/Strided.h"

#include <gtest/gtest.h>
#include <thread>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

/// One sequence as the model should see it: all rows so far, [batch, 2, length, 4] dense, equal for
/// keys and values.
struct Sequence {
  int64_t batch = 1, length = 0;
  std::vector<float> rows;

  /// `count` new rows that depend on `seed`; small integers, so that sums are exact.
  std::vector<float> next(int64_t count, int seed) const {
    std::vector<float> x;
    for (int64_t i = 0; i < batch * 2 * count * 4; ++i)
      x.push_back(static_cast<float>((i * 7 + seed * 3 + length) % 11));
    return x;
  }
  void append(const std::vector<float> &x, int64_t count) {
    std::vector<float> grown;
    for (int64_t head = 0; head < batch * 2; ++head) {
      auto old = rows.begin() + head * length * 4;
      auto fresh = x.begin() + head * count * 4;
      grown.insert(grown.end(), old, old + length * 4);
      grown.insert(grown.end(), fresh, fresh + count * 4);
    }
    rows = std::move(grown);
    length += count;
  }
  float sum(int64_t head, int64_t column) const {
    float sum = 0;
    for (int64_t row = 0; row < length; ++row)
      sum += rows[(head * length + row) * 4 + column] * static_cast<float>(row + 2);
    return sum;
  }
  InputTensor past() const { return {DType::f32, {batch, 2, length, 4}, rows.data()}; }
};

/// What a run handed out; the views of the caches go with it.
struct Step {
  std::vector<OutputTensor> outputs = std::vector<OutputTensor>(3);
  Step() = default;
  Step(Step &&other) noexcept : outputs(std::exchange(other.outputs, {})) {}
  Step &operator=(Step &&other) noexcept {
    std::swap(outputs, other.outputs);
    return *this;
  }
  ~Step() {
    for (OutputTensor &output : outputs)
      output.release();
  }
  InputTensor past(size_t i) const {
    return {outputs[i].dtype, outputs[i].dims, outputs[i].data, outputs[i].strides};
  }
  const void *memory() const { return outputs[1].data; }
};

bool shows(const OutputTensor &output, const Sequence &sequence) {
  std::vector<float> dense(sequence.rows.size());
  if (output.dims != sequence.past().dims)
    return false;
  std::vector<int64_t> strides =
      output.strides.empty() ? denseStrides(output.dims) : output.strides;
  copyStrided(dense.data(), denseStrides(output.dims), output.data, strides, output.dims, 4);
  return dense == sequence.rows;
}

bool sumsRight(const OutputTensor &y, const Sequence &sequence) {
  const float *data = static_cast<const float *>(y.data);
  for (int64_t i = 0; i < sequence.batch * 8; ++i)
    if (data[i] != sequence.sum(i / 4, i % 4))
      return false;
  return true;
}

/// Runs `count` new rows after the given pasts; checks everything that comes out.
Step extend(Session &session, InputTensor k, InputTensor v, Sequence &sequence, int64_t count,
            int seed = 0) {
  std::vector<float> x = sequence.next(count, seed);
  sequence.append(x, count);
  std::vector<InputTensor> inputs = {
      {DType::f32, {sequence.batch, 2, count, 4}, x.data()}, std::move(k), std::move(v)};
  Step step;
  Status status = session.run(inputs, step.outputs);
  EXPECT_TRUE(status.ok()) << status.message();
  if (status.ok()) {
    EXPECT_TRUE(sumsRight(step.outputs[0], sequence));
    EXPECT_TRUE(shows(step.outputs[1], sequence));
    EXPECT_TRUE(shows(step.outputs[2], sequence));
  }
  return step;
}
Step extend(Session &session, const Step &past, Sequence &sequence, int64_t count, int seed = 0) {
  return extend(session, past.past(1), past.past(2), sequence, count, seed);
}
Step begin(Session &session, Sequence &sequence, int64_t count, int seed = 0) {
  return extend(session, sequence.past(), sequence.past(), sequence, count, seed);
}

TEST(Cache, CapacityFollowsTheFormula) {
  EXPECT_EQ(grownCapacity(1, INT64_MAX), 64);
  EXPECT_EQ(grownCapacity(64, INT64_MAX), 128);
  EXPECT_EQ(grownCapacity(100, INT64_MAX), 192);
  EXPECT_EQ(grownCapacity(100, 150), 150);
  EXPECT_EQ(grownCapacity(1, 1), 1);
}

TEST(Cache, StepsAppendInPlaceAndGrow) {
  auto session = openSession(cacheModel());
  Sequence sequence;
  Step step = begin(*session, sequence, 5);
  const void *memory = step.memory();
  int moves = 0;
  while (sequence.length < 200) {
    step = extend(*session, step, sequence, 1);
    moves += step.memory() != memory;
    memory = step.memory();
  }
  // 5 rows get 64, 65 get 128, 129 get 256.
  EXPECT_EQ(moves, 2);
}

TEST(Cache, EmptyPastBatchAndGuardedBuffers) {
  for (bool guard : {false, true}) {
    auto session = openSession(cacheModel(), {.threads = 2, .guardBuffers = guard});
    for (int64_t batch : {1, 4, 8}) {
      Sequence sequence{batch, 0, {}};
      Step step = begin(*session, sequence, 3);
      step = extend(*session, step, sequence, 2);
      step = extend(*session, step, sequence, 70);
    }
    Sequence none{0, 0, {}};
    Step step = begin(*session, none, 1);
    step = extend(*session, step, none, 1);
  }
}

TEST(Cache, SecondContinuationIsCopiedAndOldViewsStay) {
  auto session = openSession(cacheModel());
  Sequence first;
  Step root = begin(*session, first, 4);
  Sequence second = first, before = first;
  Step a = extend(*session, root, first, 1, 1);
  Step b = extend(*session, root, second, 1, 2);
  EXPECT_EQ(a.memory(), root.memory());
  EXPECT_NE(b.memory(), root.memory());
  a = extend(*session, a, first, 2, 3);
  b = extend(*session, b, second, 2, 4);
  EXPECT_TRUE(shows(root.outputs[1], before));
  EXPECT_TRUE(shows(a.outputs[1], first));
}

TEST(Cache, AnythingButTheViewsOfOneRunIsCopied) {
  auto session = openSession(cacheModel());
  Sequence sequence;
  Step one = begin(*session, sequence, 4);
  Sequence same;
  Step two = begin(*session, same, 4);
  Sequence copy = sequence;
  // Keys of one run and values of another; a copy in the caller's memory; another stride.
  Step mixed = extend(*session, one.past(1), two.past(2), copy, 1);
  EXPECT_TRUE(mixed.memory() != one.memory() && mixed.memory() != two.memory());
  copy = sequence;
  Step swapped = extend(*session, one.past(2), one.past(1), copy, 1);
  EXPECT_NE(swapped.memory(), one.memory());
  copy = sequence;
  Step foreign = extend(*session, sequence.past(), sequence.past(), copy, 1);
  EXPECT_NE(foreign.memory(), one.memory());
  // A past of another session is foreign, too.
  auto other = openSession(cacheModel());
  copy = sequence;
  Step elsewhere = extend(*other, one, copy, 1);
  EXPECT_NE(elsewhere.memory(), one.memory());
  // And the real thing still goes in place.
  EXPECT_EQ(extend(*session, one, sequence, 1).memory(), one.memory());
}

TEST(Cache, StridedInputsAreCopied) {
  auto session = openSession(cacheModel());
  // Two rows of the past with a row between them, and x with its heads the other way round.
  Sequence sequence{1, 2, {}};
  std::vector<float> loose(2 * 4 * 4, -1), x = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int64_t i = 0; i < 16; ++i) {
    sequence.rows.push_back(static_cast<float>(i));
    loose[i / 8 * 16 + i / 4 % 2 * 8 + i % 4] = static_cast<float>(i);
  }
  InputTensor past{DType::f32, {1, 2, 2, 4}, loose.data(), {32, 16, 8, 1}};
  std::vector<InputTensor> inputs = {
      {DType::f32, {1, 2, 1, 4}, x.data() + 4, {8, -4, 4, 1}}, past, past};
  Step step;
  Status status = session->run(inputs, step.outputs);
  ASSERT_TRUE(status.ok()) << status.message();
  sequence.append({5, 6, 7, 8, 1, 2, 3, 4}, 1);
  EXPECT_TRUE(sumsRight(step.outputs[0], sequence));
  EXPECT_TRUE(shows(step.outputs[1], sequence));
  inputs[0].strides = {1};
  EXPECT_FALSE(session->run(inputs, step.outputs).ok());
}

TEST(Cache, PresentInTheCallersMemoryIsDense) {
  auto session = openSession(cacheModel());
  Sequence sequence;
  Step root = begin(*session, sequence, 3);
  std::vector<float> k(2 * 4 * 4), x = sequence.next(1, 0);
  sequence.append(x, 1);
  Step step;
  step.outputs[1].data = k.data();
  step.outputs[1].capacity = k.size() * 4;
  std::vector<InputTensor> inputs = {
      {DType::f32, {1, 2, 1, 4}, x.data()}, root.past(1), root.past(2)};
  Status status = session->run(inputs, step.outputs);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(step.outputs[1].strides.empty() && !step.outputs[1].owner);
  EXPECT_TRUE(shows(step.outputs[1], sequence));
  step.outputs[1] = {};
  EXPECT_EQ(step.outputs[2].data, root.outputs[2].data);
}

TEST(Cache, ViewsOutliveTheSession) {
  auto session = openSession(cacheModel());
  Sequence sequence;
  Step step = begin(*session, sequence, 3);
  session.reset();
  EXPECT_TRUE(shows(step.outputs[1], sequence));
}

TEST(Cache, OneOfTwoThreadsContinuesInPlace) {
  auto session = openSession(cacheModel(), {.threads = 2});
  for (int round = 0; round < 50; ++round) {
    Sequence sequence;
    Step root = begin(*session, sequence, 3, round);
    Step steps[2];
    Sequence sequences[2] = {sequence, sequence};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&, t] {
        steps[t] = extend(*session, root, sequences[t], 1, t);
        for (int i = 0; i < 5; ++i)
          steps[t] = extend(*session, steps[t], sequences[t], 1, t);
      });
    for (std::thread &thread : threads)
      thread.join();
    int inPlace = (steps[0].memory() == root.memory()) + (steps[1].memory() == root.memory());
    EXPECT_EQ(inPlace, 1);
  }
}

TEST(Cache, TerminatedRunGivesItsRowsBack) {
  auto session = openSession(cacheModel());
  Sequence sequence;
  Step root = begin(*session, sequence, 3);
  std::vector<float> x = sequence.next(1, 0);
  std::vector<InputTensor> inputs = {
      {DType::f32, {1, 2, 1, 4}, x.data()}, root.past(1), root.past(2)};
  int32_t stop = 1;
  RunOptions options;
  options.terminate = &stop;
  Step step;
  EXPECT_EQ(session->run(inputs, step.outputs, options).code(), StatusCode::terminated);
  EXPECT_EQ(extend(*session, root, sequence, 1).memory(), root.memory());
}

//===-- States ------------------------------------------------------------===//

Status runState(Session &session, CacheState &state, Sequence &sequence, int64_t count, int seed) {
  std::vector<float> x = sequence.next(count, seed);
  std::vector<InputTensor> inputs(3);
  inputs[0] = {DType::f32, {sequence.batch, 2, count, 4}, x.data()};
  Step step;
  RunOptions options;
  options.state = &state;
  Status status = session.run(inputs, step.outputs, options);
  if (!status.ok())
    return status;
  sequence.append(x, count);
  EXPECT_TRUE(sumsRight(step.outputs[0], sequence));
  EXPECT_TRUE(!step.outputs[1].data && step.outputs[1].dims.empty());
  EXPECT_EQ(state.length(), sequence.length);
  return {};
}

TEST(CacheState, GrowsRollsBackAndTakesWhatTheFormulaSays) {
  auto session = openSession(cacheModel());
  auto made = session->createState(4, 10);
  ASSERT_TRUE(made.ok()) << made.status().message();
  CacheState &state = **made;
  // Two caches of 2 heads of 4 floats.
  EXPECT_EQ(state.bytes(), 4u * 10 * (2 * 2 * 4 * 4));
  Sequence sequence{4, 0, {}};
  EXPECT_TRUE(runState(*session, state, sequence, 10, 0).ok());
  EXPECT_EQ(state.capacity(), 10);
  Sequence before = sequence;
  EXPECT_TRUE(runState(*session, state, sequence, 1, 1).ok());
  EXPECT_EQ(state.capacity(), 64);
  EXPECT_EQ(state.bytes(), 4u * 64 * (2 * 2 * 4 * 4));
  ASSERT_TRUE(state.truncate(10).ok());
  EXPECT_TRUE(runState(*session, state, before, 2, 2).ok());
  ASSERT_TRUE(state.truncate(0).ok());
  Sequence fresh{4, 0, {}};
  EXPECT_TRUE(runState(*session, state, fresh, 7, 3).ok());
}

TEST(CacheState, LoadsAPast) {
  auto session = openSession(cacheModel());
  auto state = session->createState(1, 2);
  ASSERT_TRUE(state.ok());
  Sequence sequence;
  Step root = begin(*session, sequence, 5);
  std::vector<InputTensor> inputs = {{}, root.past(1), root.past(2)};
  ASSERT_TRUE(session->loadState(**state, inputs).ok());
  EXPECT_TRUE(runState(*session, **state, sequence, 1, 1).ok());
  inputs[2].dims[2] = 3;
  EXPECT_FALSE(session->loadState(**state, inputs).ok());
  for (InputTensor *past : {&inputs[1], &inputs[2]})
    past->dims[2] = -1;
  EXPECT_EQ(session->loadState(**state, inputs).message(),
            "input 'past.k' has shape [1, 2, -1, 4], which is no possible size");
  for (InputTensor *past : {&inputs[1], &inputs[2]})
    past->dims[2] = 5, past->data = nullptr;
  EXPECT_EQ(session->loadState(**state, inputs).message(), "input 'past.k' has no data");
  EXPECT_EQ((*state)->length(), 6);
}

TEST(CacheState, MayBeAskedDuringARun) {
  auto session = openSession(cacheModel());
  auto state = session->createState(1, 1);
  ASSERT_TRUE(state.ok());
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    while (!done)
      EXPECT_LE((*state)->length(), 200);
  });
  Sequence sequence;
  while (sequence.length < 200) // 1, 64, 128 and 256 rows
    ASSERT_TRUE(runState(*session, **state, sequence, 1, 0).ok());
  done = true;
  watcher.join();
}

TEST(CacheState, Errors) {
  auto session = openSession(cacheModel());
  EXPECT_EQ(session->createState(9).status().message(),
            "a state of batch 9: the model takes 0 to 8");
  EXPECT_EQ(session->createState(1, 401).status().message(),
            "a state of capacity 401: accepted are 1..400, or 0 to leave it to the session");
  auto state = session->createState(2);
  ASSERT_TRUE(state.ok());
  EXPECT_EQ((*state)->truncate(1).message(), "cannot truncate a state of length 0 to 1");
  Sequence one;
  EXPECT_EQ(
      runState(*session, **state, one, 1, 0).message(),
      "input 'past.k' has shape [2, 2, 0, 4]: axis 0 is 2, expected batch = 1 (from input 'x' "
      "axis 0)");
  auto other = openSession(cacheModel());
  EXPECT_EQ(runState(*other, **state, one, 1, 0).message(), "the state belongs to another session");
  auto none = openSession(tinyModel());
  EXPECT_EQ(none->createState(1).status().message(),
            "the model has no caches, so it takes no state");
  // The range of `past` ends at 200.
  Sequence full{2, 0, {}};
  EXPECT_TRUE(runState(*session, **state, full, 200, 0).ok());
  EXPECT_TRUE(runState(*session, **state, full, 1, 0).ok());
  Status status = runState(*session, **state, full, 1, 0);
  EXPECT_EQ(status.message(), "input 'past.k' has shape [2, 2, 201, 4]: axis 2 is 201, but 'past' "
                              "accepts 0..200");
  EXPECT_EQ((*state)->length(), 201);
}

} // namespace
