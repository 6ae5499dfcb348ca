//===- CompileKernels.cpp - all kernels of a module into one image *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "CompileKernels.h"
#include "Tfm/PrecisionAttr.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Codegen/Common/ImageLinker.h"
#include "permalloy/Codegen/Common/KernelCache.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/Pipelines/KernelMemo.h"

#include "llvm/Support/ThreadPool.h"

#include <mutex>

using namespace mlir;
using namespace permalloy;

namespace {

/// One kernel on its way through a thread: text in, object or error out.
struct Job {
  std::string name;
  std::string text;
  Location loc;
  codegen::CompiledObject object = {};
  std::string error = {};
};

void compile(Job &job, const codegen::CpuTarget &target, const codegen::KernelCache *cache) {
  codegen::KernelContext context;
  OwningOpRef<ModuleOp> module = context.parse(job.text);
  if (!module) {
    job.error = "internal error: it cannot be read back: " + context.takeError();
    return;
  }
  auto object = codegen::compileKernel(context.kernelOf(*module), target, job.name, cache);
  std::string why = context.takeError();
  if (object)
    job.object = std::move(*object);
  else
    job.error = llvm::toString(object.takeError()) + (why.empty() ? "" : ": " + why);
}

/// The same, from the memo where it is there (may be null).
void compileOnce(Job &job, const codegen::CpuTarget &target, const codegen::KernelCache *cache, KernelMemo *memo) {
  if (!memo)
    return compile(job, target, cache);
  std::string key = target.name.str() + " " + job.name + " " + job.text;
  if (auto known = memo->find(key)) {
    job.object = std::move(*known);
    job.object.fromCache = true;
    return;
  }
  compile(job, target, cache);
  if (job.error.empty())
    memo->keep(key, job.object);
}

LogicalResult reportErrors(ArrayRef<Job> jobs) {
  bool failed = false;
  for (const Job &job : jobs)
    if (!job.error.empty()) {
      emitError(job.loc) << job.error;
      failed = true;
    }
  return failure(failed);
}

uint64_t featureMask(ArrayRef<StringRef> features) {
  uint64_t mask = 0;
  for (StringRef feature : features)
    mask |= cpuFeatureFromName({feature.data(), feature.size()});
  return mask;
}

} // namespace

FailureOr<ScheduledKernels> permalloy::scheduleKernels(ModuleOp module, const codegen::CpuTarget &target,
                                                       TunedSchedules &tuned) {
  ScheduledKernels result{ModuleOp::create(module.getLoc()), target};
  OpBuilder builder = OpBuilder::atBlockEnd(result.module->getBody());
  for (auto kernel : module.getOps<kern::KernelOp>()) {
    auto copy = cast<kern::KernelOp>(builder.clone(*kernel));
    forbidTf32(copy);
    if (failed(codegen::selectSchedule(copy, target)) || failed(tuned.apply(copy, target)))
      return failure();
  }
  return result;
}

FailureOr<TargetImage> permalloy::compileKernels(ScheduledKernels &kernels, const CompileOptions &options, unsigned &fromCache) {
  TargetImage image;
  image.name = kernels.target.name.str();
  image.features = featureMask(kernels.target.features);
  std::vector<Job> jobs;
  for (auto kernel : kernels.module->getOps<kern::KernelOp>()) {
    image.kernels[kernel.getSymName()] = kernel;
    jobs.push_back({kernel.getSymName().str(), codegen::textOf(kernel), kernel.getLoc()});
  }
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.jobs));
  std::optional<codegen::KernelCache> cache;
  if (!options.cacheDir.empty())
    cache.emplace(options.cacheDir);
  std::mutex mutex;
  unsigned done = 0;
  for (Job &job : jobs)
    pool.async([&] {
      compileOnce(job, kernels.target, cache ? &*cache : nullptr, options.memo);
      std::lock_guard lock(mutex);
      ++done;
      fromCache += job.object.fromCache;
      if (options.progress)
        options.progress("generate code", done, jobs.size());
    });
  pool.wait();
  if (failed(reportErrors(jobs)))
    return failure();
  SmallVector<ArrayRef<char>> objects;
  for (const Job &job : jobs) {
    objects.push_back(job.object.bytes);
    image.features |= featureMask(job.object.extraFeatures);
  }
  auto linked = codegen::linkImage(objects);
  if (!linked)
    return emitError(kernels.module->getLoc()) << "linking the kernels failed: " << llvm::toString(linked.takeError());
  auto *bytes = reinterpret_cast<const std::byte *>(linked->bytes.data());
  image.elf.assign(bytes, bytes + linked->bytes.size());
  for (auto &[name, offset] : linked->entries)
    image.entryPoints[name] = offset;
  return image;
}

LogicalResult permalloy::printKernels(ScheduledKernels &kernels, EmitKind kind, raw_ostream &out) {
  for (auto kernel : kernels.module->getOps<kern::KernelOp>()) {
    codegen::KernelContext context;
    OwningOpRef<ModuleOp> source = context.parse(codegen::textOf(kernel));
    auto module = codegen::lowerKernel(context.kernelOf(*source), kernels.target, kernel.getSymName());
    if (!module)
      return kernel.emitError(llvm::toString(module.takeError())) << ": " << context.takeError();
    auto text = kind == EmitKind::Asm ? codegen::emitAssembly(**module, kernels.target) : codegen::emitLLVMIR(**module, kernels.target);
    if (!text)
      return kernel.emitError("cannot be compiled: ") << llvm::toString(text.takeError());
    out << *text;
  }
  return success();
}
