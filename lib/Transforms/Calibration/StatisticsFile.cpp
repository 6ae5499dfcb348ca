//===- StatisticsFile.cpp - where statistics stand in their file -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "StatisticsFile.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"
#include "llvm/Support/JSON.h"

#include <cstring>
#include <filesystem>

using namespace permalloy;
namespace json = llvm::json;

/// Longer headers are of no model.
static constexpr uint64_t kLongestHeader = 100'000'000;

static Status badFile(const std::string &path, const std::string &why) {
  return {StatusCode::invalidArgument, "'" + path + "' is no file of statistics that `--statistics` wrote: " + why};
}

static bool readLayers(llvm::StringRef text, std::map<std::string, std::string> &layers) {
  if (nestsTooDeeply(text))
    return false;
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value)
    return llvm::consumeError(value.takeError()), false;
  const json::Object *object = value->getAsObject();
  for (auto &[layer, name] : object ? *object : json::Object()) {
    auto of = name.getAsString();
    if (!of)
      return false;
    layers[layer.str()] = of->str();
  }
  return object;
}

/// An entry of the header whose data are within `limit` bytes behind `start`.
static bool readArray(const json::Value &entry, uint64_t start, uint64_t limit, StatisticsArray &array) {
  const json::Object *object = entry.getAsObject();
  const json::Array *shape = object ? object->getArray("shape") : nullptr;
  const json::Array *offsets = object ? object->getArray("data_offsets") : nullptr;
  if (!shape || !offsets || offsets->size() != 2)
    return false;
  auto number = [](const json::Value &value) { return value.getAsInteger().value_or(-1); };
  int64_t begin = number((*offsets)[0]), end = number((*offsets)[1]);
  array.dtype = object->getString("dtype").value_or("").str();
  uint64_t elements = array.dtype == "I64" ? 8 : 4;
  if ((array.dtype != "I64" && array.dtype != "F32") || begin < 0 || end < begin || uint64_t(end) > limit)
    return false;
  for (const json::Value &dim : *shape) {
    array.shape.push_back(number(dim));
    if (array.shape.back() < 0 || array.shape.back() > int64_t(1) << 31 || elements > limit)
      return false;
    elements *= array.shape.back();
  }
  array.offset = start + begin;
  array.bytes = end - begin;
  return array.bytes == elements && !array.shape.empty();
}

Result<StatisticsIndex> StatisticsIndex::read(const std::string &path) {
  Result<std::vector<std::byte>> start = readFileStart(path, 8);
  if (!start.ok())
    return start.status();
  uint64_t length = 0;
  if (start->size() == 8)
    std::memcpy(&length, start->data(), 8);
  std::error_code error;
  uint64_t size = std::filesystem::file_size(path, error);
  if (start->size() != 8 || error || length > std::min(size - 8, kLongestHeader))
    return badFile(path, "its header is cut off");
  Result<std::vector<std::byte>> bytes = readFileStart(path, 8 + length);
  if (!bytes.ok())
    return bytes.status();
  llvm::StringRef text(reinterpret_cast<const char *>(bytes->data()) + 8, bytes->size() - 8);
  if (nestsTooDeeply(text))
    return badFile(path, "its header nests too deeply");
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value)
    return badFile(path, llvm::toString(value.takeError()));
  const json::Object *object = value->getAsObject();
  const json::Object *metadata = object ? object->getObject("__metadata__") : nullptr;
  if (!metadata || metadata->getString("format") != llvm::StringRef(kStatisticsFormat))
    return badFile(path, std::string("its format is not ") + kStatisticsFormat);
  StatisticsIndex index;
  if (!readLayers(metadata->getString("layers").value_or(""), index.layers))
    return badFile(path, "its list of layers is damaged");
  for (auto &[name, entry] : *object)
    if (name != "__metadata__" && !readArray(entry, 8 + length, size - 8 - length, index.arrays[name.str()]))
      return badFile(path, "array '" + name.str() + "' is damaged or cut off");
  return index;
}

const StatisticsArray *StatisticsIndex::find(const std::string &value, const char *what) const {
  auto it = arrays.find(value + "." + what);
  return it == arrays.end() ? nullptr : &it->second;
}
