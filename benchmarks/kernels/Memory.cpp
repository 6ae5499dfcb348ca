//===- Memory.cpp - arrays of random numbers --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Memory.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

namespace permalloy::benchmarks {

void Memory::Free::operator()(void *memory) const { free(memory); }

/// The upper half of an f32: rounded towards zero, which random numbers may be.
static uint16_t bf16Of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 16;
}

Memory::Memory(size_t count, Element element, uint64_t seed) : count(count), element(element) {
  constexpr size_t line = 64;
  bytes.reset(aligned_alloc(line, (count * bytesOf(element) + line) / line * line));
  std::minstd_rand random(seed + 1);
  for (size_t i = 0; i < count; ++i) {
    float value = static_cast<float>(2.0 * double(random()) / std::minstd_rand::max() - 1.0);
    if (element == Element::f32)
      f32()[i] = value;
    else
      static_cast<uint16_t *>(data())[i] = bf16Of(value);
  }
}

std::vector<float> Memory::floats() const {
  std::vector<float> result(count);
  for (size_t i = 0; i < count; ++i) {
    if (element == Element::f32) {
      result[i] = f32()[i];
      continue;
    }
    uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t *>(data())[i]) << 16;
    memcpy(&result[i], &bits, sizeof bits);
  }
  return result;
}

double differenceOf(const std::vector<float> &expected, const std::vector<float> &actual) {
  double largest = 0, magnitude = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    double difference = std::fabs(double(expected[i]) - actual[i]);
    if (!(difference <= largest)) // so that NaN counts
      largest = difference;
    magnitude = std::max(magnitude, std::fabs(double(expected[i])));
  }
  return largest / magnitude;
}

} // namespace permalloy::benchmarks
