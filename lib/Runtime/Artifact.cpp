//===- Artifact.cpp - opens and checks a model.alloy -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/Artifact.h"

#include "permalloy/Artifact/Archive.h"
#include "permalloy/Artifact/Validate.h"

#include <cstring>

namespace permalloy {

using namespace artifact;

Result<std::shared_ptr<const Artifact>> Artifact::open(const std::string &path) {
  Result<Mapping> memory = Mapping::file(path);
  if (!memory.ok())
    return memory.status();
  uint64_t size = memory->size();
  return finish(std::move(*memory), size, path);
}

Result<std::shared_ptr<const Artifact>> Artifact::fromMemory(const void *data, size_t size,
                                                             const std::string &name) {
  Result<Mapping> memory = Mapping::anonymous(size);
  if (!memory.ok())
    return memory.status();
  if (size)
    std::memcpy(memory->data(), data, size);
  return finish(std::move(*memory), size, name);
}

Result<std::shared_ptr<const Artifact>> Artifact::finish(Mapping memory, uint64_t size,
                                                         const std::string &name) {
  std::shared_ptr<Artifact> artifact(new Artifact(std::move(memory), size, name));
  PERMALLOY_TRY(artifact->parse());
  return std::shared_ptr<const Artifact>(std::move(artifact));
}

Status Artifact::fault(const std::string &what) const {
  return {StatusCode::invalidArtifact, "'" + name_ + "' " + what};
}

Status Artifact::parse() {
  FileHeader header;
  PERMALLOY_TRY(parseHeader(header));
  PERMALLOY_TRY(parseSections(header));
  if (Status status = validate(manifest_, program_, weights_.size()); !status.ok())
    return fault("is damaged: " + status.message());
  std::vector<uint64_t> codeSizes;
  for (std::span<const std::byte> code : deviceCode_)
    codeSizes.push_back(code.size());
  if (Status status = validateDevices(devices_, program_, codeSizes); !status.ok())
    return fault("is damaged: " + status.message());
  return {};
}

Status Artifact::parseHeader(FileHeader &header) {
  if (size_ < sizeof header || std::memcmp(memory_.data(), kMagic, sizeof kMagic) != 0)
    return fault("is not a model.alloy file");
  std::memcpy(&header, memory_.data(), sizeof header);
  if (header.formatVersion != kFormatVersion || header.kernelAbiVersion != kKernelAbiVersion)
    return {StatusCode::unsupported,
            "'" + name_ + "' has format version " + std::to_string(header.formatVersion) + "." +
                std::to_string(header.kernelAbiVersion) + ", this runtime reads version " +
                std::to_string(kFormatVersion) + "." + std::to_string(kKernelAbiVersion) +
                ": compile the model again"};
  if (header.fileSize != size_ || size_ < kPageSize)
    return fault("is truncated or altered: it has " + std::to_string(size_) +
                 " bytes, its header says " + std::to_string(header.fileSize));
  std::byte page[kPageSize];
  std::memcpy(page, memory_.data(), kPageSize);
  std::memset(page + offsetof(FileHeader, checksum), 0, sizeof header.checksum);
  if (hash128(page, kPageSize) != header.checksum)
    return fault("is damaged: the header's checksum does not match");
  identity_ = header.checksum;
  if (header.sectionCount > kMaxSections)
    return fault("is damaged: it lists " + std::to_string(header.sectionCount) + " sections");
  return {};
}

static std::string sectionName(const SectionEntry &section) {
  switch (section.kind) {
  case SectionKind::weights:
    return "weights";
  case SectionKind::image:
    return "code image " + std::to_string(section.index);
  case SectionKind::program:
    return "program";
  case SectionKind::manifest:
    return "manifest";
  case SectionKind::devices:
    return "device tables";
  case SectionKind::deviceCode:
    return "device code " + std::to_string(section.index);
  }
  return "section of kind " + std::to_string(static_cast<uint32_t>(section.kind));
}

Status Artifact::parseSections(const FileHeader &header) {
  sections_.resize(header.sectionCount);
  std::memcpy(sections_.data(), memory_.data() + sizeof header,
              sections_.size() * sizeof(SectionEntry));
  uint64_t end = kPageSize;
  uint32_t seen = 0;
  for (const SectionEntry &section : sections_) {
    PERMALLOY_TRY(checkSection(section, end));
    PERMALLOY_TRY(takeSection(section));
    seen |= 1u << static_cast<uint32_t>(section.kind);
  }
  bool hasDevices = !devices_.targets.empty();
  uint32_t needed = 1u << static_cast<uint32_t>(SectionKind::weights) | 1u << static_cast<uint32_t>(SectionKind::program) |
                    1u << static_cast<uint32_t>(SectionKind::manifest);
  if ((seen & needed) != needed || images_.size() != program_.targets.size() || deviceCode_.size() != devices_.targets.size() ||
      sections_.size() != images_.size() + deviceCode_.size() + 3 + hasDevices)
    return fault("is damaged: a section is missing or appears twice");
  return {};
}

/// Sections stand in order, page aligned, inside the file, with a checksum that matches. `end` is
/// where the section before ended.
Status Artifact::checkSection(const SectionEntry &section, uint64_t &end) {
  std::string name = sectionName(section);
  if (section.offset % kPageSize != 0 || section.offset < end || section.offset > size_ ||
      section.size > size_ - section.offset)
    return fault("is damaged: its " + name + " lies outside the file");
  end = section.offset + section.size;
  if (section.kind != SectionKind::weights &&
      hash128(memory_.data() + section.offset, section.size) != section.checksum)
    return fault("is damaged: the checksum of its " + name + " does not match");
  return {};
}

template <class Struct>
Status Artifact::decode(std::span<const std::byte> bytes, const char *section, Struct &into) {
  ArchiveReader reader(bytes.data(), bytes.size());
  visit(reader, into);
  if (!reader.ok())
    return fault(std::string("is damaged: ") + section + ": " + reader.failure());
  if (reader.remaining() != 0)
    return fault(std::string("is damaged: ") + section + ": " + std::to_string(reader.remaining()) +
                 " bytes too many");
  return {};
}

Status Artifact::takeSection(const SectionEntry &section) {
  std::span<const std::byte> bytes(memory_.data() + section.offset, section.size);
  switch (section.kind) {
  case SectionKind::weights:
    weights_ = bytes;
    return {};
  case SectionKind::image:
    if (section.index != images_.size())
      return fault("is damaged: its code images are out of order");
    images_.push_back(bytes);
    return {};
  case SectionKind::program:
    return decode(bytes, "program", program_);
  case SectionKind::manifest:
    return decode(bytes, "manifest", manifest_);
  case SectionKind::devices:
    return decode(bytes, "device tables", devices_);
  case SectionKind::deviceCode:
    if (section.index != deviceCode_.size())
      return fault("is damaged: its device code is out of order");
    deviceCode_.push_back(bytes);
    return {};
  }
  return fault("is damaged: it has a " + sectionName(section));
}

Status Artifact::verifyWeights() const {
  for (size_t i = 0; i < program_.weights.size(); ++i) {
    const Weight &weight = program_.weights[i];
    if (hash128(this->weight(i), weight.size) != weight.hash)
      return fault("is damaged: the checksum of weight '" + weight.name + "' does not match");
  }
  return {};
}

} // namespace permalloy
