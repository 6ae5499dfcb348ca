//===- BuildArtifact.h - from launches in the IR to the tables of model.alloy *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_PIPELINES_BUILDARTIFACT_H
#define PERMALLOY_LIB_PIPELINES_BUILDARTIFACT_H

#include "Kern/Kern.h"
#include "permalloy/Artifact/Writer.h"
#include "permalloy/Reference/WeightEvaluator.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace permalloy {

/// One target's half of a compilation: its kernels with their schedules, and their code.
struct TargetImage {
  std::string name;        ///< "x86-64-v3"
  uint64_t features = 0;   ///< CpuFeature bits that the machine must have
  /// The kernels of the module by name, each with `schedule`, `tiles` and `scratch_bytes` for this target.
  llvm::StringMap<kern::KernelOp> kernels;
  std::vector<std::byte> elf;
  llvm::StringMap<uint64_t> entryPoints; ///< kernel name -> virtual address in the image
};

/// The same for a GPU.
struct DeviceImage {
  artifact::DeviceTarget target; ///< without kernels
  llvm::StringMap<kern::KernelOp> kernels; ///< by name, each with its GPU schedule
  llvm::StringMap<artifact::DeviceKernel> entries; ///< by name; ranges of `code`
  std::vector<std::byte> code;
};

/// Fills manifest, program, images and weight sources from `module`: its function `main` consists of launches, views, weights
/// and constants after plan-slots. `targets` go from the least to the most demanding. The weight sources refer to the module,
/// which must live until the artifact is written, as must `solved`, where weights that solvers make from statistics are listed
/// then (null: nowhere). Errors are emitted as diagnostics.
llvm::LogicalResult buildArtifact(mlir::ModuleOp module, llvm::ArrayRef<TargetImage> targets, llvm::ArrayRef<DeviceImage> devices,
                                  llvm::StringRef commandLine, artifact::ArtifactContents &contents,
                                  std::vector<reference::SolvedWeight> *solved = nullptr);

} // namespace permalloy

#endif
