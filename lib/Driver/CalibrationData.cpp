//===- CalibrationData.cpp - samples for a model, a few at a time *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CalibrationData.h"

#include "InputRoles.h"

#include "permalloy/Support/Text.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace permalloy {

using artifact::Manifest;
using artifact::TensorInfo;

/// Tokens (or other vectors) a run, about: enough rows for a product to be worth its while, few enough for memory.
static constexpr int64_t kRowsPerRun = 512;
/// And no more samples than these.
static constexpr int64_t kMostPerRun = 64;

static int64_t productOf(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (int64_t dim : dims)
    product *= dim;
  return product;
}

static bool isFixed(const artifact::Dim &dim) { return std::ranges::all_of(dim.text, [](char c) { return c >= '0' && c <= '9'; }); }

static std::string shapeOf(const TensorInfo &input) {
  std::vector<std::string> dims;
  for (const artifact::Dim &dim : input.dims)
    dims.push_back(dim.text);
  return "[" + joined(dims) + "]";
}

/// Whether the first dimension of each input is the batch.
static std::vector<bool> batchInputs(const Manifest &manifest) {
  std::vector<Role> roles = symbolRoles(manifest);
  auto symbols = manifest.inputSymbols();
  std::vector<bool> result;
  for (const TensorInfo &input : manifest.inputs) {
    bool is = false;
    for (size_t i = 0; i < symbols.size() && !input.dims.empty(); ++i)
      if (symbols[i].name == input.dims[0].text)
        is = roles[i] == Role::batch || (symbols[i].input == 0 && symbols[i].axis == 0);
    result.push_back(is);
  }
  return result;
}

/// Position of the first NaN among elements of an exponent and `fraction` bits below the sign; all ones and a fraction are NaN.
template <typename Bits> static std::optional<size_t> firstNaN(const std::vector<std::byte> &data, unsigned fraction) {
  const Bits magnitude = Bits(~Bits(0)) >> 1, infinity = magnitude & Bits(~Bits(0) << fraction);
  for (size_t i = 0; i < data.size() / sizeof(Bits); ++i) {
    Bits bits;
    std::memcpy(&bits, data.data() + i * sizeof(Bits), sizeof(Bits));
    if (Bits(bits & magnitude) > infinity)
      return i;
  }
  return std::nullopt;
}

Status refuseNaN(const std::string &path, const NamedArray &input, int64_t first) {
  const std::vector<std::byte> &data = input.array.data;
  std::optional<size_t> found;
  switch (input.array.dtype) {
  case artifact::DType::f16: found = firstNaN<uint16_t>(data, 10); break;
  case artifact::DType::bf16: found = firstNaN<uint16_t>(data, 7); break;
  case artifact::DType::f32: found = firstNaN<uint32_t>(data, 23); break;
  case artifact::DType::f64: found = firstNaN<uint64_t>(data, 52); break;
  default: break;
  }
  if (!found)
    return {};
  const std::vector<int64_t> &dims = input.array.dims;
  int64_t row = dims.empty() || dims[0] == 0 ? 0 : int64_t(*found) / std::max<int64_t>(1, productOf(dims) / dims[0]);
  return {StatusCode::invalidArgument, "'" + path + "' (--calibrate): input '" + input.name + "' has a NaN in sample " + std::to_string(first + row) +
                                           "; samples are numbers"};
}

/// How the array of an input is cut.
Status CalibrationData::fit(const TensorInfo &input, bool isBatch) {
  auto refuse = [&](const std::string &why) {
    return Status(StatusCode::invalidArgument, "'" + path + "' (--calibrate): input '" + input.name + "' " + why);
  };
  Source source{input.name, 0, input.dtype, 0, false, false, {}};
  while (source.entry < stream.size() && stream.name(source.entry) != input.name)
    ++source.entry;
  if (source.entry == stream.size())
    return refuse("is missing");
  const NpyHeader &header = stream.header(source.entry);
  bool asBits = input.dtype == artifact::DType::bf16 && header.dtype == artifact::DType::u16;
  if (header.dtype != input.dtype && !asBits)
    return refuse(std::string("is ") + artifact::dtypeName(header.dtype) + ", the model takes " + artifact::dtypeName(input.dtype));
  size_t rank = header.dims.size();
  source.dropsAxis = rank == input.dims.size() + 1;
  if (rank != input.dims.size() && !source.dropsAxis)
    return refuse("has shape " + formatDims(header.dims) + ", the model takes " + shapeOf(input) + " or one dimension of samples more in front");
  for (size_t axis = 0; axis < input.dims.size(); ++axis)
    if (const artifact::Dim &dim = input.dims[axis]; isFixed(dim) && (axis > 0 || source.dropsAxis) &&
                                                     std::to_string(header.dims[axis + source.dropsAxis]) != dim.text)
      return refuse("has shape " + formatDims(header.dims) + ", the model takes " + shapeOf(input));
  if (rank > 0 && header.dims[0] == 0)
    return refuse("has no samples: shape " + formatDims(header.dims));
  if (source.dropsAxis) {
    source.step = 1;
  } else if (rank > 0 && isFixed(input.dims[0])) {
    int64_t fixed = std::stoll(input.dims[0].text);
    if (fixed == 0 || header.dims[0] % fixed != 0)
      return refuse("has " + std::to_string(header.dims[0]) + " samples, the model takes " + std::to_string(fixed) + " at a time");
    source.step = header.dims[0] == fixed ? 0 : fixed;
  } else if (rank > 0 && isBatch) {
    source.batched = true;
    // [batch, tokens] and [batch, tokens, width]
    auto rows = std::span(header.dims).subspan(1, std::max<size_t>(rank, 1) - (rank > 2 ? 2 : 1));
    source.step = std::clamp<int64_t>(kRowsPerRun / std::max<int64_t>(1, productOf(rows)), 1, kMostPerRun);
  }
  sources.push_back(std::move(source));
  return {};
}

/// One number of runs for all; where the file fixes it for some input, samples come one by one.
Status CalibrationData::agree() {
  int64_t step = kMostPerRun;
  for (const Source &source : sources)
    if (source.step > 0)
      step = std::min(step, source.batched ? source.step : 1);
  const Source *first = nullptr;
  for (Source &source : sources) {
    if (source.batched)
      source.step = step;
    if (source.step == 0)
      continue;
    int64_t runs = (stream.header(source.entry).dims[0] + source.step - 1) / source.step;
    if (first && (runs != count || (source.batched && first->batched &&
                                    stream.header(first->entry).dims[0] != stream.header(source.entry).dims[0])))
      return {StatusCode::invalidArgument, "'" + path + "' (--calibrate): input '" + source.name + "' has " +
                                               std::to_string(stream.header(source.entry).dims[0]) + " samples, '" + first->name + "' has " +
                                               std::to_string(stream.header(first->entry).dims[0])};
    count = runs;
    if (!first)
      first = &source;
  }
  return {};
}

Result<CalibrationData> CalibrationData::open(const std::string &path, const Manifest &manifest) {
  Result<NpzStream> stream = NpzStream::open(path);
  if (!stream.ok())
    return stream.status();
  CalibrationData data(std::move(*stream), path);
  for (size_t i = 0; i < data.stream.size(); ++i)
    if (std::ranges::none_of(manifest.inputs, [&](const TensorInfo &input) { return input.name == data.stream.name(i); }))
      return Status(StatusCode::invalidArgument, "'" + path + "' (--calibrate): the model has no input '" + data.stream.name(i) + "'");
  std::vector<bool> batches = batchInputs(manifest);
  for (size_t i = 0; i < manifest.inputs.size(); ++i)
    if (Status status = data.fit(manifest.inputs[i], batches[i]); !status.ok())
      return status;
  if (Status status = data.agree(); !status.ok())
    return status;
  return data;
}

Result<std::vector<NamedArray>> CalibrationData::next() {
  std::vector<NamedArray> arrays;
  for (Source &source : sources) {
    const NpyHeader &header = stream.header(source.entry);
    std::vector<int64_t> dims = header.dims;
    if (source.step > 0)
      dims[0] = std::min(source.step, dims[0] - done * source.step);
    size_t bytes = static_cast<size_t>(productOf(dims)) * artifact::dtypeSize(source.dtype);
    std::vector<std::byte> buffer(source.step > 0 || done == 0 ? bytes : 0);
    if (Status status = stream.read(source.entry, buffer.data(), buffer.size()); !status.ok())
      return status;
    if (source.step == 0 && done == 0)
      source.whole = buffer;
    NamedArray array{source.name, {source.dtype, dims, source.step > 0 ? std::move(buffer) : source.whole}};
    if (Status status = refuseNaN(path, array, done * source.step); !status.ok())
      return status;
    if (source.dropsAxis)
      array.array.dims.erase(array.array.dims.begin());
    arrays.push_back(std::move(array));
  }
  ++done;
  return arrays;
}

} // namespace permalloy
