//===- OutputFile.cpp - a file that appears complete or not at all ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/OutputFile.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace permalloy::artifact {

static constexpr size_t kBufferSize = 1 << 20;

static std::string directoryOf(const std::string &path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

OutputFile::~OutputFile() {
  if (mapped_)
    ::munmap(mapped_, mappedSize_);
  if (fd_ >= 0)
    ::close(fd_);
  if (!temporary_.empty())
    ::unlink(temporary_.c_str());
}

Status OutputFile::failure(const char *what) {
  return {StatusCode::ioError,
          std::string("cannot ") + what + " '" + path_ + "': " + std::strerror(errno)};
}

Status OutputFile::open(const std::string &path) {
  path_ = path;
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return {StatusCode::ioError,
            "cannot write '" + path + "': it exists and is not a regular file"};
  // Unnamed: nothing is left behind even when the process is killed.
  fd_ = ::open(directoryOf(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (fd_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    temporary_ = path + ".tmp." + std::to_string(::getpid());
    fd_ = ::open(temporary_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (fd_ < 0)
      temporary_.clear();
  }
  if (fd_ < 0)
    return failure("create");
  buffer_.reserve(kBufferSize);
  return {};
}

Status OutputFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    ssize_t count = ::pwrite(fd_, buffer_.data() + done, buffer_.size() - done,
                             static_cast<off_t>(flushed_ + done));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return failure("write");
    done += static_cast<size_t>(count);
  }
  flushed_ += buffer_.size();
  buffer_.clear();
  return {};
}

Status OutputFile::write(const void *data, size_t size) {
  const std::byte *first = static_cast<const std::byte *>(data);
  while (size > 0) {
    size_t count = std::min(size, kBufferSize - buffer_.size());
    buffer_.insert(buffer_.end(), first, first + count);
    first += count;
    size -= count;
    if (buffer_.size() == kBufferSize)
      PERMALLOY_TRY(flush());
  }
  return {};
}

Status OutputFile::pad(uint64_t alignment) {
  static const std::byte zeros[4096] = {};
  uint64_t missing = (alignment - position() % alignment) % alignment;
  for (; missing > 0; missing -= std::min<uint64_t>(missing, sizeof zeros))
    PERMALLOY_TRY(write(zeros, std::min<uint64_t>(missing, sizeof zeros)));
  return {};
}

Status OutputFile::seek(uint64_t position) {
  PERMALLOY_TRY(flush());
  flushed_ = position;
  return {};
}

Result<std::byte *> OutputFile::map(uint64_t size) {
  PERMALLOY_TRY(flush());
  // Reserved, not only made longer: a full disk is an error here rather than a signal at some store.
  errno = ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
  if (errno != 0)
    return failure("write");
  void *data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (data == MAP_FAILED)
    return failure("map");
  mapped_ = data;
  mappedSize_ = flushed_ = size;
  return static_cast<std::byte *>(data);
}

bool OutputFile::nameUnnamed(const std::string &name) {
  std::string self = "/proc/self/fd/" + std::to_string(fd_);
  return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

/// Gives an unnamed file a name that no other process uses, for `rename` to replace the old one.
Status OutputFile::nameTemporary() {
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string name = path_ + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(attempt);
    if (nameUnnamed(name)) {
      temporary_ = name;
      return {};
    }
    if (errno != EEXIST)
      break;
  }
  return failure("create");
}

Status OutputFile::commit() {
  PERMALLOY_TRY(flush());
  if (::ftruncate(fd_, static_cast<off_t>(flushed_)) != 0 || ::fsync(fd_) != 0)
    return failure("write");
  // A new file gets its name at once; only replacing needs a second name, for an instant.
  if (temporary_.empty() && nameUnnamed(path_))
    return {};
  if (temporary_.empty())
    PERMALLOY_TRY(nameTemporary());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    return failure("replace");
  temporary_.clear();
  return {};
}

} // namespace permalloy::artifact
