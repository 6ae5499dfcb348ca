//===- Profile.cpp - runs as a Chrome trace ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/Profile.h"

#include "permalloy/Artifact/OutputFile.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <unistd.h>

namespace permalloy {

using namespace artifact;

namespace {

/// Lanes of worker threads are numbered from here: above any thread number of the system.
constexpr int64_t kWorkerLane = 10'000'000;

/// Appends events to a JSON array.
class TraceWriter {
public:
  explicit TraceWriter(const Artifact &artifact) : artifact_(artifact) {}

  void header(size_t dropped, size_t threads);
  void run(const RunRecord &record);
  std::string finish() { return "[\n" + text_ + "\n]\n"; }

private:
  void step(const RunRecord &record, size_t index, const TimeSpan *lanes);
  void workers(const RunRecord &record, const std::string &name, const TimeSpan *lanes);
  void metadata(const char *what, int64_t lane, const std::string &arguments);
  void event(const char *category, const std::string &name, int64_t lane, TimeSpan time,
             const std::string &arguments);
  void begin(const std::string &name);
  std::string symbols(const RunRecord &record) const;

  const Artifact &artifact_;
  const int64_t process_ = ::getpid();
  std::string text_;
};

} // namespace

/// `text` between quotes; what is no plain character of a name goes through as \u escapes or bytes.
static std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      result += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      result += c;
      continue;
    }
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04x", c);
    result += escape;
  }
  return result + "\"";
}

static std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// Nanoseconds as microseconds, without loss.
static std::string microseconds(int64_t nanoseconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%" PRId64 ".%03" PRId64, nanoseconds / 1000,
                nanoseconds % 1000);
  return text;
}

void TraceWriter::begin(const std::string &name) {
  text_ += text_.empty() ? "" : ",\n";
  text_ += "{\"pid\": " + std::to_string(process_) + ", \"name\": " + quoted(name);
}

void TraceWriter::metadata(const char *what, int64_t lane, const std::string &arguments) {
  begin(what);
  text_ += ", \"ph\": \"M\", \"tid\": " + std::to_string(lane) + ", \"args\": {" + arguments + "}}";
}

void TraceWriter::event(const char *category, const std::string &name, int64_t lane, TimeSpan time,
                        const std::string &arguments) {
  begin(name);
  text_ += ", \"cat\": \"" + std::string(category) +
           "\", \"ph\": \"X\", \"tid\": " + std::to_string(lane) +
           ", \"ts\": " + microseconds(time.begin) +
           ", \"dur\": " + microseconds(time.end - time.begin) + ", \"args\": {" + arguments + "}}";
}

std::string TraceWriter::symbols(const RunRecord &record) const {
  std::string text;
  for (size_t i = 0; i < record.symbols.size(); ++i)
    text += (i ? ", " : "") + quoted(artifact_.manifest().symbols[i].name) + ": " +
            std::to_string(record.symbols[i]);
  return text;
}

void TraceWriter::header(size_t dropped, size_t threads) {
  const Manifest &manifest = artifact_.manifest();
  metadata("process_name", 0, "\"name\": " + quoted("permalloy " + artifact_.name()));
  metadata("permalloy", 0,
           "\"compiler\": " + quoted(manifest.producer + " " + manifest.producerVersion) +
               ", \"options\": " + quoted(manifest.options) +
               ", \"dropped_runs\": " + std::to_string(dropped));
  for (size_t worker = 1; worker < threads; ++worker)
    metadata("thread_name", kWorkerLane + static_cast<int64_t>(worker),
             "\"name\": \"worker " + std::to_string(worker) + "\"");
}

/// The parts of the threads beside the caller, whose own is the step.
void TraceWriter::workers(const RunRecord &record, const std::string &name, const TimeSpan *lanes) {
  for (size_t worker = 1; worker < record.threads; ++worker)
    if (lanes[worker].end)
      event("Worker", name, kWorkerLane + static_cast<int64_t>(worker), lanes[worker], "");
}

void TraceWriter::step(const RunRecord &record, size_t index, const TimeSpan *lanes) {
  const RunRecord::Step &entry = record.steps[index];
  const Step &step = artifact_.program().steps[entry.index];
  std::string kernel = stepText(artifact_.program(), step);
  std::string name = step.name.empty() ? kernel : step.name;
  double nanoseconds = static_cast<double>(std::max<int64_t>(entry.time.end - entry.time.begin, 1));
  std::string arguments = "\"kernel\": " + quoted(kernel);
  if (!record.symbols.empty())
    arguments += ", " + symbols(record);
  if (step.flops != kNone)
    arguments += ", \"flops\": " + std::to_string(entry.flops) +
                 ", \"GFLOP/s\": " + number(static_cast<double>(entry.flops) / nanoseconds);
  if (step.bytes != kNone)
    arguments += ", \"bytes\": " + std::to_string(entry.bytes) +
                 ", \"GB/s\": " + number(static_cast<double>(entry.bytes) / nanoseconds);
  size_t threads = 1;
  for (size_t worker = 1; lanes && worker < record.threads; ++worker)
    threads += lanes[worker].end != 0;
  event("Node", name, record.thread, entry.time,
        arguments + ", \"threads\": " + std::to_string(threads));
  if (lanes)
    workers(record, name, lanes);
}

void TraceWriter::run(const RunRecord &record) {
  event("Session", "model_run", record.thread, record.run, symbols(record));
  size_t lane = 0;
  for (size_t i = 0; i < record.steps.size(); ++i) {
    bool parallel = record.steps[i].parallel;
    step(record, i, parallel ? &record.lanes[lane] : nullptr);
    lane += parallel ? record.threads : 0;
  }
}

void Profile::add(RunRecord record) {
  std::lock_guard lock(lock_);
  if (steps_ + record.steps.size() > kMostSteps) {
    ++dropped_;
    return;
  }
  steps_ += record.steps.size();
  records_.push_back(std::move(record));
}

std::string Profile::json() const {
  std::lock_guard lock(lock_);
  TraceWriter writer(*artifact_);
  size_t threads = 1;
  for (const RunRecord &record : records_)
    threads = std::max(threads, record.threads);
  writer.header(dropped_, threads);
  for (const RunRecord &record : records_)
    writer.run(record);
  return writer.finish();
}

Status Profile::write(const std::string &path) const {
  std::string text = json();
  OutputFile file;
  PERMALLOY_TRY(file.open(path));
  PERMALLOY_TRY(file.write(text.data(), text.size()));
  return file.commit();
}

} // namespace permalloy
