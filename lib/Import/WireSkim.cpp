//===- WireSkim.cpp - large tensors out of the way of protobuf ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "WireSkim.h"

using namespace llvm;
using namespace permalloy;

namespace {

/// Messages that are walked, because tensors may be inside; anything else is copied as it is.
enum class Message { Model, Graph, Node, Attribute, Function, SparseTensor, Tensor };

enum class Action { Copy, Drop, Enter };

struct FieldRule {
  Message parent;
  unsigned field;
  Action action;
  Message child = Message::Model;
};

// Field numbers of onnx.proto.
constexpr FieldRule kRules[] = {
    {Message::Model, 7, Action::Enter, Message::Graph},
    {Message::Model, 25, Action::Enter, Message::Function},
    {Message::Model, 6, Action::Drop},  // doc_string
    {Message::Model, 20, Action::Drop}, // training_info
    {Message::Model, 26, Action::Drop}, // device configuration
    {Message::Graph, 1, Action::Enter, Message::Node},
    {Message::Graph, 5, Action::Enter, Message::Tensor},
    {Message::Graph, 15, Action::Enter, Message::SparseTensor},
    {Message::Graph, 10, Action::Drop}, // doc_string
    {Message::Graph, 13, Action::Drop}, // value_info
    {Message::Graph, 14, Action::Drop}, // quantization_annotation
    {Message::Graph, 16, Action::Drop}, // metadata_props
    {Message::Node, 5, Action::Enter, Message::Attribute},
    {Message::Node, 6, Action::Drop},  // doc_string
    {Message::Node, 9, Action::Drop},  // metadata_props
    {Message::Node, 10, Action::Drop}, // device configurations
    {Message::Attribute, 5, Action::Enter, Message::Tensor},
    {Message::Attribute, 6, Action::Enter, Message::Graph},
    {Message::Attribute, 10, Action::Enter, Message::Tensor},
    {Message::Attribute, 11, Action::Enter, Message::Graph},
    {Message::Attribute, 22, Action::Enter, Message::SparseTensor},
    {Message::Attribute, 23, Action::Enter, Message::SparseTensor},
    {Message::Attribute, 13, Action::Drop}, // doc_string
    {Message::Function, 7, Action::Enter, Message::Node},
    {Message::Function, 11, Action::Enter, Message::Attribute},
    {Message::Function, 8, Action::Drop},  // doc_string
    {Message::Function, 12, Action::Drop}, // value_info
    {Message::Function, 14, Action::Drop}, // metadata_props
    {Message::SparseTensor, 1, Action::Enter, Message::Tensor},
    {Message::SparseTensor, 2, Action::Enter, Message::Tensor},
    {Message::Tensor, 12, Action::Drop},    // doc_string
    {Message::Tensor, 16, Action::Drop},    // metadata_props
    {Message::Tensor, 20260, Action::Drop}, // permalloy_region: ours alone
};

constexpr unsigned kMaxDepth = 64;
constexpr unsigned kRegionField = 20260;
enum WireType { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

const FieldRule *findRule(Message parent, unsigned field) {
  for (const FieldRule &rule : kRules)
    if (rule.parent == parent && rule.field == field)
      return &rule;
  return nullptr;
}

/// raw_data, packed float_data, packed double_data: bytes that are the elements.
bool holdsElements(Message parent, unsigned field) {
  return parent == Message::Tensor && (field == 9 || field == 4 || field == 10);
}

void appendVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(char(value | 0x80));
  out.push_back(char(value));
}

class Skimmer {
public:
  explicit Skimmer(StringRef file) : file(file) {}

  /// Writes the message that fills [begin, end) of the file to `out`.
  Error walk(Message message, uint64_t begin, uint64_t end, unsigned depth, std::string &out);

  std::vector<FileRegion> regions;

private:
  Error damaged(uint64_t offset, const Twine &what) {
    return createStringError("damaged or not an ONNX model: " + what + " at byte " + Twine(offset));
  }
  Expected<uint64_t> readVarint(uint64_t &position, uint64_t end);
  /// Moves `position` behind a field of that wire type; `length` is that of the payload of a byte
  /// string.
  Error skipPayload(unsigned wireType, uint64_t &position, uint64_t end, uint64_t &length);

  StringRef file;
};

Expected<uint64_t> Skimmer::readVarint(uint64_t &position, uint64_t end) {
  uint64_t value = 0, start = position;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (position >= end)
      return damaged(start, "a number is cut off");
    uint8_t byte = file[position++];
    value |= uint64_t(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return value;
  }
  return damaged(start, "a number has more than 10 bytes");
}

Error Skimmer::skipPayload(unsigned wireType, uint64_t &position, uint64_t end, uint64_t &length) {
  uint64_t start = position;
  switch (wireType) {
  case Varint:
    return readVarint(position, end).takeError();
  case Fixed64:
    length = 8;
    break;
  case Fixed32:
    length = 4;
    break;
  case Bytes: {
    auto read = readVarint(position, end);
    if (!read)
      return read.takeError();
    length = *read;
    break;
  }
  default:
    return damaged(start, "wire type " + Twine(wireType) + " is unknown");
  }
  if (length > end - position)
    return damaged(start, "a field of " + Twine(length) + " bytes exceeds the " +
                              Twine(end - position) + " bytes left");
  position += length;
  return Error::success();
}

Error Skimmer::walk(Message message, uint64_t begin, uint64_t end, unsigned depth,
                    std::string &out) {
  if (depth > kMaxDepth)
    return damaged(begin, "more than " + Twine(kMaxDepth) + " nested messages");
  for (uint64_t position = begin; position < end;) {
    uint64_t start = position, length = 0;
    auto tag = readVarint(position, end);
    if (!tag)
      return tag.takeError();
    unsigned wireType = *tag & 7;
    uint64_t field = *tag >> 3;
    if (field == 0 || field >= (1u << 29))
      return damaged(start, "field number " + Twine(field) + " is impossible");
    if (Error error = skipPayload(wireType, position, end, length))
      return error;
    const FieldRule *rule = findRule(message, field);
    if (rule && rule->action == Action::Drop)
      continue;
    if (rule && rule->action == Action::Enter && wireType == Bytes) {
      std::string child;
      if (Error error = walk(rule->child, position - length, position, depth + 1, child))
        return error;
      appendVarint(out, *tag);
      appendVarint(out, child.size());
      out += child;
    } else if (wireType == Bytes && length > kInlineBytes && holdsElements(message, field)) {
      regions.push_back({position - length, length});
      appendVarint(out, uint64_t(kRegionField) << 3 | Varint);
      appendVarint(out, regions.size()); // from 1: 0 stands for none
    } else {
      out.append(file.data() + start, position - start);
    }
  }
  return Error::success();
}

} // namespace

Expected<SkimmedModel> permalloy::skimModel(StringRef model) {
  Skimmer skimmer(model);
  SkimmedModel result;
  if (Error error = skimmer.walk(Message::Model, 0, model.size(), 0, result.bytes))
    return std::move(error);
  if (result.bytes.size() > INT32_MAX)
    return createStringError("the model has more than 2 GB apart from its tensors of more than " +
                             Twine(kInlineBytes) + " bytes");
  result.regions = std::move(skimmer.regions);
  return result;
}
