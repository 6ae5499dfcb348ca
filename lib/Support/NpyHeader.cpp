//===- NpyHeader.cpp - the header of an .npy file ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The header is a Python dict literal, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), },
// of which only this form is understood.
//
//===----------------------------------------------------------------------===//
#include "permalloy/Support/Npy.h"

#include "permalloy/Support/Text.h"

#include <cstring>
#include <string_view>

namespace permalloy {

using artifact::DType;

static constexpr std::string_view kMagic = "\x93NUMPY";

namespace {
/// A cursor over the dict literal; after a failure it stays failed.
class Literal {
public:
  explicit Literal(std::string_view text) : text(text) {}

  bool ok() const { return good; }

  /// Skips blanks and takes `token` when it is next.
  bool take(std::string_view token) {
    skipBlanks();
    if (!good || !text.starts_with(token))
      return false;
    text.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) { good = take(token) && good; }

  std::string quoted() {
    skipBlanks();
    if (text.empty() || (text[0] != '\'' && text[0] != '"'))
      return fail();
    size_t end = text.find(text[0], 1);
    if (end == std::string_view::npos)
      return fail();
    std::string value(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
    return value;
  }

  int64_t integer() {
    skipBlanks();
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text[digits] - '0', &value))
        good = false;
    if (digits == 0)
      good = false;
    text.remove_prefix(digits);
    return value;
  }

  bool boolean() {
    if (take("True"))
      return true;
    expect("False");
    return false;
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect("(");
    while (good && !take(")")) {
      values.push_back(integer());
      if (!take(",")) {
        expect(")");
        break;
      }
    }
    return values;
  }

private:
  void skipBlanks() {
    size_t blanks = std::min(text.find_first_not_of(" \t\n"), text.size());
    text.remove_prefix(blanks);
  }
  std::string fail() {
    good = false;
    return {};
  }

  std::string_view text;
  bool good = true;
};
} // namespace

static Status invalid(const std::string &name, const std::string &what) {
  return {StatusCode::invalidArgument, "'" + name + "' is not a usable .npy file: " + what};
}

/// The type of a descriptor such as "<f4"; 0 when it is none of ours.
static DType dtypeOf(std::string_view descr) {
  static constexpr std::pair<std::string_view, DType> table[] = {
      {"f4", DType::f32}, {"f2", DType::f16}, {"f8", DType::f64}, {"b1", DType::boolean},
      {"i1", DType::i8},  {"i2", DType::i16}, {"i4", DType::i32}, {"i8", DType::i64},
      {"u1", DType::u8},  {"u2", DType::u16}, {"u4", DType::u32}, {"u8", DType::u64}};
  for (const auto &[text, dtype] : table)
    if (descr.size() == 3 && descr.substr(1) == text)
      return dtype;
  return DType(0);
}

static Status checkDescr(const std::string &descr, NpyHeader &header, const std::string &name) {
  header.dtype = dtypeOf(descr);
  if (header.dtype == DType(0))
    return invalid(name, "element type '" + descr +
                             "' is unsupported; bool, f16, f32, f64 and integers of 8 to 64 bits "
                             "are supported, and bf16 as uint16");
  if (descr[0] == '>' && artifact::dtypeSize(header.dtype) > 1)
    return invalid(name,
                   "element type '" + descr + "' is big-endian; only little-endian is supported");
  return {};
}

/// Size of the data, or a failure when it overflows.
static Status measure(NpyHeader &header, const std::string &name) {
  uint64_t size = artifact::dtypeSize(header.dtype);
  bool empty = false;
  for (int64_t dim : header.dims) {
    empty |= dim == 0;
    if (dim != 0 && __builtin_mul_overflow(size, static_cast<uint64_t>(dim), &size))
      return invalid(name, "shape " + formatDims(header.dims) +
                               " has more elements than memory can hold");
  }
  header.dataSize = empty ? 0 : size;
  return {};
}

static Status parseDict(std::string_view text, NpyHeader &header, const std::string &name) {
  Literal literal(text);
  std::string descr;
  bool seen[3] = {};
  literal.expect("{");
  while (literal.ok() && !literal.take("}")) {
    std::string key = literal.quoted();
    literal.expect(":");
    if (key == "descr")
      seen[0] = true, descr = literal.quoted();
    else if (key == "fortran_order")
      seen[1] = true, header.fortranOrder = literal.boolean();
    else if (key == "shape")
      seen[2] = true, header.dims = literal.tuple();
    else
      return invalid(name, "unknown header entry '" + key + "'");
    literal.take(",");
  }
  if (!literal.ok() || !seen[0] || !seen[1] || !seen[2])
    return invalid(name, "its header is damaged, or its elements are objects or structs");
  if (header.dims.size() > 32)
    return invalid(name, std::to_string(header.dims.size()) + " dimensions; numpy has at most 32");
  PERMALLOY_TRY(checkDescr(descr, header, name));
  return measure(header, name);
}

Result<NpyHeader> parseNpyHeader(std::span<const std::byte> bytes, const std::string &name) {
  std::string_view text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic))
    return invalid(name, "it does not begin with numpy's signature");
  if (text.size() < 12)
    return invalid(name, "it ends within its header");
  unsigned version = static_cast<unsigned char>(text[6]);
  if (version < 1 || version > 3)
    return invalid(name, "format version " + std::to_string(version) + "; 1 to 3 are supported");
  size_t lengthBytes = version == 1 ? 2 : 4;
  uint32_t length = 0;
  std::memcpy(&length, text.data() + 8, lengthBytes);
  size_t start = 8 + lengthBytes;
  if (length > text.size() - start)
    return invalid(name, "it ends within its header");
  NpyHeader header;
  header.dataOffset = start + length;
  if (Status status = parseDict(text.substr(start, length), header, name); !status.ok())
    return status;
  return header;
}

} // namespace permalloy
