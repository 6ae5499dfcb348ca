//===- CApiTest.cpp - the C interface ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CApiFixture.h"

#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace permalloy;
using namespace permalloy::test;

namespace {

class CApi : public CApiFixture {
protected:
  CApi() : CApiFixture(tinyModel()) {}
};

TEST_F(CApi, RunsByNameAndGivesSomeOutputs) {
  TinyCase tiny(2, 3);
  permalloy_tensor inputs[] = {tensor("m", {2, 3}, tiny.m.data()),
                               tensor("x", {2, 3, 8}, tiny.x.data())};
  permalloy_tensor outputs[2] = {};
  outputs[0].name = "s";
  outputs[1].name = "y";
  ASSERT_EQ(take(permalloy_session_run(session_, inputs, 2, outputs, 2, nullptr)), "");
  EXPECT_EQ(outputs[0].rank, 2);
  EXPECT_EQ(outputs[0].owned, 1);
  EXPECT_EQ(std::memcmp(outputs[0].data, tiny.s.data(), 24), 0);
  EXPECT_EQ(std::memcmp(outputs[1].data, tiny.y.data(), 192), 0);
  for (permalloy_tensor &output : outputs)
    permalloy_tensor_release(&output);
  EXPECT_EQ(outputs[0].data, nullptr);
}

TEST_F(CApi, TakesTensorsByPositionAndTheCallersMemory) {
  TinyCase tiny(1, 2);
  permalloy_tensor inputs[] = {tensor(nullptr, {1, 2, 8}, tiny.x.data()),
                               tensor(nullptr, {1, 2}, tiny.m.data())};
  std::vector<float> y(16);
  permalloy_tensor output = {};
  output.data = y.data();
  output.capacity = 64;
  std::vector<int64_t> times(permalloy_session_step_count(session_));
  permalloy_run_options options = {sizeof options, times.data(), times.size(), nullptr};
  ASSERT_EQ(take(permalloy_session_run(session_, inputs, 2, &output, 1, &options)), "");
  EXPECT_EQ(y, tiny.y);
  EXPECT_EQ(output.owned, 0);
  permalloy_tensor_release(&output); // not its memory: nothing happens
  EXPECT_EQ(output.data, y.data());
  EXPECT_GT(times[0], 0);
}

TEST_F(CApi, TerminatesARunAndTakesTheShorterOptionsOfOldCallers) {
  TinyCase tiny(1, 2);
  permalloy_tensor inputs[] = {tensor("x", {1, 2, 8}, tiny.x.data()),
                               tensor("m", {1, 2}, tiny.m.data())};
  permalloy_tensor output = {};
  int32_t terminate = 1;
  permalloy_run_options options = {};
  options.struct_size = sizeof options;
  options.terminate = &terminate;
  permalloy_status *status = permalloy_session_run(session_, inputs, 2, &output, 1, &options);
  EXPECT_EQ(permalloy_status_get_code(status), PERMALLOY_TERMINATED);
  permalloy_status_release(status);
  EXPECT_EQ(output.data, nullptr);
  options.struct_size = offsetof(permalloy_run_options, terminate);
  ASSERT_EQ(take(permalloy_session_run(session_, inputs, 2, &output, 1, &options)), "");
  permalloy_tensor_release(&output);
}

TEST_F(CApi, ErrorsNameTheTensor) {
  TinyCase tiny(2, 3);
  permalloy_tensor x = tensor("x", {2, 3, 8}, tiny.x.data());
  permalloy_tensor m = tensor("m", {2, 3}, tiny.m.data());
  permalloy_tensor z = tensor("z", {2, 3}, tiny.m.data());
  auto run = [&](std::vector<permalloy_tensor> inputs, const char *outputName) {
    permalloy_tensor output = {};
    output.name = outputName;
    std::string message =
        take(permalloy_session_run(session_, inputs.data(), inputs.size(), &output, 1, nullptr));
    permalloy_tensor_release(&output);
    return message;
  };
  EXPECT_EQ(run({x, m}, "y"), "");
  EXPECT_EQ(run({x, z}, "y"), "the model has no input 'z'; its inputs are 'x', 'm'");
  EXPECT_EQ(run({x}, "y"), "input 'm' is missing");
  EXPECT_EQ(run({x, m, m}, "y"), "input 'm' is given twice");
  EXPECT_EQ(run({x, m}, "q"), "the model has no output 'q'; its outputs are 'y', 's', 'c'");
  x.rank = 99;
  EXPECT_EQ(run({x, m}, "y"), "input 'x' has rank 99, accepted are 0..8");
  x = tensor("x", {2, 600, 8}, tiny.x.data());
  EXPECT_EQ(run({x, m}, "y"),
            "input 'x' has shape [2, 600, 8]: axis 1 is 600, but 'seq' accepts 1..512");
  EXPECT_NE(take(permalloy_session_run(nullptr, nullptr, 0, nullptr, 0, nullptr)), "");
}

TEST_F(CApi, DescribesTheModel) {
  ASSERT_EQ(permalloy_session_input_count(session_), 2u);
  ASSERT_EQ(permalloy_session_output_count(session_), 3u);
  permalloy_tensor_info info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(take(permalloy_session_input(session_, 0, &info)), "");
  EXPECT_STREQ(info.name, "x");
  EXPECT_EQ(info.rank, 3);
  EXPECT_EQ(info.dims[1], -1);
  EXPECT_EQ(info.dims[2], 8);
  EXPECT_STREQ(info.dim_texts[1], "seq");
  EXPECT_EQ(take(permalloy_session_output(session_, 3, &info)),
            "there is no output 3, the model has 3");
  permalloy_symbol_info symbol = {};
  symbol.struct_size = sizeof symbol;
  ASSERT_EQ(take(permalloy_session_symbol(session_, 1, &symbol)), "");
  EXPECT_STREQ(symbol.name, "seq");
  EXPECT_EQ(symbol.max, 512);
  EXPECT_STREQ(permalloy_session_metadata(session_, "custom.author"), "nobody");
  EXPECT_STREQ(permalloy_session_metadata(session_, "version"), "7");
  EXPECT_STREQ(permalloy_session_metadata(session_, "opset."), "17");
  EXPECT_STREQ(permalloy_session_metadata(session_, "target"), "x86-64");
  EXPECT_EQ(permalloy_session_metadata(session_, "nothing"), nullptr);
  permalloy_step_info step = {};
  step.struct_size = sizeof step;
  ASSERT_EQ(take(permalloy_session_step(session_, 3, &step)), "");
  EXPECT_STREQ(step.kernel, "copy");
  EXPECT_STREQ(permalloy_session_kernel_name(session_, 0), "affine");
  EXPECT_EQ(take(permalloy_session_verify_weights(session_)), "");
}

TEST_F(CApi, InfersShapes) {
  permalloy_tensor inputs[] = {tensor("x", {5, 6, 8}, nullptr), tensor("m", {5, 6}, nullptr)};
  permalloy_tensor output = {};
  output.name = "s";
  ASSERT_EQ(take(permalloy_session_infer_shapes(session_, inputs, 2, &output, 1)), "");
  EXPECT_EQ(output.rank, 2);
  EXPECT_EQ(output.dims[1], 6);
  EXPECT_EQ(output.data, nullptr);
}

TEST(CApiOpen, SaysWhatIsWrong) {
  permalloy_session *session = nullptr;
  permalloy_status *status = permalloy_session_open("/nonexistent.alloy", nullptr, &session);
  EXPECT_EQ(permalloy_status_get_code(status), PERMALLOY_NOT_FOUND);
  permalloy_status_release(status);
  std::vector<std::byte> bytes = artifactBytes(tinyModel());
  permalloy_session_options options = {};
  EXPECT_EQ(take(permalloy_session_open_memory(bytes.data(), bytes.size(), &options, &session)),
            "permalloy_session_options.struct_size is not set");
  options.struct_size = sizeof options;
  options.threads = -1;
  EXPECT_EQ(take(permalloy_session_open_memory(bytes.data(), bytes.size(), &options, &session)),
            "threads is -1, accepted are 1..4096, or 0 for all CPUs");
  EXPECT_EQ(session, nullptr);
}

TEST(CApiTypes, HaveSizesAndNames) {
  EXPECT_EQ(permalloy_dtype_size(PERMALLOY_BFLOAT16), 2u);
  EXPECT_STREQ(permalloy_dtype_name(PERMALLOY_INT64), "int64");
  EXPECT_STREQ(permalloy_dtype_name(PERMALLOY_UNDEFINED), "undefined");
  EXPECT_EQ(permalloy_abi_version(), 3u);
  EXPECT_GE(permalloy_available_cpus(), 1);
}

TEST_F(CApi, ProfilesAreChromeTraces) {
  permalloy_profile *profile = nullptr;
  ASSERT_EQ(take(permalloy_profile_create(session_, &profile)), "");
  TinyCase example(2, 3);
  permalloy_tensor inputs[] = {tensor("x", {2, 3, kColumns}, example.x.data()),
                               tensor("m", {2, 3}, example.m.data())};
  permalloy_run_options options = {};
  options.struct_size = sizeof options;
  options.profile = profile;
  for (int run = 0; run < 2; ++run) {
    permalloy_tensor output = {};
    ASSERT_EQ(take(permalloy_session_run(session_, inputs, 2, &output, 1, &options)), "");
    permalloy_tensor_release(&output);
  }
  std::string path = scratchPath("trace.json");
  ASSERT_EQ(take(permalloy_profile_write(profile, path.c_str())), "");
  std::vector<std::byte> bytes = readFile(path);
  std::string text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  auto count = [&](const std::string &what) {
    size_t found = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
      ++found;
    return found;
  };
  EXPECT_EQ(text.substr(0, 2), "[\n");
  EXPECT_EQ(count("\"cat\": \"Session\""), 2u);
  EXPECT_EQ(count("\"cat\": \"Node\""), 2 * permalloy_session_step_count(session_));
  EXPECT_GE(count("\"batch\": 2, \"seq\": 3"), 2u);
  EXPECT_NE(take(permalloy_profile_write(profile, "/nowhere/trace.json")), "");
  permalloy_session *other = nullptr;
  ASSERT_EQ(take(permalloy_session_open_memory(bytes_.data(), bytes_.size(), nullptr, &other)), "");
  EXPECT_EQ(take(permalloy_session_run(other, inputs, 2, nullptr, 0, &options)),
            "the profile belongs to another session");
  permalloy_session_close(other);
  EXPECT_NE(take(permalloy_profile_create(nullptr, &profile)), "");
  permalloy_profile_release(profile);
  permalloy_profile_release(nullptr);
}

TEST_F(CApi, PerfLearnsTheNamesOfKernels) {
  std::string path = "/tmp/perf-" + std::to_string(::getpid()) + ".map";
  ::setenv("PERMALLOY_PERF", "1", 1);
  permalloy_session *session = nullptr;
  ASSERT_EQ(take(permalloy_session_open_memory(bytes_.data(), bytes_.size(), nullptr, &session)),
            "");
  ::unsetenv("PERMALLOY_PERF");
  std::vector<std::byte> bytes = readFile(path);
  ::unlink(path.c_str());
  std::string text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  for (size_t i = 0; i < permalloy_session_kernel_count(session); ++i) {
    std::string name = permalloy_session_kernel_name(session, i);
    EXPECT_NE(text.find(" permalloy:" + name + "\n"), std::string::npos) << text;
  }
  permalloy_session_close(session);
}

} // namespace
