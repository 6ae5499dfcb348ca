//===- StatisticsWriter.cpp - statistics while they are collected *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "StatisticsFile.h"
#include "permalloy/Transforms/Calibration.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"

#include <cstring>

using namespace permalloy;
namespace json = llvm::json;

namespace {
/// Lays arrays out one after the other.
struct Layout {
  uint64_t add(json::OStream &out, const std::string &name, llvm::StringRef dtype, llvm::ArrayRef<int64_t> shape) {
    uint64_t begin = llvm::alignTo(size, 64), bytes = dtype == "I64" ? 8 : 4;
    for (int64_t dim : shape)
      bytes *= dim;
    size = begin + bytes;
    out.attributeObject(name, [&] {
      out.attribute("dtype", dtype);
      out.attributeArray("shape", [&] {
        for (int64_t dim : shape)
          out.value(dim);
      });
      out.attributeArray("data_offsets", [&] {
        out.value(int64_t(begin));
        out.value(int64_t(size));
      });
    });
    return begin;
  }
  uint64_t size = 0;
};
} // namespace

static std::string layersText(const std::vector<CalibrationValue> &values) {
  json::Object layers;
  for (const CalibrationValue &value : values)
    for (const std::string &layer : value.layers)
      layers[layer] = value.layers.front();
  return llvm::formatv("{0}", json::Value(std::move(layers))).str();
}

Result<std::unique_ptr<StatisticsWriter>> StatisticsWriter::create(const std::string &path, std::vector<CalibrationValue> values,
                                                                   solvers::Statistics level, const Origin &origin) {
  std::unique_ptr<StatisticsWriter> writer(new StatisticsWriter);
  struct Offsets {
    uint64_t gram, absmax, mean, second, rows;
  };
  std::vector<Offsets> offsets;
  std::string text;
  llvm::raw_string_ostream os(text);
  json::OStream out(os);
  Layout layout;
  bool grams = level == solvers::Statistics::gram;
  out.object([&] {
    out.attributeObject("__metadata__", [&] {
      out.attribute("format", kStatisticsFormat);
      out.attribute("model", origin.model);
      out.attribute("data", origin.data);
      out.attribute("runs", std::to_string(origin.runs));
      out.attribute("layers", layersText(values));
    });
    for (const CalibrationValue &value : values) {
      auto add = [&](const char *what, llvm::StringRef dtype, llvm::ArrayRef<int64_t> shape) {
        return layout.add(out, value.layers.front() + "." + what, dtype, shape);
      };
      int64_t k = value.k;
      uint64_t gram = grams ? add("gram", "F32", {k, k}) : 0, absmax = add("absmax", "F32", {k}), mean = add("mean", "F32", {k});
      uint64_t second = add("second", "F32", {k}), rows = add("rows", "I64", {1});
      offsets.push_back({gram, absmax, mean, second, rows});
    }
  });
  text.append(llvm::alignTo(text.size() + 8, 64) - text.size() - 8, ' ');
  if (Status status = writer->file.open(path); !status.ok())
    return status;
  Result<std::byte *> bytes = writer->file.map(8 + text.size() + layout.size);
  if (!bytes.ok())
    return bytes.status();
  uint64_t length = text.size();
  std::memcpy(*bytes, &length, 8);
  std::memcpy(*bytes + 8, text.data(), length);
  std::byte *data = *bytes + 8 + length;
  for (auto [value, at] : llvm::zip_equal(values, offsets)) {
    auto floats = [&](uint64_t offset) { return reinterpret_cast<float *>(data + offset); };
    float *gram = grams ? floats(at.gram) : nullptr;
    writer->places.push_back({gram, floats(at.absmax), floats(at.mean), floats(at.second), reinterpret_cast<int64_t *>(data + at.rows)});
    writer->moments.emplace_back(value.k, gram);
  }
  writer->all = std::move(values);
  return writer;
}

Status StatisticsWriter::finish() {
  for (auto [moment, place] : llvm::zip_equal(moments, places)) {
    moment.finish(place.absmax, place.mean, place.second);
    *place.rows = moment.rows();
  }
  return file.commit();
}
