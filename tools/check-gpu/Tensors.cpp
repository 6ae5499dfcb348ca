//===- Tensors.cpp - values of tensors, and how far apart they are -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace permalloy::checkgpu {

template <typename T> static std::vector<double> widen(const void *data, size_t count) {
  std::vector<double> result(count);
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, static_cast<const char *>(data) + i * sizeof(T), sizeof(T));
    result[i] = static_cast<double>(value);
  }
  return result;
}

static double halfToNumber(uint16_t bits) {
  int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  double value = exponent == 31   ? (mantissa ? std::nan("") : INFINITY)
                 : exponent == 0 ? std::ldexp(mantissa, -24)
                                  : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -value : value;
}

static double brainToNumber(uint16_t bits) {
  uint32_t wide = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

static std::vector<double> halves(const void *data, size_t count, double (*toNumber)(uint16_t)) {
  std::vector<double> result(count);
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, static_cast<const char *>(data) + 2 * i, 2);
    result[i] = toNumber(bits);
  }
  return result;
}

std::vector<double> toNumbers(const Array &array) {
  const void *data = array.bytes.data();
  size_t bytes = array.bytes.size();
  if (array.descr == "<f4")
    return widen<float>(data, bytes / 4);
  if (array.descr == "<f8")
    return widen<double>(data, bytes / 8);
  if (array.descr == "<i8")
    return widen<int64_t>(data, bytes / 8);
  if (array.descr == "<f2")
    return halves(data, bytes / 2, halfToNumber);
  return {};
}

std::vector<double> toNumbers(const permalloy_tensor &tensor) {
  size_t count = 1;
  for (int i = 0; i < tensor.rank; ++i)
    count *= static_cast<size_t>(tensor.dims[i]);
  switch (tensor.dtype) {
  case PERMALLOY_FLOAT32: return widen<float>(tensor.data, count);
  case PERMALLOY_FLOAT64: return widen<double>(tensor.data, count);
  case PERMALLOY_INT64: return widen<int64_t>(tensor.data, count);
  case PERMALLOY_FLOAT16: return halves(tensor.data, count, halfToNumber);
  case PERMALLOY_BFLOAT16: return halves(tensor.data, count, brainToNumber);
  default: return {};
  }
}

/// A multiple of 1/16 in [-1, 1), which f16 and bf16 hold, in the bits of `dtype`.
static void storeFloat(char *at, permalloy_dtype dtype, double value) {
  float single = static_cast<float>(value);
  if (dtype == PERMALLOY_FLOAT32)
    return void(std::memcpy(at, &single, 4));
  uint32_t bits;
  std::memcpy(&bits, &single, 4);
  uint16_t brain = static_cast<uint16_t>(bits >> 16);
  if (dtype == PERMALLOY_BFLOAT16)
    return void(std::memcpy(at, &brain, 2));
  int exponent = int(bits >> 23 & 255) - 127;
  uint16_t half = value == 0 ? 0 : static_cast<uint16_t>((bits >> 16 & 0x8000) | unsigned(exponent + 15) << 10 | (bits >> 13 & 1023));
  std::memcpy(at, &half, 2);
}

std::vector<char> makeBytes(const Made &made, permalloy_dtype dtype) {
  size_t count = 1, size = permalloy_dtype_size(dtype);
  for (int64_t dim : made.dims)
    count *= static_cast<size_t>(dim);
  std::vector<char> bytes(count * size);
  bool isFloat = dtype == PERMALLOY_FLOAT32 || dtype == PERMALLOY_FLOAT16 || dtype == PERMALLOY_BFLOAT16;
  uint64_t state = 0x9e3779b97f4a7c15;
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint64_t random = state >> 40;
    char *at = bytes.data() + i * size;
    if (isFloat) {
      storeFloat(at, dtype, made.isRandom ? double(int64_t(random % 32) - 16) / 16 : made.value);
      continue;
    }
    uint64_t most = made.value > 1 ? static_cast<uint64_t>(made.value) : 2;
    uint64_t value = made.isRandom ? random % most : static_cast<uint64_t>(made.value); // little-endian
    std::memcpy(at, &value, std::min<size_t>(size, 8));
  }
  return bytes;
}

double relativeError(const std::vector<double> &actual, const std::vector<double> &expected) {
  double worst = 0, largest = 0;
  if (actual.size() != expected.size())
    return std::numeric_limits<double>::quiet_NaN();
  for (size_t i = 0; i < actual.size(); ++i) {
    double error = std::abs(actual[i] - expected[i]);
    if (std::isnan(error))
      return error;
    worst = std::max(worst, error), largest = std::max(largest, std::abs(expected[i]));
  }
  return largest > 0 ? worst / largest : worst;
}

double cosine(const std::vector<double> &actual, const std::vector<double> &expected) {
  double product = 0, first = 0, second = 0;
  if (actual.size() != expected.size())
    return std::numeric_limits<double>::quiet_NaN();
  for (size_t i = 0; i < actual.size(); ++i)
    product += actual[i] * expected[i], first += actual[i] * actual[i], second += expected[i] * expected[i];
  return first == 0 && second == 0 ? 1 : product / std::sqrt(first * second);
}

} // namespace permalloy::checkgpu
