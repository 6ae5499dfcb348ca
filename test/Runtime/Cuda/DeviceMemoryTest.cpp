//===- DeviceMemoryTest.cpp - tensors and caches on a GPU, graphs *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceModel.h"

#include "Cuda/Graphs.h"
#include "Cuda/Transfers.h"
#include "permalloy-c/permalloy.h"
#include "permalloy/Runtime/Gpu.h"
#include "permalloy/Runtime/Strided.h"

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

using DeviceMemoryTest = FakeGpuTest;
using GraphTest = FakeGpuTest;

/// An array on the GPU, `shift` bytes behind an aligned address.
struct OnGpu {
  explicit OnGpu(std::span<const float> values, size_t shift = 0) {
    auto memory = allocateOnGpu(0, values.size_bytes() + shift);
    EXPECT_TRUE(memory.ok()) << memory.status().message();
    owner = std::move(*memory);
    data = static_cast<std::byte *>(owner.get()) + shift;
    Status status = copyMemory({data, 0}, {const_cast<float *>(values.data())}, values.size_bytes());
    EXPECT_TRUE(status.ok()) << status.message();
  }
  std::shared_ptr<void> owner;
  std::byte *data = nullptr;
};

std::vector<float> fromGpu(const void *data, size_t count) {
  std::vector<float> values(count);
  Status status = copyMemory({values.data()}, {const_cast<void *>(data), 0}, count * sizeof(float));
  EXPECT_TRUE(status.ok()) << status.message();
  return values;
}

/// The caller's work: a copy in a stream, which nobody has waited for.
void putCopy(const OnGpu &to, const OnGpu &from, size_t bytes,
             cuda::StreamHandle stream = cuda::legacyStream()) {
  auto device = cuda::Device::open(0);
  ASSERT_TRUE(device.ok());
  cuda::Device::Scope scope(**device);
  auto address = [](const OnGpu &tensor) { return reinterpret_cast<cuda::DevicePointer>(tensor.data); };
  ASSERT_EQ((*device)->driver().copyOnDevice(address(to), address(from), bytes, stream), 0);
}

/// A stream of the caller's.
struct CallersStream {
  CallersStream() : device(*cuda::Device::open(0)) {
    stream = std::move(*cuda::Stream::create(device));
  }
  cuda::StreamHandle get() const { return stream.get(); }
  std::shared_ptr<cuda::Device> device;
  cuda::Stream stream;
};

//===-- Tensors -----------------------------------------------------------===//

TEST_F(DeviceMemoryTest, TensorsOfTheGpuStayThere) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  TinyCase tiny(2, 30);
  for (size_t shift : {0, 4, 16}) { // what is not at a multiple of 16 bytes is copied within the GPU
    OnGpu x(tiny.x, shift), m(tiny.m, shift), y(std::vector<float>(tiny.y.size()), shift);
    std::vector<InputTensor> inputs = tiny.inputs();
    inputs[0].data = x.data, inputs[0].device = 0;
    inputs[1].data = m.data, inputs[1].device = 0;
    std::vector<OutputTensor> outputs(3);
    uint64_t toDevice = gpu.toDevice, toHost = gpu.toHost;
    for (int i = 0; i < 3; ++i) {
      for (size_t k : {1, 2})
        outputs[k].release();
      outputs[0].data = y.data, outputs[0].capacity = tiny.y.size() * 4;
      outputs[0].device = outputs[1].device = outputs[2].device = 0;
      Status status = session->run(inputs, outputs);
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(gpu.toDevice, toDevice); // nothing crosses the bus
      EXPECT_EQ(gpu.toHost, toHost);
    }
    EXPECT_EQ(fromGpu(y.data, tiny.y.size()), tiny.y);
    EXPECT_EQ(fromGpu(outputs[1].data, tiny.s.size()), tiny.s);
    EXPECT_EQ(fromGpu(outputs[2].data, tiny.x.size()), tiny.x);
    for (size_t i : {1, 2})
      outputs[i].release();
  }
}

TEST_F(DeviceMemoryTest, MemoryOfOutputsIsUsedAgain) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  TinyCase tiny(2, 30);
  uint64_t calls = 0;
  for (int i = 0; i < 20; ++i) {
    std::vector<OutputTensor> outputs(3);
    for (OutputTensor &output : outputs)
      output.device = 0;
    ASSERT_TRUE(session->run(tiny.inputs(), outputs).ok());
    for (OutputTensor &output : outputs)
      output.release();
    calls = i == 2 ? gpu.allocationCalls : calls;
  }
  EXPECT_EQ(gpu.allocationCalls, calls);
}

TEST_F(DeviceMemoryTest, ForeignTensorsAreRefused) {
  auto session = open(withDevice(tinyModel()));
  auto host = openSession(tinyModel(), {.threads = 1});
  ASSERT_TRUE(session && host);
  TinyCase tiny(2, 3);
  std::vector<InputTensor> inputs = tiny.inputs();
  std::vector<OutputTensor> outputs(3);
  inputs[1].device = 1;
  EXPECT_EQ(session->run(inputs, outputs).message(),
            "input 'm' lies in the memory of cuda:1; this session takes this process' memory and the memory of cuda:0");
  inputs[1].device = 0;
  EXPECT_EQ(host->run(inputs, outputs).message(), "input 'm' lies in the memory of cuda:0; this session takes this process' memory");
  inputs[1].strides = {1, 2};
  EXPECT_EQ(session->run(inputs, outputs).message(), "input 'm' lies in the memory of cuda:0 and is not dense; give a contiguous copy");
  inputs = tiny.inputs();
  inputs[0].device = 0;
  EXPECT_EQ(session->run(inputs, outputs).message(), "input 'x' is said to lie in the memory of cuda:0, but its address does not");
  outputs[0].device = 2;
  EXPECT_EQ(session->run(tiny.inputs(), outputs).message(),
            "output 'y' is wanted in the memory of cuda:2; this session takes this process' memory and the memory of cuda:0");
}

TEST_F(DeviceMemoryTest, ThroughTheCInterface) {
  size_t count = 0;
  ASSERT_FALSE(permalloy_gpu_count(&count));
  EXPECT_EQ(count, 1u);
  permalloy_gpu_info info = {};
  info.struct_size = sizeof info;
  ASSERT_FALSE(permalloy_gpu(0, &info));
  EXPECT_STREQ(info.name, "Fake GPU");
  EXPECT_EQ(info.major, 8);
  std::vector<std::byte> bytes = artifactBytes(withDevice(tinyModel()));
  permalloy_session_options options = {};
  options.struct_size = sizeof options;
  options.device = "cuda:0";
  permalloy_session *session = nullptr;
  ASSERT_FALSE(permalloy_session_open_memory(bytes.data(), bytes.size(), &options, &session));
  EXPECT_STREQ(permalloy_session_device(session), "cuda:0");
  EXPECT_STREQ(permalloy_session_metadata(session, "target"), "sm_80");
  TinyCase tiny(2, 3);
  OnGpu x(tiny.x);
  permalloy_tensor inputs[2] = {{"x", PERMALLOY_FLOAT32, 3, {2, 3, 8}, x.data}, {"m", PERMALLOY_FLOAT32, 2, {2, 3}, tiny.m.data()}};
  inputs[0].device_type = PERMALLOY_CUDA;
  permalloy_tensor outputs[2] = {{"y"}, {"s"}};
  outputs[1].device_type = PERMALLOY_CUDA;
  ASSERT_FALSE(permalloy_session_run(session, inputs, 2, outputs, 2, nullptr));
  EXPECT_EQ(std::memcmp(outputs[0].data, tiny.y.data(), tiny.y.size() * 4), 0);
  EXPECT_EQ(fromGpu(outputs[1].data, tiny.s.size()), tiny.s);
  inputs[0].device_type = 7;
  permalloy_status *status = permalloy_session_run(session, inputs, 2, outputs, 2, nullptr);
  EXPECT_EQ(permalloy_status_get_code(status), PERMALLOY_INVALID_ARGUMENT);
  permalloy_status_release(status);
  for (permalloy_tensor &output : outputs)
    permalloy_tensor_release(&output);
  permalloy_session_close(session);
}

/// Runs of a session with a stream of the caller's come behind what is in it, and wait for no other.
TEST_F(DeviceMemoryTest, StreamsOfTheCaller) {
  CallersStream stream;
  std::vector<std::byte> bytes = artifactBytes(withDevice(tinyModel()));
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "model.alloy");
  ASSERT_TRUE(artifact.ok());
  auto session = Session::create(*artifact, {.device = "cuda:0", .stream = stream.get()});
  ASSERT_TRUE(session.ok()) << session.status().message();
  TinyCase tiny(2, 30);
  OnGpu x(tiny.x);
  uint64_t records = gpu.eventRecords;
  int streams = gpu.streams;
  for (int i = 0; i < 4; ++i) {
    OnGpu place(std::vector<float>(tiny.x.size(), 0.f));
    putCopy(place, x, tiny.x.size() * 4, stream.get());
    std::vector<InputTensor> inputs = tiny.inputs();
    inputs[0].data = place.data, inputs[0].device = 0;
    std::vector<OutputTensor> outputs(3);
    Status status = (*session)->run(inputs, outputs);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(std::memcmp(outputs[0].data, tiny.y.data(), tiny.y.size() * 4), 0);
    for (OutputTensor &output : outputs)
      output.release();
  }
  EXPECT_EQ(gpu.eventRecords, records);
  EXPECT_EQ(gpu.streams, streams);
  auto host = Session::create(*artifact, {.stream = stream.get()});
  EXPECT_EQ(host.status().message(),
            "a stream is given for a session on the CPU; give one with device cuda:0");
}

/// A caller may destroy its stream before the session goes: nothing is in it then.
TEST_F(DeviceMemoryTest, SessionsOutliveTheCallersStream) {
  auto stream = std::make_unique<CallersStream>();
  auto session = openSession(withDevice(cacheModel()), {.device = "cuda:0", .stream = stream->get()});
  ASSERT_TRUE(session);
  std::vector<float> x(8, 1.f);
  std::vector<InputTensor> inputs = {{DType::f32, {1, 2, 1, 4}, x.data()}, {DType::f32, {1, 2, 0, 4}, nullptr}, {DType::f32, {1, 2, 0, 4}, nullptr}};
  std::vector<OutputTensor> outputs(3);
  Status status = session->run(inputs, outputs);
  ASSERT_TRUE(status.ok()) << status.message();
  for (OutputTensor &output : outputs)
    output.release();
  stream.reset();
  session.reset();
  EXPECT_EQ(gpu.wrongStreams, 0u);
}

TEST_F(DeviceMemoryTest, StreamsThatAreRefused) {
  CallersStream stream;
  std::vector<std::byte> bytes = artifactBytes(withDevice(tinyModel()));
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "model.alloy");
  ASSERT_TRUE(artifact.ok());
  gpu.isForeign = true;
  EXPECT_EQ(Session::create(*artifact, {.device = "cuda:0", .stream = stream.get()}).status().message(),
            "the stream that the session was given is of another GPU or context; a session on cuda:0 (Fake GPU, compute capability 8.0) takes streams of that GPU's primary context");
  gpu.isForeign = false;
  auto session = Session::create(*artifact, {.device = "cuda:0", .stream = stream.get()});
  ASSERT_TRUE(session.ok());
  TinyCase tiny(2, 3);
  for (int i = 0; i < 2; ++i) { // before anything is there, and after
    gpu.isCapturing = true;
    std::vector<OutputTensor> outputs(3);
    EXPECT_EQ((*session)->run(tiny.inputs(), outputs).message(),
              "the session's stream is being captured into a graph; a run waits for its work, and makes graphs by itself: run it outside of the capture");
    gpu.isCapturing = false;
    EXPECT_TRUE(tiny.runsRight(**session));
  }
}

//===-- Sizes of data -----------------------------------------------------===//

TEST_F(DeviceMemoryTest, JumpsAndSizesAreReadBack) {
  auto session = open(withDevice(firstElements()));
  ASSERT_TRUE(session);
  std::vector<float> x, z;
  for (int i = 0; i < 4096; ++i)
    x.push_back(static_cast<float>(i)), z.push_back(static_cast<float>(100 + i));
  for (bool flag : {false, true})
    for (int64_t count : {3, 0, 1, 4000, 2}) {
      std::vector<InputTensor> inputs = {{DType::f32, {4096}, x.data()}, {DType::f32, {4096}, z.data()}, {DType::i64, {}, &count}, {DType::boolean, {}, &flag}};
      for (int device : {kHostMemory, 0}) {
        OutputTensor y;
        y.device = device;
        Status status = session->run(inputs, {&y, 1});
        ASSERT_TRUE(status.ok()) << status.message();
        ASSERT_EQ(y.dims, std::vector<int64_t>{count});
        std::vector<float> got(count);
        if (count)
          ASSERT_TRUE(copyMemory({got.data()}, {y.data, device}, count * 4).ok());
        for (int64_t i = 0; i < count; ++i)
          EXPECT_EQ(got[i], static_cast<float>(i + 100 * flag));
        y.release();
      }
    }
}

/// An output whose size the run computes is written after what the caller has put into the legacy default stream.
TEST_F(DeviceMemoryTest, LateOutputsWaitForTheCallersWork) {
  auto session = open(withDevice(firstElements()));
  ASSERT_TRUE(session);
  std::vector<float> x(16, 3.f), z(16, 4.f);
  int64_t count = 5;
  bool flag = false;
  OnGpu y(std::vector<float>(5, 0.f)), other(std::vector<float>(5, -1.f));
  putCopy(y, other, 20);
  std::vector<InputTensor> inputs = {{DType::f32, {16}, x.data()}, {DType::f32, {16}, z.data()}, {DType::i64, {}, &count}, {DType::boolean, {}, &flag}};
  OutputTensor output;
  output.data = y.data, output.capacity = 20, output.device = 0;
  Status status = session->run(inputs, {&output, 1});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(fromGpu(y.data, 5), std::vector<float>(5, 3.f));
}

//===-- Caches ------------------------------------------------------------===//

/// `count` rows of a sequence of batch 1: [1, 2, count, 4].
std::vector<float> rowsOf(int64_t count, int seed) {
  std::vector<float> x;
  for (int64_t i = 0; i < 8 * count; ++i)
    x.push_back(static_cast<float>((i * 7 + seed * 3) % 11));
  return x;
}

/// Runs of cacheModel on the CPU and on the GPU, each with its own past.
struct Pair {
  std::unique_ptr<Session> host, device;
  std::unique_ptr<CacheState> hostState, deviceState;

  /// One run of both with `count` new rows; y must be equal.
  void step(int64_t count, int seed) {
    std::vector<float> x = rowsOf(count, seed);
    InputTensor input{DType::f32, {1, 2, count, 4}, x.data()};
    step(input, input);
  }
  void step(const InputTensor &hostInput, const InputTensor &deviceInput) {
    std::vector<float> expected;
    for (auto [session, state] : {std::pair(host.get(), hostState.get()), {device.get(), deviceState.get()}}) {
      std::vector<InputTensor> inputs(3);
      inputs[0] = session == host.get() ? hostInput : deviceInput;
      std::vector<OutputTensor> outputs(3);
      Status status = session->run(inputs, outputs, {.state = state});
      ASSERT_TRUE(status.ok()) << status.message();
      const float *y = static_cast<const float *>(outputs[0].data);
      if (session == host.get())
        expected.assign(y, y + 8);
      EXPECT_EQ(std::vector<float>(y, y + 8), expected);
      outputs[0].release();
    }
  }
};

Pair openPair(ArtifactContents contents, std::unique_ptr<Session> device) {
  Pair pair{openSession(std::move(contents), {.threads = 1}), std::move(device), nullptr, nullptr};
  pair.hostState = std::move(*pair.host->createState(1, 4));
  pair.deviceState = std::move(*pair.device->createState(1, 4));
  return pair;
}

TEST_F(DeviceMemoryTest, StatesNeverCrossTheBus) {
  Pair pair = openPair(cacheModel(), open(withDevice(cacheModel())));
  pair.step(3, 1);
  uint64_t toDevice = gpu.toDevice, toHost = gpu.toHost;
  for (int i = 0; i < 20; ++i) // the state of 4 rows grows on the way
    pair.step(1, i);
  EXPECT_EQ(gpu.toDevice - toDevice, 20 * 8 * sizeof(float)); // the new rows
  EXPECT_EQ(gpu.toHost - toHost, 20 * 8 * sizeof(float));     // y
  uint64_t records = gpu.eventRecords;
  pair.step(1, 3); // nothing of it is the caller's
  EXPECT_EQ(gpu.eventRecords, records);
  ASSERT_TRUE(pair.hostState->truncate(5).ok() && pair.deviceState->truncate(5).ok());
  pair.step(2, 9);
  std::vector<float> past = rowsOf(6, 4);
  std::vector<InputTensor> inputs(3);
  inputs[1] = inputs[2] = {DType::f32, {1, 2, 6, 4}, past.data()};
  ASSERT_TRUE(pair.host->loadState(*pair.hostState, inputs).ok());
  Status status = pair.device->loadState(*pair.deviceState, inputs);
  ASSERT_TRUE(status.ok()) << status.message();
  pair.step(1, 5);
}

/// What the caller has put into the legacy default stream, or a stream of its own, comes before a state is loaded from its result.
void loadsBehindTheCallersWork(std::unique_ptr<Session> session, cuda::StreamHandle stream) {
  ASSERT_TRUE(session);
  Pair pair = openPair(cacheModel(), std::move(session));
  std::vector<float> past = rowsOf(6, 4);
  OnGpu result(past), place(std::vector<float>(past.size(), 0.f));
  std::vector<InputTensor> inputs(3);
  inputs[1] = inputs[2] = {DType::f32, {1, 2, 6, 4}, past.data()};
  ASSERT_TRUE(pair.host->loadState(*pair.hostState, inputs).ok());
  putCopy(place, result, past.size() * 4, stream);
  inputs[1] = inputs[2] = {DType::f32, {1, 2, 6, 4}, place.data, {}, 0};
  Status status = pair.device->loadState(*pair.deviceState, inputs);
  ASSERT_TRUE(status.ok()) << status.message();
  pair.step(1, 5);
}

TEST_F(DeviceMemoryTest, StatesWaitForTheCallersWork) {
  loadsBehindTheCallersWork(open(withDevice(cacheModel())), cuda::legacyStream());
  CallersStream stream;
  loadsBehindTheCallersWork(openSession(withDevice(cacheModel()), {.device = "cuda:0", .stream = stream.get()}), stream.get());
}

/// Rows that repeat or run backwards are read one by one on the host, and refused on the GPU.
TEST_F(DeviceMemoryTest, StridesThatAreNoRows) {
  Pair pair = openPair(cacheModel(), open(withDevice(cacheModel())));
  std::vector<float> past = rowsOf(6, 4);
  OnGpu onGpu(past);
  struct Case {
    size_t first;
    std::vector<int64_t> strides;
  };
  for (const Case &one : {Case{0, {48, 0, 4, 1}}, {0, {48, 24, 0, 1}}, {20, {48, 24, -4, 1}}, {0, {48, 24, 2, 1}}}) {
    std::vector<InputTensor> inputs(3);
    inputs[1] = inputs[2] = {DType::f32, {1, 2, 6, 4}, past.data() + one.first, one.strides};
    ASSERT_TRUE(pair.host->loadState(*pair.hostState, inputs).ok());
    Status status = pair.device->loadState(*pair.deviceState, inputs);
    ASSERT_TRUE(status.ok()) << status.message();
    pair.step(1, 5);
    inputs[1] = inputs[2] = {DType::f32, {1, 2, 6, 4}, onGpu.data + 4 * one.first, one.strides, 0};
    EXPECT_EQ(pair.device->loadState(*pair.deviceState, inputs).message(),
              "a tensor on the device has strides that are no rows; give a contiguous copy");
  }
}

/// Presents as views on the GPU, given back as past: they continue in place.
TEST_F(DeviceMemoryTest, ViewsContinueInPlace) {
  auto host = openSession(cacheModel(), {.threads = 1}), session = open(withDevice(cacheModel()));
  ASSERT_TRUE(host && session);
  std::vector<float> all;
  std::vector<OutputTensor> outputs(3), hostOutputs(3);
  std::vector<InputTensor> past = {{DType::f32, {1, 2, 0, 4}, nullptr}, {DType::f32, {1, 2, 0, 4}, nullptr}}, hostPast = past;
  for (int i = 0; i < 10; ++i) {
    std::vector<float> x = rowsOf(1, i);
    InputTensor fresh{DType::f32, {1, 2, 1, 4}, x.data()};
    std::vector<OutputTensor> next(3), hostNext(3);
    next[1].device = next[2].device = 0;
    uint64_t toDevice = gpu.toDevice;
    Status status = session->run(std::vector<InputTensor>{fresh, past[0], past[1]}, next);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_TRUE(host->run(std::vector<InputTensor>{fresh, hostPast[0], hostPast[1]}, hostNext).ok());
    EXPECT_EQ(std::memcmp(next[0].data, hostNext[0].data, 32), 0) << i;
    if (i)
      EXPECT_EQ(gpu.toDevice - toDevice, x.size() * 4);
    for (size_t k : {1, 2}) {
      EXPECT_FALSE(next[k].strides.empty());
      past[k - 1] = {DType::f32, next[k].dims, next[k].data, next[k].strides, 0};
      hostPast[k - 1] = {DType::f32, hostNext[k].dims, hostNext[k].data, hostNext[k].strides};
    }
    for (auto *list : {&outputs, &hostOutputs})
      for (OutputTensor &output : *list)
        output.release();
    outputs = std::move(next), hostOutputs = std::move(hostNext);
  }
  for (auto *list : {&outputs, &hostOutputs})
    for (OutputTensor &output : *list)
      output.release();
}

/// Presents in the host's memory are dense copies; given back as past they are copied over.
TEST_F(DeviceMemoryTest, PresentsOnTheHostAreCopies) {
  auto session = open(withDevice(cacheModel()));
  ASSERT_TRUE(session);
  std::vector<float> x = rowsOf(3, 1), more = rowsOf(1, 2);
  std::vector<OutputTensor> first(3), second(3);
  std::vector<InputTensor> inputs = {{DType::f32, {1, 2, 3, 4}, x.data()}, {DType::f32, {1, 2, 0, 4}, nullptr}, {DType::f32, {1, 2, 0, 4}, nullptr}};
  Status status = session->run(inputs, first);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(first[1].strides.empty());
  EXPECT_EQ(std::memcmp(first[1].data, x.data(), x.size() * 4), 0);
  inputs = {{DType::f32, {1, 2, 1, 4}, more.data()}, {DType::f32, {1, 2, 3, 4}, first[1].data}, {DType::f32, {1, 2, 3, 4}, first[2].data}};
  status = session->run(inputs, second);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(std::memcmp(second[1].data, x.data(), 12 * 4), 0);                              // head 0: 3 rows
  EXPECT_EQ(std::memcmp(static_cast<float *>(second[1].data) + 12, more.data(), 4 * 4), 0); // and the new one
  for (auto *list : {&first, &second})
    for (OutputTensor &output : *list)
      output.release();
}

//===-- Graphs ------------------------------------------------------------===//

TEST_F(GraphTest, EqualRunsAreGraphs) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(TinyCase(2, 3, i).runsRight(*session));
  EXPECT_EQ(gpu.instantiations, 1u);
  EXPECT_EQ(gpu.graphLaunches, 4u);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(TinyCase(2, 2, i).runsRight(*session)); // other sizes
  EXPECT_EQ(gpu.instantiations, 2u);
  EXPECT_EQ(gpu.graphLaunches, 6u);
  ASSERT_TRUE(TinyCase(2, 3, 7).runsRight(*session)); // the first graph is still there
  EXPECT_EQ(gpu.instantiations, 2u);
  EXPECT_EQ(gpu.graphLaunches, 7u);
}

TEST_F(GraphTest, ManySizesKeepTheLatest) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  for (int round = 0; round < 2; ++round)
    for (int seq = 1; seq <= 40; ++seq)
      for (int i = 0; i < 2; ++i)
        ASSERT_TRUE(TinyCase(1, seq, i).runsRight(*session));
  // Those of the latest 16 and no more: one that follows, with its template, is not needed here.
  EXPECT_EQ(gpu.instantiations, 80u);
  EXPECT_EQ(gpu.graphLaunches, 80u);
  EXPECT_EQ(gpu.graphs, 16);
}

TEST_F(GraphTest, OtherAddressesAreOtherGraphs) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  TinyCase tiny(2, 3);
  OnGpu first(tiny.x), second(std::vector<float>(tiny.x.size(), 0.f));
  for (int i = 0; i < 4; ++i)
    for (OnGpu *x : {&first, &second}) {
      std::vector<InputTensor> inputs = tiny.inputs();
      inputs[0].data = x->data, inputs[0].device = 0;
      std::vector<OutputTensor> outputs(3);
      ASSERT_TRUE(session->run(inputs, outputs).ok());
      EXPECT_EQ(std::memcmp(outputs[0].data, tiny.y.data(), tiny.y.size() * 4) == 0, x == &first);
      for (OutputTensor &output : outputs)
        output.release();
    }
  EXPECT_EQ(gpu.instantiations, 2u);
}

/// y[i] = x[i] * x[i] from the second element on: operands that begin off 16 bytes, two of them at one place.
ArtifactContents squaresBehindTheFirst() {
  ArtifactContents contents = oneKernelModel("mask_rows", {1});
  ExprBuilder exprs(contents.program.expressions);
  uint32_t four = exprs.constant(4);
  Step &step = contents.program.steps[0];
  step.operands = {{OperandKind::input, 0, four}, {OperandKind::input, 0, four}, {OperandKind::output, 0, four}};
  step.grids[0].tiles = exprs.binary(ExprOp::sub, exprs.symbol(0), exprs.constant(1));
  contents.program.kernels[0].bufferCount = 3;
  return contents;
}

TEST_F(GraphTest, OperandsOffSixteenBytes) {
  auto session = open(withDevice(squaresBehindTheFirst()));
  ASSERT_TRUE(session);
  std::vector<float> values[2] = {{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}};
  OnGpu first(values[0]), second(values[1]), y(std::vector<float>(5, -1.f));
  for (int i = 0; i < 8; ++i) {
    InputTensor x{DType::f32, {5}, (i % 2 ? second : first).data, {}, 0};
    OutputTensor output;
    output.data = y.data, output.capacity = 20, output.device = 0;
    Status status = session->run({&x, 1}, {&output, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    std::vector<float> expected = {-1};
    for (size_t k = 1; k < 5; ++k)
      expected.push_back(values[i % 2][k] * values[i % 2][k]);
    EXPECT_EQ(fromGpu(y.data, 5), expected) << i;
  }
  EXPECT_EQ(gpu.instantiations, 2u);
}

/// cacheModel as decoders are: most steps do not depend on the past. x passes through `slots` slots.
ArtifactContents decoderModel(uint32_t slots = 4) {
  ArtifactContents contents = cacheModel();
  Program &program = contents.program;
  ExprBuilder exprs(program.expressions);
  uint32_t bytes = exprs.binary(ExprOp::mul, exprs.constant(32),
                                exprs.binary(ExprOp::mul, exprs.symbol(0), exprs.symbol(2)));
  Operand from{OperandKind::input, 0, kNone};
  std::vector<Step> steps;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    program.slots.push_back({bytes});
    Step copy;
    copy.kind = StepKind::copy;
    copy.operands = {from, {OperandKind::slot, slot, kNone}};
    copy.copyBytes = bytes;
    from = copy.operands[1];
    steps.push_back(copy);
  }
  for (Step &step : program.steps) {
    for (Operand &operand : step.operands)
      if (operand.kind == OperandKind::input)
        operand = from;
    steps.push_back(step);
  }
  program.steps = std::move(steps);
  return contents;
}

TEST_F(GraphTest, StepsOfADecoderSetWhatDiffers) {
  Pair pair = openPair(decoderModel(), open(withDevice(decoderModel())));
  pair.step(3, 1);
  pair.step(1, 2); // other sizes: piece by piece
  EXPECT_EQ(gpu.instantiations, 0u);
  pair.step(1, 3);
  EXPECT_EQ(gpu.instantiations, 1u);
  EXPECT_EQ(gpu.nodeUpdates, 0u);
  uint64_t launches = gpu.launchCalls;
  for (int i = 0; i < 100; ++i) // the state grows on the way
    pair.step(1, i);
  EXPECT_EQ(gpu.instantiations, 1u);
  EXPECT_EQ(gpu.launchCalls, launches);
  EXPECT_EQ(gpu.graphLaunches, 101u);
  EXPECT_EQ(gpu.nodeUpdates, 300u); // two appends and the reading of the past
  pair.step(2, 4);                  // most differs
  EXPECT_EQ(gpu.nodeUpdates, 300u);
  EXPECT_EQ(gpu.launchCalls, launches + 3);
  pair.step(1, 5);
  pair.step(1, 6); // the graph is still there
  EXPECT_EQ(gpu.instantiations, 1u);
  EXPECT_EQ(gpu.nodeUpdates, 303u);
}

/// Copies from the caller's memory are nodes as well; where more than half differs there is no graph.
TEST_F(GraphTest, CopiesAreSetAnew) {
  for (uint32_t slots : {4, 5}) {
    Pair pair = openPair(decoderModel(slots), open(withDevice(decoderModel(slots))));
    std::vector<std::unique_ptr<OnGpu>> kept;
    for (int i = 0; i < 10; ++i) {
      std::vector<float> x = rowsOf(1, i);
      kept.push_back(std::make_unique<OnGpu>(x));
      InputTensor onGpu{DType::f32, {1, 2, 1, 4}, kept.back()->data, {}, 0};
      pair.step({DType::f32, {1, 2, 1, 4}, x.data()}, onGpu);
    }
    EXPECT_EQ(gpu.graphLaunches, slots == 5 ? 9u : 0u);
    EXPECT_EQ(gpu.nodeUpdates, slots == 5 ? 32u : 0u);
  }
}

TEST_F(GraphTest, DriversThatSetNoNodes) {
  Pair pair = openPair(decoderModel(), open(withDevice(decoderModel())));
  gpu.refusesUpdates = true;
  for (int i = 0; i < 10; ++i)
    pair.step(1, i);
  EXPECT_EQ(gpu.graphLaunches, 1u); // then it is not asked again
  EXPECT_EQ(gpu.graphs, 0);
}

/// That says nothing of graphs of runs that come again.
TEST_F(GraphTest, WhatIsRefusedIsOfOneKind) {
  auto session = open(withDevice(decoderModel(5)));
  ASSERT_TRUE(session);
  gpu.refusesUpdates = true;
  auto state = std::move(*session->createState(1, 64));
  std::vector<float> x = rowsOf(1, 1);
  auto run = [&](int64_t past) {
    EXPECT_TRUE(state->truncate(past).ok());
    std::vector<InputTensor> inputs(3);
    inputs[0] = {DType::f32, {1, 2, 1, 4}, x.data()};
    std::vector<OutputTensor> outputs(3);
    Status status = session->run(inputs, outputs, {.state = state.get()});
    EXPECT_TRUE(status.ok()) << status.message();
    outputs[0].release();
  };
  for (int64_t past = 0; past < 5; ++past)
    run(past);
  uint64_t launches = gpu.graphLaunches;
  for (int i = 0; i < 4; ++i)
    run(4);
  EXPECT_EQ(gpu.graphLaunches, launches + 4);
}

/// Where there is no memory for a graph its work goes piece by piece, and later as a graph again.
TEST_F(GraphTest, MemoryForThemMayLack) {
  for (std::string call : {"cuGraphCreate", "cuGraphAddKernelNode", "cuGraphInstantiateWithFlags", "cuGraphLaunch"}) {
    auto session = open(withDevice(tinyModel()));
    ASSERT_TRUE(session);
    uint64_t launches = gpu.graphLaunches;
    gpu.failing = call, gpu.goodCalls = 0;
    for (int i = 0; i < 4; ++i)
      EXPECT_TRUE(TinyCase(2, 3, i).runsRight(*session)) << call;
    EXPECT_EQ(gpu.graphLaunches, launches) << call;
    gpu.failing.clear();
    EXPECT_TRUE(TinyCase(2, 3).runsRight(*session));
    EXPECT_EQ(gpu.graphLaunches, launches + 1) << call;
    EXPECT_EQ(session->graphCounts().launches, 1u);
  }
  Pair pair = openPair(decoderModel(), open(withDevice(decoderModel())));
  for (int i = 0; i < 20; ++i) {
    gpu.failing = i % 3 == 2 ? "cuGraphExecKernelNodeSetParams" : "", gpu.goodCalls = 1;
    pair.step(1, i);
  }
  EXPECT_GT(pair.device->graphCounts().launches, 8u);
  EXPECT_GT(pair.device->graphCounts().nodesSet, 8u);
}

/// Drivers take no node with rows of 2 GiB; that says nothing of other work.
TEST_F(GraphTest, CopiesThatAreNoNodes) {
  OnGpu from(std::vector<float>(8)), to(std::vector<float>(8));
  auto device = *cuda::Device::open(0);
  cuda::Device::Scope scope(*device);
  cuda::Graphs graphs(device);
  for (uint64_t bytes : {uint64_t(1) << 31, uint64_t(32)}) {
    cuda::WorkList work;
    work.addCopy(reinterpret_cast<cuda::DevicePointer>(to.data), reinterpret_cast<cuda::DevicePointer>(from.data), bytes);
    for (bool isAgain : {false, true}) {
      Result<bool> launched = graphs.launch(work, cuda::legacyStream());
      ASSERT_TRUE(launched.ok()) << launched.status().message();
      EXPECT_EQ(*launched, isAgain && bytes == 32);
    }
  }
}

TEST_F(GraphTest, DriversWithoutThem) {
  gpu.lacksGraphs = true;
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(TinyCase(2, 3, i).runsRight(*session));
  EXPECT_EQ(gpu.graphLaunches, 0u);
}

} // namespace
