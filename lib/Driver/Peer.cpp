//===- Peer.cpp - onnxruntime in a child process -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Peer.h"

#include <cstdlib>

namespace permalloy {

/// The text of peer.py.
static constexpr const char kScript[] =
#include "PeerScript.inc"
    ;

Result<llvm::json::Object> Peer::ask(llvm::json::Object request) {
  std::string line;
  llvm::raw_string_ostream(line) << llvm::json::Value(std::move(request));
  Result<std::string> answer = process.ask(line);
  if (!answer.ok())
    return Status(StatusCode::ioError, "onnxruntime's process: " + answer.status().message());
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(*answer);
  if (!value || !value->getAsObject()) {
    llvm::consumeError(value.takeError());
    return Status(StatusCode::internal, "onnxruntime's process answered '" + *answer + "'");
  }
  llvm::json::Object object = std::move(*value->getAsObject());
  if (auto error = object.getString("error"))
    return Status(StatusCode::invalidArgument, "onnxruntime: " + error->str());
  return object;
}

Status Peer::tell(llvm::json::Object request) { return ask(std::move(request)).status(); }

Result<Peer> Peer::start() {
  const char *chosen = std::getenv("PERMALLOY_PYTHON");
  std::string python = chosen && *chosen ? chosen : "python3";
  std::string advice = "; set PERMALLOY_PYTHON to a Python that has onnxruntime (scripts/setup "
                       "makes one: .venv/bin/python)";
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return folder.status();
  Result<ChildProcess> process = ChildProcess::start({python, "-c", kScript});
  if (!process.ok())
    return Status(StatusCode::notFound, process.status().message() + advice);
  Peer peer(std::move(*process), std::move(*folder));
  Result<llvm::json::Object> hello = peer.ask(llvm::json::Object{{"command", "hello"}});
  if (!hello.ok())
    return Status(StatusCode::notFound, "'" + python + "' has no usable onnxruntime (" +
                                            hello.status().message() + ")" + advice);
  peer.peerVersion = hello->getString("version").value_or("?").str();
  return peer;
}

Status Peer::load(const std::string &model, int threads, bool widened) {
  Result<llvm::json::Object> answer = ask(llvm::json::Object{
      {"command", "load"}, {"model", model}, {"threads", threads}, {"widened", widened}});
  if (!answer.ok())
    return answer.status();
  llvm::StringRef precision = answer->getString("precision").value_or("f32");
  modelPrecision = precision == "f16"    ? artifact::DType::f16
                   : precision == "bf16" ? artifact::DType::bf16
                                         : artifact::DType::f32;
  return {};
}

Status Peer::feed(std::span<const NamedArray> inputs) {
  std::string path = folder.file("inputs.npz");
  PERMALLOY_TRY(writeNpz(path, inputs));
  return tell(llvm::json::Object{{"command", "feed"}, {"inputs", path}});
}

Result<std::vector<NamedArray>> Peer::run() {
  std::string path = folder.file("outputs.npz");
  if (Status status = tell(llvm::json::Object{{"command", "run"}, {"outputs", path}}); !status.ok())
    return status;
  return readNpz(path);
}

Result<int64_t> Peer::time() {
  Result<llvm::json::Object> answer =
      ask(llvm::json::Object{{"command", "measure"}, {"repeats", 1}});
  if (!answer.ok())
    return answer.status();
  llvm::json::Array *times = answer->getArray("nanoseconds");
  if (!times || times->empty() || !times->front().getAsInteger())
    return Status(StatusCode::internal, "onnxruntime's process gave no time");
  return *times->front().getAsInteger();
}

Result<std::vector<Peer::Node>> Peer::nodes(const std::string &model) {
  Result<llvm::json::Object> answer =
      ask(llvm::json::Object{{"command", "nodes"}, {"model", model}});
  if (!answer.ok())
    return answer.status();
  std::vector<Node> nodes;
  if (llvm::json::Array *rows = answer->getArray("nodes"))
    for (llvm::json::Value &row : *rows)
      if (llvm::json::Array *cells = row.getAsArray(); cells && cells->size() == 3)
        nodes.push_back({(*cells)[0].getAsString().value_or("").str(),
                         (*cells)[1].getAsString().value_or("").str(),
                         (*cells)[2].getAsString().value_or("").str()});
  return nodes;
}

Status Peer::writePrefix(const std::string &model, const std::string &value,
                         const std::string &output) {
  return tell(llvm::json::Object{
      {"command", "prefix"}, {"model", model}, {"value", value}, {"output", output}});
}

} // namespace permalloy
