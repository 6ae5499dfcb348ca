//===- Npy.h - numpy's .npy and .npz files -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads and writes arrays of bool, f16, f32, f64 and integers of 8 to 64 bits. numpy has no bf16:
// it is written as uint16 holding the same bits, and a uint16 array is taken where a model wants
// bf16 (`asType`). Big-endian, object and structured arrays are refused; arrays in Fortran order
// are brought into C order when read. Nothing in a file is trusted: every size is checked against
// the bytes that are there before memory is reserved.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_SUPPORT_NPY_H
#define PERMALLOY_SUPPORT_NPY_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Artifact/Status.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace permalloy {

/// A dense array in C order.
struct Array {
  artifact::DType dtype = artifact::DType::f32;
  std::vector<int64_t> dims;
  std::vector<std::byte> data;

  uint64_t elements() const;
};

/// An entry of an .npz file.
struct NamedArray {
  std::string name;
  Array array;
};

/// What stands before the elements of an .npy file.
struct NpyHeader {
  artifact::DType dtype = artifact::DType::f32;
  std::vector<int64_t> dims;
  bool fortranOrder = false;
  uint64_t dataOffset = 0; ///< bytes before the first element
  uint64_t dataSize = 0;   ///< bytes of all elements
};

/// Reads a header from the start of a file. `name` stands for the file in errors.
Result<NpyHeader> parseNpyHeader(std::span<const std::byte> bytes, const std::string &name);

/// The array in the bytes of an .npy file.
Result<Array> parseNpy(std::span<const std::byte> bytes, const std::string &name);
/// The bytes of an .npy file.
std::vector<std::byte> npyBytes(const Array &array);

Result<Array> readNpy(const std::string &path);
Status writeNpy(const std::string &path, const Array &array);

/// The arrays of an .npz file, in its order, without ".npy" in their names.
Result<std::vector<NamedArray>> readNpz(const std::string &path);
/// An .npz file whose arrays are read piece by piece, for data that need not fit into memory.
class NpzStream {
public:
  /// Reads what stands before the elements of each array. Arrays in Fortran order of more than one dimension are refused.
  static Result<NpzStream> open(const std::string &path);
  NpzStream(NpzStream &&) noexcept;
  ~NpzStream();

  size_t size() const;
  const std::string &name(size_t index) const;
  const NpyHeader &header(size_t index) const;
  /// The next `size` bytes of the elements of array `index`.
  Status read(size_t index, std::byte *data, size_t size);

private:
  struct State;
  explicit NpzStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

/// Writes an uncompressed .npz file, complete or not at all.
Status writeNpz(const std::string &path, std::span<const NamedArray> arrays);

/// Makes a uint16 array bf16 where `wanted` is bf16; leaves all others.
void asType(Array &array, artifact::DType wanted);

} // namespace permalloy

#endif // PERMALLOY_SUPPORT_NPY_H
