//===- Tensors.h - TensorProto to attributes ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_IMPORT_TENSORS_H
#define PERMALLOY_LIB_IMPORT_TENSORS_H

#include "Tfm/Tfm.h"
#include "WireSkim.h"
#include "onnx.pb.h"
#include "llvm/Support/MemoryBuffer.h"

namespace permalloy {

/// The MLIR type of an ONNX element type; null when it is unsupported.
mlir::Type elementTypeOf(int32_t onnxType, mlir::MLIRContext *context);
/// `float16`, `string`, ...; `element type 99` when ONNX has none of that number.
std::string onnxTypeName(int32_t onnxType);

/// A tensor of the model: either inline or bytes of a file.
struct TensorData {
  mlir::RankedTensorType type;
  mlir::DenseElementsAttr value; ///< null when `file` is set
  tfm::FileAttr file;
  /// Of integers of 2 and 4 bits: `type` is that of their bytes, 1-D, and this is what they hold.
  unsigned packedBits = 0;
  bool isSigned = false;
  llvm::SmallVector<int64_t> shape = {};
};

/// Where the bytes of a tensor with external data are. `path` stands in the model's directory.
struct ExternalRegion {
  std::string path;
  uint64_t offset = 0;
  std::optional<uint64_t> bytes;
};

/// Checks the `external_data` entries of `tensor` of the model at `modelPath` without trusting
/// them: the file must lie in the directory of the model, also after symbolic links, and hold the
/// region.
llvm::Expected<ExternalRegion> resolveExternalData(const onnx::TensorProto &tensor,
                                                   llvm::StringRef modelPath);

/// Reads tensors of one model.
class TensorReader {
public:
  /// `path` is empty for a model in memory: then every tensor is inline. `bytes` and `regions` must
  /// outlive the reader.
  TensorReader(mlir::MLIRContext *context, llvm::StringRef path, llvm::StringRef bytes,
               llvm::ArrayRef<FileRegion> regions)
      : context(context), path(path), file(bytes), regions(regions) {}

  llvm::Expected<TensorData> read(const onnx::TensorProto &tensor);

private:
  /// The tensor, or the bytes of one whose elements share them.
  llvm::Expected<TensorData> readStored(const onnx::TensorProto &tensor);
  /// Type and number of bytes, checked against overflow.
  llvm::Expected<mlir::RankedTensorType> typeOf(const onnx::TensorProto &tensor, uint64_t &bytes);
  llvm::Expected<TensorData> readExternal(const onnx::TensorProto &tensor,
                                          mlir::RankedTensorType type, uint64_t bytes);

  mlir::MLIRContext *context;
  std::string path;
  llvm::StringRef file;
  llvm::ArrayRef<FileRegion> regions;
};

} // namespace permalloy

#endif
