//===- ChildProcess.h - a helper process, spoken to in lines -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_SUPPORT_CHILDPROCESS_H
#define PERMALLOY_SUPPORT_CHILDPROCESS_H

#include "permalloy/Artifact/Status.h"

#include <string>
#include <sys/types.h>
#include <vector>

namespace permalloy {

/// A program that reads a line and answers with a line. Its stderr is ours.
class ChildProcess {
public:
  /// Starts `arguments[0]`, looked up in PATH.
  static Result<ChildProcess> start(const std::vector<std::string> &arguments);
  /// Ends the program's input and waits until it exits.
  ~ChildProcess();
  ChildProcess(ChildProcess &&other) noexcept;
  ChildProcess &operator=(ChildProcess &&) = delete;

  /// Sends `line` and waits for the answer; both without the line end.
  Result<std::string> ask(const std::string &line);

private:
  ChildProcess() = default;
  Result<std::string> readLine();

  std::string name;
  pid_t pid = -1;
  int socket = -1;
  std::string pending; ///< received, not yet handed out
};

} // namespace permalloy

#endif // PERMALLOY_SUPPORT_CHILDPROCESS_H
