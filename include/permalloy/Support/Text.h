//===- Text.h - numbers with units, lists, closest names ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_SUPPORT_TEXT_H
#define PERMALLOY_SUPPORT_TEXT_H

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace permalloy {

/// "0 B", "640 B", "1.5 kB", "90.9 MB": decimal units, three digits.
std::string formatBytes(uint64_t bytes);
/// "850 ns", "12.3 us", "4.56 ms", "1.23 s", "2 min 5 s": three digits.
std::string formatSeconds(double seconds);
/// "1 kernel", "12 kernels".
std::string formatCount(uint64_t count, std::string_view noun);
/// A number with `digits` significant digits, "1.23e-06" when it is very small or large.
std::string formatNumber(double value, int digits = 3);
/// "[2, 16, 384]".
std::string formatDims(std::span<const int64_t> dims);
/// "a, b, c"; "none" when empty.
std::string joined(const std::vector<std::string> &items, std::string_view separator = ", ");
/// `text` as it may be shown on a terminal: control characters other than newline and tab, and bytes that are no UTF-8, as
/// `\x1b`. Names come from models, and models from anywhere.
std::string printable(std::string_view text);
/// Parts between `separator`s; an empty text has none.
std::vector<std::string> split(std::string_view text, char separator);
/// Whether arrays and objects of a JSON text nest deeper than any file of ours. Parsers recurse, so such a text could
/// overflow the stack.
bool nestsTooDeeply(std::string_view json);

} // namespace permalloy

#endif // PERMALLOY_SUPPORT_TEXT_H
