//===- Candidate.cpp - one kernel with one schedule, compiled to run here *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Candidate.h"
#include "permalloy/Codegen/Common/ImageLinker.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/KernelEmitter.h"

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;
using llvm::createStringError;

static constexpr const char *kName = "kernel";

llvm::Expected<Candidate> Candidate::compile(kern::KernelOp kernel, const codegen::CpuTarget &target) {
  auto module = codegen::lowerKernel(kernel, target, kName);
  if (!module)
    return module.takeError();
  Candidate result;
  result.code = codegen::KernelCache::keyOf(**module, target);
  auto emitted = codegen::emitObjectAndAssembly(**module, target);
  if (!emitted)
    return emitted.takeError();
  result.statistics = codegen::codeStatistics(emitted->assembly);
  auto linked = codegen::linkImage({llvm::ArrayRef<char>(emitted->object)});
  if (!linked)
    return linked.takeError();
  result.codeBytes = linked->bytes.size();
  auto *bytes = reinterpret_cast<const std::byte *>(linked->bytes.data());
  Result<CodeImage> image = CodeImage::load({bytes, linked->bytes.size()}, target.name.str());
  if (!image.ok())
    return createStringError(image.status().message());
  result.image = std::move(*image);
  Result<KernelFunction> entry = result.image.entry(linked->entries.at(kName));
  if (!entry.ok())
    return createStringError(entry.status().message());
  result.entry = *entry;
  return result;
}

llvm::Expected<LaunchSizes> measure::launchSizes(kern::KernelOp kernel, const reference::Symbols &symbols) {
  LaunchSizes sizes;
  std::string error;
  for (Attribute symbol : kernel.getSymbols()) {
    auto value = symbols.find(cast<StringAttr>(symbol).getValue());
    if (value == symbols.end())
      return createStringError("symbol '" + cast<StringAttr>(symbol).getValue() + "' has no value");
    sizes.scalars.push_back(value->second);
  }
  auto tiles = reference::evaluate(*kernel.getTiles(), symbols, error);
  auto scratch = reference::evaluate(*kernel.getScratchBytes(), symbols, error);
  if (!tiles || !scratch)
    return createStringError(error);
  sizes.tiles = *tiles;
  sizes.scratchBytes = *scratch;
  return sizes;
}
