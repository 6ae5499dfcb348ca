//===- Pack.cpp - what scripts/pack-gpu wrote --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Pack.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

namespace permalloy::checkgpu {

static std::vector<std::string> split(const std::string &text, char at) {
  std::vector<std::string> fields;
  std::istringstream stream(text);
  for (std::string field; std::getline(stream, field, at);)
    fields.push_back(field);
  return fields;
}

static std::vector<int64_t> numbers(const std::string &text, char at) {
  std::vector<int64_t> values;
  for (const std::string &field : split(text, at))
    values.push_back(std::atoll(field.c_str()));
  return values;
}

/// A line about the case that was named last, or about its last check or timing; false for one that cannot stand here.
static bool readDetail(Case &entry, const std::vector<std::string> &fields) {
  const std::string &kind = fields[0];
  auto field = [&](size_t i) { return i < fields.size() ? fields[i] : std::string(); };
  auto number = [&](size_t i) { return std::atof(field(i).c_str()); };
  if (kind == "check") {
    entry.checks.push_back({field(1), number(2), {}, {}});
    return true;
  }
  if (kind == "time") {
    entry.timings.push_back({field(1), field(2), number(3), number(4), {}, {}});
    return true;
  }
  if (kind == "input" || kind == "output") {
    if (entry.checks.empty())
      return false;
    (kind == "input" ? entry.checks.back().inputs : entry.checks.back().outputs).push_back({field(1), field(2)});
    return true;
  }
  if (entry.timings.empty())
    return false;
  if (kind == "random" || kind == "fill")
    entry.timings.back().inputs.push_back({field(1), numbers(field(2), ','), kind == "random", number(3)});
  else if (kind == "product")
    entry.timings.back().product = numbers(field(1), ' ');
  else
    return false;
  return true;
}

bool Pack::read(const std::string &from, std::string &error) {
  folder = from;
  std::ifstream stream(folder + "/pack.txt");
  std::string line;
  if (!std::getline(stream, line) || line != "permalloy-gpu-pack\t1") {
    error = "'" + folder + "' has no pack.txt of scripts/pack-gpu";
    return false;
  }
  for (int at = 2; std::getline(stream, line); ++at) {
    std::vector<std::string> fields = split(line, '\t');
    if (fields.empty())
      continue;
    if (fields[0] == "commit" && fields.size() == 2) {
      commit = fields[1];
    } else if (fields[0] == "peak" && fields.size() > 2) {
      for (size_t i = 2; i + 1 < fields.size(); i += 2)
        peaks[std::atoi(fields[1].c_str())][fields[i]] = std::atof(fields[i + 1].c_str());
    } else if (fields[0] == "case" && fields.size() == 3) {
      cases.push_back({fields[1], fields[2], {}, {}});
    } else if (cases.empty() || !readDetail(cases.back(), fields)) {
      error = folder + "/pack.txt:" + std::to_string(at) + ": '" + fields[0] + "' cannot stand here";
      return false;
    }
  }
  if (cases.empty())
    error = "the pack '" + folder + "' has no cases";
  return !cases.empty();
}

/// What stands behind 'key': in the header's dictionary, to the comma or closing bracket of its value.
static std::string valueOf(const std::string &header, const std::string &key) {
  size_t at = header.find("'" + key + "':");
  if (at == std::string::npos)
    return "";
  at = header.find_first_not_of(' ', at + key.size() + 3);
  char open = header[at];
  size_t end = open == '\'' ? header.find('\'', at + 1) : open == '(' ? header.find(')', at) : header.find_first_of(",}", at);
  bool isQuoted = open == '\'' || open == '(';
  return header.substr(at + isQuoted, end - at - isQuoted);
}

bool readNpy(const std::string &path, Array &array, std::string &error) {
  std::ifstream stream(path, std::ios::binary);
  std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
  auto refuse = [&](const char *why) {
    error = path + ": " + why;
    return false;
  };
  if (file.size() < 12 || std::memcmp(file.data(), "\x93NUMPY", 6) != 0)
    return refuse("no .npy file");
  uint32_t length = 0;
  bool isLong = file[6] >= 2;
  std::memcpy(&length, file.data() + 8, isLong ? 4 : 2);
  size_t begin = isLong ? 12 : 10;
  if (begin + length > file.size())
    return refuse("the header is longer than the file");
  std::string header(file.data() + begin, length);
  if (valueOf(header, "fortran_order") != "False")
    return refuse("columns first");
  array.descr = valueOf(header, "descr");
  array.dims = numbers(valueOf(header, "shape"), ',');
  if (!array.dims.empty() && split(valueOf(header, "shape"), ',').back().find_first_of("0123456789") == std::string::npos)
    array.dims.pop_back(); // "(3, )"
  array.bytes.assign(file.begin() + static_cast<ptrdiff_t>(begin + length), file.end());
  return true;
}

} // namespace permalloy::checkgpu
