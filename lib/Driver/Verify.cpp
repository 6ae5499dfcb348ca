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

#include <chrono>

namespace permalloy {

namespace {
using Clock = std::chrono::steady_clock;

/// One output against one oracle.
struct Compared {
  std::string oracle, output;
  Difference difference;
  bool within = false;
};

/// What came out for one combination of sizes.
struct Verdict {
  Sizes sizes;
  std::string shapes;  ///< of the inputs
  std::string failed;  ///< why the compiled model did not run; nothing was compared then
  std::string refused; ///< why onnxruntime did not run
  std::vector<Compared> outputs;
  double seconds = 0, peerSeconds = 0; ///< of one run, the first

  /// "ok", "differs", "refused" by onnxruntime (and right where the interpreter looked) or
  /// "failed".
  const char *status() const {
    if (!failed.empty())
      return "failed";
    if (llvm::any_of(outputs, [](const Compared &row) { return !row.within; }))
      return "differs";
    return refused.empty() ? "ok" : "refused";
  }
};

/// Everything that a verification holds on to.
struct Verifier {
  const VerifyCommand &command;
  OpenModel &model;
  Peer *peer = nullptr;
  InterpretedModel *interpreter = nullptr;
  double tolerance = 0;
  /// The first inputs on which onnxruntime's outputs differ.
  std::vector<NamedArray> culprit;

  Result<Verdict> verify(const Sizes &sizes);

private:
  Status comparePeer(Verdict &verdict, std::span<const NamedArray> inputs,
                     std::span<const NamedArray> ours);
  void compare(Verdict &verdict, const std::string &oracle, std::span<const NamedArray> ours,
               std::span<const NamedArray> expected);
  void ignorePadding(std::span<const NamedArray> inputs, std::span<NamedArray> outputs) {
    if (model.packsPadding())
      clearPadding(inputs, outputs);
  }
};
} // namespace

static double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void Verifier::compare(Verdict &verdict, const std::string &oracle,
                       std::span<const NamedArray> ours, std::span<const NamedArray> expected) {
  for (const NamedArray &actual : ours) {
    Compared &row = verdict.outputs.emplace_back(Compared{oracle, actual.name, {}, false});
    auto found =
        llvm::find_if(expected, [&](const NamedArray &entry) { return entry.name == actual.name; });
    if (found == expected.end())
      row.difference.mismatch = "is no output there";
    else
      row.difference = compareArrays(actual.array, found->array);
    row.within = row.difference.within(tolerance);
  }
}

/// A model or shape that onnxruntime refuses is part of the verdict; a peer that is gone is an
/// error.
Status Verifier::comparePeer(Verdict &verdict, std::span<const NamedArray> inputs,
                             std::span<const NamedArray> ours) {
  PERMALLOY_TRY(peer->feed(inputs));
  Clock::time_point start = Clock::now();
  Result<std::vector<NamedArray>> theirs = peer->run();
  if (!theirs.ok() && theirs.status().code() == StatusCode::invalidArgument) {
    verdict.refused = theirs.status().message();
    return {};
  }
  if (!theirs.ok())
    return theirs.status();
  verdict.peerSeconds = secondsSince(start);
  ignorePadding(inputs, *theirs);
  compare(verdict, "onnxruntime", ours, *theirs);
  if (culprit.empty() && verdict.status() == std::string("differs"))
    culprit.assign(inputs.begin(), inputs.end());
  return {};
}

Result<Verdict> Verifier::verify(const Sizes &sizes) {
  Verdict verdict;
  verdict.sizes = sizes;
  InputSettings settings = command.inputs;
  settings.random = true;
  Result<std::vector<NamedArray>> inputs = makeInputs(model.artifact(), settings, sizes);
  if (!inputs.ok())
    return inputs.status();
  verdict.shapes = shapesText(*inputs);
  Clock::time_point start = Clock::now();
  Result<std::vector<NamedArray>> ours = model.run(*inputs);
  verdict.seconds = secondsSince(start);
  if (!ours.ok()) {
    verdict.failed = ours.status().message();
    return verdict;
  }
  ignorePadding(*inputs, *ours);
  if (peer)
    if (Status status = comparePeer(verdict, *inputs, *ours); !status.ok())
      return status;
  if (interpreter) {
    Progress progress;
    progress.update("interpret");
    std::optional<std::vector<NamedArray>> expected = interpreter->run(*inputs);
    progress.finish();
    if (!expected)
      return Status(StatusCode::internal, "the interpreter could not run the model");
    ignorePadding(*inputs, *expected);
    compare(verdict, "interpreter", *ours, *expected);
  }
  return verdict;
}

//===-- Output ------------------------------------------------------------===//

static std::string describe(const Compared &row) {
  const Difference &difference = row.difference;
  if (!difference.mismatch.empty())
    return difference.mismatch;
  std::string what = "max abs error " + formatNumber(difference.maxAbs, 2) + ", " +
                     formatNumber(difference.relative(), 2) + " of the largest magnitude " +
                     formatNumber(difference.magnitude) + ", cosine " +
                     formatNumber(difference.cosine, 6);
  if (!row.within)
    what += "; at " + formatDims(difference.index) + " it is " +
            formatNumber(difference.actual, 6) + ", expected " +
            formatNumber(difference.expected, 6);
  return what;
}

static void printText(const Verdict &verdict) {
  llvm::outs() << verdict.shapes << "\n";
  Table table("  ");
  for (const Compared &row : verdict.outputs)
    table.row({row.within ? "ok" : "DIFFERS", row.oracle, row.output, describe(row)});
  if (!verdict.refused.empty())
    table.row({"REFUSED", "", "", verdict.refused});
  if (!verdict.failed.empty())
    table.row({"FAILED", "", "", verdict.failed});
  table.print(llvm::outs());
}

static void printJson(const Verdict &verdict, const Verifier &verifier) {
  llvm::json::Object sizes;
  for (const auto &[name, value] : verdict.sizes)
    sizes[name] = value;
  llvm::json::Array outputs;
  for (const Compared &row : verdict.outputs) {
    llvm::json::Object object{{"oracle", row.oracle},
                              {"name", row.output},
                              {"ok", row.within},
                              {"max_abs_error", row.difference.maxAbs},
                              {"relative_error", row.difference.relative()},
                              {"magnitude", row.difference.magnitude},
                              {"cosine", row.difference.cosine}};
    if (!row.difference.mismatch.empty())
      object["mismatch"] = row.difference.mismatch;
    outputs.push_back(std::move(object));
  }
  llvm::json::Object object{{"dimensions", std::move(sizes)},
                            {"inputs", verdict.shapes},
                            {"status", verdict.status()},
                            {"outputs", std::move(outputs)},
                            {"tolerance", verifier.tolerance},
                            {"seconds", verdict.seconds},
                            {"target", verifier.model.session->target()},
                            {"permalloy", PERMALLOY_VERSION}};
  if (verifier.peer) {
    object["onnxruntime"] = verifier.peer->version();
    object["onnxruntime_seconds"] = verdict.peerSeconds;
  }
  if (const std::string &why = verdict.failed.empty() ? verdict.refused : verdict.failed;
      !why.empty())
    object["message"] = printable(why);
  llvm::outs() << llvm::json::Value(std::move(object)) << "\n";
  llvm::outs().flush(); // a reader follows
}

//===-- The command -------------------------------------------------------===//

/// Starts onnxruntime and gives it the model; nothing, said in a warning, where it is absent.
static Result<std::optional<Peer>> startPeer(const VerifyCommand &command) {
  Result<Peer> started = Peer::start();
  if (!started.ok()) {
    warn("not compared with onnxruntime: " + started.status().message());
    return std::optional<Peer>();
  }
  if (Status status = started->load(command.model, command.threads, /*widened=*/true); !status.ok())
    return status;
  return std::optional<Peer>(std::move(*started));
}

/// What the user says, else what the narrowest type of the model calls for: that of its outputs, of its products, or of what
/// the peer found in it.
static double toleranceOf(const VerifyCommand &command, const OpenModel &model, const Peer *peer) {
  if (command.tolerance)
    return *command.tolerance;
  double tolerance = std::max(productTolerance(model), defaultTolerance(peer ? peer->precision() : artifact::DType::f32));
  for (const artifact::TensorInfo &output : model.artifact().manifest().outputs)
    tolerance = std::max(tolerance, defaultTolerance(output.dtype));
  return tolerance;
}

/// Verifies and prints all combinations; the exit code.
static int verifyAll(Verifier &verifier, std::span<const Sizes> combinations) {
  std::map<std::string, unsigned> counts;
  for (const Sizes &sizes : combinations) {
    Result<Verdict> verdict = verifier.verify(sizes);
    if (!verdict.ok())
      return fail(verdict.status());
    ++counts[verdict->status()];
    if (verifier.command.json)
      printJson(*verdict, verifier);
    else
      printText(*verdict);
  }
  if (counts["failed"])
    return fail(formatCount(counts["failed"], "combination") + " of sizes did not run");
  if (counts["differs"])
    return fail("outputs differ by more than " + formatNumber(verifier.tolerance) +
                " of their largest magnitude");
  if (counts["refused"] && !verifier.interpreter)
    return fail("onnxruntime refused " + formatCount(counts["refused"], "combination") +
                " of sizes, which were compared with nothing");
  return 0;
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
                command.threads, command.device);
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
      command, **model, *peer ? &**peer : nullptr, interpreter ? &*interpreter : nullptr, 0, {}};
  verifier.tolerance = toleranceOf(command, **model, verifier.peer);
  int code = verifyAll(verifier, *combinations);
  if (command.bisect && !verifier.culprit.empty())
    if (Status status = bisect(command, **peer, verifier.culprit, verifier.tolerance); !status.ok())
      return fail(status);
  return code;
}

} // namespace permalloy
