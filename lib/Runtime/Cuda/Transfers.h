//===- Transfers.h - between the host's memory and a GPU's -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The bus runs at full speed only from and to pinned memory, and only there beside the host's own
// work. So what is copied passes through two halves of pinned memory in turn: while the stream
// copies from (or to) one, the host fills (or empties) the other.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_TRANSFERS_H
#define PERMALLOY_LIB_RUNTIME_CUDA_TRANSFERS_H

#include "Device.h"

namespace permalloy::cuda {

/// A queue of work on a device.
class Stream {
public:
  Stream() = default;
  Stream(Stream &&other) noexcept { swap(other); }
  Stream &operator=(Stream &&other) noexcept {
    swap(other);
    return *this;
  }
  ~Stream();
  /// Beside the legacy default stream, not behind it.
  static Result<Stream> create(std::shared_ptr<const Device> device);
  StreamHandle get() const { return stream_; }

private:
  void swap(Stream &other) {
    std::swap(device_, other.device_);
    std::swap(stream_, other.stream_);
  }
  std::shared_ptr<const Device> device_;
  StreamHandle stream_ = nullptr;
};

/// A mark in a stream.
class Event {
public:
  Event() = default;
  Event(Event &&other) noexcept { swap(other); }
  Event &operator=(Event &&other) noexcept {
    swap(other);
    return *this;
  }
  ~Event();
  static Result<Event> create(std::shared_ptr<const Device> device, bool timing);
  EventHandle get() const { return event_; }

private:
  void swap(Event &other) {
    std::swap(device_, other.device_);
    std::swap(event_, other.event_);
  }
  std::shared_ptr<const Device> device_;
  EventHandle event_ = nullptr;
};

/// The stream that a session's work is put into: the caller's, or one of its own, which then waits
/// for the legacy default stream where that may have to do with the tensors at hand.
class WorkStream {
public:
  /// Once it has begun it does nothing. `callers`: null where there is none.
  Status start(const std::shared_ptr<const Device> &device, StreamHandle callers);
  StreamHandle get() const { return callers_ ? callers_ : own_.get(); }
  /// What is put into the stream later begins when the caller's work so far is done.
  Status waitForCaller() const;

private:
  std::shared_ptr<const Device> device_;
  StreamHandle callers_ = nullptr;
  Stream own_;
  Event callersWork_;
};

/// Copies on one stream. The calling thread has the device's context.
class Transfers {
public:
  /// Bytes of a half at most.
  static constexpr uint64_t kMostHalf = 16 << 20;
  /// Bytes of small uploads that become one copy; the bus takes as long for a call.
  static constexpr uint64_t kMostGathered = 64 << 10;

  Transfers(std::shared_ptr<const Device> device, StreamHandle stream)
      : device_(std::move(device)), stream_(stream) {}
  ~Transfers();
  Transfers(const Transfers &) = delete;
  Transfers &operator=(const Transfers &) = delete;

  /// For copies of `bytes` in all, in both directions; nothing may be under way. Halves grow and do
  /// not shrink.
  Status prepare(uint64_t bytes);
  /// The source may change when it returns. Puts the copy into the stream at the latest with
  /// `flush`: uploads to neighbours (but for kDeviceAlignment) are one copy, what lies between them
  /// changes.
  Status upload(DevicePointer to, const void *from, uint64_t bytes);
  Status flush();
  /// The destination has its bytes after `finish`.
  Status download(void *to, DevicePointer from, uint64_t bytes);
  /// Waits until all is done.
  Status finish();
  /// The same where the stream was waited for already.
  void deliver();
  /// After a failure: waits for the stream and forgets what is not at its destination yet.
  void abandon();

private:
  struct Download {
    void *to;
    uint64_t offset, bytes;
  };
  /// Of the current half.
  struct Upload {
    DevicePointer to = 0;
    uint64_t offset = 0, bytes = 0;
  };
  struct Half {
    std::byte *memory = nullptr;
    uint64_t used = 0;
    bool isUnderWay = false;
    Event done;
    std::vector<Download> downloads;
  };
  Status take(uint64_t wanted, uint64_t &offset, uint64_t &bytes);
  Status submit();
  Status settle(Half &half);
  static void empty(Half &half);
  void freeHalves();

  std::shared_ptr<const Device> device_;
  StreamHandle stream_;
  Half halves_[2];
  unsigned current_ = 0;
  Upload waiting_;    ///< for `flush`
  uint64_t half_ = 0; ///< bytes of each
};

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_TRANSFERS_H
