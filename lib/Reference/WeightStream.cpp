//===- WeightStream.cpp - elements computed when read ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "WeightStream.h"
#include "Tfm/Panels.h"

#include <cstring>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

WeightStream::WeightStream(RankedTensorType type)
    : type(type), width(elementBytes(elementOf(type.getElementType()))),
      count(storageBytes(type) / width) {}

const char *WeightStream::materialized() {
  if (const char *bytes = direct())
    return bytes;
  if (kept.empty()) {
    kept.resize(count * width);
    read(0, count, kept.data());
  }
  return kept.data();
}

namespace {

struct TensorStream : WeightStream {
  TensorStream(Tensor tensor) : WeightStream(tensor.type()), tensor(std::move(tensor)) {}
  void read(int64_t begin, int64_t n, char *out) override {
    std::memcpy(out, direct() + begin * width, n * width);
  }
  const char *direct() override { return tensor.bytes().data(); }
  Tensor tensor;
};

struct SeededStream : WeightStream {
  SeededStream(RankedTensorType type, tfm::SeededAttr seeded)
      : WeightStream(type), seeded(seeded) {}
  void read(int64_t begin, int64_t n, char *out) override {
    Tensor part(type.getElementType(), {n});
    for (int64_t i = 0; i < n; ++i)
      part.setNumber(
          i, seededElement(seeded.getSeed(), begin + i, seeded.getScale().getValueAsDouble()));
    std::memcpy(out, part.bytes().data(), n * width);
  }
  tfm::SeededAttr seeded;
};

struct ReshapeStream : WeightStream {
  ReshapeStream(RankedTensorType type, Stream input)
      : WeightStream(type), input(std::move(input)) {}
  void read(int64_t begin, int64_t n, char *out) override { input->read(begin, n, out); }
  const char *direct() override { return input->direct(); }
  Stream input;
};

struct CastStream : WeightStream {
  CastStream(RankedTensorType type, Stream input) : WeightStream(type), input(std::move(input)) {}
  void read(int64_t begin, int64_t n, char *out) override {
    constexpr int64_t piece = 4096;
    if (isByte(type.getElementType()) && isByte(input->type.getElementType()))
      return readBytes(begin, n, out);
    if (input->type.getElementType().isF32() && type.getElementType().isBF16())
      return readRounded(begin, n, out);
    for (int64_t done = 0; done < n; done += piece) {
      Tensor part(input->type.getElementType(), {std::min(piece, n - done)});
      input->read(begin + done, part.size(), part.mutableBytes().data());
      Tensor converted = castElements(part, type.getElementType());
      std::memcpy(out + done * width, converted.bytes().data(), part.size() * width);
    }
  }
  Stream input;

private:
  static bool isByte(Type type) { return isa<tfm::QuantType>(type) || type.isInteger(8); }
  /// Integers of a byte keep their bits, those of a code of fewer bits their low ones.
  void readBytes(int64_t begin, int64_t n, char *out) {
    input->read(begin, n, out);
    if (auto code = dyn_cast<tfm::QuantType>(type.getElementType()))
      wrapCodes(code, MutableArrayRef(out, n));
  }
  /// f32 to bf16, the cast that a whole model takes: on bits, to nearest even. A NaN goes the general way.
  void readRounded(int64_t begin, int64_t n, char *out) {
    uint32_t bits[256];
    for (int64_t run; n > 0; begin += run, n -= run) {
      run = std::min<int64_t>(n, std::size(bits));
      input->read(begin, run, reinterpret_cast<char *>(bits));
      for (int64_t i = 0; i < run; ++i, out += sizeof(uint16_t)) {
        uint16_t rounded = (bits[i] + 0x7fff + (bits[i] >> 16 & 1)) >> 16;
        if ((bits[i] & 0x7fffffff) <= 0x7f800000) {
          std::memcpy(out, &rounded, sizeof rounded);
          continue;
        }
        Tensor number(input->type.getElementType(), {1});
        std::memcpy(number.mutableBytes().data(), &bits[i], sizeof bits[i]);
        std::memcpy(out, castElements(number, type.getElementType()).bytes().data(), sizeof rounded);
      }
    }
  }
};

struct StridedStream : WeightStream {
  StridedStream(RankedTensorType type, Stream input, int64_t start, Shape strides)
      : WeightStream(type), input(std::move(input)), start(start), strides(std::move(strides)),
        sizes(type.getShape()) {}

  void read(int64_t begin, int64_t n, char *out) override {
    int64_t inner = sizes.empty() ? 1 : sizes.back();
    while (n > 0) { // one run along the last dimension at a time
      int64_t column = begin % inner, run = std::min(n, inner - column);
      readRun(offsetOf(begin), run, out);
      begin += run;
      n -= run;
      out += run * width;
    }
  }

private:
  int64_t offsetOf(int64_t position) const {
    int64_t offset = start;
    for (size_t d = sizes.size(); d-- > 0; position /= sizes[d])
      offset += position % sizes[d] * strides[d];
    return offset;
  }
  void readRun(int64_t offset, int64_t run, char *out) {
    int64_t stride = strides.empty() ? 1 : strides.back();
    if (stride == 1)
      return input->read(offset, run, out);
    const char *from = input->materialized();
    for (int64_t i = 0; i < run; ++i)
      std::memcpy(out + i * width, from + (offset + i * stride) * width, width);
  }
  Stream input;
  int64_t start;
  Shape strides, sizes;
};

struct ConcatStream : WeightStream {
  ConcatStream(RankedTensorType type, std::vector<Stream> inputs, size_t axis)
      : WeightStream(type), inputs(std::move(inputs)) {
    for (const Stream &input : this->inputs)
      blocks.push_back(product(input->type.getShape().drop_front(axis)));
    period = product(type.getShape().drop_front(axis));
  }
  void read(int64_t begin, int64_t n, char *out) override {
    while (n > 0) {
      int64_t outer = begin / period, within = begin % period;
      size_t i = 0;
      for (; within >= blocks[i]; ++i)
        within -= blocks[i];
      int64_t run = std::min(n, blocks[i] - within);
      inputs[i]->read(outer * blocks[i] + within, run, out);
      begin += run;
      n -= run;
      out += run * width;
    }
  }
  std::vector<Stream> inputs;
  std::vector<int64_t> blocks; // elements that each input gives in turn
  int64_t period;              // and their sum
};

struct PackStream : WeightStream {
  PackStream(RankedTensorType type, Stream input)
      : WeightStream(type), input(std::move(input)), rows(type.getShape().take_back(2)[0]),
        columns(type.getShape().back()), pairing(tfm::panelPairing(type.getElementType())),
        groups(tfm::panelDepth(type.getElementType(), rows) / pairing),
        panels((columns + tfm::kPanelColumns - 1) / tfm::kPanelColumns),
        halves(tfm::panelBits(type.getElementType()) == 4) {}

  /// A panel row is 16 columns of `pairing` steps each: each step is a run of the input. What is stored is counted in
  /// elements, where these are halves of bytes in bytes.
  void read(int64_t begin, int64_t n, char *out) override {
    int64_t rowElements = tfm::kPanelColumns * pairing / (halves ? 2 : 1);
    std::vector<char> row(rowElements * width);
    while (n > 0) {
      int64_t number = begin / rowElements, within = begin % rowElements;
      int64_t run = std::min(n, rowElements - within), panel = number / groups;
      readRow(panel / panels, number % groups * pairing, panel % panels * tfm::kPanelColumns,
              row);
      std::memcpy(out, row.data() + within * width, run * width);
      begin += run;
      n -= run;
      out += run * width;
    }
  }

private:
  void readRow(int64_t matrix, int64_t k, int64_t column, std::vector<char> &row) {
    char line[tfm::kPanelColumns * sizeof(double)];
    int64_t real = std::min(tfm::kPanelColumns, columns - column);
    std::fill(row.begin(), row.end(), 0);
    char *out = row.data();
    for (int64_t step = 0; step < pairing && k + step < rows; ++step) {
      char *to = pairing == 1 ? out : line;
      input->read((matrix * rows + k + step) * columns + column, real, to);
      for (int64_t i = 0; i < real && halves; ++i)
        out[i * 4 + step % 4] |= (line[i] & 15) << (step / 4 * 4);
      for (int64_t i = 0; i < real && pairing > 1 && !halves; ++i)
        std::memcpy(out + (i * pairing + step) * width, line + i * width, width);
    }
  }
  Stream input;
  int64_t rows, columns; // of each matrix of a stack
  int64_t pairing, groups, panels;
  bool halves; // codes of 4 bits
};

struct OffsetStream : WeightStream {
  OffsetStream(RankedTensorType type, Stream input, int8_t offset)
      : WeightStream(type), input(std::move(input)), offset(offset) {}
  void read(int64_t begin, int64_t n, char *out) override {
    input->read(begin, n, out);
    for (int64_t i = 0; i < n; ++i)
      out[i] = char(out[i] + offset);
  }
  Stream input;
  int8_t offset;
};

struct UnpackedBitsStream : WeightStream {
  UnpackedBitsStream(RankedTensorType type, Stream input, int64_t bits)
      : WeightStream(type), input(std::move(input)), bits(bits) {}
  void read(int64_t begin, int64_t n, char *out) override {
    int64_t parts = 8 / bits, first = begin / parts;
    std::vector<char> bytes((begin + n - 1) / parts - first + 1);
    input->read(first, bytes.size(), bytes.data());
    for (int64_t i = begin; i < begin + n; ++i)
      *out++ = uint8_t(bytes[i / parts - first]) >> (i % parts * bits) & ((1 << bits) - 1);
  }
  Stream input;
  int64_t bits;
};

} // namespace

Stream reference::streamTensor(Tensor tensor) {
  return std::make_shared<TensorStream>(std::move(tensor));
}
Stream reference::streamSeeded(RankedTensorType type, tfm::SeededAttr seeded) {
  return std::make_shared<SeededStream>(type, seeded);
}
Stream reference::streamReshape(RankedTensorType type, Stream input) {
  return std::make_shared<ReshapeStream>(type, std::move(input));
}
Stream reference::streamCast(RankedTensorType type, Stream input) {
  return std::make_shared<CastStream>(type, std::move(input));
}
Stream reference::streamStrided(RankedTensorType type, Stream input, int64_t start, Shape strides) {
  return std::make_shared<StridedStream>(type, std::move(input), start, std::move(strides));
}
Stream reference::streamConcat(RankedTensorType type, std::vector<Stream> inputs, size_t axis) {
  return std::make_shared<ConcatStream>(type, std::move(inputs), axis);
}
Stream reference::streamPack(RankedTensorType type, Stream input) {
  return std::make_shared<PackStream>(type, std::move(input));
}
Stream reference::streamUnpackedBits(RankedTensorType type, Stream input, int64_t bits) {
  return std::make_shared<UnpackedBitsStream>(type, std::move(input), bits);
}
Stream reference::streamOffset(RankedTensorType type, Stream input, int8_t offset) {
  return std::make_shared<OffsetStream>(type, std::move(input), offset);
}
