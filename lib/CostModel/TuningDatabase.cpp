//===- TuningDatabase.cpp - measured schedules ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/TuningDatabase.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Text.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <fcntl.h>
#include <map>
#include <sys/file.h>
#include <unistd.h>

using namespace permalloy;
namespace json = llvm::json;
using llvm::StringRef;

/// The fastest of some thirty measurements, which scatter by 1 to 2%, is faster than it will be again: MiniLM with five schedules
/// that gained 1 to 7% took as long as before.
static constexpr double kLeastGain = 1.03;

std::string TuningDatabase::defaultPath(const Cpu &cpu) {
  const char *base = std::getenv("XDG_DATA_HOME"), *home = std::getenv("HOME");
  std::string folder;
  if (base && base[0] == '/')
    folder = base;
  else if (home && home[0] == '/')
    folder = std::string(home) + "/.local/share";
  else
    return "";
  return folder + "/permalloy/tuning/" + cpu.kind() + ".jsonl";
}

//===-- Reading -----------------------------------------------------------===//

static Status invalid(std::string message) { return {StatusCode::invalidArgument, std::move(message)}; }

/// The value of the field that a line begins with: of {"row":"0123"... the 0123.
static StringRef firstValue(StringRef line, StringRef field) {
  if (!line.consume_front("{\"") || !line.consume_front(field) || !line.consume_front("\":\""))
    return "";
  return line.take_until([](char c) { return c == '"'; });
}

Status TuningDatabase::addLine(const std::string &text, const llvm::StringSet<> *structures) {
  // Of the rows of other kernels only the beginning is looked at: there may be a hundred thousand.
  StringRef kernel = firstValue(text, "row");
  if (structures && !kernel.empty() && text.back() == '}' && !known.contains(kernel))
    return {};
  if (nestsTooDeeply(text))
    return invalid("not JSON of a tuning database (it nests too deeply)");
  auto value = json::parse(text);
  if (!value)
    return invalid("not JSON (" + llvm::toString(value.takeError()) + ")");
  const json::Object *object = value->getAsObject();
  if (object && object->get("cpu") && !object->get("row")) {
    cpus.insert(object->getString("cpu").value_or(""));
    return {};
  }
  if (object && object->get("kernel")) {
    auto identity = kernelOf(*object);
    if (!identity)
      return invalid("no kernel: " + llvm::toString(identity.takeError()));
    if (!structures || structures->contains(identity->structure))
      add(*identity);
    return {};
  }
  if (!object || !object->get("row"))
    return invalid("neither a row, nor a kernel, nor a CPU");
  auto row = rowOf(*object);
  if (!row)
    return invalid("no row: " + llvm::toString(row.takeError()));
  if (!known.contains(row->kernel))
    return invalid("no row: its kernel " + row->kernel + " does not stand before it");
  add(std::move(*row));
  return {};
}

Result<TuningDatabase> TuningDatabase::load(const std::string &path, const llvm::StringSet<> *structures) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return Status(StatusCode::notFound, "cannot read the tuning database '" + path + "': " + buffer.getError().message());
  TuningDatabase database;
  StringRef rest = (*buffer)->getBuffer();
  auto fault = [&](size_t line, const std::string &what) {
    return invalid(path + ":" + std::to_string(line) + ": " + what + "; remove the line, or the file");
  };
  for (size_t line = 1; !rest.empty(); ++line) {
    size_t end = rest.find('\n');
    if (end == StringRef::npos)
      return fault(line, "the line has no end");
    std::string text = rest.take_front(end).str();
    rest = rest.drop_front(end + 1);
    if (line == 1 && text != headerLine())
      return fault(line, "not a tuning database, which begins with " + headerLine());
    if (line == 1)
      continue;
    if (Status status = database.addLine(text, structures); !status.ok())
      return fault(line, status.message());
  }
  return database;
}

//===-- Choosing ----------------------------------------------------------===//

/// Sum of the binary logarithms of the ratios of known dimensions.
static double distance(const std::vector<int64_t> &wanted, const std::vector<int64_t> &measured) {
  double sum = 0;
  for (auto [a, b] : llvm::zip(wanted, measured))
    if (a >= 0 && b >= 0)
      sum += std::abs(std::log2(double(a + 1) / double(b + 1)));
  return sum;
}

namespace {
/// Measurements of one schedule at one point, the oldest first.
using Rows = std::vector<const TuningRow *>;

/// The measurements at one point, by schedule.
struct Shape {
  std::string symbols;
  double away = 0;
  std::map<std::string, Rows> rows;
  Rows defaults; ///< of what was the default when it was measured
  double byDefault = 0;
};
} // namespace

/// The newest measurement that still holds, in nanoseconds; nothing for none.
static std::optional<double> currentNs(const Rows &rows, const ScheduleQuery &query) {
  for (const TuningRow *row : llvm::reverse(rows))
    if (query.isCurrent(*row))
      return row->medianNs;
  return std::nullopt;
}

static double fastestNs(const Rows &rows) {
  return (*llvm::min_element(rows, [](auto *a, auto *b) { return a->medianNs < b->medianNs; }))->medianNs;
}

static std::string textOf(NamedNumbers schedule) {
  llvm::sort(schedule);
  return str(schedule);
}

/// Of the points at which the default still holds, the nearest ones, which may be as near as each other.
static std::vector<Shape *> nearestShapes(std::map<std::vector<int64_t>, Shape> &shapes, const ScheduleQuery &query) {
  std::multimap<double, Shape *> order;
  for (auto &[sizes, shape] : shapes)
    order.insert({shape.away, &shape});
  std::vector<Shape *> nearest;
  std::string byDefault = textOf(query.byDefault);
  for (auto [away, shape] : order) {
    if (!nearest.empty() && away > nearest.front()->away + 1e-9)
      break;
    auto measured = currentNs(shape->rows[byDefault], query);
    shape->byDefault = measured ? *measured : currentNs(shape->defaults, query).value_or(0);
    if (shape->byDefault > 0)
      nearest.push_back(shape);
  }
  return nearest;
}

/// The geometric mean of the gains at these points, where `time` says how long a schedule takes; 0 where it does not know.
static double gainOf(const std::string &schedule, const std::vector<Shape *> &shapes,
                     llvm::function_ref<std::optional<double>(const Rows &)> time) {
  double sum = 0;
  for (const Shape *shape : shapes) {
    auto rows = shape->rows.find(schedule);
    auto taken = rows == shape->rows.end() || rows->second.empty() ? std::nullopt : time(rows->second);
    if (!taken)
      return 0;
    sum += std::log(shape->byDefault / *taken);
  }
  return shapes.empty() ? 0 : std::exp(sum / double(shapes.size()));
}

std::optional<TunedSchedule> TuningDatabase::choose(const ScheduleQuery &query) const {
  std::map<std::vector<int64_t>, Shape> shapes;
  std::map<std::string, NamedNumbers> schedules;
  for (const TuningRow &row : measured) {
    if (row.cpu != query.cpu || row.target != query.target || known.at(row.kernel).structure != query.structure ||
        row.sizes.size() != query.sizes.size())
      continue;
    Shape &shape = shapes[row.sizes];
    shape.symbols = str(row.symbols);
    shape.away = distance(query.sizes, row.sizes);
    shape.rows[str(row.schedule)].push_back(&row);
    schedules[str(row.schedule)] = row.schedule;
    if (row.isDefault)
      shape.defaults.push_back(&row);
  }
  std::vector<Shape *> nearest = nearestShapes(shapes, query);
  // What each gains if its fastest rows count, the most first: so few rows are asked whether they hold.
  std::multimap<double, std::string, std::greater<>> promises;
  for (const auto &[text, schedule] : schedules)
    if (double gain = gainOf(text, nearest, fastestNs); gain >= kLeastGain)
      promises.insert({gain, text});
  std::optional<TunedSchedule> best;
  for (const auto &[promised, text] : promises) {
    if (best && promised <= best->gain)
      break;
    const NamedNumbers &schedule = schedules[text];
    if (!query.isLegal(schedule))
      continue;
    double gain = gainOf(text, nearest, [&](const Rows &rows) { return currentNs(rows, query); });
    if (gain >= kLeastGain && (!best || gain > best->gain))
      best = TunedSchedule{schedule, gain, {}};
  }
  if (best)
    for (const Shape *shape : nearest)
      best->shapes.push_back(shape->symbols);
  return best;
}

//===-- Writing -----------------------------------------------------------===//

Result<TuningWriter> TuningWriter::open(const std::string &path) {
  TuningWriter writer;
  writer.path = path;
  if (StringRef folder = llvm::sys::path::parent_path(path); !folder.empty())
    PERMALLOY_TRY(createFolders(folder.str()));
  writer.file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (writer.file < 0)
    return Status(StatusCode::ioError, "cannot write the tuning database '" + path + "': " + std::strerror(errno));
  // One writer makes the first line when several begin at the same time.
  ::flock(writer.file, LOCK_EX);
  Status first = ::lseek(writer.file, 0, SEEK_END) == 0 ? writer.write(headerLine() + "\n") : Status();
  ::flock(writer.file, LOCK_UN);
  PERMALLOY_TRY(first);
  Result<TuningDatabase> contents = TuningDatabase::load(path);
  if (!contents.ok())
    return contents.status();
  writer.contents = std::move(*contents);
  for (const TuningRow &row : writer.contents.rows())
    writer.medians[row.key()] = row.medianNs;
  writer.wroteCpu = writer.contents.hasCpu(Cpu::host().kind());
  return writer;
}

TuningWriter::TuningWriter(TuningWriter &&other) noexcept
    : path(std::move(other.path)), file(std::exchange(other.file, -1)), contents(std::move(other.contents)),
      medians(std::move(other.medians)), wroteCpu(other.wroteCpu) {}

TuningWriter::~TuningWriter() {
  if (file >= 0)
    ::close(file);
}

std::optional<double> TuningWriter::find(const TuningRow &row) const {
  auto found = medians.find(row.key());
  return found == medians.end() ? std::nullopt : std::optional(found->second);
}

/// In one call, so that neither an interrupt nor another process comes between.
Status TuningWriter::write(const std::string &lines) {
  ssize_t written = ::write(file, lines.data(), lines.size());
  if (written != static_cast<ssize_t>(lines.size()))
    return {StatusCode::ioError, "cannot write the tuning database '" + path + "': " +
                                      (written < 0 ? std::strerror(errno) : "the disk is full")};
  return {};
}

Status TuningWriter::append(const KernelIdentity &kernel, const TuningRow &row) {
  std::string lines = wroteCpu ? "" : lineOf(Cpu::host()) + "\n";
  if (!contents.kernels().contains(kernel.id))
    lines += lineOf(kernel) + "\n";
  PERMALLOY_TRY(write(lines + lineOf(row) + "\n"));
  wroteCpu = true;
  contents.add(kernel);
  contents.add(row);
  medians[row.key()] = row.medianNs;
  return {};
}
