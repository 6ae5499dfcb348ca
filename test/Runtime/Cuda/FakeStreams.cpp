//===- FakeStreams.cpp - streams and events of the fake driver -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FakeState.h"

using namespace permalloy;
using namespace permalloy::fakecuda;

FAKE cuStreamCreate(StreamHandle *stream, unsigned) {
  BEGIN_TAKING;
  auto *fresh = new Stream();
  state().streams.insert(fresh);
  ++state().control.streams;
  *stream = reinterpret_cast<StreamHandle>(fresh);
  return kSuccess;
}
FAKE cuStreamDestroy_v2(StreamHandle stream) {
  BEGIN_RELEASE;
  ON_STREAM(stream);
  runAll();
  state().streams.erase(queue);
  delete queue;
  --state().control.streams;
  return kSuccess;
}
FAKE cuStreamSynchronize(StreamHandle stream) {
  BEGIN;
  ON_STREAM(stream);
  queue->run(queue->queued);
  return sticky;
}
FAKE cuStreamGetCtx(StreamHandle stream, ContextHandle *context) {
  BEGIN;
  ON_STREAM(stream);
  *context = state().control.isForeign ? nullptr : contexts.back();
  return kSuccess;
}
FAKE cuStreamIsCapturing(StreamHandle stream, int *status) {
  BEGIN;
  ON_STREAM(stream);
  *status = state().control.isCapturing;
  return kSuccess;
}
FAKE cuStreamWaitEvent(StreamHandle stream, EventHandle event, unsigned) {
  BEGIN;
  ON_STREAM(stream);
  Stream *other = of<Event>(event)->stream;
  uint64_t ticket = of<Event>(event)->ticket;
  if (other)
    queue->put([=] { return other->run(ticket), kSuccess; });
  return kSuccess;
}
FAKE cuEventCreate(EventHandle *event, unsigned flags) {
  BEGIN_TAKING;
  auto *fresh = new Event();
  fresh->hasTiming = !(flags & kEventNoTiming);
  ++state().control.events;
  *event = reinterpret_cast<EventHandle>(fresh);
  return kSuccess;
}
FAKE cuEventDestroy_v2(EventHandle event) {
  BEGIN_RELEASE;
  runAll();
  delete of<Event>(event);
  --state().control.events;
  return kSuccess;
}
FAKE cuEventRecord(EventHandle event, StreamHandle stream) {
  BEGIN;
  ON_STREAM(stream);
  auto *mark = of<Event>(event);
  ++state().control.eventRecords;
  mark->isReached = false;
  mark->stream = queue;
  mark->stream->put([=] { return mark->isReached = true, mark->time = std::chrono::steady_clock::now(), kSuccess; });
  mark->ticket = mark->stream->queued;
  return kSuccess;
}
FAKE cuEventSynchronize(EventHandle event) {
  BEGIN;
  if (auto *mark = of<Event>(event); mark->stream)
    mark->stream->run(mark->ticket);
  return sticky;
}
FAKE cuEventElapsedTime(float *milliseconds, EventHandle begin, EventHandle end) {
  BEGIN;
  auto *first = of<Event>(begin), *last = of<Event>(end);
  if (!first->hasTiming || !last->hasTiming)
    return kInvalidHandle;
  if (!first->isReached || !last->isReached)
    return kNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(last->time - first->time).count();
  return kSuccess;
}
