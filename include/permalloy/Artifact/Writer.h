//===- Writer.h - writes model.alloy -----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_ARTIFACT_WRITER_H
#define PERMALLOY_ARTIFACT_WRITER_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Artifact/Status.h"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace permalloy::artifact {

/// Takes the bytes of a weight piece by piece, in order. A failed status (a full disk) must be
/// handed on by the source at once.
using WeightSink = std::function<Status(const void *data, size_t size)>;

/// Produces the bytes of one weight: calls the sink until exactly Weight::size bytes are through.
using WeightSource = std::function<Status(const WeightSink &sink)>;

/// All that makes a file. Weight offsets and hashes are filled in by the writer.
struct ArtifactContents {
  Manifest manifest;
  Program program;
  /// ELF images, one per Program::targets entry.
  std::vector<std::vector<std::byte>> images;
  /// Without targets: the file has no code for GPUs.
  DeviceTables devices;
  /// One per DeviceTables::targets entry.
  std::vector<std::vector<std::byte>> deviceCode;
  /// One per Program::weights entry, asked for in this order.
  std::vector<WeightSource> weightSources;
};

/// What a write did, for the compiler's closing line.
struct WriteReport {
  uint64_t fileSize = 0;      ///< bytes
  uint64_t weightBytes = 0;   ///< bytes of stored weights
  uint64_t sharedWeights = 0; ///< weights not stored because an equal one was
};

/// A source that hands out memory owned by the caller, which must live until the write is over.
WeightSource weightFromMemory(const void *data, size_t size);

/// Writes `contents` to `path`, streaming the weights (equal ones are stored once). The file
/// appears complete or not at all: bytes go to an unnamed or temporary file in the same directory,
/// which is synchronised and renamed; an error, a full disk or a killed process leaves no partial
/// output. An existing `path` is replaced when it is a regular file, and refused otherwise.
Status writeArtifact(const std::string &path, ArtifactContents &contents,
                     WriteReport *report = nullptr);

} // namespace permalloy::artifact

#endif // PERMALLOY_ARTIFACT_WRITER_H
