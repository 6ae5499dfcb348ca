//===- Inputs.cpp - arrays for a model's inputs ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Inputs.h"

#include "InputRoles.h"

#include "permalloy/Artifact/Expressions.h"
#include "permalloy/Runtime/Binding.h"
#include "permalloy/Support/Text.h"

#include "llvm/ADT/STLExtras.h"

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

/// Why `name` is no dimension of the model.
static Status unknownName(const Manifest &manifest, const std::vector<Role> &roles,
                          const std::string &name) {
  std::vector<std::string> names, roleNames;
  for (const Symbol &symbol : manifest.inputSymbols())
    names.push_back(symbol.name);
  for (Role role : {Role::batch, Role::sequence, Role::past, Role::total})
    if (llvm::is_contained(roles, role) && !llvm::is_contained(names, roleName(role)))
      roleNames.push_back(roleName(role));
  return invalid(
      "the model has no dimension '" + name + "'; it has " + joined(names) +
      (roleNames.empty() ? "" : ", and takes " + joined(roleNames) + " for what they stand for"));
}

/// A value for every symbol: what the user says, else what files bind, else what follows from the
/// roles of the inputs' axes.
static Result<std::vector<int64_t>> chooseSizes(const Manifest &manifest, const Sizes &sizes,
                                                const std::map<std::string, Array> &given) {
  std::vector<Role> roles = symbolRoles(manifest);
  std::map<Role, int64_t> byRole;
  for (const auto &[name, value] : sizes) {
    auto isName = [&](const Symbol &symbol) { return symbol.name == name; };
    auto isRole = [&](Role role) { return role != Role::none && roleName(role) == name; };
    auto role = llvm::find_if(roles, isRole);
    if (role != roles.end())
      byRole[*role] = value;
    else if (llvm::none_of(manifest.inputSymbols(), isName))
      return unknownName(manifest, roles, name);
  }
  auto said = [&](const Symbol &symbol) -> std::optional<int64_t> {
    if (auto size = sizes.find(symbol.name); size != sizes.end())
      return size->second;
    auto file = given.find(manifest.inputs[symbol.input].name);
    if (file != given.end() && symbol.axis < file->second.dims.size())
      return file->second.dims[symbol.axis];
    return std::nullopt;
  };
  return sizesByRole(manifest, said, std::move(byRole));
}

Result<std::vector<int64_t>> symbolValues(const Manifest &manifest, const Sizes &sizes) {
  return chooseSizes(manifest, sizes, {});
}

//===-- Random values -----------------------------------------------------===//

template <class T> static void fillWith(Array &array, const std::function<T(uint64_t)> &value) {
  T *data = reinterpret_cast<T *>(array.data.data());
  for (uint64_t i = 0, end = array.elements(); i < end; ++i)
    data[i] = value(i);
}

/// Places of row `row` that padding takes: r / 8 of them in row r, never all. On the left of a
/// past, only places of the past, so that every position still sees itself.
static uint64_t paddedPlaces(uint64_t row, uint64_t places, const RandomSettings &settings) {
  if (settings.padding == Padding::none || places == 0)
    return 0;
  uint64_t most = settings.past ? settings.past : places - 1;
  return std::min<uint64_t>(row % 8 * places / 8, most);
}

/// An integer for element `i`, by what the input's name says it is.
static int64_t randomInteger(const std::string &name, const std::vector<int64_t> &dims, uint64_t i,
                             const RandomSettings &settings, std::mt19937_64 &random) {
  uint64_t places = dims.empty() || dims.back() == 0 ? 1 : static_cast<uint64_t>(dims.back());
  uint64_t column = i % places, row = i / places;
  bool left = settings.padding == Padding::left;
  if (name.find("mask") != std::string::npos) {
    uint64_t hidden = paddedPlaces(row, places, settings);
    return left ? column >= hidden : column + hidden < places;
  }
  if (name.find("position") != std::string::npos) {
    uint64_t hidden = left ? paddedPlaces(row, settings.past + places, settings) : 0;
    return static_cast<int64_t>(std::max(settings.past + column, hidden) - hidden);
  }
  bool type = name.find("type") != std::string::npos || name.find("segment") != std::string::npos;
  return static_cast<int64_t>(random() % (type ? 2 : 64));
}

/// Bits of the half-precision number nearest to `value`, |value| <= 1, by way of exact steps.
static uint16_t halfBits(double value) {
  _Float16 half = static_cast<_Float16>(value);
  return std::bit_cast<uint16_t>(half);
}

Array randomArray(const std::string &name, artifact::DType dtype, std::vector<int64_t> dims,
                  const RandomSettings &settings) {
  Array array{dtype, std::move(dims), {}};
  array.data.resize(array.elements() * artifact::dtypeSize(dtype));
  uint64_t seed = settings.seed;
  for (char c : name)
    seed = seed * 1099511628211u + static_cast<unsigned char>(c);
  std::mt19937_64 random(seed);
  auto number = [&](uint64_t) { return static_cast<double>(random() >> 11) * 0x1p-52 - 1; };
  auto integer = [&](uint64_t i) { return randomInteger(name, array.dims, i, settings, random); };
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

static std::vector<int64_t> dimsOf(const TensorInfo &info, std::span<const int64_t> values) {
  std::vector<int64_t> dims;
  for (const artifact::Dim &dim : info.dims)
    dims.push_back(values[dim.expr]);
  return dims;
}

/// How to make up inputs of these sizes: how long the past is, and where padding goes.
static Result<RandomSettings> randomSettings(const Manifest &manifest,
                                             const InputSettings &settings,
                                             std::span<const int64_t> values) {
  RandomSettings random;
  random.seed = settings.seed;
  for (const TensorInfo &input : manifest.inputs)
    if (isPastInput(input))
      random.past = static_cast<uint64_t>(dimsOf(input, values)[input.dims.size() - 2]);
  if (settings.padding == "left" || (settings.padding.empty() && random.past))
    random.padding = Padding::left;
  else if (settings.padding == "none")
    random.padding = Padding::none;
  if (random.padding == Padding::right && random.past)
    return invalid("--padding right would hide the newest positions of a model with a past; write "
                   "--padding left or none");
  return random;
}

static Result<Array> randomInput(const TensorInfo &info, const RandomSettings &settings,
                                 std::span<const int64_t> values) {
  std::vector<int64_t> dims = dimsOf(info, values);
  int64_t bytes = tensorBytes(info.dtype, dims);
  if (bytes < 0 || bytes > (int64_t(1) << 36))
    return invalid("input '" + info.name + "' of " + formatDims(dims) + " is too large");
  return randomArray(info.name, info.dtype, dims, settings);
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
  Result<RandomSettings> random = randomSettings(manifest, settings, values);
  if (!random.ok())
    return random.status();
  std::vector<NamedArray> inputs;
  for (const TensorInfo &info : manifest.inputs) {
    auto found = given.find(info.name);
    if (found != given.end()) {
      inputs.push_back({info.name, std::move(found->second)});
      continue;
    }
    if (!settings.random)
      return invalid("input '" + info.name + "' is missing; give --input " + info.name +
                     "=FILE.npy or --inputs FILE.npz, or --random to make it up");
    Result<Array> array = randomInput(info, *random, values);
    if (!array.ok())
      return array.status();
    inputs.push_back({info.name, std::move(*array)});
  }
  return inputs;
}

} // namespace permalloy
