//===- Inspect.cpp - `permalloy inspect` -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Disassemble.h"
#include "InspectDevices.h"
#include "InspectJson.h"
#include "Report.h"

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

#include <map>

namespace permalloy {

using namespace artifact;

std::string dimsText(const TensorInfo &tensor) {
  std::vector<std::string> texts;
  for (const Dim &dim : tensor.dims)
    texts.push_back(dim.text);
  return texts.empty() ? "[]" : "[" + joined(texts) + "]";
}

static std::string rangeText(const Symbol &symbol) {
  return std::to_string(symbol.min) + ".." +
         (symbol.max == INT64_MAX ? "" : std::to_string(symbol.max));
}

static std::string exprOrNone(const Artifact &artifact, uint32_t expr) {
  return exprText(artifact.program().expressions, artifact.manifest().symbols, expr);
}

static std::string modelText(const ModelInfo &model) {
  std::vector<std::string> parts;
  if (!model.graphName.empty())
    parts.push_back("graph '" + model.graphName + "'");
  if (!model.producerName.empty())
    parts.push_back("by " + model.producerName +
                    (model.producerVersion.empty() ? "" : " " + model.producerVersion));
  for (const Property &opset : model.opsets)
    parts.push_back((opset.key.empty() ? "opset" : opset.key) + " " + opset.value);
  return joined(parts);
}

static uint64_t weightBytes(const Program &program) {
  // Equal weights are stored once: count each place once.
  std::map<uint64_t, uint64_t> places;
  for (const Weight &weight : program.weights)
    places[weight.offset] = weight.size;
  uint64_t total = 0;
  for (const auto &[offset, size] : places)
    total += size;
  return total;
}

static void addTensors(Table &table, const char *title, std::span<const TensorInfo> tensors) {
  for (size_t i = 0; i < tensors.size(); ++i)
    table.row({i ? "" : title,
               tensors[i].name + "  " + dtypeName(tensors[i].dtype) + " " + dimsText(tensors[i])});
}

/// "24 along axis 2 of past.0.key -> present.0.key ...", and the memory that they take.
static void addCaches(Table &table, const Artifact &artifact) {
  const Manifest &manifest = artifact.manifest();
  if (manifest.caches.empty())
    return;
  const Cache &first = manifest.caches.front(), &last = manifest.caches.back();
  table.row({"caches", std::to_string(manifest.caches.size()) + " along axis " +
                           std::to_string(kCacheAxis) + ", " + manifest.inputs[first.input].name +
                           " -> " + manifest.outputs[first.output].name + " to " +
                           manifest.inputs[last.input].name + " -> " +
                           manifest.outputs[last.output].name});
  int64_t rowBytes = 0; // of all caches, for one sequence
  for (const Cache &cache : manifest.caches) {
    const TensorInfo &past = manifest.inputs[cache.input];
    const std::vector<Expr> &table = artifact.program().expressions;
    rowBytes += table[past.dims[1].expr].value * table[past.dims[3].expr].value *
                dtypeSize(past.dtype);
  }
  table.row({"", manifest.inputs[first.input].dims[0].text + " * " +
                     manifest.symbols[manifest.capacity].name + " * " + std::to_string(rowBytes) +
                     " B of memory"});
}

static void printOverview(const Artifact &artifact, llvm::raw_ostream &os) {
  const Manifest &manifest = artifact.manifest();
  const Program &program = artifact.program();
  Table table;
  table.row({"file", artifact.name() + ", " + formatBytes(artifact.fileSize()) + ", format " +
                         std::to_string(kFormatVersion)});
  table.row({"compiler", manifest.producer + " " + manifest.producerVersion +
                             (manifest.options.empty() ? "" : ", " + manifest.options)});
  table.row({"model", modelText(manifest.model)});
  addTensors(table, "inputs", manifest.inputs);
  addTensors(table, "outputs", manifest.outputs);
  for (size_t i = 0; i < manifest.inputSymbols().size(); ++i)
    table.row(
        {i ? "" : "dimensions", manifest.symbols[i].name + "  " + rangeText(manifest.symbols[i])});
  addCaches(table, artifact);
  for (size_t i = 0; i < program.targets.size(); ++i)
    table.row({i ? "" : "targets", program.targets[i].name + "  " +
                                       formatBytes(artifact.image(i).size()) + " of code, needs " +
                                       joined(cpuFeatureNames(program.targets[i].features), " ")});
  for (const std::string &text : deviceTexts(artifact))
    table.row({"GPUs", text});
  table.row({"program", formatCount(program.steps.size(), "step") + ", " +
                            formatCount(program.kernels.size(), "kernel") + ", " +
                            formatCount(program.slots.size(), "slot") + ", " +
                            formatCount(program.weights.size(), "weight") + " (" +
                            formatBytes(weightBytes(program)) + ")"});
  for (size_t i = 0; i < program.slots.size(); ++i)
    table.row({i ? "" : "slots",
               std::to_string(i) + "  " + exprOrNone(artifact, program.slots[i].size) + " B"});
  for (const Assumption &assumption : program.assumptions)
    table.row({"assumes", exprOrNone(artifact, assumption.condition)});
  table.print(os);
}

static void printKernels(const Artifact &artifact, llvm::raw_ostream &os) {
  const Program &program = artifact.program();
  std::vector<uint64_t> launches(program.kernels.size());
  for (const Step &step : program.steps)
    if (step.kind == StepKind::launch)
      ++launches[step.kernel];
  Table table("  ");
  for (size_t i = 0; i < program.kernels.size(); ++i) {
    const Kernel &kernel = program.kernels[i];
    table.row({std::to_string(i), kernel.name,
               launches[i] == 1 ? "1 launch" : std::to_string(launches[i]) + " launches",
               formatCount(kernel.bufferCount, "buffer"),
               formatCount(kernel.scalarCount, "scalar")});
  }
  os << "kernels:\n";
  table.print(os);
}

/// "slot 0", "weight 7 + 1536 B".
static std::string operandText(const Artifact &artifact, const Operand &operand) {
  static constexpr const char *kinds[] = {"input", "output", "slot", "weight", "cache"};
  std::string text =
      std::string(kinds[static_cast<int>(operand.kind)]) + " " + std::to_string(operand.index);
  bool offset = operand.offset != kNone && exprOrNone(artifact, operand.offset) != "0";
  return offset ? text + " + " + exprOrNone(artifact, operand.offset) + " B" : text;
}

/// The grid of a launch; where targets cut it up differently, of each.
static std::string tilesText(const Artifact &artifact, const Step &step) {
  std::vector<std::string> texts;
  for (const Grid &grid : step.grids)
    if (std::string text = exprOrNone(artifact, grid.tiles);
        texts.empty() || texts.front() != text || texts.size() > 1)
      texts.push_back(text);
  return joined(texts, " | ") + " tiles";
}

static void printSteps(const Artifact &artifact, llvm::raw_ostream &os) {
  const Program &program = artifact.program();
  Table table("  ");
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step &step = program.steps[i];
    bool launch = step.kind == StepKind::launch;
    std::vector<std::string> operands;
    for (const Operand &operand : step.operands)
      operands.push_back(operandText(artifact, operand));
    table.row({std::to_string(i), stepText(program, step),
               launch                              ? tilesText(artifact, step)
               : step.kind == StepKind::copy       ? exprOrNone(artifact, step.copyBytes) + " B"
               : step.kind == StepKind::jumpIfZero ? "to " + std::to_string(step.target) + " if 0"
               : step.kind == StepKind::jump       ? "to " + std::to_string(step.target)
                                                   : artifact.manifest().symbols[step.target].name,
               "(" + joined(operands) + ")", step.name});
  }
  os << "steps:\n";
  table.print(os);
}

static void printWeights(const Artifact &artifact, llvm::raw_ostream &os) {
  Table table("  ");
  table.alignRight({1});
  const std::vector<Weight> &weights = artifact.program().weights;
  for (size_t i = 0; i < weights.size(); ++i)
    table.row({std::to_string(i), formatBytes(weights[i].size),
               "at " + std::to_string(weights[i].offset), weights[i].name});
  os << "weights:\n";
  table.print(os);
}

//===-- Code --------------------------------------------------------------===//

static Result<size_t> findTarget(const Artifact &artifact, const std::string &name) {
  const std::vector<Target> &targets = artifact.program().targets;
  if (targets.empty())
    return Status(StatusCode::invalidArgument, "'" + artifact.name() + "' has no code for CPUs; --emit ptx writes that for " +
                                                   artifact.devices().targets.back().name);
  if (name.empty())
    return targets.size() - 1;
  std::vector<std::string> names;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].name == name)
      return i;
    names.push_back(targets[i].name);
  }
  return Status(StatusCode::invalidArgument, "'" + artifact.name() + "' has no code for target '" +
                                                 name + "'; it has " + joined(names));
}

static Status emitCode(const Artifact &artifact, const InspectCommand &command) {
  if (command.emit == "ptx" || command.emit == "sass")
    return writeText(command.output, [&](llvm::raw_ostream &os) {
      return emitDeviceCode(artifact, command.target, command.emit == "sass", os);
    });
  Result<size_t> target = findTarget(artifact, command.target);
  if (!target.ok())
    return target.status();
  std::span<const std::byte> image = artifact.image(*target);
  return writeText(command.output, [&](llvm::raw_ostream &os) -> Status {
    if (command.emit == "asm")
      return disassemble(artifact, *target, os);
    os.write(reinterpret_cast<const char *>(image.data()), image.size());
    return {};
  });
}

int runInspect(const InspectCommand &command) {
  Result<std::shared_ptr<const Artifact>> opened = Artifact::open(command.artifact);
  if (!opened.ok())
    return fail(opened.status());
  const Artifact &artifact = **opened;
  if (command.verify)
    if (Status status = artifact.verifyWeights(); !status.ok())
      return fail(status);
  if (!command.emit.empty()) {
    Status status = emitCode(artifact, command);
    return status.ok() ? 0 : fail(status);
  }
  llvm::raw_ostream &os = llvm::outs();
  if (command.json) {
    printJson(artifact, os);
    return 0;
  }
  printOverview(artifact, os);
  if (command.verify)
    os << "weights are intact\n";
  if (command.kernels) {
    printKernels(artifact, os);
    printDeviceKernels(artifact, os);
  }
  if (command.steps)
    printSteps(artifact, os);
  if (command.weights)
    printWeights(artifact, os);
  return 0;
}

} // namespace permalloy
