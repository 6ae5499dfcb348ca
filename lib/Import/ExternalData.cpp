//===- ExternalData.cpp - tensors in files beside the model ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model may name any path here, so the entries are the classic way out of its directory:
// `../../etc/passwd` (CVE-2022-25882, CVE-2024-27318), symbolic links (CVE-2026-27489), huge or
// negative sizes and unknown keys (CVE-2026-34445). The rule: a relative path without `..`, whose
// file, after symbolic links, is a regular one below the model's directory; sizes are checked
// against the file by the caller before anything is allocated.
//
//===----------------------------------------------------------------------===//

#include "Tensors.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace permalloy;

/// A decimal number from 0 on that fits a file offset.
static Expected<uint64_t> parseSize(StringRef key, StringRef text) {
  uint64_t value;
  if (text.empty() || !all_of(text, isDigit) || text.getAsInteger(10, value) || value > INT64_MAX)
    return createStringError("has external data with " + key + " '" + text +
                             "'; accepted are numbers from 0 to 2^63 - 1");
  return value;
}

/// The path itself, before the file system is asked.
static Error checkLocation(StringRef location) {
  auto refuse = [&](const Twine &why) {
    return createStringError("has external data at '" + location + "', which " + why +
                             "; accepted are relative paths inside the model's directory");
  };
  if (location.empty() || location.contains('\0'))
    return refuse("is no path");
  if (sys::path::is_absolute(location) || location.starts_with("~"))
    return refuse("is absolute");
  if (is_contained(make_range(sys::path::begin(location), sys::path::end(location)), ".."))
    return refuse("leaves that directory");
  return Error::success();
}

/// The file after symbolic links lies in the directory, and is a regular file.
static Error checkFile(StringRef location, StringRef path, StringRef directory) {
  SmallString<256> realPath, realDirectory;
  if (std::error_code error = sys::fs::real_path(path, realPath))
    return createStringError("has external data in " + path + ": " + error.message());
  if (std::error_code error = sys::fs::real_path(directory, realDirectory))
    return createStringError("has external data in " + directory + ": " + error.message());
  StringRef inside = realPath;
  bool contained =
      realDirectory == "/" || (inside.consume_front(realDirectory) && inside.starts_with("/"));
  if (!contained)
    return createStringError("has external data at '" + location +
                             "', a symbolic link out of the model's directory, to " +
                             realPath.str());
  if (!sys::fs::is_regular_file(realPath))
    return createStringError("has external data at '" + location + "', which is no regular file");
  return Error::success();
}

Expected<ExternalRegion> permalloy::resolveExternalData(const onnx::TensorProto &tensor,
                                                        StringRef modelPath) {
  ExternalRegion region;
  std::string location;
  llvm::StringSet<> seen;
  for (const onnx::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef key = entry.key();
    if (!seen.insert(key).second)
      return createStringError("has external data with two entries '" + key + "'");
    if (key == "location") {
      location = entry.value();
    } else if (key == "offset" || key == "length") {
      auto value = parseSize(key, entry.value());
      if (!value)
        return value.takeError();
      if (key == "offset")
        region.offset = *value;
      else
        region.bytes = *value;
    } else if (key != "checksum") {
      return createStringError("has external data with an entry '" + key +
                               "'; accepted are location, offset, length, checksum");
    }
  }
  if (Error error = checkLocation(location))
    return std::move(error);
  StringRef directory = sys::path::parent_path(modelPath);
  SmallString<256> path(directory);
  sys::path::append(path, location);
  if (Error error = checkFile(location, path, directory.empty() ? "." : directory))
    return std::move(error);
  region.path = std::string(path);
  return region;
}
