//===- Number.cpp - element types, rounding and wrapping ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Reference/Tensor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

Element reference::elementOf(Type type) {
  if (type.isF16())
    return Element::F16;
  if (type.isBF16())
    return Element::BF16;
  if (type.isF64())
    return Element::F64;
  if (auto code = dyn_cast<tfm::QuantType>(type))
    return code.getIsSigned() ? Element::I8 : Element::U8;
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer)
    return Element::F32;
  bool isUnsigned = integer.isUnsigned();
  switch (integer.getWidth()) {
  case 1:
    return Element::Bool;
  case 8:
    return isUnsigned ? Element::U8 : Element::I8;
  case 16:
    return isUnsigned ? Element::U16 : Element::I16;
  case 32:
    return isUnsigned ? Element::U32 : Element::I32;
  default:
    return isUnsigned ? Element::U64 : Element::I64;
  }
}

int64_t reference::elementBytes(Element element) {
  switch (element) {
  case Element::Bool:
  case Element::I8:
  case Element::U8:
    return 1;
  case Element::I16:
  case Element::U16:
  case Element::F16:
  case Element::BF16:
    return 2;
  case Element::I32:
  case Element::U32:
  case Element::F32:
    return 4;
  case Element::I64:
  case Element::U64:
  case Element::F64:
    return 8;
  }
  llvm_unreachable("all elements have a size");
}

namespace {
/// A binary format: bits of precision, exponent of the smallest normal number, and the largest
/// number.
struct Format {
  int precision, minExponent;
  double max;
};
} // namespace

static Format formatOf(Element element) {
  return element == Element::F16 ? Format{11, -14, 65504.0} : Format{8, -126, 0x1.FEp127};
}

double reference::roundTo(Element element, double value) {
  if (element == Element::F64 || std::isnan(value) || std::isinf(value) || value == 0)
    return value;
  if (element == Element::F32)
    return static_cast<float>(value);
  Format format = formatOf(element);
  int exponent = std::max(std::ilogb(value), format.minExponent) - (format.precision - 1);
  double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -exponent)), exponent);
  return std::abs(rounded) > format.max
             ? std::copysign(std::numeric_limits<double>::infinity(), value)
             : rounded;
}

double reference::roundTo(Element element, Wide value) {
  if (element == Element::F64)
    return static_cast<double>(value);
  double nearest = static_cast<double>(value);
  if (static_cast<Wide>(nearest) == value)
    return roundTo(element, nearest);
  // Round to odd first: the sticky last bit keeps the second rounding from seeing a tie that was
  // none.
  bool tooFar = (value > 0) == (static_cast<Wide>(nearest) > value);
  uint64_t bits = std::bit_cast<uint64_t>(nearest) - (tooFar ? 1 : 0);
  return roundTo(element, std::bit_cast<double>(bits | 1));
}

Wide reference::wrapTo(Element element, Wide value) {
  switch (element) {
  case Element::Bool:
    return value != 0;
  case Element::I8:
    return int8_t(value);
  case Element::I16:
    return int16_t(value);
  case Element::I32:
    return int32_t(value);
  case Element::I64:
    return int64_t(value);
  case Element::U8:
    return uint8_t(value);
  case Element::U16:
    return uint16_t(value);
  case Element::U32:
    return uint32_t(value);
  case Element::U64:
    return uint64_t(value);
  case Element::F16:
  case Element::BF16:
  case Element::F32:
  case Element::F64:
    break;
  }
  llvm_unreachable("floating-point elements do not wrap");
}

double reference::seededElement(int64_t seed, int64_t index, double scale) {
  uint64_t z = uint64_t(seed) + uint64_t(index) + 0x9E3779B97F4A7C15u; // splitmix64
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  double u = double(z >> 40) * 0x1p-24;
  return scale * (2 * u - 1);
}

//===----------------------------------------------------------------------===//
// Elements of a tensor
//===----------------------------------------------------------------------===//

template <typename T> static T load(const char *data, int64_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

template <typename T> static void store(char *data, int64_t i, T value) {
  std::memcpy(data + i * sizeof(T), &value, sizeof(T));
}

static double decodeHalf(uint16_t bits) {
  int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  double magnitude = exponent == 31 ? (mantissa ? std::numeric_limits<double>::quiet_NaN()
                                                : std::numeric_limits<double>::infinity())
                     : exponent     ? std::ldexp(1024 + mantissa, exponent - 25)
                                    : std::ldexp(mantissa, -24);
  return bits >> 15 ? -magnitude : magnitude;
}

/// `value` is already a number of the format.
static uint16_t encodeHalf(double value) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value))
    return sign | 0x7E00;
  if (std::isinf(value))
    return sign | 0x7C00;
  double magnitude = std::abs(value);
  if (magnitude < 0x1p-14)
    return sign | uint16_t(std::ldexp(magnitude, 24));
  int exponent = std::ilogb(magnitude);
  return sign | uint16_t((exponent + 15) << 10) |
         (uint16_t(std::ldexp(magnitude, 10 - exponent)) & 1023);
}

double Tensor::number(int64_t i) const {
  switch (kind) {
  case Element::F64:
    return load<double>(data, i);
  case Element::F16:
    return decodeHalf(load<uint16_t>(data, i));
  case Element::BF16:
    return std::bit_cast<float>(uint32_t(load<uint16_t>(data, i)) << 16);
  default:
    return load<float>(data, i);
  }
}

void Tensor::setNumber(int64_t i, double value) {
  char *out = mutableBytes().data();
  switch (kind) {
  case Element::F64:
    return store(out, i, value);
  case Element::F16:
    return store(out, i, encodeHalf(roundTo(kind, value)));
  case Element::BF16: {
    float rounded = static_cast<float>(roundTo(kind, value));
    uint32_t bits = std::isnan(rounded) ? (std::bit_cast<uint32_t>(rounded) | 0x400000)
                                        : std::bit_cast<uint32_t>(rounded);
    return store(out, i, uint16_t(bits >> 16));
  }
  default:
    return store(out, i, static_cast<float>(value));
  }
}

Wide Tensor::integer(int64_t i) const {
  switch (kind) {
  case Element::Bool:
    return load<uint8_t>(data, i) != 0;
  case Element::I8:
    return load<int8_t>(data, i);
  case Element::I16:
    return load<int16_t>(data, i);
  case Element::I32:
    return load<int32_t>(data, i);
  case Element::U8:
    return load<uint8_t>(data, i);
  case Element::U16:
    return load<uint16_t>(data, i);
  case Element::U32:
    return load<uint32_t>(data, i);
  case Element::U64:
    return load<uint64_t>(data, i);
  default:
    return load<int64_t>(data, i);
  }
}

void Tensor::setInteger(int64_t i, Wide value) {
  char *out = mutableBytes().data();
  switch (elementBytes(kind)) {
  case 1:
    return store(out, i, kind == Element::Bool ? uint8_t(value != 0) : uint8_t(value));
  case 2:
    return store(out, i, uint16_t(value));
  case 4:
    return store(out, i, uint32_t(value));
  default:
    return store(out, i, uint64_t(value));
  }
}
