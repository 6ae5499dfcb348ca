//===- Tensors.cpp - TensorProto to attributes -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tensors.h"

#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace permalloy;
using onnx::TensorProto;

Type permalloy::elementTypeOf(int32_t onnxType, MLIRContext *context) {
  auto integer = [&](unsigned width, bool isUnsigned = false) {
    return IntegerType::get(context, width,
                            isUnsigned ? IntegerType::Unsigned : IntegerType::Signless);
  };
  switch (onnxType) {
  case TensorProto::FLOAT:
    return Float32Type::get(context);
  case TensorProto::DOUBLE:
    return Float64Type::get(context);
  case TensorProto::FLOAT16:
    return Float16Type::get(context);
  case TensorProto::BFLOAT16:
    return BFloat16Type::get(context);
  case TensorProto::BOOL:
    return integer(1);
  case TensorProto::INT8:
    return integer(8);
  case TensorProto::INT16:
    return integer(16);
  case TensorProto::INT32:
    return integer(32);
  case TensorProto::INT64:
    return integer(64);
  case TensorProto::UINT8:
    return integer(8, true);
  case TensorProto::UINT16:
    return integer(16, true);
  case TensorProto::UINT32:
    return integer(32, true);
  case TensorProto::UINT64:
    return integer(64, true);
  default:
    return {};
  }
}

std::string permalloy::onnxTypeName(int32_t onnxType) {
  if (!onnx::TensorProto_DataType_IsValid(onnxType))
    return "element type " + std::to_string(onnxType);
  return StringRef(onnx::TensorProto_DataType_Name(TensorProto::DataType(onnxType))).lower();
}

/// Bytes of one element as stored in raw_data.
static uint64_t bytesPerElement(Type type) {
  return std::max(1u, type.getIntOrFloatBitWidth() / 8);
}

static std::string describe(RankedTensorType type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Bits of integers that share bytes; 0 for all others.
static unsigned packedBits(int32_t onnxType) {
  switch (onnxType) {
  case TensorProto::INT4:
  case TensorProto::UINT4:
    return 4;
  default:
    return 0;
  }
}

llvm::Expected<RankedTensorType> TensorReader::typeOf(const TensorProto &tensor, uint64_t &bytes) {
  unsigned packed = packedBits(tensor.data_type());
  Type element = packed ? IntegerType::get(context, 8, IntegerType::Unsigned) : elementTypeOf(tensor.data_type(), context);
  if (!element)
    return llvm::createStringError("has elements of type " + onnxTypeName(tensor.data_type()) +
                                   ", which is unsupported");
  int64_t count = 1;
  for (int64_t extent : tensor.dims()) {
    auto product = llvm::checkedMul(count, extent);
    if (extent < 0 || !product)
      return llvm::createStringError("has impossible dimensions (" + Twine(extent) +
                                     " elements along one of them)");
    count = *product;
  }
  if (packed) {
    auto bits = llvm::checkedMul(count, int64_t(packed));
    if (!bits)
      return llvm::createStringError("has impossible dimensions (" + Twine(count) + " elements)");
    bytes = llvm::divideCeil(*bits, 8);
    return RankedTensorType::get({int64_t(bytes)}, element);
  }
  auto total = llvm::checkedMul(count, int64_t(bytesPerElement(element)));
  if (!total)
    return llvm::createStringError("has impossible dimensions (" + Twine(count) + " elements)");
  bytes = *total;
  return RankedTensorType::get(ArrayRef(tensor.dims().data(), tensor.dims().size()), element);
}

/// Elements of the typed field that goes with the type, in the form of raw_data.
static std::string packTypedData(const TensorProto &tensor, Type type) {
  std::string bytes;
  uint64_t size = bytesPerElement(type);
  auto append = [&](const auto &values) {
    for (auto value : values)
      bytes.append(reinterpret_cast<const char *>(&value), std::min<size_t>(size, sizeof(value)));
    return bytes;
  };
  // Little-endian: the low bytes of an int32 or int64 are the narrower integer.
  if (type.isF32())
    return append(tensor.float_data());
  if (type.isF64())
    return append(tensor.double_data());
  if (type.isInteger(64))
    return type.isUnsignedInteger() ? append(tensor.uint64_data()) : append(tensor.int64_data());
  if (type.isUnsignedInteger(32))
    return append(tensor.uint64_data());
  return append(tensor.int32_data());
}

/// `bytes` are as many as the type needs.
static DenseElementsAttr denseFromBytes(RankedTensorType type, StringRef bytes) {
  if (type.getNumElements() == 0)
    return DenseElementsAttr::get(type, ArrayRef<Attribute>());
  if (type.getElementType().isInteger(1)) {
    SmallVector<bool> bits = llvm::map_to_vector(bytes, [](char c) { return c != 0; });
    return DenseElementsAttr::get(type, bits);
  }
  return DenseElementsAttr::getFromRawBuffer(type, ArrayRef(bytes.data(), bytes.size()));
}

/// Shapes are folded from integer and bool tensors, so these stand inline whatever their size; not
/// so 8-bit integers, which are quantized weights when they are large.
static bool staysInline(Type element, uint64_t bytes) {
  bool mayBeShape = isa<IntegerType>(element) && element.getIntOrFloatBitWidth() != 8;
  return mayBeShape || bytes <= kInlineBytes;
}

llvm::Expected<TensorData> TensorReader::readExternal(const TensorProto &tensor,
                                                      RankedTensorType type, uint64_t bytes) {
  if (path.empty())
    return llvm::createStringError(
        "has external data, but the model is in memory and has no directory");
  auto region = resolveExternalData(tensor, path);
  if (!region)
    return region.takeError();
  if (region->bytes && *region->bytes != bytes)
    return llvm::createStringError("has " + Twine(*region->bytes) + " bytes of external data but " +
                                   describe(type) + " needs " + Twine(bytes));
  auto buffer =
      llvm::MemoryBuffer::getFile(region->path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createStringError("has external data in " + region->path + ": " +
                                   buffer.getError().message());
  uint64_t available = (*buffer)->getBufferSize();
  if (region->offset > available || bytes > available - region->offset)
    return llvm::createStringError("has external data at bytes " + Twine(region->offset) + " to " +
                                   Twine(region->offset) + " + " + Twine(bytes) + " of " +
                                   region->path + ", which has " + Twine(available));
  if (staysInline(type.getElementType(), bytes))
    return TensorData{
        type, denseFromBytes(type, (*buffer)->getBuffer().substr(region->offset, bytes)), {}};
  Builder builder(context);
  return TensorData{type,
                    {},
                    tfm::FileAttr::get(context, builder.getStringAttr(region->path), region->offset,
                                       bytes, builder.getStringAttr(""))};
}

llvm::Expected<TensorData> TensorReader::read(const TensorProto &tensor) {
  llvm::Expected<TensorData> data = readStored(tensor);
  if (data && (data->packedBits = packedBits(tensor.data_type()))) {
    data->isSigned = tensor.data_type() == TensorProto::INT4;
    data->shape.assign(tensor.dims().begin(), tensor.dims().end());
  }
  return data;
}

llvm::Expected<TensorData> TensorReader::readStored(const TensorProto &tensor) {
  uint64_t needed = 0;
  auto type = typeOf(tensor, needed);
  if (!type)
    return type.takeError();
  if (tensor.has_segment())
    return llvm::createStringError("is stored in segments, which is unsupported");
  if (tensor.data_location() == TensorProto::EXTERNAL)
    return readExternal(tensor, *type, needed);

  Type element = type->getElementType();
  bool typedFloats = tensor.float_data_size() || tensor.double_data_size();
  uint64_t region = tensor.permalloy_region();
  if (region > regions.size() || (region && (tensor.has_raw_data() || typedFloats)))
    return llvm::createStringError("has its data twice");
  std::string packed;
  StringRef bytes;
  if (region) {
    bytes = file.substr(regions[region - 1].offset, regions[region - 1].bytes);
  } else if (tensor.has_raw_data()) {
    bytes = tensor.raw_data();
  } else {
    packed = packTypedData(tensor, element);
    bytes = packed;
  }
  if (bytes.size() != needed)
    return llvm::createStringError("has " + Twine(bytes.size()) + " bytes of data but " +
                                   describe(*type) + " needs " + Twine(needed));
  if (!region || path.empty() || staysInline(element, needed))
    return TensorData{*type, denseFromBytes(*type, bytes), {}};
  Builder builder(context);
  return TensorData{*type,
                    {},
                    tfm::FileAttr::get(context, builder.getStringAttr(path),
                                       regions[region - 1].offset, needed,
                                       builder.getStringAttr(""))};
}
