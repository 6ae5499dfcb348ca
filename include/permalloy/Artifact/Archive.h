//===- Archive.h - bytes from structs, and back with every bound checked ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One function `visit(Archive &, Struct &)` per struct of Format.h lists its fields once; the two
// archives here call it. Integers are little-endian and of fixed width, a string or vector is a
// uint32 count and its elements. The writer's bytes depend on values only, so equal structs give
// equal bytes. The reader never reads past its range and never allocates more than the range could
// hold: after a failure it stays failed, hands out zeros and empty vectors, and `failure()` says
// which field it was.
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_ARTIFACT_ARCHIVE_H
#define PERMALLOY_ARTIFACT_ARCHIVE_H

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace permalloy::artifact {

static_assert(std::endian::native == std::endian::little, "model.alloy is little-endian");

template <class T>
concept ArchiveScalar = std::is_integral_v<T> || std::is_enum_v<T>;

/// Appends the bytes of visited structs to a buffer.
class ArchiveWriter {
public:
  /// Serialises `value` (a struct with a visit function) and returns its bytes.
  template <class T> static std::vector<std::byte> toBytes(const T &value) {
    ArchiveWriter writer;
    // visit takes a mutable reference because the reader fills it; the writer only reads.
    visit(writer, const_cast<T &>(value));
    return std::move(writer.bytes_);
  }

  template <class T> void field(const char *, T &value) { put(value); }

private:
  template <ArchiveScalar T> void put(const T &value) { append(&value, sizeof value); }
  void put(const std::string &text) {
    putCount(text.size());
    append(text.data(), text.size());
  }
  template <class T> void put(const std::vector<T> &elements) {
    putCount(elements.size());
    for (const T &element : elements)
      put(element);
  }
  template <class T>
    requires(std::is_class_v<T>)
  void put(const T &value) {
    visit(*this, const_cast<T &>(value));
  }
  void putCount(size_t count) {
    uint32_t narrow = static_cast<uint32_t>(count);
    append(&narrow, sizeof narrow);
  }
  void append(const void *data, size_t size) {
    const std::byte *first = static_cast<const std::byte *>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }

  std::vector<std::byte> bytes_;
};

/// Fills visited structs from a byte range.
class ArchiveReader {
public:
  ArchiveReader(const void *data, size_t size)
      : cursor_(static_cast<const std::byte *>(data)), end_(cursor_ + size) {}

  template <class T> void field(const char *name, T &value) {
    const char *outer = name_;
    name_ = name;
    get(value);
    name_ = outer;
  }

  bool ok() const { return failure_.empty(); }
  const std::string &failure() const { return failure_; }
  size_t remaining() const { return static_cast<size_t>(end_ - cursor_); }

private:
  template <ArchiveScalar T> void get(T &value) {
    value = T{};
    if (!take(sizeof value))
      return;
    std::memcpy(&value, cursor_, sizeof value);
    cursor_ += sizeof value;
  }
  void get(std::string &text) {
    uint32_t count = getCount(1);
    text.assign(reinterpret_cast<const char *>(cursor_), count);
    cursor_ += count;
  }
  template <class T> void get(std::vector<T> &elements) {
    // An element takes at least its own width (scalars) or one byte (strings, structs).
    uint32_t count = getCount(ArchiveScalar<T> ? sizeof(T) : 1);
    elements.clear();
    for (uint32_t i = 0; i < count && ok(); ++i)
      get(elements.emplace_back());
    if (!ok())
      elements.clear();
  }
  template <class T>
    requires(std::is_class_v<T>)
  void get(T &value) {
    visit(*this, value);
  }
  uint32_t getCount(size_t leastElementSize) {
    uint32_t count = 0;
    get(count);
    if (!take(static_cast<uint64_t>(count) * leastElementSize))
      return 0;
    return count;
  }
  bool take(uint64_t size) {
    if (!ok())
      return false;
    if (size <= remaining())
      return true;
    failure_ = std::string("field '") + (name_ ? name_ : "?") + "' needs " + std::to_string(size) +
               " bytes, " + std::to_string(remaining()) + " are left";
    return false;
  }

  const std::byte *cursor_;
  const std::byte *end_;
  const char *name_ = nullptr;
  std::string failure_;
};

} // namespace permalloy::artifact

#endif // PERMALLOY_ARTIFACT_ARCHIVE_H
