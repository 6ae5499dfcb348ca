//===- Hash.h - xxh3-128 checksums -------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_ARTIFACT_HASH_H
#define PERMALLOY_ARTIFACT_HASH_H

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace permalloy {

/// A 128-bit content hash (xxh3-128, seed 0). Guards against accidents, not against attackers.
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  auto operator<=>(const Hash128 &) const = default;

  /// 32 lower-case hexadecimal digits, high half first.
  std::string hex() const;
};

/// Hash of `size` bytes at `data`.
Hash128 hash128(const void *data, size_t size);

/// The same hash of bytes that arrive in pieces.
class Hasher128 {
public:
  Hasher128();
  ~Hasher128();
  Hasher128(const Hasher128 &) = delete;
  Hasher128 &operator=(const Hasher128 &) = delete;

  void update(const void *data, size_t size);
  Hash128 digest() const;
  void reset();

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace permalloy

#endif // PERMALLOY_ARTIFACT_HASH_H
