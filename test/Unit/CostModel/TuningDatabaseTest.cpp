//===- TuningDatabaseTest.cpp - measured schedules --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/TuningDatabase.h"
#include "permalloy/Support/Files.h"

#include "gmock/gmock.h"

#include <fstream>
#include <set>
#include <thread>

using namespace permalloy;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

KernelIdentity kernel(const std::string &id, const std::string &structure = "s") {
  return {id, structure, "contraction", "f32", "kern.kernel @kernel \"quoted\"\n", {"d0", "64"}};
}

/// A measurement at d0 = `size`, with one parameter.
TuningRow row(const std::string &id, int64_t size, int64_t tile, double median, bool isDefault = false) {
  TuningRow row;
  row.kernel = id;
  row.cpu = "cpu";
  row.target = "x86-64-v4";
  row.schedule = {{"tile", tile}};
  row.symbols = {{"d0", size}};
  row.sizes = {size, 64};
  row.medianNs = row.minNs = median;
  row.isDefault = isDefault;
  row.code = "code" + std::to_string(tile);
  row.flops = 1000;
  row.drift = 1.25;
  row.speed = {221.5, 16.25}, row.weightSpan = 64 << 20;
  row.coldWeights = true;
  row.compiler = "permalloy";
  return row;
}

/// One measured by turns with the default of code `code`.
TuningRow turns(int64_t size, int64_t tile, double median, double defaultNs, const std::string &code = "code1") {
  TuningRow result = row("a", size, tile, median);
  result.defaultNs = defaultNs;
  result.defaultCode = code;
  return result;
}

class TuningDatabaseTest : public testing::Test {
protected:
  TuningDatabaseTest() : folder(std::move(*TempFolder::create())), path(folder.file("deep/er/tuning.jsonl")) {}

  void append(const std::string &text) { std::ofstream(path, std::ios::app) << text; }
  std::string loadError() {
    Result<TuningDatabase> loaded = TuningDatabase::load(path);
    return loaded.ok() ? "" : loaded.status().message();
  }
  void write(const std::vector<TuningRow> &rows, const std::string &structure = "s") {
    Result<TuningWriter> writer = TuningWriter::open(path);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    for (const TuningRow &row : rows)
      ASSERT_TRUE(writer->append(kernel(row.kernel, structure), row).ok());
  }

  TempFolder folder;
  std::string path;
};

TEST_F(TuningDatabaseTest, RoundTrip) {
  write({row("a", 128, 3, 1234.5, true)});
  write({row("b", 1, 4, 10), turns(128, 5, 1000, 1100)}); // opened again
  Result<TuningDatabase> loaded = TuningDatabase::load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  ASSERT_EQ(3u, loaded->rows().size());
  EXPECT_TRUE(loaded->hasCpu(Cpu::host().kind()));
  const TuningRow &first = loaded->rows()[0];
  EXPECT_EQ(row("a", 128, 3, 1234.5, true).key(), first.key());
  EXPECT_EQ(1234.5, first.medianNs);
  EXPECT_EQ(1.25, first.drift);
  EXPECT_EQ(221.5, first.speed.fmaGflops);
  EXPECT_EQ(16.25, first.speed.readGbps);
  EXPECT_EQ(64 << 20, first.weightSpan);
  EXPECT_EQ(0, first.defaultNs);
  EXPECT_EQ("", first.defaultCode);
  EXPECT_EQ(1100, loaded->rows()[2].defaultNs);
  EXPECT_EQ("code1", loaded->rows()[2].defaultCode);
  EXPECT_EQ(1000, first.flops);
  EXPECT_TRUE(first.isDefault && first.coldWeights && !loaded->rows()[1].isDefault);
  EXPECT_THAT(first.sizes, ElementsAre(128, 64));
  EXPECT_EQ("kern.kernel @kernel \"quoted\"\n", loaded->kernels().lookup("a").text);
  EXPECT_THAT(loaded->kernels().lookup("b").dims, ElementsAre("d0", "64"));
  EXPECT_EQ(2u, loaded->kernels().size());
}

TEST_F(TuningDatabaseTest, ResumesWhereItWas) {
  write({row("a", 128, 3, 50)});
  Result<TuningWriter> writer = TuningWriter::open(path);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(50, writer->find(row("a", 128, 3, 0)));
  EXPECT_FALSE(writer->find(row("a", 128, 4, 0)).has_value());
  EXPECT_FALSE(writer->find(row("a", 127, 3, 0)).has_value());
  TuningRow changed = row("a", 128, 3, 0);
  changed.code = "another compiler's";
  EXPECT_FALSE(writer->find(changed).has_value());
  EXPECT_TRUE(writer->knows(kernel("a")) && !writer->knows(kernel("b")));
}

TEST_F(TuningDatabaseTest, FindsGainsOverTheDefaultAskedFor) {
  write({turns(128, 3, 50, 60), turns(128, 4, 50, 60, "")}); // the second of a version that did not say
  Result<TuningWriter> writer = TuningWriter::open(path);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(60.0 / 50, writer->findGain(turns(128, 3, 0, 0)));
  EXPECT_FALSE(writer->findGain(turns(128, 3, 0, 0, "another default's")));
  EXPECT_FALSE(writer->findGain(turns(128, 4, 0, 0)) || writer->findGain(turns(128, 4, 0, 0, "")));
}

TEST_F(TuningDatabaseTest, TakesSeveralWritersAtOnce) {
  for (int round = 0; round < 100; ++round) {
    path = folder.file("several" + std::to_string(round));
    std::vector<std::thread> threads;
    for (int writer = 0; writer < 4; ++writer)
      threads.emplace_back([&, writer] { write({row("a", 128, writer, 50)}); });
    for (std::thread &thread : threads)
      thread.join();
    Result<TuningDatabase> loaded = TuningDatabase::load(path);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_EQ(4u, loaded->rows().size());
  }
}

TEST_F(TuningDatabaseTest, NamesTheLineThatIsNone) {
  write({row("a", 128, 3, 50)}); // header, CPU, kernel, row
  EXPECT_EQ("", loadError());
  append("{\"row\":\"a\"}\n");
  EXPECT_THAT(loadError(), HasSubstr("tuning.jsonl:5: no row: 'cpu' is missing or not a string"));
  EXPECT_FALSE(TuningWriter::open(path).ok());
}

TEST_F(TuningDatabaseTest, RefusesOtherLines) {
  auto errorOf = [&](const std::string &text) {
    std::ofstream(path) << text;
    return loadError();
  };
  EXPECT_THAT(loadError(), HasSubstr("cannot read the tuning database"));
  write({});
  EXPECT_THAT(errorOf("hello\n"), HasSubstr(":1: not a tuning database"));
  EXPECT_THAT(errorOf(headerLine() + "\n{\"row\":\n"), HasSubstr(":2: not JSON"));
  EXPECT_THAT(errorOf(headerLine() + "\n" + std::string(300000, '[') + "\n"), HasSubstr(":2: not JSON"));
  EXPECT_THAT(errorOf(headerLine() + "\n{}\n"), HasSubstr(":2: neither a row, nor a kernel, nor a CPU"));
  EXPECT_THAT(errorOf(headerLine() + "\n" + lineOf(row("a", 1, 1, 5)) + "\n"), HasSubstr(":2: no row: its kernel a does not stand before it"));
  EXPECT_THAT(errorOf(headerLine() + "\n" + lineOf(kernel("a"))), HasSubstr(":2: the line has no end"));
  std::string zero = headerLine() + "\n" + lineOf(kernel("a")) + "\n" + lineOf(row("a", 1, 1, 0)) + "\n";
  EXPECT_THAT(errorOf(zero), HasSubstr(":3: no row: 'median_ns' is missing or not more than 0"));
  auto errorWith = [&](const std::string &field) {
    std::string line = lineOf(row("a", 1, 1, 5));
    return errorOf(headerLine() + "\n" + lineOf(kernel("a")) + "\n" + line.insert(1, field + ",") + "\n");
  };
  EXPECT_THAT(errorWith("\"default_ns\":\"fast\""), HasSubstr(":3: no row: 'default_ns' is missing or not a number, 0 or more"));
  EXPECT_THAT(errorWith("\"default_code\":7"), HasSubstr(":3: no row: 'default_code' is missing or not a string"));
}

TEST_F(TuningDatabaseTest, ReadsOnlyKernelsAskedFor) {
  write({row("a", 1, 1, 5)}, "one");
  write({row("b", 1, 1, 5)}, "two");
  llvm::StringSet<> wanted;
  wanted.insert("two");
  Result<TuningDatabase> loaded = TuningDatabase::load(path, &wanted);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  ASSERT_EQ(1u, loaded->rows().size());
  EXPECT_EQ("b", loaded->rows()[0].kernel);
  append("{\"row\":\"a\", truncated\n");
  EXPECT_FALSE(TuningDatabase::load(path, &wanted).ok());
}

class ChoiceTest : public testing::Test {
protected:
  ChoiceTest() { database.add(kernel("a")); }

  std::optional<TunedSchedule> choose(int64_t size, int64_t byDefault = 1, int64_t illegal = -1, const char *cpu = "cpu",
                                      const char *target = "x86-64-v4", const char *structure = "s") {
    ScheduleQuery query{structure, {size, 64}, target, cpu, {{"tile", byDefault}}};
    query.isLegal = [&](const NamedNumbers &schedule) { return schedule[0].second != illegal; };
    query.isCurrent = [&](const TuningRow &row) { return !outdated.count(row.code); };
    return database.choose(query);
  }

  TuningDatabase database;
  std::set<std::string> outdated;
};

TEST_F(ChoiceTest, TakesTheBestAtTheNearestSize) {
  for (const TuningRow &row : {row("a", 16, 1, 100, true), row("a", 16, 2, 50), row("a", 128, 1, 100, true),
                               row("a", 128, 2, 120), row("a", 128, 3, 80), row("a", 128, 4, 90)})
    database.add(row);
  auto near = choose(100);
  ASSERT_TRUE(near);
  EXPECT_EQ(3, near->schedule[0].second);
  EXPECT_DOUBLE_EQ(1.25, near->gain);
  EXPECT_THAT(near->shapes, ElementsAre("d0=128"));
  EXPECT_EQ(2, choose(20)->schedule[0].second);
  EXPECT_EQ(4, choose(128, 1, /*illegal=*/3)->schedule[0].second);
  // Against another default the gain is another.
  EXPECT_DOUBLE_EQ(1.5, choose(128, 2)->gain);
  EXPECT_FALSE(choose(128, 3));
}

/// Kernels of one structure may have different parameters.
TEST_F(ChoiceTest, SchedulesMayStandForOthers) {
  TuningDatabase database;
  database.add(kernel("a"));
  for (auto [tile, few, median] : {std::tuple(1, 7, 100.0), std::tuple(2, 7, 50.0), std::tuple(3, 9, 10.0)}) {
    TuningRow each = row("a", 128, tile, median);
    each.schedule.push_back({"few", few});
    database.add(each);
  }
  ScheduleQuery query{"s", {128, 64}, "x86-64-v4", "cpu", {{"tile", 1}}};
  EXPECT_FALSE(database.choose(query)) << "no row has the default";
  query.scheduleOf = [](const TuningRow &row) { return row.schedule[1].second == 7 ? std::optional(NamedNumbers{row.schedule[0]}) : std::nullopt; };
  auto best = database.choose(query);
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->schedule, (NamedNumbers{{"tile", 2}}));
  EXPECT_DOUBLE_EQ(best->gain, 2);
}

TEST_F(ChoiceTest, OfUnknownSizesTakesTheBestOfAll) {
  for (const TuningRow &row : {row("a", 16, 1, 100, true), row("a", 16, 2, 50), row("a", 16, 3, 90), row("a", 128, 1, 100, true),
                               row("a", 128, 2, 300), row("a", 128, 3, 90), row("a", 128, 4, 10)})
    database.add(row);
  auto best = choose(-1); // 4 was measured at one of the two, and 2 loses more than it gains
  ASSERT_TRUE(best);
  EXPECT_EQ(3, best->schedule[0].second);
  EXPECT_EQ(2u, best->shapes.size());
}

TEST_F(ChoiceTest, LeavesTheDefaultWhereNothingIsFaster) {
  for (const TuningRow &row : {row("a", 16, 1, 100, true), row("a", 16, 2, 99.5)})
    database.add(row);
  EXPECT_FALSE(choose(16)); // within the noise
  database.add(row("a", 16, 2, 50));
  EXPECT_TRUE(choose(16));
  EXPECT_FALSE(choose(16, 1, -1, "another"));
  EXPECT_FALSE(choose(16, 1, -1, "cpu", "x86-64-v3"));
  EXPECT_FALSE(choose(16, 1, -1, "cpu", "x86-64-v4", "other"));
  EXPECT_FALSE(TuningDatabase().choose({"s", {16, 64}, "x86-64-v4", "cpu", {}}));
}

TEST_F(ChoiceTest, RowsOfOtherCodeCountAsAbsent) {
  for (const TuningRow &row : {row("a", 16, 1, 100, true), row("a", 16, 2, 50), row("a", 16, 3, 80), row("a", 128, 1, 100, true),
                               row("a", 128, 2, 90)})
    database.add(row);
  EXPECT_EQ(2, choose(16)->schedule[0].second);
  outdated = {"code2"};
  EXPECT_EQ(3, choose(16)->schedule[0].second);
  EXPECT_FALSE(choose(128));
  // Without a default that holds, a gain is unknown.
  outdated = {"code1"};
  EXPECT_FALSE(choose(16));
}

TEST_F(ChoiceTest, OtherCodeAtTheNearestSizeLeavesTheNextOne) {
  TuningRow old = row("a", 16, 1, 100, true);
  old.code = "old";
  database.add(old);
  for (const TuningRow &row : {row("a", 16, 2, 10), row("a", 128, 1, 100, true), row("a", 128, 3, 80)})
    database.add(row);
  outdated = {"old"};
  auto best = choose(16);
  ASSERT_TRUE(best);
  EXPECT_EQ(3, best->schedule[0].second);
  EXPECT_THAT(best->shapes, ElementsAre("d0=128"));
}

/// What was measured at another time than the default must gain more.
TEST_F(ChoiceTest, MeasurementsByTurnsComeFirst) {
  for (const TuningRow &row : {row("a", 16, 1, 100, true), row("a", 16, 2, 92), row("a", 16, 3, 80)})
    database.add(row);
  EXPECT_EQ(3, choose(16)->schedule[0].second);
  database.add(turns(16, 3, 84, 85)); // luck: the default was as fast then
  EXPECT_FALSE(choose(16));
  database.add(turns(16, 2, 90, 95));
  ASSERT_TRUE(choose(16));
  EXPECT_EQ(2, choose(16)->schedule[0].second);
  EXPECT_DOUBLE_EQ(95.0 / 90, choose(16)->gain);
  // Where the default is one of them, the turns were with another: 7% do not do.
  EXPECT_FALSE(choose(16, 2));
  outdated = {"code2"};
  EXPECT_FALSE(choose(16));
}

/// Its own code is as it was, but what it was faster than is the default no more.
TEST_F(ChoiceTest, TurnsWithAnotherDefaultAreNone) {
  for (const TuningRow &row : {row("a", 16, 1, 100, true), turns(16, 3, 93, 100)})
    database.add(row);
  ASSERT_TRUE(choose(16));
  EXPECT_DOUBLE_EQ(100.0 / 93, choose(16)->gain);
  EXPECT_FALSE(choose(16, 2)); // nothing is known of 2
  database.add(row("a", 16, 2, 90, true));
  EXPECT_FALSE(choose(16, 2));
  database.add(row("a", 16, 2, 101, true));
  EXPECT_FALSE(choose(16, 2)); // 9%, measured at another time
  database.add(row("a", 16, 2, 105, true));
  ASSERT_TRUE(choose(16, 2));
  EXPECT_DOUBLE_EQ(105.0 / 93, choose(16, 2)->gain);
  database.add(turns(16, 3, 94, 95, "code2"));
  EXPECT_FALSE(choose(16, 2));
  EXPECT_TRUE(choose(16)); // back at the older compiler
}

/// The same schedule, of which the compiler makes other code.
TEST_F(ChoiceTest, TurnsWithOtherCodeOfTheDefaultAreNone) {
  TuningRow since = row("a", 16, 1, 90, true);
  since.code = "newer compiler's";
  for (const TuningRow &row : {row("a", 16, 1, 100, true), turns(16, 3, 93, 100)})
    database.add(row);
  outdated = {"code1"};
  EXPECT_FALSE(choose(16)); // the default was not measured
  database.add(since);
  EXPECT_FALSE(choose(16));
  outdated = {"newer compiler's"};
  ASSERT_TRUE(choose(16));
  EXPECT_DOUBLE_EQ(100.0 / 93, choose(16)->gain);
}

TEST_F(ChoiceTest, TurnsThatDoNotSayWithWhichDefaultAreNone) {
  for (const TuningRow &row : {row("a", 16, 1, 100, true), turns(16, 3, 93, 100, ""), turns(16, 4, 85, 86, "")})
    database.add(row);
  ASSERT_TRUE(choose(16));
  EXPECT_EQ(4, choose(16)->schedule[0].second); // 18%, measured at another time
  EXPECT_FALSE(choose(16, 1, /*illegal=*/4));
}

TEST_F(ChoiceTest, TheNewestRowOfTheDefaultCounts) {
  for (const TuningRow &row : {row("a", 16, 9, 200, true), row("a", 16, 1, 100, true), row("a", 16, 3, 80)})
    database.add(row);
  EXPECT_DOUBLE_EQ(1.25, choose(16)->gain); // not over 9, which was the default
  database.add(row("a", 16, 1, 85));
  EXPECT_FALSE(choose(16));
}

TEST_F(ChoiceTest, TheNewestRowThatHoldsCounts) {
  TuningRow back = row("a", 16, 2, 50), since = back;
  since.code = "newer compiler's", since.medianNs = 200;
  for (const TuningRow &row : {row("a", 16, 1, 100, true), back, since})
    database.add(row);
  EXPECT_FALSE(choose(16));
  outdated = {"newer compiler's"}; // back at an older version, whose rows are still there
  ASSERT_TRUE(choose(16));
  EXPECT_DOUBLE_EQ(2, choose(16)->gain);
}

} // namespace
