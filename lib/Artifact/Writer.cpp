//===- Writer.cpp - writes model.alloy ---------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/Writer.h"

#include "permalloy/Artifact/OutputFile.h"
#include "permalloy/Artifact/Archive.h"
#include "permalloy/Artifact/Validate.h"

#include <map>

namespace permalloy::artifact {

namespace {

class ArtifactWriter {
public:
  explicit ArtifactWriter(ArtifactContents &contents) : contents_(contents) {}

  Status write(const std::string &path);
  WriteReport report() const { return report_; }

private:
  Status checkContents() const;
  Status writeWeights();
  Status writeWeight(Weight &weight, const WeightSource &source);
  Status streamWeight(Weight &weight, const WeightSource &source, Hash128 &hash);
  Status writeSection(SectionKind kind, uint32_t index, const std::vector<std::byte> &bytes);
  Status writeDevices();
  Status writeHeader();

  ArtifactContents &contents_;
  OutputFile file_;
  std::vector<SectionEntry> sections_;
  std::map<std::pair<Hash128, uint64_t>, uint64_t> stored_; ///< hash, size -> offset in section
  WriteReport report_;
};

Status ArtifactWriter::checkContents() const {
  const Program &program = contents_.program;
  if (contents_.images.size() != program.targets.size() ||
      contents_.deviceCode.size() != contents_.devices.targets.size() ||
      contents_.weightSources.size() != program.weights.size())
    return {StatusCode::internal, "images or weight sources do not match the program"};
  if (contents_.images.size() + contents_.deviceCode.size() + 4 > kMaxSections)
    return {StatusCode::unsupported,
            "at most " + std::to_string(kMaxSections - 4) + " targets fit"};
  return {};
}

Status ArtifactWriter::write(const std::string &path) {
  PERMALLOY_TRY(checkContents());
  PERMALLOY_TRY(file_.open(path));
  PERMALLOY_TRY(file_.seek(kPageSize));
  PERMALLOY_TRY(writeWeights());
  // Offsets and hashes of the weights are known only now.
  Status status = validate(contents_.manifest, contents_.program, sections_[0].size);
  std::vector<uint64_t> codeSizes;
  for (const std::vector<std::byte> &code : contents_.deviceCode)
    codeSizes.push_back(code.size());
  if (status.ok())
    status = validateDevices(contents_.devices, contents_.program, codeSizes);
  if (!status.ok())
    return {StatusCode::internal, "the compiler made an invalid program: " + status.message()};
  for (uint32_t i = 0; i < contents_.images.size(); ++i)
    PERMALLOY_TRY(writeSection(SectionKind::image, i, contents_.images[i]));
  PERMALLOY_TRY(writeSection(SectionKind::program, 0, ArchiveWriter::toBytes(contents_.program)));
  PERMALLOY_TRY(writeSection(SectionKind::manifest, 0, ArchiveWriter::toBytes(contents_.manifest)));
  PERMALLOY_TRY(writeDevices());
  report_.fileSize = file_.position();
  PERMALLOY_TRY(writeHeader());
  return file_.commit();
}

Status ArtifactWriter::writeWeights() {
  for (size_t i = 0; i < contents_.weightSources.size(); ++i)
    PERMALLOY_TRY(writeWeight(contents_.program.weights[i], contents_.weightSources[i]));
  report_.weightBytes = file_.position() - kPageSize;
  sections_.push_back({SectionKind::weights, 0, kPageSize, report_.weightBytes, {}});
  return {};
}

Status ArtifactWriter::writeWeight(Weight &weight, const WeightSource &source) {
  uint64_t before = file_.position();
  // Large weights start on a page of their own, small ones share pages.
  PERMALLOY_TRY(file_.pad(weight.size >= kPageSize ? kPageSize : kBufferAlignment));
  weight.offset = file_.position() - kPageSize;
  PERMALLOY_TRY(streamWeight(weight, source, weight.hash));
  auto [entry, isNew] = stored_.try_emplace({weight.hash, weight.size}, weight.offset);
  if (isNew)
    return {};
  // The hash is known only when the bytes are through: take an equal weight's copy back.
  weight.offset = entry->second;
  ++report_.sharedWeights;
  return file_.seek(before);
}

Status ArtifactWriter::streamWeight(Weight &weight, const WeightSource &source, Hash128 &hash) {
  Hasher128 hasher;
  uint64_t count = 0;
  WeightSink sink = [&](const void *data, size_t size) -> Status {
    count += size;
    if (count > weight.size)
      return {StatusCode::internal, "weight '" + weight.name + "' gave more than its " +
                                        std::to_string(weight.size) + " bytes"};
    hasher.update(data, size);
    return file_.write(data, size);
  };
  PERMALLOY_TRY(source(sink));
  if (count != weight.size)
    return {StatusCode::internal, "weight '" + weight.name + "' gave " + std::to_string(count) +
                                      " of " + std::to_string(weight.size) + " bytes"};
  hash = hasher.digest();
  return {};
}

Status ArtifactWriter::writeSection(SectionKind kind, uint32_t index,
                                    const std::vector<std::byte> &bytes) {
  PERMALLOY_TRY(file_.pad(kPageSize));
  sections_.push_back(
      {kind, index, file_.position(), bytes.size(), hash128(bytes.data(), bytes.size())});
  return file_.write(bytes.data(), bytes.size());
}

Status ArtifactWriter::writeDevices() {
  if (contents_.devices.targets.empty())
    return {};
  PERMALLOY_TRY(writeSection(SectionKind::devices, 0, ArchiveWriter::toBytes(contents_.devices)));
  for (uint32_t i = 0; i < contents_.deviceCode.size(); ++i)
    PERMALLOY_TRY(writeSection(SectionKind::deviceCode, i, contents_.deviceCode[i]));
  return {};
}

Status ArtifactWriter::writeHeader() {
  std::vector<std::byte> page(kPageSize);
  FileHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.formatVersion = kFormatVersion;
  header.kernelAbiVersion = kKernelAbiVersion;
  header.fileSize = report_.fileSize;
  header.sectionCount = static_cast<uint32_t>(sections_.size());
  std::memcpy(page.data(), &header, sizeof header);
  std::memcpy(page.data() + sizeof header, sections_.data(),
              sections_.size() * sizeof(SectionEntry));
  header.checksum = hash128(page.data(), page.size());
  std::memcpy(page.data(), &header, sizeof header);
  PERMALLOY_TRY(file_.seek(0));
  PERMALLOY_TRY(file_.write(page.data(), page.size()));
  // commit() cuts the file at the current position.
  return file_.seek(report_.fileSize);
}

} // namespace

WeightSource weightFromMemory(const void *data, size_t size) {
  return [data, size](const WeightSink &sink) { return sink(data, size); };
}

Status writeArtifact(const std::string &path, ArtifactContents &contents, WriteReport *report) {
  ArtifactWriter writer(contents);
  PERMALLOY_TRY(writer.write(path));
  if (report)
    *report = writer.report();
  return {};
}

} // namespace permalloy::artifact
