//===- Files.h - whole files, temporary folders, interruption ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_SUPPORT_FILES_H
#define PERMALLOY_SUPPORT_FILES_H

#include "permalloy/Artifact/Status.h"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace permalloy {

/// The bytes of the regular file at `path`.
Result<std::vector<std::byte>> readFile(const std::string &path);
/// Its first `size` bytes, fewer when it is shorter.
Result<std::vector<std::byte>> readFileStart(const std::string &path, size_t size);

/// Writes `path` so that it appears complete or not at all.
Status writeFile(const std::string &path, std::span<const std::byte> bytes);
Status writeFile(const std::string &path, const std::string &text);

/// Creates a folder and its parents.
Status createFolders(const std::string &path);

/// A folder for scratch files under $TMPDIR or /tmp, mode 0700, removed with all it holds by the
/// destructor and by an interruption.
class TempFolder {
public:
  static Result<TempFolder> create();
  ~TempFolder();
  TempFolder(TempFolder &&other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TempFolder &operator=(TempFolder &&other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }

  const std::string &path() const { return path_; }
  std::string file(const std::string &name) const { return path_ + "/" + name; }

private:
  explicit TempFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// From now on SIGINT (Ctrl-C), SIGTERM and SIGHUP remove temporary folders, say "interrupted" and
/// end the process with 128 plus the signal's number. Outputs in the making are unnamed files, so
/// nothing of them stays.
void exitCleanlyOnInterrupt();

} // namespace permalloy

#endif // PERMALLOY_SUPPORT_FILES_H
