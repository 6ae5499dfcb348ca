//===- Status.h - errors as values, for code without LLVM --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The runtime and the artifact code know no LLVM and throw nothing over their borders: what can
// fail returns a Status (or a Result, a value or a Status). Messages are lower case, name the
// culprit, say both values and what would be accepted.
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_ARTIFACT_STATUS_H
#define PERMALLOY_ARTIFACT_STATUS_H

#include <optional>
#include <string>
#include <utility>

namespace permalloy {

/// What kind of failure it is. The numbers are part of the C ABI: never renumber.
enum class StatusCode : int {
  ok = 0,
  invalidArgument = 1,  ///< The caller's input, shape, name or option is wrong.
  notFound = 2,         ///< A file does not exist.
  ioError = 3,          ///< Reading or writing failed (permissions, full disk ...).
  invalidArtifact = 4,  ///< Not a model.alloy, or truncated or altered.
  unsupported = 5,      ///< Newer format version, or a feature this build does not have.
  unsupportedCpu = 6,   ///< No code image of the artifact runs on this CPU.
  outOfMemory = 7,      ///< Memory could not be reserved.
  assumptionFailed = 8, ///< The model assumed something about shapes that does not hold.
  internal = 9,         ///< A fault of Permalloy itself.
  terminated = 10,      ///< The caller set RunOptions::terminate.
  noDevice = 11,        ///< The GPU asked for is not there, or the artifact has no code for it.
  deviceFailed = 12,    ///< The driver of a GPU reports a failure.
};

/// Success, or a code with a message.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::ok; }
  StatusCode code() const { return code_; }
  const std::string &message() const { return message_; }

private:
  StatusCode code_ = StatusCode::ok;
  std::string message_;
};

/// A value or the Status that explains why there is none.
template <class T> class [[nodiscard]] Result {
public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {}

  bool ok() const { return value_.has_value(); }
  const Status &status() const { return status_; }
  T &operator*() { return *value_; }
  const T &operator*() const { return *value_; }
  T *operator->() { return &*value_; }
  const T *operator->() const { return &*value_; }

private:
  std::optional<T> value_;
  Status status_;
};

/// Returns from the enclosing function when `expression` is a failed Status.
#define PERMALLOY_TRY(expression)                                                                  \
  do {                                                                                             \
    if (::permalloy::Status tryStatus = (expression); !tryStatus.ok())                             \
      return tryStatus;                                                                            \
  } while (false)

} // namespace permalloy

#endif // PERMALLOY_ARTIFACT_STATUS_H
