//===- Text.cpp - numbers with units, lists ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Text.h"

#include <cmath>
#include <cstdio>

namespace permalloy {

std::string formatNumber(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

/// Three significant digits without an exponent: 1.23, 12.3, 123, 1234.
static std::string threeDigits(double value) {
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string formatBytes(uint64_t bytes) {
  static constexpr const char *units[] = {" kB", " MB", " GB", " TB", " PB", " EB"};
  if (bytes < 1000)
    return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  return threeDigits(value) + units[unit];
}

std::string formatSeconds(double seconds) {
  if (seconds < 0)
    return "-" + formatSeconds(-seconds);
  if (seconds < 999.5e-9)
    return threeDigits(seconds * 1e9) + " ns";
  if (seconds < 999.5e-6)
    return threeDigits(seconds * 1e6) + " us";
  if (seconds < 0.9995)
    return threeDigits(seconds * 1e3) + " ms";
  if (seconds < 99.95)
    return threeDigits(seconds) + " s";
  long whole = std::lround(seconds);
  return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
}

std::string formatCount(uint64_t count, std::string_view noun) {
  std::string text = std::to_string(count) + " " + std::string(noun);
  return count == 1 ? text : text + "s";
}

std::string joined(const std::vector<std::string> &items, std::string_view separator) {
  std::string text;
  for (const std::string &item : items)
    text.append(text.empty() ? "" : separator).append(item);
  return items.empty() ? "none" : text;
}

std::string formatDims(std::span<const int64_t> dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos)
      return parts;
    text.remove_prefix(end + 1);
    if (text.empty())
      parts.emplace_back();
  }
  return parts;
}

/// Bytes of the UTF-8 character that `text` starts with; 0 when it starts with none (RFC 3629: no surrogates, no longer form
/// than needed, nothing above U+10FFFF).
static size_t utf8Length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80)
    return 1;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
  bool outside = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
                 (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f);
  return outside ? 0 : length;
}

std::string printable(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string result;
  while (!text.empty()) {
    size_t length = utf8Length(text);
    unsigned char first = static_cast<unsigned char>(text[0]);
    bool control = (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f ||
                   (length == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (length == 0 || control) {
      result += {'\\', 'x', digits[first >> 4], digits[first & 15]};
      length = 1;
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return result;
}

bool nestsTooDeeply(std::string_view json) {
  constexpr unsigned most = 64;
  unsigned depth = 0;
  bool inString = false;
  for (size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (inString && c == '\\')
      ++i;
    else if (c == '"')
      inString = !inString;
    else if (!inString && (c == '[' || c == '{') && ++depth > most)
      return true;
    else if (!inString && (c == ']' || c == '}') && depth > 0)
      --depth;
  }
  return false;
}

} // namespace permalloy
