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

/// What a schedule must gain in turns with the default, and what where the two were measured at other times. The fastest of some
/// fifty measurements is faster than it will be again, and the machine's speed changes: MiniLM with five schedules that gained 5
/// to 7% so took as long as before (docs/tuning.md).
static constexpr double kLeastGain = 1.03, kLeastGainApart = 1.1;

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
  double defaultNs = 0; ///< the newest time of today's default
};

/// What a schedule gains over the default of today.
struct Gain {
  double gain = 0;
  bool byTurns = true; ///< measured by turns with it
  bool isEnough() const { return gain >= (byTurns ? kLeastGain : kLeastGainApart); }
};

/// The points that count for a kernel.
class Nearest {
public:
  Nearest(std::map<std::vector<int64_t>, Shape> &all, const ScheduleQuery &query);

  const std::vector<Shape *> &shapes() const { return nearest; }
  /// The geometric mean over the points; 0 where one of them has no measurement that holds.
  Gain gainOf(const std::string &schedule) const;
  /// No less than gainOf where that is enough, without asking whether rows hold; 0 where it cannot be enough.
  double promiseOf(const std::string &schedule) const;

private:
  bool isByTurns(const Shape &shape, const TuningRow &row) const;
  const TuningRow *newest(const Shape &shape, const std::string &schedule, bool byTurns) const;
  Gain gainAt(const Shape &shape, const std::string &schedule) const;
  double mostGainOf(const std::string &schedule, bool byTurns) const;

  const ScheduleQuery &query;
  std::string byDefault;
  std::vector<Shape *> nearest;
};
} // namespace

static std::string textOf(NamedNumbers schedule) {
  llvm::sort(schedule);
  return str(schedule);
}

/// Of the points at which today's default was measured, the nearest ones, which may be as near as each other.
Nearest::Nearest(std::map<std::vector<int64_t>, Shape> &all, const ScheduleQuery &query)
    : query(query), byDefault(textOf(query.byDefault)) {
  std::multimap<double, Shape *> order;
  for (auto &[sizes, shape] : all)
    order.insert({shape.away, &shape});
  for (auto [away, shape] : order) {
    if (!nearest.empty() && away > nearest.front()->away + 1e-9)
      return;
    if (const TuningRow *usual = newest(*shape, byDefault, /*byTurns=*/false)) {
      shape->defaultNs = usual->medianNs;
      nearest.push_back(shape);
    }
  }
}

/// Whether a row was measured by turns with the default of today: with the code of one of its rows that hold.
bool Nearest::isByTurns(const Shape &shape, const TuningRow &row) const {
  return row.defaultNs > 0 && llvm::any_of(shape.rows.at(byDefault), [&](const TuningRow *usual) {
           return usual->code == row.defaultCode && query.isCurrent(*usual);
         });
}

/// The newest measurement of a schedule that still holds, of all or of those by turns; null for none.
const TuningRow *Nearest::newest(const Shape &shape, const std::string &schedule, bool byTurns) const {
  auto rows = shape.rows.find(schedule);
  if (rows == shape.rows.end())
    return nullptr;
  for (const TuningRow *row : llvm::reverse(rows->second))
    if ((!byTurns || isByTurns(shape, *row)) && query.isCurrent(*row))
      return row;
  return nullptr;
}

Gain Nearest::gainAt(const Shape &shape, const std::string &schedule) const {
  if (const TuningRow *row = newest(shape, schedule, /*byTurns=*/true))
    return {row->defaultNs / row->medianNs, true};
  if (const TuningRow *row = newest(shape, schedule, /*byTurns=*/false))
    return {shape.defaultNs / row->medianNs, false};
  return {};
}

Gain Nearest::gainOf(const std::string &schedule) const {
  double sum = 0;
  Gain result;
  for (const Shape *shape : nearest) {
    Gain own = gainAt(*shape, schedule);
    if (own.gain == 0)
      return {};
    sum += std::log(own.gain);
    result.byTurns &= own.byTurns;
  }
  result.gain = nearest.empty() ? 0 : std::exp(sum / double(nearest.size()));
  return result;
}

/// By the fastest rows, of all or of those measured by turns with any default.
double Nearest::mostGainOf(const std::string &schedule, bool byTurns) const {
  double sum = 0;
  for (const Shape *shape : nearest) {
    auto rows = shape->rows.find(schedule);
    double most = 0;
    for (const TuningRow *row : rows == shape->rows.end() ? Rows() : rows->second)
      most = std::max(most, std::max(row->defaultNs, byTurns ? 0 : shape->defaultNs) / row->medianNs);
    sum += std::log(most);
  }
  return nearest.empty() ? 0 : std::exp(sum / double(nearest.size()));
}

double Nearest::promiseOf(const std::string &schedule) const {
  if (schedule == byDefault)
    return 0;
  if (double gain = mostGainOf(schedule, /*byTurns=*/false); gain >= kLeastGainApart)
    return gain;
  double gain = mostGainOf(schedule, /*byTurns=*/true);
  return gain >= kLeastGain ? gain : 0;
}

/// Whether anything could come of asking which rows hold: most kernels have no schedule that was ever much faster.
static bool promisesAnything(const std::map<std::vector<int64_t>, Shape> &shapes, const std::string &byDefault) {
  for (const auto &[sizes, shape] : shapes) {
    auto defaults = shape.rows.find(byDefault);
    if (defaults == shape.rows.end())
      continue;
    double defaultNs = 0;
    for (const TuningRow *row : defaults->second)
      defaultNs = std::max(defaultNs, row->medianNs);
    for (const auto &[schedule, rows] : shape.rows)
      for (const TuningRow *row : rows)
        if (row->defaultNs / row->medianNs >= kLeastGain || defaultNs / row->medianNs >= kLeastGainApart)
          return true;
  }
  return false;
}

std::optional<TunedSchedule> TuningDatabase::choose(const ScheduleQuery &query) const {
  std::map<std::vector<int64_t>, Shape> shapes;
  std::map<std::string, NamedNumbers> schedules;
  for (const TuningRow &row : measured) {
    if (row.cpu != query.cpu || row.target != query.target || known.at(row.kernel).structure != query.structure ||
        row.sizes.size() != query.sizes.size())
      continue;
    std::optional<NamedNumbers> schedule = query.scheduleOf(row);
    if (!schedule)
      continue;
    Shape &shape = shapes[row.sizes];
    shape.symbols = str(row.symbols);
    shape.away = distance(query.sizes, row.sizes);
    shape.rows[str(*schedule)].push_back(&row);
    schedules[str(*schedule)] = *schedule;
  }
  if (!promisesAnything(shapes, textOf(query.byDefault)))
    return std::nullopt;
  Nearest nearest(shapes, query);
  // Those that promise most first, so that few rows are asked whether they hold.
  std::multimap<double, std::string, std::greater<>> promises;
  for (const auto &[text, schedule] : schedules)
    if (double gain = nearest.promiseOf(text); gain > 0)
      promises.insert({gain, text});
  std::optional<TunedSchedule> best;
  for (const auto &[promised, text] : promises) {
    if (best && promised <= best->gain)
      break;
    const NamedNumbers &schedule = schedules[text];
    if (!query.isLegal(schedule))
      continue;
    Gain gain = nearest.gainOf(text);
    if (gain.isEnough() && (!best || gain.gain > best->gain))
      best = TunedSchedule{schedule, gain.gain, {}};
  }
  if (best)
    for (const Shape *shape : nearest.shapes())
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
    writer.note(row);
  writer.wroteCpu = writer.contents.hasCpu(Cpu::host().kind());
  return writer;
}

TuningWriter::TuningWriter(TuningWriter &&other) noexcept
    : path(std::move(other.path)), file(std::exchange(other.file, -1)), contents(std::move(other.contents)),
      medians(std::move(other.medians)), gains(std::move(other.gains)), wroteCpu(other.wroteCpu) {}

TuningWriter::~TuningWriter() {
  if (file >= 0)
    ::close(file);
}

void TuningWriter::note(const TuningRow &row) {
  medians[row.key()] = row.medianNs;
  if (row.defaultNs > 0 && !row.defaultCode.empty())
    gains[row.key() + "|" + row.defaultCode] = row.defaultNs / row.medianNs;
}

static std::optional<double> lookUp(const llvm::StringMap<double> &map, const std::string &key) {
  auto found = map.find(key);
  return found == map.end() ? std::nullopt : std::optional(found->second);
}

std::optional<double> TuningWriter::find(const TuningRow &row) const { return lookUp(medians, row.key()); }
std::optional<double> TuningWriter::findGain(const TuningRow &row) const {
  return lookUp(gains, row.key() + "|" + row.defaultCode);
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
  bool isOfCpu = row.form.empty();
  std::string lines = wroteCpu || !isOfCpu ? "" : lineOf(Cpu::host()) + "\n";
  if (!contents.kernels().contains(kernel.id))
    lines += lineOf(kernel) + "\n";
  PERMALLOY_TRY(write(lines + lineOf(row) + "\n"));
  wroteCpu |= isOfCpu;
  contents.add(kernel);
  contents.add(row);
  note(row);
  return {};
}
