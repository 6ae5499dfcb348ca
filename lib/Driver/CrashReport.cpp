//===- CrashReport.cpp - what is left of a compiler that crashed -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CrashReport.h"

#include "llvm/Support/ErrorHandling.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace permalloy {

static constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

// Prepared before anything can go wrong: a signal handler may neither allocate nor print MLIR.
static std::string header, text;
static char paths[2][512];
static struct sigaction previous[std::size(kSignals)];

static void say(const char *message) {
  ssize_t ignored = ::write(STDERR_FILENO, message, std::strlen(message));
  (void)ignored;
}

static bool writeAll(int fd, const std::string &bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (count <= 0)
      return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

/// The path that the reproducer was written to, or null.
static const char *writeReproducer() {
  for (const char *path : {paths[0], paths[1]}) {
    int fd = ::open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
      continue;
    bool whole = writeAll(fd, header) && writeAll(fd, text);
    ::close(fd);
    if (whole)
      return path;
    ::unlink(path);
  }
  return nullptr;
}

static void onCrash(int) {
  static volatile sig_atomic_t crashed = 0;
  if (crashed)
    ::_exit(70);
  crashed = 1;
  say("\npermalloy: internal error: the compiler crashed; this is a fault of permalloy, not of the "
      "model\n");
  if (!text.empty())
    if (const char *path = writeReproducer()) {
      say("permalloy: note: to see it again: permalloy compile ");
      say(path);
      say("\n");
    }
  ::_exit(70);
}

CrashReport::CrashReport(const std::string &options) {
  header = "// permalloy " PERMALLOY_VERSION " crashed on this module; options: " + options + "\n";
  text.clear();
  std::string name = "permalloy-crash-" + std::to_string(::getpid()) + ".mlir";
  const char *folder = std::getenv("TMPDIR");
  std::string other = std::string(folder && *folder ? folder : "/tmp") + "/" + name;
  std::strncpy(paths[0], name.c_str(), sizeof paths[0] - 1);
  std::strncpy(paths[1], other.c_str(), sizeof paths[1] - 1);
  struct sigaction action = {};
  action.sa_handler = onCrash;
  for (size_t i = 0; i < std::size(kSignals); ++i)
    ::sigaction(kSignals[i], &action, &previous[i]);
}

CrashReport::~CrashReport() {
  for (size_t i = 0; i < std::size(kSignals); ++i)
    ::sigaction(kSignals[i], &previous[i], nullptr);
}

void CrashReport::remember(mlir::ModuleOp module) {
  std::string printed;
  llvm::raw_string_ostream stream(printed);
  module.print(stream, mlir::OpPrintingFlags().enableDebugInfo());
  text = std::move(printed);
}

} // namespace permalloy
