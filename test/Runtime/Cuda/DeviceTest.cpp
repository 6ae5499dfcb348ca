//===- DeviceTest.cpp - sessions on a GPU, on the fake driver ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceModel.h"

#include "Cuda/Driver.h"
#include "permalloy/Runtime/Gpu.h"
#include "permalloy/Runtime/RunRecord.h"

#include <functional>
#include <map>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

using DeviceTest = FakeGpuTest;

TEST_F(DeviceTest, EqualsTheCpu) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->device(), 0);
  EXPECT_EQ(session->target(), "sm_80");
  EXPECT_EQ(session->threads(), 1);
  for (auto [batch, seq] : {std::pair<int64_t, int64_t>(2, 3), {1, 1}, {8, 512}, {0, 5}, {2, 3}})
    EXPECT_TRUE(TinyCase(batch, seq, static_cast<int>(seq)).runsRight(*session)) << batch << ", " << seq;
}

TEST_F(DeviceTest, LaunchesAreGridsAndWords) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  ASSERT_TRUE(TinyCase(2, 3).runsRight(*session));
  ASSERT_EQ(gpu.launches.size(), 3u);
  EXPECT_EQ(gpu.launches[0].kernel, "affine");
  EXPECT_EQ(gpu.launches[0].blocks, 6u);
  EXPECT_EQ(gpu.launches[0].threads, 32u);
  ASSERT_EQ(gpu.launches[0].words.size(), 6u); // 4 buffers, 1 scalar, scratch
  EXPECT_EQ(gpu.launches[0].words[4], 8u);
  EXPECT_EQ(gpu.launches[0].words[3], gpu.launches[1].words[0]); // the slot between them
}

TEST_F(DeviceTest, ThousandRunsLeaveNothing) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  ASSERT_TRUE(TinyCase(8, 512).runsRight(*session)); // the largest first: all there is to reserve
  ASSERT_TRUE(TinyCase(8, 512).runsRight(*session));
  uint64_t calls = gpu.allocationCalls, bytes = gpu.bytes;
  int pinned = gpu.pinned, events = gpu.events;
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(TinyCase(1 + i % 8, 1 + i % 100, i).runsRight(*session)) << i;
  EXPECT_EQ(gpu.allocationCalls, calls);
  EXPECT_EQ(gpu.bytes, bytes);
  EXPECT_EQ(gpu.pinned, pinned);
  EXPECT_EQ(gpu.events, events);
}

TEST_F(DeviceTest, SessionsShareWeights) {
  auto first = open(withDevice(tinyModel()));
  ASSERT_TRUE(first);
  uint64_t uploaded = gpu.toDevice;
  int modules = gpu.modules;
  EXPECT_GT(uploaded, 0u);
  auto second = open(withDevice(tinyModel())); // of the same file, opened again
  ASSERT_TRUE(second);
  EXPECT_EQ(gpu.toDevice, uploaded);
  EXPECT_EQ(gpu.modules, modules);
  first.reset();
  EXPECT_TRUE(TinyCase(2, 3).runsRight(*second));
}

TEST_F(DeviceTest, CallsAtOnce) {
  auto first = open(withDevice(tinyModel())), second = open(withDevice(tinyModel()));
  ASSERT_TRUE(first && second);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i)
        wrong += !TinyCase(1 + (i + t) % 8, 1 + i % 30, i).runsRight(t % 2 ? *first : *second);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(DeviceTest, ProfilesAreOfTheDevice) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  TinyCase tiny(8, 100);
  RunRecord record;
  std::vector<int64_t> times(4);
  std::vector<OutputTensor> outputs(3);
  Status status = session->run(tiny.inputs(), outputs, {.stepNanoseconds = times, .record = &record});
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(record.steps.size(), 4u);
  for (size_t i = 1; i < 4; ++i)
    EXPECT_GE(record.steps[i].time.begin, record.steps[i - 1].time.end - 1000); // a microsecond is what floats of milliseconds keep
  EXPECT_GT(times[0], 0);
  for (OutputTensor &output : outputs)
    output.release();
}

TEST_F(DeviceTest, Terminates) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  TinyCase tiny(2, 3);
  int32_t flag = 1;
  std::vector<OutputTensor> outputs(3);
  EXPECT_EQ(session->run(tiny.inputs(), outputs, {.terminate = &flag}).code(), StatusCode::terminated);
  EXPECT_TRUE(tiny.runsRight(*session));
}

TEST_F(DeviceTest, AFailureOfTheDeviceIsSaid) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  gpu.failingLaunch = 1;
  TinyCase tiny(2, 3);
  std::vector<OutputTensor> outputs(3);
  Status status = session->run(tiny.inputs(), outputs);
  EXPECT_EQ(status.code(), StatusCode::deviceFailed);
  EXPECT_NE(status.message().find("CUDA_ERROR_LAUNCH_FAILED (719)"), std::string::npos) << status.message();
  EXPECT_FALSE(outputs[0].data);
}

//===-- Memory ------------------------------------------------------------===//

TEST_F(DeviceTest, WhatDoesNotFitHarmsNoLaterRun) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  gpu.memory = gpu.bytes + (100 << 10);
  TinyCase large(8, 512);
  std::vector<OutputTensor> outputs(3);
  Status status = session->run(large.inputs(), outputs);
  EXPECT_EQ(status.code(), StatusCode::outOfMemory);
  EXPECT_EQ(status.message().find("cannot reserve 131072 bytes on cuda:0 (Fake GPU, compute capability 8.0) for the intermediate "
                                  "results of these shapes: "), 0u) << status.message();
  EXPECT_NE(status.message().find(" are free"), std::string::npos);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(TinyCase(2, 3, i).runsRight(*session));
}

/// What earlier calls left behind makes room.
TEST_F(DeviceTest, IdleMemoryIsGivenBack) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  TinyCase tiny(8, 400);
  std::vector<OutputTensor> outputs(3);
  for (OutputTensor &output : outputs)
    output.device = 0;
  ASSERT_TRUE(session->run(tiny.inputs(), outputs).ok());
  for (OutputTensor &output : outputs)
    output.release(); // to the pool
  gpu.memory = gpu.bytes + (10 << 10);
  EXPECT_TRUE(TinyCase(8, 512).runsRight(*session));
}

/// Whichever allocation fails, the run says so and the next one is right.
TEST_F(DeviceTest, EveryAllocationMayFail) {
  TinyCase tiny(2, 30);
  int failures = 0;
  for (bool done = false; !done; ++failures) {
    auto session = open(withDevice(tinyModel()));
    ASSERT_TRUE(session);
    std::vector<OutputTensor> outputs(3);
    outputs[1].device = 0;
    gpu.failing = "cuMemAlloc_v2", gpu.goodCalls = failures;
    Status status = session->run(tiny.inputs(), outputs);
    gpu.failing.clear();
    done = status.ok();
    if (!done) {
      EXPECT_EQ(status.code(), StatusCode::outOfMemory) << status.message();
      EXPECT_EQ(status.message().find("cannot reserve "), 0u) << status.message();
    }
    for (OutputTensor &output : outputs)
      output.release();
    EXPECT_TRUE(tiny.runsRight(*session));
  }
  EXPECT_EQ(failures, 5); // slots, scratch, an output, staging
}

/// Whichever call of the driver finds no memory, however late: a run says so or does without, and the next one is right.
TEST_F(DeviceTest, EveryCallMayLackMemory) {
  TinyCase tiny(2, 30);
  std::vector<std::byte> bytes = artifactBytes(withDevice(tinyModel()));
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size(), "model.alloy");
  ASSERT_TRUE(artifact.ok());
  std::map<std::string, int> failed;
  for (std::string call : {"cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate", "cuMemsetD8Async", "cuModuleLoadDataEx",
                           "cuLaunchKernel", "cuGraphCreate", "cuGraphAddKernelNode", "cuGraphInstantiateWithFlags", "cuGraphLaunch"})
    for (bool done = false; !done; failed[call] += !done) {
      gpu.failing = call, gpu.goodCalls = failed[call];
      auto session = Session::create(*artifact, {.device = "cuda:0"});
      if (!session.ok())
        EXPECT_EQ(session.status().code(), StatusCode::outOfMemory) << session.status().message();
      for (int i = 0; i < 3 && session.ok(); ++i) {
        std::vector<OutputTensor> outputs(3);
        outputs[1].device = 0;
        Status status = (*session)->run(tiny.inputs(), outputs);
        if (status.ok())
          EXPECT_EQ(std::memcmp(outputs[0].data, tiny.y.data(), tiny.y.size() * 4), 0);
        else
          EXPECT_EQ(status.code(), StatusCode::outOfMemory) << call << ": " << status.message();
        for (OutputTensor &output : outputs)
          output.release();
      }
      done = gpu.goodCalls >= 0; // it never came to that
      gpu.failing.clear();
      if (!session.ok())
        session = Session::create(*artifact, {.device = "cuda:0"});
      ASSERT_TRUE(session.ok()) << session.status().message();
      EXPECT_TRUE(tiny.runsRight(**session)) << call << " after " << failed[call];
    }
  for (const auto &[call, times] : failed)
    EXPECT_GT(times, 0) << call;
}

/// The counters are cleared again where that did not happen: launches of the fake driver check them.
TEST_F(DeviceTest, CountersThatWereNotCleared) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  TinyCase tiny(2, 3);
  gpu.failing = "cuMemsetD8Async", gpu.goodCalls = 0;
  for (int i = 0; i < 2; ++i) {
    std::vector<OutputTensor> outputs(3);
    EXPECT_EQ(session->run(tiny.inputs(), outputs).code(), StatusCode::outOfMemory);
  }
  gpu.failing.clear();
  EXPECT_TRUE(tiny.runsRight(*session));
  gpu.failing = "cuMemsetD8Async", gpu.goodCalls = 0; // they are clear: not asked for
  EXPECT_TRUE(tiny.runsRight(*session));
}

/// Memory that a session keeps for later runs goes to whoever needs it, once.
TEST_F(DeviceTest, IdleMemoryOfOtherSessions) {
  auto busy = open(withDevice(tinyModel())), other = open(withDevice(cacheModel()));
  ASSERT_TRUE(busy && other);
  TinyCase tiny(8, 512);
  std::vector<std::function<bool()>> needs = {
      [&] { return allocateOnGpu(0, 100 << 10).ok(); },
      [&] { return other->createState(8, 200).ok(); },
      [&] {
        ArtifactContents contents = tinyModel();
        contents.program.weights.emplace_back("large", 0, 100 << 10);
        contents.weightSources.push_back([](const WeightSink &sink) {
          return sink(std::vector<std::byte>(100 << 10).data(), 100 << 10);
        });
        return open(withDevice(contents)) != nullptr;
      },
  };
  for (size_t i = 0; i < needs.size(); ++i) {
    ASSERT_TRUE(tiny.runsRight(*busy));
    gpu.memory = gpu.bytes + 100;
    EXPECT_TRUE(needs[i]()) << i;
    gpu.memory = gpu.bytes + 100; // nothing is idle now
    auto none = allocateOnGpu(0, 100 << 10);
    EXPECT_EQ(none.status().code(), StatusCode::outOfMemory);
    gpu.memory = 1 << 30;
  }
}

TEST_F(DeviceTest, WeightsThatDoNotFit) {
  gpu.memory = 100;
  Status status = openFails(withDevice(tinyModel()));
  EXPECT_EQ(status.code(), StatusCode::outOfMemory);
  EXPECT_NE(status.message().find("for the weights of 'model.alloy': 100 bytes of its 100 bytes are free"), std::string::npos) << status.message();
}

/// y = x: the launch reads slot 0 from byte 4 on, the copy before fills it from there.
ArtifactContents shiftedModel() {
  ArtifactContents contents = oneKernelModel("mask_rows", {1});
  Program &program = contents.program;
  ExprBuilder exprs(program.expressions);
  uint32_t four = exprs.constant(4), bytes = exprs.binary(ExprOp::mul, exprs.symbol(0), four);
  program.kernels[0].bufferCount = 3;
  contents.manifest.inputs.push_back({"m", DType::f32, {contents.manifest.inputs[0].dims[0]}});
  program.slots = {{exprs.binary(ExprOp::add, bytes, four)}, {exprs.binary(ExprOp::add, bytes, exprs.constant(8))}};
  Operand shifted{OperandKind::slot, 0, four}, result{OperandKind::slot, 1, exprs.constant(8)};
  Step copy, back;
  copy.kind = back.kind = StepKind::copy;
  copy.operands = {{OperandKind::input, 0, kNone}, shifted};
  back.operands = {result, {OperandKind::output, 0, kNone}};
  copy.copyBytes = back.copyBytes = bytes;
  program.steps[0].operands = {shifted, {OperandKind::input, 1, kNone}, result};
  program.steps = {copy, program.steps[0], back};
  return contents;
}

TEST_F(DeviceTest, OperandsOffSixteenBytes) {
  auto session = open(withDevice(shiftedModel()));
  ASSERT_TRUE(session);
  int seed = 0;
  for (int64_t n : {1, 5, 5, 5, 300, 300}) { // also where only the values are new
    std::vector<float> x(n), m(n, 2);
    ++seed;
    for (int64_t i = 0; i < n; ++i)
      x[i] = static_cast<float>(i + seed);
    std::vector<InputTensor> inputs = {{DType::f32, {n}, x.data()}, {DType::f32, {n}, m.data()}};
    OutputTensor y;
    Status status = session->run(inputs, {&y, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    for (int64_t i = 0; i < n; ++i)
      EXPECT_EQ(static_cast<float *>(y.data)[i], static_cast<float>(2 * (i + seed)));
    y.release();
  }
}

//===-- The machine -------------------------------------------------------===//

TEST_F(DeviceTest, NoDriver) {
  ScopedEnvironment none("PERMALLOY_LIBCUDA", "/nowhere/libcuda.so.1");
  Status status = openFails(withDevice(tinyModel()));
  EXPECT_EQ(status.code(), StatusCode::noDevice);
  EXPECT_EQ(status.message().find("there is no NVIDIA driver: /nowhere/libcuda.so.1: "), 0u) << status.message();
}

TEST_F(DeviceTest, AnotherLibrary) {
  ScopedEnvironment other("PERMALLOY_LIBCUDA", "libm.so.6");
  EXPECT_EQ(openFails(withDevice(tinyModel())).message(), "'libm.so.6' is no NVIDIA driver that this runtime knows: it lacks cuInit");
}

TEST_F(DeviceTest, NoSuchGpu) {
  EXPECT_EQ(openFails(withDevice(tinyModel()), "cuda:3").message(),
            "there is no cuda:3; this machine has cuda:0 (Fake GPU, compute capability 8.0)");
  EXPECT_EQ(openFails(withDevice(tinyModel()), "cuda:x").message(),
            "device 'cuda:x' is unknown; accepted are cpu, cuda and cuda:0, cuda:1 ...");
}

TEST_F(DeviceTest, NoMatchingCode) {
  gpu.capability = 75;
  EXPECT_EQ(openFails(withDevice(withDevice(tinyModel()), "sm_90a", 90, 1)).message(),
            "'model.alloy' has no code for cuda:0; it has code for sm_80 (8.0 and later), sm_90a (9.0 only), this machine has cuda:0 (Fake "
            "GPU, compute capability 7.5); GPUs are supported from compute capability 8.0 on");
  gpu.capability = 100;
  EXPECT_EQ(openFails(withDevice(tinyModel(), "sm_90a", 90, 1)).message(),
            "'model.alloy' has no code for cuda:0; it has code for sm_90a (9.0 only), this machine has cuda:0 (Fake GPU, compute "
            "capability 10.0); compile the model with --target host,cuda:0");
  Status status = openFails(tinyModel());
  EXPECT_EQ(status.code(), StatusCode::noDevice);
  EXPECT_EQ(status.message().find("'model.alloy' has no code for GPUs; compile the model with --target host,sm_80"), 0u) << status.message();
}

TEST_F(DeviceTest, TheLatestCodeRuns) {
  ArtifactContents contents = withDevice(withDevice(withDevice(tinyModel(), "sm_90a", 90, 1)), "sm_89", 89, 0);
  for (auto [capability, target] : {std::pair(80, "sm_80"), {86, "sm_80"}, {89, "sm_89"}, {90, "sm_90a"}, {100, "sm_89"}}) {
    gpu.capability = capability;
    gpu.ptxModules = 0;
    auto session = open(contents);
    ASSERT_TRUE(session);
    EXPECT_EQ(session->target(), target) << capability;
    EXPECT_EQ(gpu.ptxModules > 0, capability == 100) << capability; // another generation compiles the text
  }
}

TEST_F(DeviceTest, DriversOlderThanPtxas) {
  gpu.refusesCubins = true;
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  EXPECT_EQ(gpu.ptxModules, 3u);
  session.reset();
  gpu.refusesPtx = cuda::kUnsupportedPtxVersion;
  std::string kernel = "cannot compile kernel 'affine' for cuda:0 (Fake GPU, compute capability 8.0)";
  std::string old = ": the NVIDIA driver is too old: it knows CUDA 12.8, which lacks PTX 8.0; update it";
  Status status = openFails(withDevice(tinyModel()));
  EXPECT_EQ(status.code(), StatusCode::noDevice);
  EXPECT_EQ(status.message(), kernel + " (cannot load its machine code: CUDA_ERROR_NO_BINARY_FOR_GPU (209), as a test wanted it)" + old);
  gpu.refusesCubins = false;
  gpu.capability = 90; // another generation: no machine code
  kernel = "cannot compile kernel 'affine' for cuda:0 (Fake GPU, compute capability 9.0)";
  EXPECT_EQ(openFails(withDevice(tinyModel())).message(), kernel + old + ", or compile the model where ptxas is found");
  gpu.refusesPtx = cuda::kInvalidPtx;
  EXPECT_EQ(openFails(withDevice(tinyModel())).message(), kernel + ": CUDA_ERROR_INVALID_PTX (218), as a test wanted it");
  gpu.refusesPtx = cuda::kOutOfMemory;
  EXPECT_EQ(openFails(withDevice(tinyModel())).code(), StatusCode::outOfMemory);
}

TEST_F(DeviceTest, OldDriverForTheArchitecture) {
  // The driver's version is read where it is opened: another name of the same file.
  std::string path = scratchPath("libold.so");
  writeFile(path, readFile(PERMALLOY_FAKE_CUDA_LIBRARY));
  ScopedEnvironment other("PERMALLOY_LIBCUDA", path), version("PERMALLOY_FAKE_CUDA", "version=11040,capability=90");
  EXPECT_EQ(openFails(withDevice(tinyModel(), "sm_90a", 90, 1)).message(),
            "the NVIDIA driver is too old: it knows CUDA 11.4, code for sm_90a needs 12.0 or newer");
}

TEST_F(DeviceTest, OldDriverForAll) {
  std::string path = scratchPath("libolder.so");
  writeFile(path, readFile(PERMALLOY_FAKE_CUDA_LIBRARY));
  ScopedEnvironment other("PERMALLOY_LIBCUDA", path), version("PERMALLOY_FAKE_CUDA", "version=10020");
  EXPECT_EQ(openFails(withDevice(tinyModel())).message(), "the NVIDIA driver is too old: it knows CUDA 10.2, needed is 11.0 or newer");
}

TEST_F(DeviceTest, NoGpuInTheMachine) {
  std::string path = scratchPath("libempty.so");
  writeFile(path, readFile(PERMALLOY_FAKE_CUDA_LIBRARY));
  ScopedEnvironment other("PERMALLOY_LIBCUDA", path), version("PERMALLOY_FAKE_CUDA", "devices=0"),
      visible("CUDA_VISIBLE_DEVICES", "");
  EXPECT_EQ(openFails(withDevice(tinyModel())).message(), "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES is '')");
}

TEST_F(DeviceTest, ChildrenOfForkAreTold) {
  auto session = open(withDevice(tinyModel()));
  ASSERT_TRUE(session);
  ASSERT_TRUE(TinyCase(2, 3).runsRight(*session));
  pid_t child = ::fork();
  if (child == 0) {
    TinyCase tiny(2, 3);
    std::vector<OutputTensor> outputs(3);
    Status status = session->run(tiny.inputs(), outputs);
    session.reset(); // leaves the parent's memory alone
    ::_exit(status.code() == StatusCode::noDevice ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(TinyCase(2, 3).runsRight(*session));
}

} // namespace
