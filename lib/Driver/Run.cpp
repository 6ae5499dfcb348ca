//===- Run.cpp - `permalloy run` ---------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Inputs.h"
#include "Model.h"
#include "Profile.h"
#include "Report.h"

#include "permalloy/Support/Text.h"

namespace permalloy {

/// An output's name as a file name: what separates folders becomes '_'.
static std::string fileName(const std::string &name) {
  std::string text = name;
  for (char &c : text)
    if (c == '/' || c == '\\' || c == ':' || c == '\0')
      c = '_';
  return (text.empty() || text[0] == '.' ? "_" + text : text) + ".npy";
}

static Status writeOutputs(const RunCommand &command, std::span<const NamedArray> outputs) {
  if (!command.outputFile.empty())
    PERMALLOY_TRY(writeNpz(command.outputFile, outputs));
  if (command.outputFolder.empty())
    return {};
  PERMALLOY_TRY(createFolders(command.outputFolder));
  for (const NamedArray &output : outputs)
    PERMALLOY_TRY(writeNpy(command.outputFolder + "/" + fileName(output.name), output.array));
  return {};
}

static void printOutputs(std::span<const NamedArray> outputs) {
  Table table;
  for (const NamedArray &output : outputs) {
    bool bf16 = output.array.dtype == artifact::DType::bf16;
    table.row({output.name, artifact::dtypeName(output.array.dtype), formatDims(output.array.dims),
               bf16 ? "(written as uint16: the same bits, numpy has no bfloat16)" : ""});
  }
  table.print(llvm::outs());
}

int runRun(const RunCommand &command) {
  Result<std::vector<Sizes>> sizes = parseSizes(command.inputs.sizes);
  if (!sizes.ok())
    return fail(sizes.status());
  if (sizes->size() > 1)
    return fail("--dim has several sizes; run takes one for each name");
  Result<std::optional<OpenModel>> opened =
      openModel(command.model, command.settings, command.threads, command.device);
  if (!opened.ok())
    return fail(opened.status());
  if (!*opened)
    return 1;
  OpenModel &model = **opened;
  Result<std::vector<NamedArray>> inputs =
      makeInputs(model.artifact(), command.inputs, sizes->front());
  if (!inputs.ok())
    return fail(inputs.status());
  Result<std::vector<NamedArray>> outputs = model.run(*inputs);
  if (!outputs.ok())
    return fail(outputs.status());
  if (Status status = writeOutputs(command, *outputs); !status.ok())
    return fail(status);
  printOutputs(*outputs);
  if (!command.trace.empty())
    if (Status status = writeTrace(model, *inputs, command.trace); !status.ok())
      return fail(status);
  if (command.profile)
    if (Status status = printProfile(model, *inputs); !status.ok())
      return fail(status);
  return 0;
}

} // namespace permalloy
