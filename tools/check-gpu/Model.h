//===- Model.h - a session with tensors that belong to it --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TOOLS_CHECK_GPU_MODEL_H
#define PERMALLOY_TOOLS_CHECK_GPU_MODEL_H

#include "permalloy-c/permalloy.h"

#include <memory>
#include <string>
#include <vector>

namespace permalloy::checkgpu {

/// What a run of a model takes: microseconds.
struct Times {
  double steps = 0; ///< sum of its steps by events of the device, median over the runs
  double run = 0;   ///< of a whole run as the caller sees it, launched from a graph, median
  size_t launches = 0;
};

/// What became of a model's runs.
struct Graphs {
  uint64_t launches = 0, nodesSet = 0;
};

/// A model on one device. Methods that can fail return an error, empty for success.
class Model {
public:
  std::string open(const std::string &path, const std::string &device);

  std::string target() const;
  std::vector<std::string> outputNames() const;
  /// The element type of an input; PERMALLOY_UNDEFINED: there is none of that name.
  permalloy_dtype inputType(const std::string &name) const;

  /// An input on the host, by its bytes.
  std::string addInput(const std::string &name, std::vector<int64_t> dims, std::vector<char> bytes);
  /// Runs it, and calls `use` with each output in the order of outputNames.
  template <typename F> std::string run(F use);
  std::string run();
  /// Runs it again and again with inputs in the memory of GPU `number`: twice the same, and then with
  /// one more that lies elsewhere each time, so as graphs whose nodes are set anew. `expected`: the
  /// bytes of each output, empty where they are not compared.
  std::string repeat(int number, const std::vector<std::vector<char>> &expected);
  /// Runs so far that were the launch of one graph, and nodes of graphs that were set anew for them.
  Graphs graphs() const;
  /// Whether a run that comes again is such a launch: no step jumps or binds a size, and no cache of
  /// the session's lies elsewhere.
  bool repeatsAsGraph() const;
  /// Inputs and outputs in the memory of GPU `number`, and runs for about `seconds`.
  std::string time(int number, double seconds, Times &times);

private:
  std::string runOnce(std::vector<permalloy_tensor> &outputs, const permalloy_run_options *options = nullptr);

  struct Close {
    void operator()(permalloy_session *session) const { permalloy_session_close(session); }
  };
  std::unique_ptr<permalloy_session, Close> session_;
  std::vector<permalloy_tensor> inputs_;
  std::vector<std::vector<char>> bytes_;
  std::vector<std::string> names_;
};

/// Of a dense tensor.
size_t bytesOf(const permalloy_tensor &tensor);

/// The message of a failure, which it frees; empty for success.
std::string take(permalloy_status *status);

template <typename F> std::string Model::run(F use) {
  std::vector<permalloy_tensor> outputs;
  if (std::string error = runOnce(outputs); !error.empty())
    return error;
  for (permalloy_tensor &output : outputs) {
    use(output);
    permalloy_tensor_release(&output);
  }
  return "";
}

} // namespace permalloy::checkgpu

#endif // PERMALLOY_TOOLS_CHECK_GPU_MODEL_H
