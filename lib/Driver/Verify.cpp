//===- Verify.cpp - `permalloy verify` ---------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Bisect.h"
#include "Compare.h"
#include "Inputs.h"
#include "Interpret.h"
#include "Model.h"
#include "Peer.h"
#include "Report.h"

#include "permalloy/Support/Progress.h"
#include "permalloy/Support/Text.h"

namespace permalloy {

namespace {
/// Everything that a verification holds on to.
struct Verifier {
  const VerifyCommand &command;
  OpenModel &model;
  Peer *peer = nullptr;
  InterpretedModel *interpreter = nullptr;
  bool agrees = true;
  /// The first inputs on which onnxruntime's outputs differ.
  std::vector<NamedArray> culprit;

  Status verify(const Sizes &sizes);
  bool compare(Table &table, const std::string &who, std::span<const NamedArray> ours,
               std::span<const NamedArray> expected);
};
} // namespace

/// One line for each output; whether all are within the tolerance.
bool Verifier::compare(Table &table, const std::string &who, std::span<const NamedArray> ours,
                       std::span<const NamedArray> expected) {
  bool good = true;
  for (const NamedArray &actual : ours) {
    auto found =
        llvm::find_if(expected, [&](const NamedArray &entry) { return entry.name == actual.name; });
    if (found == expected.end()) {
      table.row({"DIFFERS", who, actual.name, "is no output there"});
      good = false;
      continue;
    }
    Difference difference = compareArrays(actual.array, found->array);
    bool within = difference.within(command.tolerance);
    std::string what = difference.mismatch;
    if (what.empty())
      what = "max abs error " + formatNumber(difference.maxAbs, 2) + ", " +
             formatNumber(difference.relative(), 2) + " of the largest magnitude " +
             formatNumber(difference.magnitude);
    if (!within && difference.mismatch.empty())
      what += "; at " + formatDims(difference.index) + " it is " +
              formatNumber(difference.actual, 6) + ", expected " +
              formatNumber(difference.expected, 6);
    table.row({within ? "ok" : "DIFFERS", who, actual.name, what});
    good &= within;
  }
  agrees &= good;
  return good;
}

Status Verifier::verify(const Sizes &sizes) {
  InputSettings settings = command.inputs;
  settings.random = true;
  Result<std::vector<NamedArray>> inputs = makeInputs(model.artifact(), settings, sizes);
  if (!inputs.ok())
    return inputs.status();
  Result<std::vector<NamedArray>> ours = model.run(*inputs);
  if (!ours.ok())
    return ours.status();
  Table table("  ");
  if (peer) {
    PERMALLOY_TRY(peer->feed(*inputs));
    Result<std::vector<NamedArray>> theirs = peer->run();
    if (!theirs.ok())
      return theirs.status();
    if (!compare(table, "onnxruntime", *ours, *theirs) && culprit.empty())
      culprit = *inputs;
  }
  if (interpreter) {
    Progress progress;
    progress.update("interpret");
    std::optional<std::vector<NamedArray>> expected = interpreter->run(*inputs);
    progress.finish();
    if (!expected)
      return {StatusCode::internal, "the interpreter could not run the model"};
    compare(table, "interpreter", *ours, *expected);
  }
  llvm::outs() << shapesText(*inputs) << "\n";
  table.print(llvm::outs());
  return {};
}

/// Starts onnxruntime and gives it the model; nothing, said in a warning, where it is absent.
static Result<std::optional<Peer>> startPeer(const VerifyCommand &command) {
  Result<Peer> started = Peer::start();
  if (!started.ok()) {
    warn("not compared with onnxruntime: " + started.status().message());
    return std::optional<Peer>();
  }
  if (Status status = started->load(command.model, command.threads); !status.ok())
    return status;
  return std::optional<Peer>(std::move(*started));
}

int runVerify(const VerifyCommand &command) {
  Result<std::vector<Sizes>> combinations = parseSizes(command.inputs.sizes);
  if (!combinations.ok())
    return fail(combinations.status());
  if (isArtifact(command.model))
    return fail("'" + command.model +
                "' is compiled already; verify needs the .onnx model first: "
                "permalloy verify MODEL.onnx " +
                command.model);
  Result<std::optional<OpenModel>> model =
      openModel(command.artifact.empty() ? command.model : command.artifact, command.settings,
                command.threads);
  if (!model.ok())
    return fail(model.status());
  if (!*model)
    return 1;
  Result<std::optional<Peer>> peer = startPeer(command);
  if (!peer.ok())
    return fail(peer.status());
  std::optional<InterpretedModel> interpreter =
      command.noInterpreter ? std::nullopt : InterpretedModel::import(command.model);
  if (!command.noInterpreter && !interpreter)
    return 1;
  if (!*peer && !interpreter)
    return fail("nothing to compare with: onnxruntime is absent and --no-interpreter was given");
  Verifier verifier{
      command, **model, *peer ? &**peer : nullptr, interpreter ? &*interpreter : nullptr, true, {}};
  for (const Sizes &sizes : *combinations)
    if (Status status = verifier.verify(sizes); !status.ok())
      return fail(status);
  if (command.bisect && !verifier.culprit.empty())
    if (Status status = bisect(command, **peer, verifier.culprit); !status.ok())
      return fail(status);
  return verifier.agrees ? 0
                         : fail("outputs differ by more than " + formatNumber(command.tolerance) +
                                " of their largest magnitude");
}

} // namespace permalloy
