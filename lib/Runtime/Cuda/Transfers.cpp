//===- Transfers.cpp - between the host's memory and a GPU's -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Transfers.h"

#include <algorithm>
#include <cstring>

namespace permalloy::cuda {

//===-- Streams and events ------------------------------------------------===//

Result<Stream> Stream::create(std::shared_ptr<const Device> device) {
  Device::Scope scope(*device);
  Stream stream;
  PERMALLOY_CUDA_TRY_TWICE(*device, createStream(&stream.stream_, kStreamNonBlocking),
                           "create a stream");
  stream.device_ = std::move(device);
  return stream;
}

Stream::~Stream() {
  if (!stream_ || !device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  device_->driver().destroyStream(stream_);
}

Result<Event> Event::create(std::shared_ptr<const Device> device, bool timing) {
  Device::Scope scope(*device);
  Event event;
  PERMALLOY_CUDA_TRY_TWICE(*device, createEvent(&event.event_, timing ? 0 : kEventNoTiming),
                           "create an event");
  event.device_ = std::move(device);
  return event;
}

Event::~Event() {
  if (!event_ || !device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  device_->driver().destroyEvent(event_);
}

Status WorkStream::start(const std::shared_ptr<const Device> &device, StreamHandle callers) {
  if (device_)
    return {};
  if (!callers) {
    Result<Stream> stream = Stream::create(device);
    if (!stream.ok())
      return stream.status();
    Result<Event> event = Event::create(device, /*timing=*/false);
    if (!event.ok())
      return event.status();
    own_ = std::move(*stream);
    callersWork_ = std::move(*event);
  }
  callers_ = callers;
  device_ = device;
  return {};
}

Status WorkStream::waitForCaller() const {
  if (callers_) // in which it stands already
    return {};
  const Driver &driver = device_->driver();
  PERMALLOY_CUDA_TRY(driver, recordEvent(callersWork_.get(), legacyStream()),
                     "wait for the caller's work");
  PERMALLOY_CUDA_TRY(driver, waitForEventOn(own_.get(), callersWork_.get(), 0),
                     "wait for the caller's work");
  return {};
}

//===-- Transfers ---------------------------------------------------------===//

Transfers::~Transfers() { freeHalves(); }

void Transfers::freeHalves() {
  if (!device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  for (Half &half : halves_) {
    if (half.isUnderWay || half.used) // else the caller's stream may be gone already
      device_->driver().waitForStream(stream_);
    if (half.memory)
      device_->driver().freeHost(half.memory);
    half.memory = nullptr;
  }
}

Status Transfers::prepare(uint64_t bytes) {
  constexpr uint64_t least = 64 << 10;
  uint64_t wanted = std::clamp((bytes + least - 1) / least * least, least, kMostHalf);
  if (wanted <= half_)
    return {};
  freeHalves();
  half_ = 0;
  for (Half &half : halves_) {
    Result<Event> event = Event::create(device_, /*timing=*/false);
    if (!event.ok())
      return event.status();
    half.done = std::move(*event);
    void *memory = nullptr;
    PERMALLOY_CUDA_TRY_TWICE(*device_, allocateHost(&memory, wanted, 0),
                             "reserve " + std::to_string(wanted) + " bytes of pinned memory");
    half.memory = static_cast<std::byte *>(memory);
  }
  half_ = wanted;
  return {};
}

/// Marks the current half as under way and goes to the other, which is settled first.
Status Transfers::submit() {
  PERMALLOY_TRY(flush());
  Half &half = halves_[current_];
  if (half.used) {
    PERMALLOY_CUDA_TRY(device_->driver(), recordEvent(half.done.get(), stream_), "mark a copy");
    half.isUnderWay = true;
  }
  current_ = 1 - current_;
  return settle(halves_[current_]);
}

Status Transfers::settle(Half &half) {
  if (half.isUnderWay)
    PERMALLOY_CUDA_TRY(device_->driver(), waitForEvent(half.done.get()),
                       "copy between the host and " + device_->info().text());
  empty(half);
  return {};
}

/// Brings what has arrived to its destination.
void Transfers::empty(Half &half) {
  for (const Download &download : half.downloads)
    std::memcpy(download.to, half.memory + download.offset, download.bytes);
  half.downloads.clear();
  half.used = 0;
  half.isUnderWay = false;
}

/// A piece of the current half, of at most `wanted` bytes.
Status Transfers::take(uint64_t wanted, uint64_t &offset, uint64_t &bytes) {
  if (halves_[current_].used == half_)
    PERMALLOY_TRY(submit());
  Half &half = halves_[current_];
  offset = half.used;
  bytes = std::min(wanted, half_ - offset);
  half.used = std::min(alignUp(offset + bytes), half_);
  return {};
}

Status Transfers::upload(DevicePointer to, const void *from, uint64_t bytes) {
  for (uint64_t done = 0, offset = 0, piece = 0; done < bytes; done += piece) {
    PERMALLOY_TRY(take(bytes - done, offset, piece));
    std::memcpy(halves_[current_].memory + offset, static_cast<const std::byte *>(from) + done,
                piece);
    bool isNext = waiting_.bytes && to + done == waiting_.to + alignUp(waiting_.bytes) &&
                  offset == waiting_.offset + alignUp(waiting_.bytes);
    if (!isNext) {
      PERMALLOY_TRY(flush());
      waiting_ = {to + done, offset, 0};
    }
    waiting_.bytes = offset + piece - waiting_.offset;
    if (waiting_.bytes >= kMostGathered)
      PERMALLOY_TRY(flush());
  }
  return {};
}

Status Transfers::flush() {
  Upload upload = std::exchange(waiting_, {});
  if (upload.bytes)
    PERMALLOY_CUDA_TRY(
        device_->driver(),
        copyToDevice(upload.to, halves_[current_].memory + upload.offset, upload.bytes, stream_),
        "copy to " + device_->info().text());
  return {};
}

Status Transfers::download(void *to, DevicePointer from, uint64_t bytes) {
  for (uint64_t done = 0, offset = 0, piece = 0; done < bytes; done += piece) {
    PERMALLOY_TRY(take(bytes - done, offset, piece));
    Half &half = halves_[current_];
    PERMALLOY_CUDA_TRY(device_->driver(),
                       copyToHost(half.memory + offset, from + done, piece, stream_),
                       "copy from " + device_->info().text());
    half.downloads.push_back({static_cast<std::byte *>(to) + done, offset, piece});
  }
  return {};
}

void Transfers::deliver() {
  for (Half &half : halves_)
    empty(half);
}

Status Transfers::finish() {
  PERMALLOY_TRY(flush());
  PERMALLOY_CUDA_TRY(device_->driver(), waitForStream(stream_),
                     "copy between the host and " + device_->info().text());
  deliver();
  return {};
}

void Transfers::abandon() {
  waiting_ = {};
  device_->driver().waitForStream(stream_); // when that fails, nothing runs any more
  for (Half &half : halves_) {
    half.downloads.clear();
    half.used = 0;
    half.isUnderWay = false;
  }
}

} // namespace permalloy::cuda
