//===- CompileGpuKernels.cpp - all kernels of a module for one GPU *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CompileKernels.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/KernelContext.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/ThreadPool.h"

#include <mutex>
#include <utility>

using namespace mlir;
using namespace permalloy;

namespace {

/// One kernel on its way through a thread: text in, PTX and perhaps a cubin or an error out.
struct Job {
  std::string name, text;
  Location loc;
  std::string ptx = {};
  codegen::Cubin cubin = {};
  std::string error = {};
  bool isOfPtxas = false; ///< the error
};

void compile(Job &job, const codegen::GpuTarget &target, const std::optional<std::string> &ptxas) {
  codegen::KernelContext context(codegen::KernelContext::Device::Gpu);
  OwningOpRef<ModuleOp> module = context.parse(job.text);
  if (!module) {
    job.error = "internal error: it cannot be read back: " + context.takeError();
    return;
  }
  auto lowered = codegen::lowerGpuKernel(context.kernelOf(*module), target, job.name);
  std::string why = context.takeError();
  auto ptx = lowered ? codegen::emitPtx(**lowered, target) : llvm::Expected<std::string>(lowered.takeError());
  if (!ptx) {
    job.error = llvm::toString(ptx.takeError()) + (why.empty() ? "" : ": " + why);
    return;
  }
  job.ptx = std::move(*ptx);
  if (!ptxas)
    return;
  auto cubin = codegen::assemblePtx(job.ptx, target, *ptxas);
  if (cubin)
    job.cubin = std::move(*cubin);
  else
    job.error = llvm::toString(cubin.takeError()), job.isOfPtxas = true;
}

artifact::CodeRange append(std::vector<std::byte> &code, ArrayRef<char> bytes) {
  code.resize(llvm::alignTo(code.size(), 64)); // as drivers like their ELF files
  artifact::CodeRange range{code.size(), bytes.size()};
  auto *first = reinterpret_cast<const std::byte *>(bytes.data());
  code.insert(code.end(), first, first + bytes.size());
  return range;
}

} // namespace

FailureOr<ScheduledGpuKernels> permalloy::scheduleGpuKernels(ModuleOp module, const codegen::GpuTarget &target) {
  ScheduledGpuKernels result{ModuleOp::create(module.getLoc()), target};
  OpBuilder builder = OpBuilder::atBlockEnd(result.module->getBody());
  for (auto kernel : module.getOps<kern::KernelOp>())
    if (failed(codegen::selectGpuSchedule(cast<kern::KernelOp>(builder.clone(*kernel)), target)))
      return failure();
  return result;
}

FailureOr<DeviceImage> permalloy::compileGpuKernels(ScheduledGpuKernels &kernels, const CompileOptions &options) {
  DeviceImage image;
  image.target = {kernels.target.name.str(), kernels.target.capability, kernels.target.exact, {}};
  std::vector<Job> jobs;
  for (auto kernel : kernels.module->getOps<kern::KernelOp>()) {
    image.kernels[kernel.getSymName()] = kernel;
    jobs.push_back({kernel.getSymName().str(), codegen::textOf(kernel), kernel.getLoc()});
  }
  std::optional<std::string> ptxas = codegen::findPtxas();
  if (ptxas && !llvm::sys::fs::can_execute(*ptxas))
    return emitError(kernels.module->getLoc()) << "PERMALLOY_PTXAS is '" << *ptxas << "', which is no program";
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.jobs));
  std::mutex mutex;
  unsigned done = 0;
  for (Job &job : jobs)
    pool.async([&] {
      compile(job, kernels.target, ptxas);
      std::lock_guard lock(mutex);
      if (options.progress)
        options.progress("generate code", ++done, jobs.size());
    });
  pool.wait();
  bool failed = false, isPtxasBlamed = false;
  for (const Job &job : jobs) {
    // A ptxas that is older than the target fails for each kernel in the same way.
    if (job.isOfPtxas && !std::exchange(isPtxasBlamed, true))
      emitError(job.loc) << job.error << "; with PERMALLOY_PTXAS= in the environment, models compile to PTX alone";
    else if (!job.error.empty() && !job.isOfPtxas)
      emitError(job.loc) << job.error;
    failed |= !job.error.empty();
    artifact::DeviceKernel &entry = image.entries[job.name];
    entry.threads = codegen::gpuLaunch(image.kernels.lookup(job.name)).threads;
    entry.registers = job.cubin.report.registers;
    entry.ptx = append(image.code, ArrayRef(job.ptx.data(), job.ptx.size()));
    if (!job.cubin.bytes.empty())
      entry.cubin = append(image.code, job.cubin.bytes);
  }
  return failed ? FailureOr<DeviceImage>(failure()) : FailureOr<DeviceImage>(std::move(image));
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
    out << *text;
  }
  return success();
}
