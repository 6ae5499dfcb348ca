//===- InspectDevices.cpp - what a compiled model has for GPUs ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "InspectDevices.h"
#include "Report.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"

namespace permalloy {

using namespace artifact;

static bool hasCubins(const DeviceTarget &target) {
  return llvm::all_of(target.kernels, [](const DeviceKernel &kernel) { return kernel.cubin.size > 0; });
}

std::vector<std::string> deviceTexts(const Artifact &artifact) {
  std::vector<std::string> texts;
  const std::vector<DeviceTarget> &targets = artifact.devices().targets;
  for (size_t i = 0; i < targets.size(); ++i)
    texts.push_back(targets[i].name + "  " + formatBytes(artifact.deviceCode(i).size()) + " of code: " +
                    (hasCubins(targets[i]) ? "PTX and cubins" : "PTX, which the driver compiles"));
  return texts;
}

static llvm::StringRef textOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::string formText(const Artifact &artifact, size_t target, size_t index) {
  const DeviceKernel &kernel = artifact.devices().targets[target].kernels[index];
  llvm::StringRef line = textOf(artifact.deviceCode(target, kernel.ptx)).split('\n').first;
  return line.consume_front("// form ") ? "form " + printable(line.str()) : "";
}

void printDeviceKernels(const Artifact &artifact, llvm::raw_ostream &os) {
  const std::vector<DeviceTarget> &targets = artifact.devices().targets;
  for (size_t i = 0; i < targets.size(); ++i) {
    Table table("  ");
    for (size_t k = 0; k < targets[i].kernels.size(); ++k) {
      const DeviceKernel &kernel = targets[i].kernels[k];
      table.row({std::to_string(k), artifact.program().kernels[k].name,
                 kernel.registers ? formatCount(kernel.registers, "register") : "registers unknown", formText(artifact, i, k)});
    }
    os << "kernels for " << targets[i].name << ":\n";
    table.print(os);
  }
}

static Result<size_t> findDevice(const Artifact &artifact, const std::string &name) {
  std::vector<std::string> names;
  for (const DeviceTarget &target : artifact.devices().targets)
    names.push_back(target.name);
  if (names.empty())
    return Status(StatusCode::invalidArgument, "'" + artifact.name() + "' has no code for GPUs");
  if (name.empty())
    return names.size() - 1;
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name)
      return i;
  return Status(StatusCode::invalidArgument,
                "'" + artifact.name() + "' has no code for target '" + name + "'; for GPUs it has " + joined(names));
}

/// Runs nvdisasm on one cubin.
static Status disassembleCubin(const std::string &tool, llvm::StringRef cubin, llvm::raw_ostream &os) {
  Result<TempFolder> folder = TempFolder::create();
  if (!folder.ok())
    return folder.status();
  std::string input = folder->file("kernel.cubin"), output = folder->file("kernel.sass");
  PERMALLOY_TRY(writeFile(input, cubin.str()));
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), llvm::StringRef(output), llvm::StringRef(output)};
  int code = llvm::sys::ExecuteAndWait(tool, {tool, "-c", input}, std::nullopt, redirects);
  auto text = llvm::MemoryBuffer::getFile(output);
  if (code != 0 || !text)
    return {StatusCode::internal, "'" + tool + "' failed: " + (text ? (*text)->getBuffer().take_front(500).trim().str() : "no output")};
  os << (*text)->getBuffer();
  return {};
}

Status emitDeviceCode(const Artifact &artifact, const std::string &name, bool sass, llvm::raw_ostream &os) {
  Result<size_t> found = findDevice(artifact, name);
  if (!found.ok())
    return found.status();
  const DeviceTarget &target = artifact.devices().targets[*found];
  std::optional<std::string> tool;
  if (sass) {
    if (!hasCubins(target))
      return {StatusCode::unsupported, "'" + artifact.name() + "' has PTX but no machine code for " + target.name +
                                           ": the compiler found no ptxas"};
    if (!(tool = codegen::findCudaTool("nvdisasm")))
      return {StatusCode::notFound, "nvdisasm of the CUDA toolkit is neither in PATH nor in bin of $CUDA_HOME"};
  }
  for (const DeviceKernel &kernel : target.kernels) {
    if (!sass) {
      os << textOf(artifact.deviceCode(*found, kernel.ptx));
      continue;
    }
    if (Status status = disassembleCubin(*tool, textOf(artifact.deviceCode(*found, kernel.cubin)), os); !status.ok())
      return status;
  }
  return {};
}

} // namespace permalloy
