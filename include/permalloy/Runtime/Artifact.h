//===- Artifact.h - an opened and checked model.alloy ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_ARTIFACT_H
#define PERMALLOY_RUNTIME_ARTIFACT_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Artifact/Status.h"
#include "permalloy/Runtime/Memory.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace permalloy {

/// A model.alloy in memory, read-only. Opening verifies the header, every checksum but the
/// weights', and every index of the program; what comes out can be executed without further checks
/// except those that depend on shapes. Safe to share between sessions and threads.
///
/// The file stays mapped: replacing it by rename (as the writer does) is safe, truncating it in
/// place while it is open is not (SIGBUS, as with any mapped file).
class Artifact {
public:
  /// Maps the file at `path`.
  static Result<std::shared_ptr<const Artifact>> open(const std::string &path);
  /// Copies `size` bytes at `data`; `name` stands for the path in errors.
  static Result<std::shared_ptr<const Artifact>> fromMemory(const void *data, size_t size,
                                                            const std::string &name = "<memory>");

  const artifact::Manifest &manifest() const { return manifest_; }
  const artifact::Program &program() const { return program_; }
  const std::vector<artifact::SectionEntry> &sections() const { return sections_; }
  const std::string &name() const { return name_; }
  uint64_t fileSize() const { return size_; }

  /// Of the whole contents, weights included: their checksums stand in what this covers.
  const Hash128 &identity() const { return identity_; }

  /// The ELF image of Program::targets[target].
  std::span<const std::byte> image(size_t target) const { return images_[target]; }
  /// What the file has for GPUs; without targets: nothing.
  const artifact::DeviceTables &devices() const { return devices_; }
  /// PTX and cubins of DeviceTables::targets[target].
  std::span<const std::byte> deviceCode(size_t target) const { return deviceCode_[target]; }
  /// A range of them, as text or for a driver.
  std::span<const std::byte> deviceCode(size_t target, const artifact::CodeRange &range) const {
    return deviceCode_[target].subspan(range.offset, range.size);
  }
  /// The weights section.
  std::span<const std::byte> weights() const { return weights_; }
  /// First byte of Program::weights[index], 64-byte aligned.
  const std::byte *weight(size_t index) const {
    return weights_.data() + program_.weights[index].offset;
  }

  /// Reads all weights and compares their checksums; names the first that differs.
  Status verifyWeights() const;

private:
  Artifact(Mapping memory, uint64_t size, std::string name)
      : memory_(std::move(memory)), size_(size), name_(std::move(name)) {}

  static Result<std::shared_ptr<const Artifact>> finish(Mapping memory, uint64_t size,
                                                        const std::string &name);
  Status parse();
  Status parseHeader(artifact::FileHeader &header);
  Status parseSections(const artifact::FileHeader &header);
  Status checkSection(const artifact::SectionEntry &section, uint64_t &end);
  Status takeSection(const artifact::SectionEntry &section);
  template <class Struct>
  Status decode(std::span<const std::byte> bytes, const char *section, Struct &into);
  Status fault(const std::string &what) const;

  Mapping memory_;
  uint64_t size_; ///< of the file; the mapping is whole pages
  std::string name_;
  Hash128 identity_;
  std::vector<artifact::SectionEntry> sections_;
  artifact::Manifest manifest_;
  artifact::Program program_;
  std::span<const std::byte> weights_;
  std::vector<std::span<const std::byte>> images_;
  artifact::DeviceTables devices_;
  std::vector<std::span<const std::byte>> deviceCode_;
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_ARTIFACT_H
