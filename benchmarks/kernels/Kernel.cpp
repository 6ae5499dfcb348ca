//===- Kernel.cpp - one kernel of ours, compiled and opened ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Kernel.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>

namespace fs = std::filesystem;

namespace permalloy::benchmarks {

[[noreturn]] static void fail(const std::string &what) {
  fprintf(stderr, "permalloy-kernel-benchmark: error: %s\n", what.c_str());
  exit(1);
}

static void check(permalloy_status *status) {
  if (status)
    fail(permalloy_status_message(status));
}

/// Where compiled kernels are kept, by text and compiler.
static fs::path artifactOf(const std::string &module) {
  fs::path folder = fs::temp_directory_path() / "permalloy-kernel-benchmark";
  fs::create_directories(folder);
  auto time = fs::last_write_time(PERMALLOY_TOOL).time_since_epoch().count();
  return folder / (std::to_string(std::hash<std::string>()(module + std::to_string(time))) + ".alloy");
}

static fs::path compiled(const std::string &module) {
  fs::path artifact = artifactOf(module), text = artifact;
  if (fs::exists(artifact))
    return artifact;
  text.replace_extension(".mlir");
  std::ofstream(text) << module;
  std::string command = std::string(PERMALLOY_TOOL) + " compile " + text.string() + " -o " +
                        artifact.string() + " > " + text.string() + ".log 2>&1";
  if (system(command.c_str()) != 0)
    fail("cannot compile " + text.string() + "; the compiler's words are in " + text.string() + ".log");
  return artifact;
}

static size_t elements(const std::vector<int64_t> &dims) {
  return std::accumulate(dims.begin(), dims.end(), size_t(1), std::multiplies<size_t>());
}

Kernel::Kernel(const std::string &module, const std::vector<Argument> &inputs,
               const Argument &output) {
  permalloy_session_options options = {};
  options.struct_size = sizeof options;
  options.threads = 1;
  check(permalloy_session_open(compiled(module).c_str(), &options, &session));
  std::vector<Argument> all(inputs);
  all.push_back(output);
  for (const Argument &argument : all) {
    memory.emplace_back(elements(argument.dims), argument.element, memory.size());
    permalloy_tensor tensor = {};
    tensor.name = argument.name;
    tensor.dtype = argument.element == Element::f32 ? PERMALLOY_FLOAT32 : PERMALLOY_BFLOAT16;
    tensor.rank = static_cast<int32_t>(argument.dims.size());
    std::copy(argument.dims.begin(), argument.dims.end(), tensor.dims);
    tensor.data = memory.back().data();
    tensor.capacity = memory.back().size();
    tensors.push_back(tensor);
  }
  nanoseconds.resize(permalloy_session_step_count(session));
}

Kernel::~Kernel() { permalloy_session_close(session); }

double Kernel::run() {
  permalloy_run_options options = {};
  options.struct_size = sizeof options;
  options.step_nanoseconds = nanoseconds.data();
  options.step_count = nanoseconds.size();
  check(permalloy_session_run(session, tensors.data(), tensors.size() - 1, &tensors.back(), 1,
                              &options));
  return 1e-9 * std::accumulate(nanoseconds.begin(), nanoseconds.end(), int64_t(0));
}

} // namespace permalloy::benchmarks
