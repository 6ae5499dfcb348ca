//===- KernelCheck.h - a function as one kernel, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_KERNELCHECK_H
#define PERMALLOY_TEST_UNIT_CODEGEN_KERNELCHECK_H

#include "Kern/Kern.h"
#include "KernelRunner.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Reference/Inputs.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace permalloy::codegen::test {

/// Memory of `size` bytes, rounded up to `alignment`, that ends at a page without access, so that
/// reading past it faults.
class GuardedBuffer {
public:
  explicit GuardedBuffer(size_t size, size_t alignment = 1);
  ~GuardedBuffer();
  GuardedBuffer(const GuardedBuffer &) = delete;
  void *data() const { return start; }

private:
  char *base = nullptr, *start = nullptr;
  size_t mapped = 0;
};

/// One test kernel: the body of `func.func @main` of a module, as one kern.kernel.
class KernelCheck {
public:
  /// Parses `text`; `emitter` is "row", "generic", "contraction" (the weight of its tfm.linear is
  /// then packed) or "attention".
  KernelCheck(llvm::StringRef text, llvm::StringRef emitter);
  explicit operator bool() const { return bool(kernel); }

  /// Runs the kernel for `target` on random inputs at these sizes ("b=2,s=5"), its grid in several
  /// uneven ranges, and compares every result with the interpreter. `change` may edit the inputs.
  using Change = std::function<void(llvm::MutableArrayRef<reference::Tensor>)>;
  void run(const CpuTarget &target, llvm::StringRef sizes, reference::Tolerance tolerance,
           Change change = nullptr);

  /// What the kernel takes from now on instead of its default schedule.
  void setSchedule(mlir::DictionaryAttr wanted) { schedule = wanted; }

  /// The kernel's assembly.
  std::string assembly(const CpuTarget &target);

  /// The kernel as a function, its scratch size and grid at these sizes; for timing.
  struct Compiled {
    std::shared_ptr<MappedImage> image;
    KernelFunction function = nullptr;
    llvm::SmallVector<int64_t> scalars;
    int64_t tiles = 0, scratchBytes = 0;
    /// Of a GPU kernel whose threads work together; then tiles are blocks (GpuMachine.h).
    unsigned threads = 0;
    size_t sharedBytes = 0;
    void operator()(void *const *buffers, int64_t begin, int64_t end, void *scratch) const;
  };
  Compiled compile(const CpuTarget &target, llvm::StringRef sizes);

  mlir::func::FuncOp function() {
    return mlir::cast<mlir::func::FuncOp>(module->lookupSymbol("main"));
  }
  kern::KernelOp kernelOp() { return kernel; }

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  kern::KernelOp kernel;
  mlir::DictionaryAttr schedule;
  /// The kernel's code for the last target and schedule: sizes do not change it.
  struct Code {
    std::string target;
    kern::Emitter emitter;
    mlir::DictionaryAttr schedule; ///< of a CPU the kernel's, of a GPU the one that was wanted
    std::shared_ptr<MappedImage> image = nullptr;
    KernelFunction function = nullptr;
    GpuLaunch launch = {};
    bool isTogether = false;
  };
  std::optional<Code> code;
  /// Fills `code`; a failure fails the test.
  bool makeCode(const CpuTarget &target);
};

/// `text` with every `from` replaced.
inline std::string replaceAll(std::string text, llvm::StringRef from, const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_KERNELCHECK_H
