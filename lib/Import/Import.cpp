//===- Import.cpp - ONNX to tfm ----------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Import/Import.h"

#include "GraphBuilder.h"

using namespace mlir;
using namespace permalloy;

/// `path` is empty for a model in memory.
static OwningOpRef<ModuleOp> importBytes(StringRef bytes, StringRef path, StringRef name,
                                         MLIRContext &context, const ImportOptions &options) {
  context.loadDialect<func::FuncDialect, tfm::TfmDialect>();
  Location loc = FileLineColLoc::get(&context, name, 0, 0);
  auto fail = [&](const Twine &message) -> OwningOpRef<ModuleOp> {
    emitError(loc, message);
    return {};
  };
  auto skimmed = skimModel(bytes);
  if (!skimmed)
    return fail(llvm::toString(skimmed.takeError()));
  onnx::ModelProto model;
  if (!model.ParseFromArray(skimmed->bytes.data(), int(skimmed->bytes.size())))
    return fail("damaged or not an ONNX model: its fields do not have the types of ONNX's schema");
  if (!model.has_graph())
    return fail("not an ONNX model: it holds no graph");
  skimmed->bytes = {};
  TensorReader tensors(&context, path, bytes, skimmed->regions);
  return GraphBuilder(model, tensors, loc, options).build();
}

OwningOpRef<ModuleOp> permalloy::importOnnx(StringRef path, MLIRContext &context,
                                            const ImportOptions &options) {
  // Mapped, not read: weights of any size cost no memory.
  auto buffer =
      llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer) {
    emitError(FileLineColLoc::get(&context, path, 0, 0), "cannot read the model: ")
        << buffer.getError().message();
    return {};
  }
  return importBytes((*buffer)->getBuffer(), path, path, context, options);
}

OwningOpRef<ModuleOp> permalloy::importOnnx(llvm::MemoryBufferRef bytes, StringRef name,
                                            MLIRContext &context, const ImportOptions &options) {
  return importBytes(bytes.getBuffer(), "", name, context, options);
}

std::optional<DimRange> permalloy::parseDimRange(StringRef text, std::string &error) {
  auto [name, value] = text.rsplit('=');
  auto [low, high] = value.split("..");
  DimRange range{name.str(), 0, 0};
  bool isRange = value.contains("..");
  if (name.empty() || low.getAsInteger(10, range.lo) ||
      (isRange && high.getAsInteger(10, range.hi))) {
    error = ("'" + text +
             "' is no dimension; accepted are name=value and name=lo..hi, such as batch=1 or "
             "seq=1..512")
                .str();
    return std::nullopt;
  }
  if (!isRange)
    range.hi = range.lo;
  if (range.lo < 0 || range.hi < range.lo) {
    error = ("'" + text + "' has no value: " + Twine(range.lo) + " to " + Twine(range.hi)).str();
    return std::nullopt;
  }
  return range;
}
