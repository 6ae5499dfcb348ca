//===- Inputs.cpp - arrays for a model's inputs ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Inputs.h"

#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Runtime/Binding.h"
#include "permalloy/Support/Text.h"

#include <charconv>
#include <limits>
#include <random>

namespace permalloy {

using artifact::Manifest;
using artifact::Symbol;
using artifact::TensorInfo;

static Status invalid(const std::string &message) { return {StatusCode::invalidArgument, message}; }

//===-- Sizes -------------------------------------------------------------===//

static Result<std::vector<int64_t>> parseSizeList(const std::string &text, const std::string &all) {
  std::vector<int64_t> values;
  for (const std::string &part : split(text, ',')) {
    int64_t value = 0;
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || value < 0)
      return invalid("--dim " + all + ": '" + part +
                     "' is not a size; write name=4, or name=1,3,8 for several");
    values.push_back(value);
  }
  if (values.empty())
    return invalid("--dim " + all + " has no size; write name=4, or name=1,3,8 for several");
  return values;
}

Result<std::vector<Sizes>> parseSizes(const std::vector<std::string> &settings) {
  std::vector<Sizes> combinations(1);
  for (const std::string &setting : settings) {
    size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0)
      return invalid("--dim " + setting + " has no name and size; write name=4, or name=1,3,8");
    std::string name = setting.substr(0, equals);
    if (combinations.front().count(name))
      return invalid("--dim " + name + " is given twice; write " + name +
                     "=1,3,8 for several sizes");
    Result<std::vector<int64_t>> values = parseSizeList(setting.substr(equals + 1), setting);
    if (!values.ok())
      return values.status();
    std::vector<Sizes> longer;
    for (const Sizes &sizes : combinations)
      for (int64_t value : *values)
        longer.emplace_back(sizes)[name] = value;
    combinations = std::move(longer);
  }
  return combinations;
}

std::string shapesText(std::span<const NamedArray> arrays) {
  std::vector<std::string> parts;
  for (const NamedArray &entry : arrays)
    parts.push_back(entry.name + formatDims(entry.array.dims));
  return joined(parts);
}

/// A value for every symbol: what the user says, else what files bind, else a small default.
static Result<std::vector<int64_t>> chooseSizes(const Manifest &manifest, const Sizes &sizes,
                                                const std::map<std::string, Array> &given) {
  std::vector<std::string> names;
  for (const Symbol &symbol : manifest.symbols)
    names.push_back(symbol.name);
  for (const auto &[name, value] : sizes)
    if (std::find(names.begin(), names.end(), name) == names.end())
      return invalid("the model has no dimension '" + name + "'; it has " + joined(names));
  std::vector<int64_t> values;
  for (const Symbol &symbol : manifest.symbols) {
    auto file = given.find(manifest.inputs[symbol.input].name);
    auto said = sizes.find(symbol.name);
    int64_t value = std::clamp<int64_t>(values.empty() ? 2 : 16, symbol.min, symbol.max);
    if (said != sizes.end())
      value = said->second;
    else if (file != given.end() && symbol.axis < file->second.dims.size())
      value = file->second.dims[symbol.axis];
    values.push_back(value);
  }
  return values;
}

//===-- Random values -----------------------------------------------------===//

template <class T> static void fillWith(Array &array, const std::function<T(uint64_t)> &value) {
  T *data = reinterpret_cast<T *>(array.data.data());
  for (uint64_t i = 0, end = array.elements(); i < end; ++i)
    data[i] = value(i);
}

/// An integer for element `i`, by what the input's name says it is.
static int64_t randomInteger(const std::string &name, const std::vector<int64_t> &dims, uint64_t i,
                             std::mt19937_64 &random) {
  uint64_t row = dims.empty() || dims.back() == 0 ? 1 : static_cast<uint64_t>(dims.back());
  uint64_t column = i % row;
  bool position = name.find("position") != std::string::npos;
  if (name.find("mask") != std::string::npos) {
    // Row r keeps all but r / 8 of its places, always at least one.
    uint64_t hidden = std::min<uint64_t>((i / row) % 8 * row / 8, row - 1);
    return column + hidden < row;
  }
  if (position)
    return static_cast<int64_t>(column);
  bool type = name.find("type") != std::string::npos || name.find("segment") != std::string::npos;
  return static_cast<int64_t>(random() % (type ? 2 : 64));
}

/// Bits of the half-precision number nearest to `value`, |value| <= 1, by way of exact steps.
static uint16_t halfBits(double value) {
  _Float16 half = static_cast<_Float16>(value);
  return std::bit_cast<uint16_t>(half);
}

Array randomArray(const std::string &name, artifact::DType dtype, std::vector<int64_t> dims,
                  uint64_t seed) {
  Array array{dtype, std::move(dims), {}};
  array.data.resize(array.elements() * artifact::dtypeSize(dtype));
  for (char c : name)
    seed = seed * 1099511628211u + static_cast<unsigned char>(c);
  std::mt19937_64 random(seed);
  auto number = [&](uint64_t) { return static_cast<double>(random() >> 11) * 0x1p-52 - 1; };
  auto integer = [&](uint64_t i) { return randomInteger(name, array.dims, i, random); };
  switch (dtype) {
  case artifact::DType::f32:
    fillWith<float>(array, number);
    break;
  case artifact::DType::f64:
    fillWith<double>(array, number);
    break;
  case artifact::DType::f16:
    fillWith<uint16_t>(array, [&](uint64_t i) { return halfBits(number(i)); });
    break;
  case artifact::DType::bf16:
    fillWith<uint16_t>(array, [&](uint64_t i) {
      return std::bit_cast<uint32_t>(static_cast<float>(number(i))) >> 16;
    });
    break;
  case artifact::DType::boolean:
    fillWith<uint8_t>(array, [&](uint64_t i) { return integer(i) & 1; });
    break;
  default:
    switch (artifact::dtypeSize(dtype)) {
    case 1:
      fillWith<uint8_t>(array, integer);
      break;
    case 2:
      fillWith<uint16_t>(array, integer);
      break;
    case 4:
      fillWith<uint32_t>(array, integer);
      break;
    default:
      fillWith<uint64_t>(array, integer);
      break;
    }
  }
  return array;
}

//===-- All inputs --------------------------------------------------------===//

static Status addGiven(const Manifest &manifest, std::string name, Array array,
                       std::map<std::string, Array> &given) {
  Result<size_t> index = findTensor(manifest.inputs, name, "input");
  if (!index.ok())
    return index.status();
  asType(array, manifest.inputs[*index].dtype);
  if (!given.emplace(name, std::move(array)).second)
    return invalid("input '" + name + "' is given twice");
  return {};
}

/// The arrays that files bring, by name.
static Status readGiven(const Manifest &manifest, const InputSettings &settings,
                        std::map<std::string, Array> &given) {
  if (!settings.npz.empty()) {
    Result<std::vector<NamedArray>> arrays = readNpz(settings.npz);
    if (!arrays.ok())
      return arrays.status();
    for (NamedArray &entry : *arrays)
      PERMALLOY_TRY(addGiven(manifest, entry.name, std::move(entry.array), given));
  }
  for (const std::string &setting : settings.files) {
    size_t equals = setting.find('=');
    if (equals == std::string::npos)
      return invalid("--input " + setting + " has no name; write --input name=" + setting);
    Result<Array> array = readNpy(setting.substr(equals + 1));
    if (!array.ok())
      return array.status();
    PERMALLOY_TRY(addGiven(manifest, setting.substr(0, equals), std::move(*array), given));
  }
  return {};
}

static Result<Array> randomInput(const Artifact &artifact, size_t index, uint64_t seed,
                                 std::span<const int64_t> values) {
  const TensorInfo &info = artifact.manifest().inputs[index];
  std::vector<int64_t> dims;
  for (const artifact::Dim &dim : info.dims)
    dims.push_back(values[dim.expr]);
  int64_t bytes = tensorBytes(info.dtype, dims);
  if (bytes < 0 || bytes > (int64_t(1) << 36))
    return invalid("input '" + info.name + "' of " + formatDims(dims) + " is too large");
  return randomArray(info.name, info.dtype, dims, seed);
}

Result<std::vector<NamedArray>> makeInputs(const Artifact &artifact, const InputSettings &settings,
                                           const Sizes &sizes) {
  const Manifest &manifest = artifact.manifest();
  std::map<std::string, Array> given;
  if (Status status = readGiven(manifest, settings, given); !status.ok())
    return status;
  Result<std::vector<int64_t>> symbols = chooseSizes(manifest, sizes, given);
  if (!symbols.ok())
    return symbols.status();
  std::vector<int64_t> values;
  if (Status status =
          artifact::evaluateAll(artifact.program().expressions, manifest.symbols, *symbols, values);
      !status.ok())
    return status;
  std::vector<NamedArray> inputs;
  for (size_t i = 0; i < manifest.inputs.size(); ++i) {
    const TensorInfo &info = manifest.inputs[i];
    auto found = given.find(info.name);
    if (found != given.end()) {
      inputs.push_back({info.name, std::move(found->second)});
      continue;
    }
    if (!settings.random)
      return invalid("input '" + info.name + "' is missing; give --input " + info.name +
                     "=FILE.npy or --inputs FILE.npz, or --random to make it up");
    Result<Array> array = randomInput(artifact, i, settings.seed, values);
    if (!array.ok())
      return array.status();
    inputs.push_back({info.name, std::move(*array)});
  }
  return inputs;
}

} // namespace permalloy
