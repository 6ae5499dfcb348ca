//===- Files.cpp - whole files, temporary folders, interruption --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Files.h"

#include "permalloy/Artifact/OutputFile.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <mutex>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace permalloy {

static Status failure(const char *what, const std::string &path) {
  StatusCode code = errno == ENOENT ? StatusCode::notFound : StatusCode::ioError;
  return {code, std::string("cannot ") + what + " '" + path + "': " + std::strerror(errno)};
}

static Status readFrom(int fd, const std::string &path, std::vector<std::byte> &bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t count = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return failure("read", path);
    if (count == 0)
      break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return {};
}

Result<std::vector<std::byte>> readFileStart(const std::string &path, size_t size) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return failure("read", path);
  struct stat info;
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return Status(StatusCode::ioError, "cannot read '" + path + "': not a regular file");
  }
  std::vector<std::byte> bytes(std::min(size, static_cast<size_t>(info.st_size)));
  Status status = readFrom(fd, path, bytes);
  ::close(fd);
  if (!status.ok())
    return status;
  return bytes;
}

Result<std::vector<std::byte>> readFile(const std::string &path) {
  return readFileStart(path, SIZE_MAX);
}

Status writeFile(const std::string &path, std::span<const std::byte> bytes) {
  artifact::OutputFile file;
  PERMALLOY_TRY(file.open(path));
  PERMALLOY_TRY(file.write(bytes.data(), bytes.size()));
  return file.commit();
}

Status writeFile(const std::string &path, const std::string &text) {
  return writeFile(path, std::as_bytes(std::span(text)));
}

Status createFolders(const std::string &path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return {StatusCode::ioError, "cannot create folder '" + path + "': " + error.message()};
  return {};
}

//===-- Temporary folders and interruption --------------------------------===//

// The signal handler may only read memory that is always valid: fixed slots, each claimed by
// writing its first byte last.
static constexpr size_t kMaxFolders = 16;
static constexpr size_t kMaxPath = 512;
static char folders[kMaxFolders][kMaxPath];
static std::mutex foldersMutex;

static void remember(const std::string &path) {
  std::lock_guard lock(foldersMutex);
  for (char *slot : folders)
    if (slot[0] == 0 && path.size() < kMaxPath) {
      std::memcpy(slot + 1, path.c_str() + 1, path.size());
      slot[0] = path[0];
      return;
    }
}

static void forget(const std::string &path) {
  std::lock_guard lock(foldersMutex);
  for (char *slot : folders)
    if (path == slot)
      slot[0] = 0;
}

Result<TempFolder> TempFolder::create() {
  const char *base = std::getenv("TMPDIR");
  std::string path = std::string(base && base[0] == '/' ? base : "/tmp") + "/permalloy-XXXXXX";
  if (!::mkdtemp(path.data()))
    return failure("create a temporary folder", path);
  remember(path);
  return TempFolder(path);
}

TempFolder::~TempFolder() {
  if (path_.empty())
    return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  forget(path_);
}

/// Removes a folder from a signal handler, which may fork, exec and wait but not list a folder.
static void removeInHandler(const char *path) {
  pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/rm", "rm", "-rf", "--", path, static_cast<char *>(nullptr));
    ::_exit(127);
  }
  if (child > 0)
    ::waitpid(child, nullptr, 0);
}

static void onSignal(int signal) {
  for (const char *slot : folders)
    if (slot[0])
      removeInHandler(slot);
  static constexpr char message[] = "\npermalloy: interrupted\n";
  ssize_t ignored = ::write(STDERR_FILENO, message, sizeof message - 1);
  (void)ignored;
  ::_exit(128 + signal);
}

void exitCleanlyOnInterrupt() {
  struct sigaction action = {};
  action.sa_handler = onSignal;
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old;
    // A signal that our parent chose to ignore (nohup) stays ignored.
    if (::sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN)
      ::sigaction(signal, &action, nullptr);
  }
}

} // namespace permalloy
