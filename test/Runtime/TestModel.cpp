//===- TestModel.cpp - small artifacts without the compiler ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include <cstring>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace permalloy::test {

using namespace artifact;

std::vector<std::byte> readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::byte *first = reinterpret_cast<const std::byte *>(text.data());
  return {first, first + text.size()};
}

void writeFile(const std::string &path, const std::vector<std::byte> &bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char *>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(file.flush()) << path;
}

std::string scratchPath(const std::string &name) {
  struct Directory {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("permalloy-test-" + std::to_string(::getpid()));
    pid_t owner = ::getpid();
    Directory() { std::filesystem::create_directories(path); }
    ~Directory() {
      std::error_code ignored;
      if (owner == ::getpid()) // not in forked children
        std::filesystem::remove_all(path, ignored);
    }
  };
  static Directory directory;
  return (directory.path / name).string();
}

//===-- Images ------------------------------------------------------------===//

template <class T> static T readAt(const std::vector<std::byte> &bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::vector<uint64_t> entryPoints(const std::vector<std::byte> &elf,
                                  const std::vector<std::string> &names) {
  std::vector<uint64_t> addresses(names.size());
  auto header = readAt<Elf64_Ehdr>(elf, 0);
  for (int i = 0; i < header.e_shnum; ++i) {
    auto section = readAt<Elf64_Shdr>(elf, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_DYNSYM)
      continue;
    auto strings = readAt<Elf64_Shdr>(elf, header.e_shoff + section.sh_link * sizeof(Elf64_Shdr));
    for (uint64_t at = 0; at < section.sh_size; at += sizeof(Elf64_Sym)) {
      auto symbol = readAt<Elf64_Sym>(elf, section.sh_offset + at);
      const char *name =
          reinterpret_cast<const char *>(elf.data()) + strings.sh_offset + symbol.st_name;
      for (size_t k = 0; k < names.size(); ++k)
        if (names[k] == name)
          addresses[k] = symbol.st_value;
    }
  }
  return addresses;
}

static void addTarget(ArtifactContents &contents, const std::string &name, uint64_t features) {
  std::vector<std::byte> image = readFile(PERMALLOY_TEST_IMAGE);
  std::vector<std::string> names;
  for (const Kernel &kernel : contents.program.kernels)
    names.push_back(kernel.name);
  contents.program.targets.push_back({name, features, entryPoints(image, names)});
  contents.images.push_back(std::move(image));
}

static void addWeight(ArtifactContents &contents, const std::string &name,
                      const std::vector<float> &values) {
  Weight &weight = contents.program.weights.emplace_back();
  weight.name = name;
  weight.size = values.size() * sizeof(float);
  contents.weightSources.push_back([values](const WeightSink &sink) {
    return sink(values.data(), values.size() * sizeof(float));
  });
}

//===-- Models ------------------------------------------------------------===//

static std::vector<float> tinyWeight() { return {1, 2, 3, 4, 5, 6, 7, 8}; }
static std::vector<float> tinyBias() { return {.5f, -1, 2, .25f, 0, 1, -.125f, 3}; }

static Manifest tinyManifest(ExprBuilder &exprs) {
  uint32_t batch = exprs.symbol(0), seq = exprs.symbol(1), columns = exprs.constant(kColumns);
  Dim b{batch, "batch"}, s{seq, "seq"}, c{columns, "8"};
  Manifest manifest;
  manifest.producer = "test";
  manifest.producerVersion = "0";
  manifest.options = "--target x86-64";
  manifest.model.graphName = "tiny";
  manifest.model.producerName = "by hand";
  manifest.model.version = 7;
  manifest.model.opsets = {{"", "17"}};
  manifest.model.custom = {{"author", "nobody"}};
  manifest.symbols = {{"batch", 0, 8, 0, 0}, {"seq", 1, 512, 0, 1}};
  manifest.inputs = {{"x", DType::f32, {b, s, c}}, {"m", DType::f32, {b, s}}};
  manifest.outputs = {
      {"y", DType::f32, {b, s, c}}, {"s", DType::f32, {b, s}}, {"c", DType::f32, {b, s, c}}};
  return manifest;
}

static Step launchStep(const std::string &name, uint32_t kernel, std::vector<Operand> operands,
                       std::vector<uint32_t> scalars, uint32_t tiles, uint32_t scratch = kNone) {
  Step step;
  step.name = name;
  step.kernel = kernel;
  step.operands = std::move(operands);
  step.scalars = std::move(scalars);
  step.grids = {{tiles, scratch}};
  return step;
}

ArtifactContents tinyModel() {
  ArtifactContents contents;
  Program &program = contents.program;
  ExprBuilder exprs(program.expressions);
  contents.manifest = tinyManifest(exprs);
  uint32_t rows = exprs.binary(ExprOp::mul, exprs.symbol(0), exprs.symbol(1));
  uint32_t columns = exprs.constant(kColumns), rowBytes = exprs.constant(kColumns * 4);
  uint32_t bytes = exprs.binary(ExprOp::mul, rows, rowBytes);
  program.slots = {{bytes}};
  program.kernels = {{"affine", 4, 1}, {"mask_rows", 3, 1}, {"row_sum", 2, 1}};
  addWeight(contents, "w", tinyWeight());
  addWeight(contents, "b", tinyBias());
  addWeight(contents, "w.tied", tinyWeight());
  Operand x{OperandKind::input, 0, kNone}, slot{OperandKind::slot, 0, kNone};
  program.steps = {
      launchStep("/affine", 0,
                 {x, {OperandKind::weight, 2, kNone}, {OperandKind::weight, 1, kNone}, slot},
                 {columns}, rows),
      launchStep("/mask", 1,
                 {slot, {OperandKind::input, 1, kNone}, {OperandKind::output, 0, kNone}}, {columns},
                 rows),
      launchStep("/sum", 2, {slot, {OperandKind::output, 1, kNone}}, {columns}, rows, rowBytes),
  };
  Step &copy = program.steps.emplace_back();
  copy.kind = StepKind::copy;
  copy.name = "/identity";
  copy.operands = {x, {OperandKind::output, 2, kNone}};
  copy.copyBytes = bytes;
  addTarget(contents, "x86-64", 0);
  return contents;
}

ArtifactContents oneKernelModel(const std::string &kernel, const std::vector<int64_t> &scalars) {
  ArtifactContents contents;
  Program &program = contents.program;
  ExprBuilder exprs(program.expressions);
  Dim n{exprs.symbol(0), "n"};
  contents.manifest.symbols = {{"n", 1, 4096, 0, 0}};
  contents.manifest.inputs = {{"x", DType::f32, {n}}};
  contents.manifest.outputs = {{"y", DType::f32, {n}}};
  std::vector<uint32_t> scalarExprs;
  for (int64_t scalar : scalars)
    scalarExprs.push_back(exprs.constant(scalar));
  program.kernels = {{kernel, 2, static_cast<uint32_t>(scalars.size())}};
  program.steps = {launchStep("/" + kernel, 0,
                              {{OperandKind::input, 0, kNone}, {OperandKind::output, 0, kNone}},
                              scalarExprs, n.expr)};
  addTarget(contents, "x86-64", 0);
  return contents;
}

ArtifactContents cacheModel() {
  ArtifactContents contents;
  Manifest &manifest = contents.manifest;
  Program &program = contents.program;
  ExprBuilder exprs(program.expressions);
  uint32_t two = exprs.constant(2), four = exprs.constant(4);
  uint32_t grown = exprs.binary(ExprOp::add, exprs.symbol(1), exprs.symbol(2));
  Dim b{exprs.symbol(0), "batch"}, p{exprs.symbol(1), "past"}, s{exprs.symbol(2), "seq"};
  Dim h{two, "2"}, d{four, "4"}, g{grown, "past + seq"};
  manifest.symbols = {{"batch", 0, 8, 0, 0},
                      {"past", 0, 200, 1, 2},
                      {"seq", 1, 200, 0, 2},
                      {"capacity", 1, INT64_MAX, kNone, 0}};
  manifest.inputs = {{"x", DType::f32, {b, h, s, d}},
                     {"past.k", DType::f32, {b, h, p, d}},
                     {"past.v", DType::f32, {b, h, p, d}}};
  manifest.outputs = {{"y", DType::f32, {b, h, d}},
                      {"present.k", DType::f32, {b, h, g, d}},
                      {"present.v", DType::f32, {b, h, g, d}}};
  manifest.caches = {{1, 1}, {2, 2}};
  manifest.capacity = 3;
  uint32_t heads = exprs.binary(ExprOp::mul, exprs.symbol(0), two), capacity = exprs.symbol(3);
  Operand x{OperandKind::input, 0, kNone}, y{OperandKind::output, 0, kNone};
  Operand k{OperandKind::cache, 0, kNone}, v{OperandKind::cache, 1, kNone};
  std::vector<uint32_t> scalars = {exprs.symbol(1), exprs.symbol(2), capacity, four};
  program.kernels = {{"append_rows", 3, 4}, {"read_caches", 3, 3}};
  program.steps = {launchStep("/append.k", 0, {k, x, k}, scalars, heads),
                   launchStep("/append.v", 0, {v, x, v}, scalars, heads),
                   launchStep("/read", 1, {k, v, y}, {grown, capacity, four}, heads)};
  addTarget(contents, "x86-64", 0);
  return contents;
}

static Step stepOf(StepKind kind, std::vector<Operand> operands, uint32_t target, uint32_t bytes = kNone) {
  Step step;
  step.kind = kind;
  step.operands = std::move(operands);
  step.target = target;
  step.copyBytes = bytes;
  return step;
}

ArtifactContents firstElements() {
  ArtifactContents contents = oneKernelModel("control_word", {});
  Manifest &manifest = contents.manifest;
  Program &program = contents.program;
  ExprBuilder exprs(program.expressions);
  Dim n{exprs.symbol(0), "n"}, size{exprs.symbol(1), "size"};
  uint32_t bytes = exprs.binary(ExprOp::mul, size.expr, exprs.constant(4));
  exprs.binary(ExprOp::mul, exprs.symbol(2), exprs.constant(4));
  manifest.symbols.push_back({"size", 0, INT64_MAX, kNone, 0});
  manifest.symbols.push_back({"other", 0, INT64_MAX, kNone, 0});
  manifest.inputs = {{"x", DType::f32, {n}},
                     {"z", DType::f32, {n}},
                     {"count", DType::i64, {}},
                     {"flag", DType::boolean, {}}};
  manifest.outputs = {{"y", DType::f32, {size}}};
  program.slots = {{bytes, 1}};
  program.lateOutputs = {{0, 0}};
  Operand x{OperandKind::input, 0, kNone}, z{OperandKind::input, 1, kNone};
  Operand count{OperandKind::input, 2, kNone}, flag{OperandKind::input, 3, kNone};
  Operand slot{OperandKind::slot, 0, kNone};
  program.steps = {
      stepOf(StepKind::bind, {count}, 1),      stepOf(StepKind::bind, {count}, 2),
      stepOf(StepKind::jumpIfZero, {flag}, 5), stepOf(StepKind::copy, {z, slot}, kNone, bytes),
      stepOf(StepKind::jump, {}, 6),           stepOf(StepKind::copy, {x, slot}, kNone, bytes)};
  return contents;
}

std::vector<std::byte> artifactBytes(ArtifactContents contents) {
  std::string path = scratchPath("bytes.alloy");
  Status status = writeArtifact(path, contents);
  EXPECT_TRUE(status.ok()) << status.message();
  return readFile(path);
}

std::unique_ptr<Session> openSession(ArtifactContents contents, const SessionOptions &options) {
  std::vector<std::byte> bytes = artifactBytes(std::move(contents));
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size());
  EXPECT_TRUE(artifact.ok()) << artifact.status().message();
  if (!artifact.ok())
    return nullptr;
  auto session = Session::create(*artifact, options);
  EXPECT_TRUE(session.ok()) << session.status().message();
  return session.ok() ? std::move(*session) : nullptr;
}

//===-- Cases -------------------------------------------------------------===//

TinyCase::TinyCase(int64_t batch, int64_t seq, int seed) : batch(batch), seq(seq) {
  const std::vector<float> w = tinyWeight(), b = tinyBias();
  for (int64_t row = 0; row < batch * seq; ++row) {
    m.push_back(static_cast<float>((row + seed) % 3));
    float sum = 0;
    for (int64_t i = 0; i < kColumns; ++i) {
      // Small multiples of 1/4: every sum is exact, in any order.
      x.push_back(static_cast<float>((row * 5 + i * 3 + seed) % 17) * .25f);
      float value = x.back() * w[i] + b[i];
      y.push_back(value * m.back());
      sum += value;
    }
    s.push_back(sum);
  }
}

std::vector<InputTensor> TinyCase::inputs() const {
  return {{DType::f32, {batch, seq, kColumns}, x.data()}, {DType::f32, {batch, seq}, m.data()}};
}

bool TinyCase::runsRight(Session &session) const {
  std::vector<OutputTensor> outputs(3);
  Status status = session.run(inputs(), outputs);
  EXPECT_TRUE(status.ok()) << status.message();
  if (!status.ok())
    return false;
  const std::vector<float> *expected[] = {&y, &s, &x};
  bool equal = outputs[0].dims == std::vector<int64_t>{batch, seq, kColumns};
  for (int i = 0; i < 3; ++i) {
    equal &=
        std::memcmp(outputs[i].data, expected[i]->data(), expected[i]->size() * sizeof(float)) == 0;
    outputs[i].release();
  }
  return equal;
}

} // namespace permalloy::test
