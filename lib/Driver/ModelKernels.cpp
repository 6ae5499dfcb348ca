//===- ModelKernels.cpp - the kernels of a model at given sizes --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ModelKernels.h"
#include "ImportModel.h"
#include "Report.h"

#include "permalloy/Pipelines/Price.h"
#include "permalloy/Support/Progress.h"

#include "mlir/Parser/Parser.h"

namespace permalloy {

bool ModelKernels::add(const std::string &model, const CompileSettings &settings, const std::vector<Sizes> &sizes) {
  Progress progress;
  progress.update("read " + model);
  ToolContext tool(settings.jobs);
  mlir::OwningOpRef<mlir::ModuleOp> module = importModel(model, settings.dims, tool.get());
  artifact::ArtifactContents launches;
  CompileOptions options;
  options.uniform = settings.precision;
  if (llvm::any_of(settings.targets, [](const std::string &target) { return codegen::GpuTarget::isGpuName(target); }))
    options.targets = settings.targets; // whether kernels may be rounded to tf32
  if (!settings.quantize.empty()) {
    llvm::Expected<QuantizationRequest> quantization = QuantizationRequest::parse(settings.quantize, settings.solver);
    if (!quantization)
      return fail("--quantize: " + llvm::toString(quantization.takeError())), false;
    options.quantization = *quantization;
  }
  if (!module || llvm::failed(compileToLaunches(*module, options, launches)))
    return false;
  for (const Sizes &some : sizes)
    if (Status status = addLaunches(launches, *module, some); !status.ok())
      return fail(status), false;
  return true;
}

Status ModelKernels::addLaunches(const artifact::ArtifactContents &launches, mlir::ModuleOp module, const Sizes &sizes) {
  Result<std::vector<int64_t>> symbols = symbolValues(launches.manifest, sizes);
  if (!symbols.ok())
    return symbols.status();
  size_t weightBytes = 0;
  Result<size_t> left = forEachLaunch(launches, module, std::move(*symbols), [&](size_t, kern::KernelOp kernel, const reference::Symbols &values) {
    auto facts = factsOf(kernel, values);
    weightBytes += facts ? size_t(facts->weightBytes) : 0;
    addLaunch(kernel, values);
  });
  if (!left.ok())
    return left.status();
  mostWeightBytes = std::max(mostWeightBytes, weightBytes);
  return {};
}

void ModelKernels::addLaunch(kern::KernelOp kernel, const reference::Symbols &symbols) {
  KernelIdentity identity = identityOf(kernel);
  auto [entry, isNew] = known.try_emplace(identity.id, all.size());
  if (isNew) {
    modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(identity.text, &context));
    all.push_back({*modules.back()->getOps<kern::KernelOp>().begin(), {}});
  }
  std::vector<reference::Symbols> &sizes = all[entry->second].sizes;
  auto isSame = [&](const reference::Symbols &other) {
    return llvm::all_of(symbols, [&](const auto &item) { return other.lookup(item.getKey()) == item.getValue(); });
  };
  if (llvm::none_of(sizes, isSame))
    sizes.push_back(symbols);
}

} // namespace permalloy
