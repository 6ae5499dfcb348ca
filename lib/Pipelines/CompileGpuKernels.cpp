//===- CompileGpuKernels.cpp - all kernels of a module for one GPU *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CompileKernels.h"
#include "ScheduleChoice.h"
#include "permalloy/Codegen/Common/KernelCache.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/Pipelines/GpuAssembler.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/ThreadPool.h"

#include <mutex>
#include <utility>

using namespace mlir;
using namespace permalloy;

namespace {

/// One kernel on its way through a thread: text in, code or an error out.
struct Job {
  std::string name, text;
  Location loc;
  codegen::GpuCode code = {};
  bool fromCache = false;
  std::string error = {};
  bool isOfPtxas = false; ///< the error
};

/// What makes code, for all jobs.
struct Tools {
  const codegen::GpuTarget &target;
  std::optional<std::string> ptxas;
  std::string version; ///< of ptxas
  std::optional<codegen::KernelCache> cache;
};

/// Fills in `job.code` from the module's lowered kernel.
llvm::Error generate(Job &job, kern::KernelOp kernel, ModuleOp lowered, const Tools &tools) {
  auto ptx = codegen::emitPtx(lowered, tools.target);
  if (!ptx)
    return ptx.takeError();
  job.code.ptx = std::move(*ptx);
  if (const GpuAssembler &assemble = gpuAssembler()) {
    auto code = assemble(kernel, tools.target, job.name);
    if (!code)
      return code.takeError();
    job.code.cubin.bytes = std::move(*code);
    return llvm::Error::success();
  }
  if (!tools.ptxas)
    return llvm::Error::success();
  auto cubin = codegen::assemblePtx(job.code.ptx, tools.target, *tools.ptxas);
  job.isOfPtxas = !cubin;
  if (!cubin)
    return cubin.takeError();
  job.code.cubin = std::move(*cubin);
  return llvm::Error::success();
}

void compile(Job &job, const Tools &tools) {
  codegen::KernelContext context(codegen::KernelContext::Device::Gpu);
  OwningOpRef<ModuleOp> module = context.parse(job.text);
  if (!module) {
    job.error = "internal error: it cannot be read back: " + context.takeError();
    return;
  }
  auto lowered = codegen::lowerGpuKernel(context.kernelOf(*module), tools.target, job.name);
  std::string why = context.takeError();
  if (!lowered) {
    job.error = llvm::toString(lowered.takeError()) + (why.empty() ? "" : ": " + why);
    return;
  }
  std::string key = tools.cache ? codegen::KernelCache::keyOf(**lowered, tools.target, tools.version) : "";
  if (auto stored = tools.cache ? tools.cache->lookup(key) : std::nullopt)
    if (auto code = codegen::GpuCode::unpack(*stored)) {
      job.code = std::move(*code), job.fromCache = true;
      return;
    }
  if (llvm::Error error = generate(job, context.kernelOf(*module), **lowered, tools))
    job.error = llvm::toString(std::move(error));
  else if (tools.cache)
    tools.cache->store(key, job.code.pack());
}

/// Finds ptxas and the cache. One whose version is not known may be another tomorrow: nothing of it is kept.
FailureOr<Tools> toolsFor(ScheduledGpuKernels &kernels, const CompileOptions &options) {
  Tools tools{kernels.target, codegen::findPtxas(), "", {}};
  if (tools.ptxas && !llvm::sys::fs::can_execute(*tools.ptxas))
    return emitError(kernels.module->getLoc()) << "PERMALLOY_PTXAS is '" << *tools.ptxas << "', which is no program";
  if (options.cacheDir.empty() || gpuAssembler())
    return tools;
  auto version = tools.ptxas ? codegen::ptxasVersion(*tools.ptxas) : std::optional<std::string>("");
  if (version)
    tools.version = *version, tools.cache.emplace(options.cacheDir);
  return tools;
}

/// What stands before a kernel's PTX, for readers: "// form tensor, 128 threads, block_columns=64 ...; predicted". Not kept in the
/// cache: other schedules may give the same code.
std::string headOf(const ScheduledGpuKernels &kernels, kern::KernelOp kernel) {
  std::string origin = kernels.origins.lookup(kernel.getSymName());
  auto form = kernel.getScheduleAttr().getAs<StringAttr>("form");
  std::string schedule = str(numbersOf(kernel.getScheduleAttr()));
  return ("// form " + (form ? form.getValue() : "none") + ", " + Twine(codegen::gpuLaunch(kernel).threads) + " threads" +
          (schedule.empty() ? "" : ", ") + schedule + (origin.empty() ? "" : "; " + origin) + "\n")
      .str();
}

artifact::CodeRange append(std::vector<std::byte> &code, ArrayRef<char> bytes) {
  code.resize(llvm::alignTo(code.size(), 64)); // as drivers like their ELF files
  artifact::CodeRange range{code.size(), bytes.size()};
  auto *first = reinterpret_cast<const std::byte *>(bytes.data());
  code.insert(code.end(), first, first + bytes.size());
  return range;
}

/// A ptxas that is older than the target fails for each kernel in the same way: that is said once.
LogicalResult reportErrors(ArrayRef<Job> jobs) {
  bool failed = false, isPtxasBlamed = false;
  for (const Job &job : jobs) {
    if (job.isOfPtxas && !std::exchange(isPtxasBlamed, true))
      emitError(job.loc) << job.error << "; with PERMALLOY_PTXAS= in the environment, models compile to PTX alone";
    else if (!job.error.empty() && !job.isOfPtxas)
      emitError(job.loc) << job.error;
    failed |= !job.error.empty();
  }
  return failure(failed);
}

} // namespace

GpuAssembler &permalloy::gpuAssembler() {
  static GpuAssembler assembler;
  return assembler;
}

llvm::Expected<codegen::GpuCode> permalloy::compileGpuKernel(kern::KernelOp kernel, const codegen::GpuTarget &target, StringRef name) {
  auto lowered = codegen::lowerGpuKernel(kernel, target, name);
  if (!lowered)
    return lowered.takeError();
  Job job{name.str(), "", kernel.getLoc()};
  if (llvm::Error error = generate(job, kernel, **lowered, {target, codegen::findPtxas(), "", {}}))
    return std::move(error);
  return std::move(job.code);
}

FailureOr<ScheduledGpuKernels> permalloy::scheduleGpuKernels(ModuleOp module, const codegen::GpuTarget &target, TunedSchedules &tuned) {
  ScheduledGpuKernels result{ModuleOp::create(module.getLoc()), target, {}};
  OpBuilder builder = OpBuilder::atBlockEnd(result.module->getBody());
  for (auto kernel : module.getOps<kern::KernelOp>())
    if (failed(tuned.choose(cast<kern::KernelOp>(builder.clone(*kernel)), target)))
      return failure();
  for (const TunedKernel &kernel : tuned.used())
    if (kernel.target == target.name)
      result.origins[kernel.kernel] = tuned.originOf(kernel.kernel, target.name);
  return result;
}

FailureOr<DeviceImage> permalloy::compileGpuKernels(ScheduledGpuKernels &kernels, const CompileOptions &options, unsigned &fromCache) {
  DeviceImage image;
  image.target = {kernels.target.name.str(), kernels.target.capability, kernels.target.exact, {}};
  std::vector<Job> jobs;
  for (auto kernel : kernels.module->getOps<kern::KernelOp>()) {
    image.kernels[kernel.getSymName()] = kernel;
    jobs.push_back({kernel.getSymName().str(), codegen::textOf(kernel), kernel.getLoc()});
  }
  auto tools = toolsFor(kernels, options);
  if (failed(tools))
    return failure();
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.jobs));
  std::mutex mutex;
  unsigned done = 0;
  for (Job &job : jobs)
    pool.async([&] {
      compile(job, *tools);
      std::lock_guard lock(mutex);
      fromCache += job.fromCache;
      if (options.progress)
        options.progress("generate code", ++done, jobs.size());
    });
  pool.wait();
  if (failed(reportErrors(jobs)))
    return failure();
  for (const Job &job : jobs) {
    artifact::DeviceKernel &entry = image.entries[job.name];
    kern::KernelOp kernel = image.kernels.lookup(job.name);
    std::string ptx = headOf(kernels, kernel) + job.code.ptx;
    entry.threads = codegen::gpuLaunch(kernel).threads;
    entry.registers = job.code.cubin.report.registers;
    entry.ptx = append(image.code, ArrayRef(ptx.data(), ptx.size()));
    if (!job.code.cubin.bytes.empty())
      entry.cubin = append(image.code, job.code.cubin.bytes);
  }
  return image;
}

LogicalResult permalloy::printGpuKernels(ScheduledGpuKernels &kernels, EmitKind kind, raw_ostream &out) {
  for (auto kernel : kernels.module->getOps<kern::KernelOp>()) {
    codegen::KernelContext context(codegen::KernelContext::Device::Gpu);
    OwningOpRef<ModuleOp> source = context.parse(codegen::textOf(kernel));
    auto module = codegen::lowerGpuKernel(context.kernelOf(*source), kernels.target, kernel.getSymName());
    if (!module)
      return kernel.emitError(llvm::toString(module.takeError())) << ": " << context.takeError();
    auto text = kind == EmitKind::Asm ? codegen::emitPtx(**module, kernels.target) : codegen::emitGpuLLVMIR(**module, kernels.target);
    if (!text)
      return kernel.emitError("cannot be compiled: ") << llvm::toString(text.takeError());
    out << (kind == EmitKind::Asm ? headOf(kernels, kernel) : "") << *text;
  }
  return success();
}
