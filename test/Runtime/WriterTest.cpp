//===- WriterTest.cpp - model.alloy appears complete or not at all ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/resource.h>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

std::vector<std::string> filesIn(const std::string &directory) {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  return names;
}

/// A directory of its own for each test.
std::string freshDirectory(const std::string &name) {
  std::string path = scratchPath(name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

TEST(Writer, SameContentsSameBytes) {
  EXPECT_EQ(artifactBytes(tinyModel()), artifactBytes(tinyModel()));
}

TEST(Writer, StoresEqualWeightsOnce) {
  ArtifactContents contents = tinyModel();
  WriteReport report;
  ASSERT_TRUE(writeArtifact(scratchPath("shared.alloy"), contents, &report).ok());
  EXPECT_EQ(report.sharedWeights, 1u);
  EXPECT_EQ(contents.program.weights[0].offset, contents.program.weights[2].offset);
  EXPECT_EQ(report.fileSize, readFile(scratchPath("shared.alloy")).size());
}

TEST(Writer, LargeWeightsStartOnPages) {
  ArtifactContents contents = tinyModel();
  std::vector<char> large(3 * kPageSize + 5, 'x');
  for (int i = 0; i < 3; ++i) { // two equal ones between others
    Weight &weight = contents.program.weights.emplace_back();
    weight.name = "large" + std::to_string(i);
    weight.size = large.size();
    large[0] = i == 2 ? 'y' : 'x';
    contents.weightSources.push_back(
        [large](const WeightSink &sink) { return sink(large.data(), large.size()); });
  }
  auto session = openSession(std::move(contents));
  ASSERT_TRUE(session);
  const std::vector<Weight> &weights = session->artifact().program().weights;
  EXPECT_EQ(weights[3].offset % kPageSize, 0u);
  EXPECT_EQ(weights[3].offset, weights[4].offset);
  EXPECT_NE(weights[3].offset, weights[5].offset);
  EXPECT_TRUE(session->artifact().verifyWeights().ok());
  EXPECT_TRUE(TinyCase(2, 3).runsRight(*session));
}

TEST(Writer, ReplacesAFileAndLeavesNoOther) {
  std::string directory = freshDirectory("replace");
  std::string path = directory + "/model.alloy";
  writeFile(path, std::vector<std::byte>(100));
  ArtifactContents contents = tinyModel();
  ASSERT_TRUE(writeArtifact(path, contents).ok());
  EXPECT_EQ(filesIn(directory), std::vector<std::string>{"model.alloy"});
  EXPECT_TRUE(Artifact::open(path).ok());
}

TEST(Writer, RefusesWhatIsNoFile) {
  ArtifactContents contents = tinyModel();
  EXPECT_EQ(writeArtifact("/dev/null", contents).message(),
            "cannot write '/dev/null': it exists and is not a regular file");
  EXPECT_EQ(writeArtifact("/nonexistent/model.alloy", contents).message(),
            "cannot create '/nonexistent/model.alloy': No such file or directory");
}

TEST(Writer, AWeightOfTheWrongSizeLeavesNothing) {
  std::string directory = freshDirectory("wrong-size");
  ArtifactContents contents = tinyModel();
  contents.program.weights[1].size += 4;
  EXPECT_EQ(writeArtifact(directory + "/model.alloy", contents).message(),
            "weight 'b' gave 32 of 36 bytes");
  EXPECT_TRUE(filesIn(directory).empty());
}

TEST(Writer, AFullDiskLeavesTheOldFile) {
  std::string directory = freshDirectory("full");
  std::string path = directory + "/model.alloy";
  writeFile(path, std::vector<std::byte>(100));
  // A file size limit fails writes as a full disk does.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = {6000, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  ArtifactContents contents = tinyModel();
  Status status = writeArtifact(path, contents);
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(status.code(), StatusCode::ioError);
  EXPECT_EQ(status.message(), "cannot write '" + path + "': File too large");
  EXPECT_EQ(filesIn(directory), std::vector<std::string>{"model.alloy"});
  EXPECT_EQ(readFile(path).size(), 100u);
}

TEST(Writer, RefusesAnInvalidProgram) {
  ArtifactContents contents = tinyModel();
  contents.program.steps[1].operands[0].index = 5;
  EXPECT_EQ(writeArtifact(scratchPath("invalid.alloy"), contents).message(),
            "the compiler made an invalid program: step 1 '/mask' refers to slot 5 of 1");
}

} // namespace
