//===- Hash.cpp - xxh3-128 checksums -----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/Hash.h"

// Inlined: the runtime library then depends on no libxxhash.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace permalloy {

std::string Hash128::hex() const {
  static const char digits[] = "0123456789abcdef";
  std::string text(32, '0');
  for (int i = 0; i < 16; ++i) {
    text[15 - i] = digits[(high >> (4 * i)) & 15];
    text[31 - i] = digits[(low >> (4 * i)) & 15];
  }
  return text;
}

Hash128 hash128(const void *data, size_t size) {
  XXH128_hash_t hash = XXH3_128bits(data, size);
  return {hash.low64, hash.high64};
}

// XXH3_state_t wants 64-byte alignment, which new of an over-aligned type gives.
struct Hasher128::State {
  XXH3_state_t xxh;
};

Hasher128::Hasher128() : state_(std::make_unique<State>()) { reset(); }
Hasher128::~Hasher128() = default;

void Hasher128::reset() { XXH3_128bits_reset(&state_->xxh); }

void Hasher128::update(const void *data, size_t size) {
  XXH3_128bits_update(&state_->xxh, data, size);
}

Hash128 Hasher128::digest() const {
  XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh);
  return {hash.low64, hash.high64};
}

} // namespace permalloy
