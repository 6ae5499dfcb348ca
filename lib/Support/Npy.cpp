//===- Npy.cpp - numpy's .npy files ------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Npy.h"

#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

#include <cstring>

namespace permalloy {

using artifact::DType;

uint64_t Array::elements() const {
  uint64_t count = 1;
  for (int64_t dim : dims)
    count *= static_cast<uint64_t>(dim);
  return count;
}

/// Copies elements from Fortran order (first index fastest) to C order.
static std::vector<std::byte> toCOrder(std::span<const std::byte> source, const NpyHeader &header) {
  size_t width = artifact::dtypeSize(header.dtype);
  std::vector<std::byte> result(source.size());
  std::vector<int64_t> index(header.dims.size(), 0);
  for (size_t target = 0; target < source.size(); target += width) {
    size_t from = 0, stride = width;
    for (size_t i = 0; i < index.size(); ++i) {
      from += static_cast<size_t>(index[i]) * stride;
      stride *= static_cast<size_t>(header.dims[i]);
    }
    std::memcpy(result.data() + target, source.data() + from, width);
    for (size_t i = index.size(); i-- > 0;) {
      if (++index[i] < header.dims[i])
        break;
      index[i] = 0;
    }
  }
  return result;
}

Result<Array> parseNpy(std::span<const std::byte> bytes, const std::string &name) {
  Result<NpyHeader> header = parseNpyHeader(bytes, name);
  if (!header.ok())
    return header.status();
  uint64_t present = bytes.size() - header->dataOffset;
  if (present != header->dataSize)
    return Status(StatusCode::invalidArgument, "'" + name + "' is not a usable .npy file: shape " +
                                                   formatDims(header->dims) + " of " +
                                                   artifact::dtypeName(header->dtype) + " needs " +
                                                   std::to_string(header->dataSize) + " bytes, " +
                                                   std::to_string(present) + " are there");
  std::span<const std::byte> data = bytes.subspan(header->dataOffset);
  Array array{header->dtype, header->dims, {}};
  if (header->fortranOrder && header->dims.size() > 1)
    array.data = toCOrder(data, *header);
  else
    array.data.assign(data.begin(), data.end());
  return array;
}

static const char *descrOf(DType dtype) {
  switch (dtype) {
  case DType::f32:
    return "<f4";
  case DType::f16:
    return "<f2";
  case DType::f64:
    return "<f8";
  case DType::boolean:
    return "|b1";
  case DType::i8:
    return "|i1";
  case DType::i16:
    return "<i2";
  case DType::i32:
    return "<i4";
  case DType::i64:
    return "<i8";
  case DType::u8:
    return "|u1";
  case DType::u16:
    return "<u2";
  case DType::u32:
    return "<u4";
  case DType::u64:
    return "<u8";
  case DType::bf16:
    return "<u2"; // the same bits; numpy has no name for them
  }
  return "|V1";
}

std::vector<std::byte> npyBytes(const Array &array) {
  std::string shape;
  for (int64_t dim : array.dims)
    shape += std::to_string(dim) + (array.dims.size() == 1 ? "," : ", ");
  if (shape.ends_with(", "))
    shape.resize(shape.size() - 2);
  std::string dict = std::string("{'descr': '") + descrOf(array.dtype) +
                     "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // numpy aligns the data to 64 bytes; signature, version and length take 10.
  dict.append(63 - (dict.size() + 10) % 64, ' ').push_back('\n');
  std::string head("\x93NUMPY\x01\x00", 8);
  head.push_back(static_cast<char>(dict.size() & 0xff));
  head.push_back(static_cast<char>(dict.size() >> 8));
  head += dict;
  std::vector<std::byte> bytes(head.size() + array.data.size());
  std::memcpy(bytes.data(), head.data(), head.size());
  if (!array.data.empty())
    std::memcpy(bytes.data() + head.size(), array.data.data(), array.data.size());
  return bytes;
}

Result<Array> readNpy(const std::string &path) {
  Result<std::vector<std::byte>> bytes = readFile(path);
  if (!bytes.ok())
    return bytes.status();
  return parseNpy(*bytes, path);
}

Status writeNpy(const std::string &path, const Array &array) {
  return writeFile(path, npyBytes(array));
}

void asType(Array &array, DType wanted) {
  if (wanted == DType::bf16 && array.dtype == DType::u16)
    array.dtype = DType::bf16;
}

} // namespace permalloy
