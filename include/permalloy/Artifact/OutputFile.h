//===- OutputFile.h - a file that appears complete or not at all -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_ARTIFACT_OUTPUTFILE_H
#define PERMALLOY_ARTIFACT_OUTPUTFILE_H

#include "permalloy/Artifact/Status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace permalloy::artifact {

/// Buffered writing at a position into an unnamed file beside `path` (a temporary name where the
/// file system knows no unnamed files), which `commit` gives its name.
class OutputFile {
public:
  OutputFile() = default;
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  Status open(const std::string &path);
  /// Appends at the current position.
  Status write(const void *data, size_t size);
  /// Appends zeros up to a multiple of `alignment`.
  Status pad(uint64_t alignment);
  /// Continues at `position`, which may be earlier than what was written.
  Status seek(uint64_t position);
  uint64_t position() const { return flushed_ + buffer_.size(); }
  /// Makes room for `size` bytes, zero where nothing was written, and maps them: what is stored there is in the file. Continues
  /// behind them. Once for a file; valid until its end.
  Result<std::byte *> map(uint64_t size);
  /// Cuts the file at the current position, synchronises it and puts it in place of `path`.
  Status commit();

private:
  Status flush();
  Status failure(const char *what);
  bool nameUnnamed(const std::string &name);
  Status nameTemporary();

  std::string path_;
  std::string temporary_; ///< to be removed unless committed; empty while unnamed
  int fd_ = -1;
  uint64_t flushed_ = 0; ///< file offset of the buffer's first byte
  void *mapped_ = nullptr;
  uint64_t mappedSize_ = 0;
  std::vector<std::byte> buffer_;
};

} // namespace permalloy::artifact

#endif // PERMALLOY_ARTIFACT_OUTPUTFILE_H
