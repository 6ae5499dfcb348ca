//===- ModelKernels.cpp - the kernels of a model at given sizes --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ModelKernels.h"
#include "ImportModel.h"
#include "Report.h"

#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Pipelines/Compile.h"
#include "permalloy/Support/Progress.h"

#include "mlir/Parser/Parser.h"

namespace permalloy {

/// Whether an expression mentions a size that depends on data.
static bool dependsOnData(const artifact::ArtifactContents &launches, uint32_t index) {
  const artifact::Expr &expr = launches.program.expressions[index];
  if (expr.op == artifact::ExprOp::symbol)
    return isDataSymbol(launches.manifest.symbols[static_cast<size_t>(expr.value)].name);
  return expr.op != artifact::ExprOp::constant && (dependsOnData(launches, expr.lhs) || dependsOnData(launches, expr.rhs));
}

bool ModelKernels::add(const std::string &model, const CompileSettings &settings, const std::vector<Sizes> &sizes) {
  Progress progress;
  progress.update("read " + model);
  ToolContext tool(settings.jobs);
  mlir::OwningOpRef<mlir::ModuleOp> module = importModel(model, settings.dims, tool.get());
  artifact::ArtifactContents launches;
  CompileOptions options;
  options.allBf16 = settings.precision == "bf16";
  if (!module || llvm::failed(compileToLaunches(*module, options, launches)))
    return false;
  for (const Sizes &some : sizes)
    if (Status status = addLaunches(launches, *module, some); !status.ok())
      return fail(status), false;
  return true;
}

static size_t packedBytes(kern::KernelOp kernel) {
  size_t bytes = 0;
  for (mlir::BlockArgument argument : kernel.getBlock().getArguments())
    if (auto type = mlir::cast<mlir::RankedTensorType>(argument.getType()); mlir::isa_and_nonnull<tfm::PanelsAttr>(type.getEncoding()))
      bytes += reference::storageBytes(type);
  return bytes;
}

Status ModelKernels::addLaunches(const artifact::ArtifactContents &launches, mlir::ModuleOp module, const Sizes &sizes) {
  Result<std::vector<int64_t>> symbols = symbolValues(launches.manifest, sizes);
  if (!symbols.ok())
    return symbols.status();
  // Caches have room for twice of what they hold.
  size_t bound = launches.manifest.inputSymbols().size();
  int64_t largest = 1;
  for (size_t i = 0; i < bound; ++i)
    largest = std::max(largest, (*symbols)[i]);
  for (size_t i = bound; i < symbols->size(); ++i)
    (*symbols)[i] = 2 * largest;
  std::vector<int64_t> values;
  PERMALLOY_TRY(artifact::evaluateAll(launches.program.expressions, launches.manifest.symbols, *symbols, values));
  size_t weightBytes = 0;
  for (const artifact::Step &step : launches.program.steps) {
    if (step.kind != artifact::StepKind::launch ||
        llvm::any_of(step.scalars, [&](uint32_t scalar) { return dependsOnData(launches, scalar); }))
      continue;
    auto kernel = module.lookupSymbol<kern::KernelOp>(launches.program.kernels[step.kernel].name);
    std::vector<int64_t> scalars;
    for (uint32_t scalar : step.scalars)
      scalars.push_back(values[scalar]);
    if (!kernel)
      continue;
    weightBytes += packedBytes(kernel);
    addLaunch(kernel, scalars);
  }
  mostWeightBytes = std::max(mostWeightBytes, weightBytes);
  return {};
}

void ModelKernels::addLaunch(kern::KernelOp kernel, const std::vector<int64_t> &scalars) {
  KernelIdentity identity = identityOf(kernel);
  auto [entry, isNew] = known.try_emplace(identity.id, all.size());
  if (isNew) {
    modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(identity.text, &context));
    all.push_back({*modules.back()->getOps<kern::KernelOp>().begin(), {}});
  }
  reference::Symbols symbols;
  for (auto [symbol, value] : llvm::zip(kernel.getSymbols(), scalars))
    symbols[mlir::cast<mlir::StringAttr>(symbol).getValue()] = value;
  std::vector<reference::Symbols> &sizes = all[entry->second].sizes;
  auto isSame = [&](const reference::Symbols &other) {
    return llvm::all_of(symbols, [&](const auto &item) { return other.lookup(item.getKey()) == item.getValue(); });
  };
  if (llvm::none_of(sizes, isSame))
    sizes.push_back(std::move(symbols));
}

} // namespace permalloy
