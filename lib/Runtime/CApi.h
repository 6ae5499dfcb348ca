//===- CApi.h - the handles of the C interface -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_CAPI_H
#define PERMALLOY_LIB_RUNTIME_CAPI_H

#include "permalloy-c/permalloy.h"
#include "permalloy/Artifact/Status.h"
#include "permalloy/Runtime/Profile.h"
#include "permalloy/Runtime/Session.h"

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

struct permalloy_status {
  permalloy::StatusCode code;
  std::string message;
};

struct permalloy_session {
  std::unique_ptr<permalloy::Session> session;
  std::string device;
  std::vector<permalloy::artifact::Property> metadata;
};

struct permalloy_state {
  permalloy::Session *session;
  std::unique_ptr<permalloy::CacheState> state;
};

struct permalloy_profile {
  permalloy::Profile profile;
};

namespace permalloy {

/// The status to hand out when there is no memory for one.
permalloy_status *outOfMemoryStatus() noexcept;

inline permalloy_status *toC(const Status &status) {
  return status.ok() ? nullptr : new permalloy_status{status.code(), status.message()};
}

inline Status invalid(std::string message) {
  return {StatusCode::invalidArgument, std::move(message)};
}

/// Runs `body`, which returns a Status; what it throws becomes a status too.
template <class Body> permalloy_status *guarded(Body body) noexcept {
  try {
    try {
      return toC(body());
    } catch (const std::bad_alloc &) {
      return outOfMemoryStatus();
    } catch (const std::exception &error) {
      return toC(Status(StatusCode::internal, error.what()));
    }
  } catch (...) {
    return outOfMemoryStatus();
  }
}

/// The device of a tensor as the runtime has it; an error for other kinds of devices.
Result<int> deviceOf(const permalloy_tensor &tensor);

/// All metadata of a session, sorted as permalloy_session_metadata documents.
std::vector<artifact::Property> collectMetadata(const Session &session);

} // namespace permalloy

#endif // PERMALLOY_LIB_RUNTIME_CAPI_H
