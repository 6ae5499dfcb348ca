//===- TunerTest.cpp - measuring schedules into a database -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Tuner.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/KernelEmitter.h"
#include "permalloy/Measure/Corpus.h"
#include "permalloy/Support/Files.h"

#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"

#include <fstream>

using namespace permalloy;
using namespace permalloy::measure;

namespace {

class TunerTest : public testing::Test {
protected:
  TunerTest() : folder(std::move(*TempFolder::create())), path(folder.file("tuning.jsonl")) {
    mlir::DialectRegistry registry;
    registry.insert<tfm::TfmDialect, kern::KernDialect>();
    codegen::registerKernelDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    context.disableMultithreading();
    target = llvm::cantFail(codegen::CpuTarget::parse("host"));
  }

  TuningProgress tune(llvm::ArrayRef<TuningTask> tasks, unsigned rounds, std::function<bool()> stop = [] { return false; }) {
    Result<TuningWriter> writer = TuningWriter::open(path);
    EXPECT_TRUE(writer.ok()) << writer.status().message();
    TuningOptions options;
    options.target = &target;
    options.rounds = rounds;
    options.candidates = candidates;
    options.confirmed = confirmed;
    options.stop = std::move(stop);
    Tuner tuner(*writer, options);
    Status status = tuner.run(tasks);
    EXPECT_TRUE(status.ok()) << status.message();
    return tuner.progress();
  }

  TuningTask linear() {
    modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(
        R"mlir(kern.kernel @k contraction attributes {arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<48>]], symbols = ["d0"]} {
        ^bb0(%x: tensor<?x64xf32>, %w: tensor<64x48xf32, #tfm.panels>):
          %0 = tfm.linear %x, %w : (tensor<?x64xf32>, tensor<64x48xf32, #tfm.panels>) -> tensor<?x48xf32>
          kern.yield %0 : tensor<?x48xf32>
        })mlir",
        &context));
    TuningTask task{*modules.back()->getOps<kern::KernelOp>().begin(), {}};
    for (int64_t rows : {1, 20})
      task.sizes.emplace_back()["d0"] = rows;
    return task;
  }

  /// Changes the lines of the database.
  void edit(llvm::function_ref<void(std::string &)> change) {
    std::string text;
    {
      std::ifstream file(path);
      for (std::string line; std::getline(file, line); text += line + "\n")
        change(line);
    }
    std::ofstream(path) << text;
  }

  unsigned candidates = 3, confirmed = 0;
  TempFolder folder;
  std::string path;
  mlir::MLIRContext context;
  codegen::CpuTarget target = codegen::CpuTarget::all().front();
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
};

TEST_F(TunerTest, MeasuresTheDefaultFirstAndResumes) {
  TuningProgress first = tune({linear()}, 1);
  EXPECT_EQ(6u, first.measured); // three schedules at two sizes
  EXPECT_EQ(0u, first.refused) << first.refusal;
  TuningProgress again = tune({linear()}, 1);
  EXPECT_EQ(0u, again.measured);
  EXPECT_EQ(6u, again.known);
  TuningProgress more = tune({linear()}, 2);
  EXPECT_EQ(6u, more.measured);
  Result<TuningDatabase> database = TuningDatabase::load(path);
  ASSERT_TRUE(database.ok()) << database.status().message();
  ASSERT_EQ(12u, database->rows().size());
  EXPECT_TRUE(database->rows()[0].isDefault && database->rows()[1].isDefault && !database->rows()[2].isDefault);
  for (const TuningRow &row : database->rows()) {
    EXPECT_GT(row.medianNs, 0);
    EXPECT_LE(row.minNs, row.medianNs);
    EXPECT_GE(row.repeats, 5u);
    EXPECT_TRUE(row.coldWeights);
    EXPECT_GT(row.instructions, 50u);
    EXPECT_EQ(2 * 64 * 48 * row.symbols[0].second, row.flops);
    EXPECT_EQ(4u, row.sizes.size() * 2);
  }
}

void makeDefaultSlow(std::string &line) {
  if (size_t at = line.find("\"median_ns\":"); at != std::string::npos && line.find("\"default\":true") != std::string::npos)
    line.insert(at + 12, "9");
}

/// A default that is made to look slow: what beats it is measured by turns with it, once.
TEST_F(TunerTest, ConfirmsWhatIsFaster) {
  tune({linear()}, 1);
  edit(makeDefaultSlow);
  confirmed = 1;
  EXPECT_EQ(4u, tune({linear()}, 1).measured); // one schedule and the default, at two sizes
  Result<TuningDatabase> database = TuningDatabase::load(path);
  ASSERT_TRUE(database.ok()) << database.status().message();
  ASSERT_EQ(10u, database->rows().size());
  for (size_t i = 6; i < 10; i += 2) {
    const TuningRow &usual = database->rows()[i], &other = database->rows()[i + 1];
    EXPECT_TRUE(usual.isDefault && !other.isDefault);
    EXPECT_EQ(usual.medianNs, usual.defaultNs);
    EXPECT_EQ(usual.medianNs, other.defaultNs);
    EXPECT_LT(other.medianNs / other.defaultNs, 5);
    EXPECT_TRUE(usual.defaultCode == usual.code && other.defaultCode == usual.code);
  }
  // What was confirmed is not measured again; on a busy machine another schedule may look fastest by then, each of them once.
  uint64_t more = 1;
  for (int round = 0; more != 0 && round < 4; ++round)
    more = tune({linear()}, 1).measured;
  EXPECT_EQ(0u, more);
}

/// Turns count with the default that they were measured with.
TEST_F(TunerTest, ConfirmsAgainWithAnotherDefault) {
  candidates = 2, confirmed = 1;
  tune({linear()}, 1);
  edit(makeDefaultSlow);
  tune({linear()}, 1);
  edit(makeDefaultSlow);
  EXPECT_EQ(0u, tune({linear()}, 1).measured);
  edit([](std::string &line) {
    if (size_t at = line.find("\"default_code\":\""); at != std::string::npos)
      line.insert(at + 16, "other");
  });
  EXPECT_EQ(4u, tune({linear()}, 1).measured); // the schedule and the default, at two sizes
}

TEST_F(TunerTest, StopsAtOnce) {
  unsigned asked = 0;
  TuningProgress progress = tune({linear()}, 100, [&] { return ++asked > 20; });
  EXPECT_LT(progress.measured, 6u);
  EXPECT_TRUE(TuningDatabase::load(path).ok());
}

TEST_F(TunerTest, LeavesOutWhatItCannotRun) {
  TuningTask task = linear();
  task.sizes[0]["d0"] = int64_t(1) << 40;
  TuningProgress progress = tune({task}, 1);
  EXPECT_EQ(0u, progress.measured);
  EXPECT_EQ(1u, progress.refused);
  EXPECT_EQ("its buffers take more than a gigabyte", progress.refusal);
}

/// Every kernel of the corpus is taken by its emitter on every target; one of each is timed.
TEST_F(TunerTest, CorpusKernelsHaveSchedules) {
  Corpus corpus(context, 1);
  std::set<kern::Emitter> emitters;
  for (const TuningTask &task : corpus.take(100)) {
    kern::KernelOp kernel = task.kernel;
    kern::Emitter emitter = kernel.getEmitter();
    for (const codegen::CpuTarget &each : codegen::CpuTarget::all()) {
      ASSERT_TRUE(succeeded(codegen::selectSchedule(kernel, each)));
      ASSERT_EQ(emitter, kernel.getEmitter());
    }
    emitters.insert(emitter);
  }
  EXPECT_EQ(3u, emitters.size());
}

} // namespace
