//===- Compare.cpp - how far two outputs are apart ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Compare.h"

#include "permalloy/Support/Text.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace permalloy {

using artifact::DType;

template <class T> static double load(const Array &array, uint64_t index) {
  T value;
  std::memcpy(&value, array.data.data() + index * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

static double halfAt(const Array &array, uint64_t index) {
  uint16_t bits;
  std::memcpy(&bits, array.data.data() + index * 2, 2);
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double value = exponent == 31  ? (fraction ? NAN : INFINITY)
                 : exponent == 0 ? std::ldexp(fraction, -24)
                                 : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 ? -value : value;
}

double elementAt(const Array &array, uint64_t index) {
  switch (array.dtype) {
  case DType::f32:
    return load<float>(array, index);
  case DType::f64:
    return load<double>(array, index);
  case DType::f16:
    return halfAt(array, index);
  case DType::bf16:
    return std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(array, index)) << 16);
  case DType::i8:
    return load<int8_t>(array, index);
  case DType::u8:
  case DType::boolean:
    return load<uint8_t>(array, index);
  case DType::i16:
    return load<int16_t>(array, index);
  case DType::u16:
    return load<uint16_t>(array, index);
  case DType::i32:
    return load<int32_t>(array, index);
  case DType::u32:
    return load<uint32_t>(array, index);
  case DType::i64:
    return load<int64_t>(array, index);
  case DType::u64:
    return load<uint64_t>(array, index);
  }
  return NAN;
}

static std::vector<int64_t> indexOf(const std::vector<int64_t> &dims, uint64_t element) {
  std::vector<int64_t> index(dims.size());
  for (size_t i = dims.size(); i-- > 0;) {
    index[i] = static_cast<int64_t>(element % static_cast<uint64_t>(dims[i]));
    element /= static_cast<uint64_t>(dims[i]);
  }
  return index;
}

static bool isHalf(DType type) { return type == DType::f16 || type == DType::bf16; }

double defaultTolerance(DType type) {
  constexpr double units = 16;
  return type == DType::f16 ? units * 0x1p-11 : type == DType::bf16 ? units * 0x1p-8 : 2e-4;
}

void clearPadding(std::span<const NamedArray> inputs, std::span<NamedArray> outputs) {
  for (const NamedArray &input : inputs) {
    const Array &mask = input.array;
    if (input.name.find("mask") == std::string::npos || mask.dims.size() != 2 || mask.elements() == 0)
      continue;
    for (NamedArray &output : outputs) {
      Array &array = output.array;
      if (array.dims.size() < 2 || !std::equal(mask.dims.begin(), mask.dims.end(), array.dims.begin()))
        continue;
      size_t row = array.elements() / mask.elements() * artifact::dtypeSize(array.dtype);
      for (uint64_t i = 0, end = mask.elements(); i < end; ++i)
        if (elementAt(mask, i) == 0)
          std::memset(array.data.data() + i * row, 0, row);
    }
  }
}

Difference compareArrays(const Array &actual, const Array &expected) {
  Difference difference;
  bool widened = isHalf(actual.dtype) && expected.dtype == DType::f32;
  double product = 0, actualSquares = 0, expectedSquares = 0;
  if (actual.dtype != expected.dtype && !widened)
    difference.mismatch = "is " + artifact::dtypeName(actual.dtype) + ", expected " +
                          artifact::dtypeName(expected.dtype);
  else if (actual.dims != expected.dims)
    difference.mismatch =
        "has shape " + formatDims(actual.dims) + ", expected " + formatDims(expected.dims);
  if (!difference.mismatch.empty())
    return difference;
  for (uint64_t i = 0, end = expected.elements(); i < end; ++i) {
    double a = elementAt(actual, i), e = elementAt(expected, i);
    if (std::isfinite(e))
      difference.magnitude = std::max(difference.magnitude, std::fabs(e));
    if (std::isfinite(a) && std::isfinite(e)) {
      product += a * e;
      actualSquares += a * a;
      expectedSquares += e * e;
    }
    if (a == e || (std::isnan(a) && std::isnan(e)))
      continue;
    double distance = std::fabs(a - e);
    if (!std::isfinite(distance)) {
      difference.mismatch = "is " + formatNumber(a) + " at " +
                            formatDims(indexOf(expected.dims, i)) + ", expected " + formatNumber(e);
      return difference;
    }
    if (distance > difference.maxAbs) {
      difference.maxAbs = distance;
      difference.index = indexOf(expected.dims, i);
      difference.actual = a;
      difference.expected = e;
    }
  }
  if (actualSquares > 0 && expectedSquares > 0)
    difference.cosine = product / std::sqrt(actualSquares * expectedSquares);
  return difference;
}

} // namespace permalloy
