//===- CompileKernels.cpp - all kernels of a module into one image *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "CompileKernels.h"
#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Codegen/Common/ImageLinker.h"
#include "permalloy/Codegen/Common/KernelCache.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include "mlir/Parser/Parser.h"
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

/// A context in which one kernel is compiled. Errors are collected, not printed: the thread has no user.
class KernelContext {
public:
  KernelContext() : context(makeRegistry(), MLIRContext::Threading::DISABLED), handler(&context, [this](Diagnostic &d) {
                      if (d.getSeverity() == DiagnosticSeverity::Error)
                        error += (error.empty() ? "" : "; ") + d.str();
                      return success();
                    }) {
    context.loadAllAvailableDialects();
  }

  OwningOpRef<ModuleOp> parse(StringRef text) { return parseSourceString<ModuleOp>(text, &context); }

  std::string error;

private:
  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registry.insert<tfm::TfmDialect, kern::KernDialect>();
    codegen::registerKernelDialects(registry);
    return registry;
  }

  MLIRContext context;
  ScopedDiagnosticHandler handler;
};

std::string printed(kern::KernelOp kernel) {
  std::string text;
  llvm::raw_string_ostream os(text);
  kernel->print(os, OpPrintingFlags().useLocalScope());
  return text;
}

void compile(Job &job, const codegen::CpuTarget &target, const codegen::KernelCache *cache) {
  KernelContext context;
  OwningOpRef<ModuleOp> module = context.parse(job.text);
  if (!module) {
    job.error = "internal error: it cannot be read back: " + context.error;
    return;
  }
  auto kernel = *module->getOps<kern::KernelOp>().begin();
  auto object = codegen::compileKernel(kernel, target, job.name, cache);
  if (object)
    job.object = std::move(*object);
  else
    job.error = llvm::toString(object.takeError()) + (context.error.empty() ? "" : ": " + context.error);
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
    jobs.push_back({kernel.getSymName().str(), printed(kernel), kernel.getLoc()});
  }
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.jobs));
  std::optional<codegen::KernelCache> cache;
  if (!options.cacheDir.empty())
    cache.emplace(options.cacheDir);
  std::mutex mutex;
  unsigned done = 0;
  for (Job &job : jobs)
    pool.async([&] {
      compile(job, kernels.target, cache ? &*cache : nullptr);
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
    KernelContext context;
    OwningOpRef<ModuleOp> source = context.parse(printed(kernel));
    OwningOpRef<ModuleOp> module = ModuleOp::create(source->getLoc());
    auto copy = *source->getOps<kern::KernelOp>().begin();
    if (failed(codegen::emitKernel(copy, kernels.target, kernel.getSymName(), *module)) ||
        failed(codegen::lowerToLLVM(*module, kernels.target)))
      return kernel.emitError("cannot be compiled: ") << context.error;
    auto text = kind == EmitKind::Asm ? codegen::emitAssembly(*module, kernels.target) : codegen::emitLLVMIR(*module, kernels.target);
    if (!text)
      return kernel.emitError("cannot be compiled: ") << llvm::toString(text.takeError());
    out << *text;
  }
  return success();
}
