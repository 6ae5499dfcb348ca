//===- ChildProcess.cpp - a helper process, spoken to in lines ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/ChildProcess.h"

#include <cerrno>
#include <cstring>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace permalloy {

Result<ChildProcess> ChildProcess::start(const std::vector<std::string> &arguments) {
  // A socket rather than two pipes: a child that died is an error of send, not a SIGPIPE.
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Status(StatusCode::ioError,
                  std::string("cannot create a socket: ") + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<char *> argv;
  for (const std::string &argument : arguments)
    argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  ChildProcess child;
  child.name = arguments[0];
  int error = ::posix_spawnp(&child.pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  child.socket = ends[0];
  if (error != 0) {
    child.pid = -1;
    return Status(StatusCode::notFound,
                  "cannot start '" + arguments[0] + "': " + std::strerror(error));
  }
  return child;
}

ChildProcess::ChildProcess(ChildProcess &&other) noexcept
    : name(std::move(other.name)), pid(other.pid), socket(other.socket),
      pending(std::move(other.pending)) {
  other.pid = other.socket = -1;
}

ChildProcess::~ChildProcess() {
  if (socket >= 0)
    ::close(socket);
  if (pid > 0)
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

Result<std::string> ChildProcess::ask(const std::string &line) {
  std::string text = line + "\n";
  for (size_t done = 0; done < text.size();) {
    ssize_t count = ::send(socket, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return Status(StatusCode::ioError, "'" + name + "' ended unexpectedly");
    done += static_cast<size_t>(count);
  }
  return readLine();
}

Result<std::string> ChildProcess::readLine() {
  for (;;) {
    if (size_t end = pending.find('\n'); end != std::string::npos) {
      std::string line = pending.substr(0, end);
      pending.erase(0, end + 1);
      return line;
    }
    char chunk[4096];
    ssize_t count = ::recv(socket, chunk, sizeof chunk, 0);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return Status(StatusCode::ioError, "'" + name + "' ended unexpectedly");
    pending.append(chunk, static_cast<size_t>(count));
  }
}

} // namespace permalloy
