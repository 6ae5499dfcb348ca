//===- Main.cpp - the entry of `permalloy` -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Driver/Driver.h"

#include "Commands.h"
#include "Report.h"

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Runtime/Gpu.h"
#include "permalloy/Runtime/ThreadPool.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

#include "llvm/Config/llvm-config.h"

#include <csignal>

namespace permalloy {

int runVersion() {
  llvm::outs() << "permalloy " << PERMALLOY_VERSION << "\n"
               << "LLVM " << LLVM_VERSION_STRING << "\n"
               << "model.alloy format " << artifact::kFormatVersion << ", kernel ABI "
               << artifact::kKernelAbiVersion << "\n"
               << "CPU features: " << joined(cpuFeatureNames(hostCpuFeatures()), " ") << "\n"
               << "CPUs this process may use: " << availableCpus() << "\n";
  Result<std::vector<GpuInfo>> gpus = listGpus();
  for (const GpuInfo &gpu : gpus.ok() ? *gpus : std::vector<GpuInfo>())
    llvm::outs() << "GPU: " << gpu.text() << "\n";
  if (!gpus.ok())
    llvm::outs() << "no GPU: " << gpus.status().message() << "\n";
  return 0;
}

int permalloyMain(int argc, char **argv) {
  exitCleanlyOnInterrupt();
  // A full disk is an error of write, with a message, rather than the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  return finishOutput(runCommandLine(argc, argv));
}

} // namespace permalloy
