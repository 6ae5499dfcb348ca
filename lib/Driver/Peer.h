//===- Peer.h - onnxruntime in a child process -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_PEER_H
#define PERMALLOY_LIB_DRIVER_PEER_H

#include "permalloy/Support/ChildProcess.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Npy.h"

#include "llvm/Support/JSON.h"

namespace permalloy {

/// onnxruntime of the Python that $PERMALLOY_PYTHON names (default python3). The process keeps the
/// model loaded, so that its runs can be timed turn by turn with ours.
class Peer {
public:
  /// Starts Python and imports onnxruntime; the failure says how to get it.
  static Result<Peer> start();

  /// "1.31.1".
  const std::string &version() const { return peerVersion; }

  /// Opens an ONNX model; `widened`: one of f16 or bf16 in f32, with the same weights.
  Status load(const std::string &model, int threads, bool widened = false);
  /// What the model that was opened widened has: f16, bf16, or f32 where it has neither.
  artifact::DType precision() const { return modelPrecision; }
  /// The inputs of the runs to come.
  Status feed(std::span<const NamedArray> inputs);
  /// All outputs of one run, in the model's order.
  Result<std::vector<NamedArray>> run();
  /// Nanoseconds of one run, as Python sees it around `session.run`.
  Result<int64_t> time();

  /// A node of a model, for bisection.
  struct Node {
    std::string name, op, output;
  };
  Result<std::vector<Node>> nodes(const std::string &model);
  /// Writes the part of `model` that computes `value` to `output`.
  Status writePrefix(const std::string &model, const std::string &value, const std::string &output);

private:
  Peer(ChildProcess process, TempFolder folder)
      : process(std::move(process)), folder(std::move(folder)) {}
  Result<llvm::json::Object> ask(llvm::json::Object request);
  Status tell(llvm::json::Object request);

  ChildProcess process;
  TempFolder folder;
  std::string peerVersion;
  artifact::DType modelPrecision = artifact::DType::f32;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_PEER_H
