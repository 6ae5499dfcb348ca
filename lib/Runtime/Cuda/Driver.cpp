//===- Driver.cpp - NVIDIA's driver, opened at run time ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Driver.h"

#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <unistd.h>

namespace permalloy::cuda {

/// What the least demanding target's code needs; Device.cpp knows the others.
static constexpr int kLeastVersion = 11000;

static Status noDevice(const std::string &why) { return {StatusCode::noDevice, why}; }

static Status noGpu() {
  const char *visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return noDevice("the NVIDIA driver finds no GPU" +
                  (visible ? " (CUDA_VISIBLE_DEVICES is '" + std::string(visible) + "')" : ""));
}

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Status Driver::failure(int error, const std::string &doing) const {
  const char *name = nullptr, *text = nullptr;
  if (errorName(error, &name) != kSuccess || !name)
    name = "unknown error";
  if (errorString(error, &text) != kSuccess || !text)
    text = "the driver has no text for it";
  StatusCode code = error == kOutOfMemory ? StatusCode::outOfMemory : StatusCode::deviceFailed;
  return {code, "cannot " + doing + ": " + name + " (" + std::to_string(error) + "), " + text};
}

Status Driver::load(const std::string &path) {
  void *library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = ::dlerror();
    return noDevice("there is no NVIDIA driver: " + std::string(why ? why : path));
  }
  const char *missing = nullptr;
  auto find = [&](auto &member, const char *symbol) {
    member = reinterpret_cast<std::remove_reference_t<decltype(member)>>(::dlsym(library, symbol));
    if (!member && !missing)
      missing = symbol;
  };
#define PERMALLOY_CUDA_FIND(member, symbol, parameters) find(member, symbol);
  PERMALLOY_CUDA_FUNCTIONS(PERMALLOY_CUDA_FIND)
#undef PERMALLOY_CUDA_FIND
  if (driverVersion && driverVersion(&version) == kSuccess && version < kLeastVersion)
    return noDevice("the NVIDIA driver is too old: it knows CUDA " + versionText(version) +
                    ", needed is " + versionText(kLeastVersion) + " or newer");
  if (missing)
    return noDevice("'" + path + "' is no NVIDIA driver that this runtime knows: it lacks " +
                    missing);
  graphInstantiate =
      reinterpret_cast<decltype(graphInstantiate)>(::dlsym(library, "cuGraphInstantiateWithFlags"));
  if (int error = init(0); error == kNoDevice)
    return noGpu();
  else if (error != kSuccess)
    return noDevice(failure(error, "start the NVIDIA driver").message());
  if (deviceCount(&devices) != kSuccess || devices == 0)
    return noGpu();
  return {};
}

Result<const Driver *> Driver::open() {
  // Never destroyed: sessions in globals of others go later.
  static auto &lock = *new std::mutex;
  static auto &opened =
      *new std::map<std::string, std::unique_ptr<Driver>>; // a failure may be gone at the next try
  const char *named = std::getenv("PERMALLOY_LIBCUDA");
  std::string path = named && *named ? named : "libcuda.so.1";
  std::lock_guard guard(lock);
  std::unique_ptr<Driver> &driver = opened[path];
  if (driver && driver->process_ != ::getpid())
    return noDevice("a child of fork() cannot use the NVIDIA driver that its parent uses: start "
                    "the child first, or by spawn");
  if (driver)
    return driver.get();
  auto fresh = std::make_unique<Driver>();
  PERMALLOY_TRY(fresh->load(path));
  fresh->process_ = ::getpid();
  driver = std::move(fresh);
  return driver.get();
}

} // namespace permalloy::cuda
