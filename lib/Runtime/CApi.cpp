//===- CApi.cpp - the C interface: status, sessions, profiles ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CApi.h"

#include <cstddef>
#include <cstdlib>

using namespace permalloy;

//===-- Version and status ------------------------------------------------===//

const char *permalloy_version(void) { return PERMALLOY_VERSION; }

uint32_t permalloy_abi_version(void) { return PERMALLOY_ABI_VERSION; }

permalloy_status *permalloy::outOfMemoryStatus() noexcept {
  static permalloy_status status{StatusCode::outOfMemory, "out of memory"};
  return &status;
}

permalloy_status_code permalloy_status_get_code(const permalloy_status *status) {
  return status ? static_cast<permalloy_status_code>(status->code) : PERMALLOY_OK;
}

const char *permalloy_status_message(const permalloy_status *status) {
  return status ? status->message.c_str() : "";
}

void permalloy_status_release(permalloy_status *status) {
  if (status != outOfMemoryStatus())
    delete status;
}

//===-- Opening -----------------------------------------------------------===//

static Status readOptions(const permalloy_session_options *options, SessionOptions &into) {
  if (!options)
    return {};
  if (options->struct_size < offsetof(permalloy_session_options, guard_buffers))
    return invalid("permalloy_session_options.struct_size is not set");
  into.threads = options->threads;
  if (options->struct_size > offsetof(permalloy_session_options, guard_buffers))
    into.guardBuffers = options->guard_buffers != 0;
  if (options->struct_size > offsetof(permalloy_session_options, device) && options->device)
    into.device = options->device;
  if (options->struct_size > offsetof(permalloy_session_options, stream))
    into.stream = options->stream;
  return {};
}

static Status openSession(Result<std::shared_ptr<const Artifact>> artifact,
                          const permalloy_session_options *options, permalloy_session **session) {
  if (!artifact.ok())
    return artifact.status();
  SessionOptions sessionOptions;
  PERMALLOY_TRY(readOptions(options, sessionOptions));
  Result<std::unique_ptr<Session>> opened = Session::create(*artifact, sessionOptions);
  if (!opened.ok())
    return opened.status();
  auto handle = std::make_unique<permalloy_session>();
  handle->metadata = collectMetadata(**opened);
  handle->session = std::move(*opened);
  int device = handle->session->device();
  handle->device = device == kHostMemory ? "cpu" : "cuda:" + std::to_string(device);
  *session = handle.release();
  return {};
}

permalloy_status *permalloy_session_open(const char *path, const permalloy_session_options *options,
                                         permalloy_session **session) {
  return guarded([&]() -> Status {
    if (!path || !session)
      return invalid("path or session is NULL");
    *session = nullptr;
    return openSession(Artifact::open(path), options, session);
  });
}

permalloy_status *permalloy_session_open_memory(const void *data, size_t size,
                                                const permalloy_session_options *options,
                                                permalloy_session **session) {
  return guarded([&]() -> Status {
    if (!data || !session)
      return invalid("data or session is NULL");
    *session = nullptr;
    return openSession(Artifact::fromMemory(data, size), options, session);
  });
}

void permalloy_session_close(permalloy_session *session) { delete session; }

//===-- Memory of outputs -------------------------------------------------===//

void permalloy_tensor_release(permalloy_tensor *tensor) {
  if (!tensor || !tensor->owned)
    return;
  if (tensor->owner)
    permalloy_owner_release(tensor->owner);
  else
    std::free(tensor->data);
  tensor->data = nullptr;
  tensor->owner = nullptr;
  tensor->owned = 0;
}

void permalloy_data_release(void *data) { std::free(data); }

void permalloy_owner_release(void *owner) { delete static_cast<std::shared_ptr<void> *>(owner); }

//===-- Profiles ----------------------------------------------------------===//

permalloy_status *permalloy_profile_create(const permalloy_session *session,
                                           permalloy_profile **profile) {
  return guarded([&]() -> Status {
    if (!session || !profile)
      return invalid("session or profile is NULL");
    *profile = new permalloy_profile{Profile(session->session->sharedArtifact())};
    return {};
  });
}

permalloy_status *permalloy_profile_write(const permalloy_profile *profile, const char *path) {
  return guarded([&]() -> Status {
    if (!profile || !path)
      return invalid("profile or path is NULL");
    return profile->profile.write(path);
  });
}

void permalloy_profile_release(permalloy_profile *profile) { delete profile; }
