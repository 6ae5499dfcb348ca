//===- CodeImageTest.cpp - loading images and choosing targets --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include "permalloy/Runtime/CodeImage.h"

#include <csignal>
#include <cstring>
#include <elf.h>
#include <gtest/gtest.h>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

std::string loadError(const std::vector<std::byte> &elf) {
  auto image = CodeImage::load(elf, "t");
  return image.ok() ? "" : image.status().message();
}

TEST(CodeImage, RefusesRelocationsAndForeignFiles) {
  EXPECT_EQ(loadError(readFile(PERMALLOY_TEST_RELOCATED_IMAGE)),
            "the code image for 't' has dynamic relocations, which kernels may not");
  EXPECT_EQ(loadError(std::vector<std::byte>(200)),
            "the code image for 't' is not an x86-64 shared object");
  std::vector<std::byte> elf = readFile(PERMALLOY_TEST_IMAGE);
  EXPECT_EQ(loadError({elf.begin(), elf.begin() + 20}), "the code image for 't' is truncated");
  EXPECT_EQ(loadError({elf.begin(), elf.begin() + 300}),
            "the code image for 't' has program headers outside of it");
}

TEST(CodeImage, EntriesMustBeCode) {
  std::vector<std::byte> elf = readFile(PERMALLOY_TEST_IMAGE);
  auto image = CodeImage::load(elf, "t");
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_TRUE(image->entry(entryPoints(elf, {"affine"})[0]).ok());
  EXPECT_EQ(image->entry(0).status().message(),
            "a kernel's entry point 0 lies outside the code image");
  EXPECT_FALSE(image->entry(uint64_t(1) << 40).ok());
}

TEST(CodeImage, NothingIsWritable) {
  // Of the segments of the image, none may be writable once loaded: look them up in /proc.
  std::vector<std::byte> elf = readFile(PERMALLOY_TEST_IMAGE);
  auto image = CodeImage::load(elf, "t");
  ASSERT_TRUE(image.ok());
  auto entry = image->entry(entryPoints(elf, {"affine"})[0]);
  ASSERT_TRUE(entry.ok());
  EXPECT_EXIT(
      {
        *reinterpret_cast<volatile char *>(reinterpret_cast<uintptr_t>(*entry)) = 0;
        std::exit(0);
      },
      [](int status) { return status != 0; }, "");
}

TEST(SelectTarget, TakesTheMostDemandingThatRuns) {
  std::vector<Target> targets = {{"v3", kX86_64V3, {}}, {"v4", kX86_64V4, {}}};
  EXPECT_EQ(*selectTarget(targets, kX86_64V4), 1u);
  EXPECT_EQ(*selectTarget(targets, kX86_64V3), 0u);
  EXPECT_EQ(selectTarget(targets, kX86_64V3 & ~featureBit(CpuFeature::fma)).status().message(),
            "this CPU runs none of the targets 'v3', 'v4': 'v3' needs fma; compile the model for "
            "this machine");
}

/// Linux gives no tile state to a process that has a thread whose alternative signal stack could not hold it.
[[noreturn]] void selectOnSmallSignalStack() {
  static char memory[8192];
  stack_t stack = {.ss_sp = memory, .ss_flags = 0, .ss_size = sizeof memory};
  CpuFeatureMask amx = featureBit(CpuFeature::amxTile);
  std::vector<Target> targets = {{"plain", kX86_64V3, {}}, {"tiles", kX86_64V3 | amx, {}}};
  if (sigaltstack(&stack, nullptr) != 0)
    std::_Exit(100);
  Result<size_t> first = selectTarget(targets, kX86_64V3 | amx), second = selectTarget(targets, kX86_64V3 | amx);
  bool onlyTiles = selectTarget(std::span(targets).last(1), kX86_64V3 | amx).ok();
  std::_Exit(first.ok() && second.ok() && !onlyTiles ? int(*first + *second) : 101);
}

TEST(SelectTarget, FallsBackWhereTileStateIsRefused) {
  // In a process of its own: permission, once given, stays.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(selectOnSmallSignalStack(), testing::ExitedWithCode(0),
              "^permalloy: Linux refused the AMX tile state; target 'tiles' is not used\n");
}

TEST(SelectTarget, SessionsSayWhichTheyRun) {
  ArtifactContents contents = tinyModel();
  contents.program.targets.push_back(contents.program.targets[0]);
  contents.program.targets[1].name = "future";
  contents.program.targets[1].features = uint64_t(1) << 60;
  contents.images.push_back(contents.images[0]);
  for (Step &step : contents.program.steps)
    if (step.kind == StepKind::launch)
      step.grids.push_back(step.grids[0]);
  auto session = openSession(std::move(contents));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->targetIndex(), 0u);
  EXPECT_TRUE(TinyCase(2, 2).runsRight(*session));
}

} // namespace
