//===- Bisect.cpp - the first node that computes something else --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Bisect.h"

#include "Compare.h"
#include "Model.h"
#include "Report.h"

#include "permalloy/Support/Progress.h"
#include "permalloy/Support/Text.h"

namespace permalloy {

namespace {
struct Bisection {
  const VerifyCommand &command;
  Peer &peer;
  std::span<const NamedArray> inputs;
  const std::vector<Peer::Node> &nodes;
  std::string folder;
  double tolerance;
  Difference last; ///< of the node tested last

  /// Whether node `index` computes what onnxruntime computes.
  Result<bool> isRight(size_t index);
};
} // namespace

/// The inputs that `artifact` takes, in its order; a cut model may need fewer.
static std::vector<NamedArray> inputsOf(const Artifact &artifact,
                                        std::span<const NamedArray> inputs) {
  std::vector<NamedArray> taken;
  for (const artifact::TensorInfo &info : artifact.manifest().inputs)
    for (const NamedArray &input : inputs)
      if (input.name == info.name)
        taken.push_back(input);
  return taken;
}

Result<bool> Bisection::isRight(size_t index) {
  std::string path = folder + "/part.onnx";
  if (Status status = peer.writePrefix(command.model, nodes[index].output, path); !status.ok())
    return status;
  if (Status status = peer.load(path, command.threads, /*widened=*/true); !status.ok())
    return status;
  if (Status status = peer.feed(inputs); !status.ok())
    return status;
  Result<std::vector<NamedArray>> theirs = peer.run();
  if (!theirs.ok())
    return theirs.status();
  Result<std::optional<OpenModel>> model = openModel(path, command.settings, command.threads);
  if (!model.ok())
    return model.status();
  if (!*model)
    return Status(StatusCode::internal, "cannot compile the part up to node '" + nodes[index].name +
                                            "'; bisection ends here");
  Result<std::vector<NamedArray>> ours = (*model)->run(inputsOf((*model)->artifact(), inputs));
  if (!ours.ok())
    return ours.status();
  last = compareArrays(ours->front().array, theirs->front().array);
  return last.within(tolerance);
}

Status bisect(const VerifyCommand &command, Peer &peer, std::span<const NamedArray> inputs,
              double tolerance) {
  Result<std::vector<Peer::Node>> nodes = peer.nodes(command.model);
  if (!nodes.ok())
    return nodes.status();
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return folder.status();
  Bisection bisection{command, peer, inputs, *nodes, folder->path(), tolerance, {}};
  Progress progress;
  size_t right = 0, wrong = nodes->size(), tested = 0; // nodes before `right` are right
  Difference difference;
  while (right < wrong) {
    progress.update("bisect", static_cast<unsigned>(++tested));
    size_t middle = right + (wrong - right) / 2;
    Result<bool> good = bisection.isRight(middle);
    if (!good.ok())
      return good.status();
    if (*good) {
      right = middle + 1;
    } else {
      wrong = middle;
      difference = bisection.last;
    }
  }
  progress.finish();
  if (wrong == nodes->size()) {
    llvm::outs()
        << "every node is right when the model is cut behind it: the fault lies in how nodes "
           "are fused; see permalloy compile --fusion-report and --emit=kern\n";
    return {};
  }
  const Peer::Node &node = (*nodes)[wrong];
  llvm::outs() << "first node that differs: '" << node.name << "' (" << node.op << "), value '"
               << node.output << "': "
               << (difference.mismatch.empty()
                       ? "max abs error " + formatNumber(difference.maxAbs, 2) + ", " +
                             formatNumber(difference.relative(), 2) + " of the largest magnitude"
                       : difference.mismatch)
               << "; node " << wrong << " of " << nodes->size() << ", found with "
               << formatCount(tested, "compilation") << "\n";
  return {};
}

} // namespace permalloy
