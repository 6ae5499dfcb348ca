//===- WeightStream.h - elements computed when read --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_REFERENCE_WEIGHTSTREAM_H
#define PERMALLOY_LIB_REFERENCE_WEIGHTSTREAM_H

#include "Evaluate.h"

namespace permalloy::reference {

class WeightStream {
public:
  WeightStream(mlir::RankedTensorType type);
  virtual ~WeightStream() = default;

  /// Writes `n` elements from `begin` on, in storage order, to `out`.
  virtual void read(int64_t begin, int64_t n, char *out) = 0;
  /// All bytes, when they are in memory already.
  virtual const char *direct() { return nullptr; }
  /// All bytes; computes and keeps them when they are not in memory.
  const char *materialized();

  mlir::RankedTensorType type;
  int64_t width; ///< bytes of an element
  int64_t count; ///< elements as stored, with padding

private:
  std::vector<char> kept;
};

using Stream = std::shared_ptr<WeightStream>;

/// Bytes in memory or in a mapped file.
Stream streamTensor(Tensor tensor);
/// `#tfm.seeded`.
Stream streamSeeded(mlir::RankedTensorType type, tfm::SeededAttr seeded);
/// The same elements under another type of the same element type.
Stream streamReshape(mlir::RankedTensorType type, Stream input);
/// Each element converted.
Stream streamCast(mlir::RankedTensorType type, Stream input);
/// Element i of the result is element `start + i . strides` of the input: transposes and slices.
Stream streamStrided(mlir::RankedTensorType type, Stream input, int64_t start, Shape strides);
Stream streamConcat(mlir::RankedTensorType type, std::vector<Stream> inputs, size_t axis);
/// `#tfm.panels`.
Stream streamPack(mlir::RankedTensorType type, Stream input);

/// Each byte plus `offset`, wrapping.
Stream streamOffset(mlir::RankedTensorType type, Stream input, int8_t offset);
/// Numbers of `bits` bits of bytes, the lowest first.
Stream streamUnpackedBits(mlir::RankedTensorType type, Stream input, int64_t bits);

} // namespace permalloy::reference

#endif
