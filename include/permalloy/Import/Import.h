//===- Import.h - ONNX to tfm ------------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One call turns an ONNX model into a module with `func.func @main` of `tfm` operations.
//
//   file ─▶ WireSkim: large tensors become (offset, length) ─▶ protobuf
//        ─▶ Flatten: functions inlined, names resolved
//        ─▶ OpTable: one row per operator builds tfm ─▶ module
//
// Weights stay in the file: `tfm.weight @w = #tfm.file<...>`. Integer and bool tensors and tensors
// of at most 1 KB stand inline. Each operation carries the ONNX node's name as its location. Names
// of dynamic dimensions (`dim_param`) become symbols in `tfm.dims` of the arguments; a dynamic
// dimension without a name is called `<input>_<axis>`.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_IMPORT_IMPORT_H
#define PERMALLOY_IMPORT_IMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/MemoryBufferRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace permalloy {

/// What the user says about a dynamic dimension: `batch=1` (lo == hi: the dimension becomes static)
/// or `seq=1..512`.
struct DimRange {
  std::string name;
  int64_t lo = 0;
  int64_t hi = 0;
};

/// Reads `name=value` or `name=lo..hi`; an error message in `error` and nullopt when `text` is
/// neither.
std::optional<DimRange> parseDimRange(llvm::StringRef text, std::string &error);

struct ImportOptions {
  /// Each name must be a symbolic dimension of the model and may occur once. Ranges that do not fix
  /// the dimension end up in the function attribute `tfm.dim_ranges = {seq = [1, 512]}`.
  std::vector<DimRange> dims;
  /// Verify the module that was built; costs a few milliseconds.
  bool verify = true;
};

/// Name of the module attribute with what the model says about itself: producer, versions, opsets,
/// metadata.
inline constexpr llvm::StringLiteral kOnnxAttr = "tfm.onnx";

/// Imports the model at `path`. Null after an error, which has been reported through `context`.
/// Nodes that are not supported are reported in one error, with one note for each kind of them.
mlir::OwningOpRef<mlir::ModuleOp> importOnnx(llvm::StringRef path, mlir::MLIRContext &context,
                                             const ImportOptions &options = {});

/// Imports a model in memory. It has no file that weights could stay in, so these stand inline;
/// external data is refused. `name` stands for the model in messages.
mlir::OwningOpRef<mlir::ModuleOp> importOnnx(llvm::MemoryBufferRef bytes, llvm::StringRef name,
                                             mlir::MLIRContext &context,
                                             const ImportOptions &options = {});

/// What one row of the operator table says, for documentation.
struct OnnxOpInfo {
  llvm::StringRef domain; ///< "" is ai.onnx
  llvm::StringRef op;
  int first;            ///< first version of the definition that is supported
  int reviewed;         ///< newest version of the definition whose meaning is covered
  llvm::StringRef kind; ///< "structure", "elementwise", "concept" or "decomposed"
};
/// Every supported operator, sorted by domain and name.
std::vector<OnnxOpInfo> supportedOnnxOps();

/// Version of the onnx package and newest opset that this build knows.
llvm::StringRef onnxPackageVersion();
int newestOnnxOpset();

} // namespace permalloy

#endif
