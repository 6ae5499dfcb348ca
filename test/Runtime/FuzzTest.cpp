//===- FuzzTest.cpp - no damage to a file crashes the runtime ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

using namespace permalloy;
using namespace permalloy::artifact;
using namespace permalloy::test;

namespace {

/// Opens; where that succeeds also loads the code and plans a run, without running.
bool survives(const std::vector<std::byte> &bytes) {
  auto artifact = Artifact::fromMemory(bytes.data(), bytes.size());
  if (!artifact.ok())
    return false;
  auto session = Session::create(*artifact, {.threads = 1});
  if (!session.ok())
    return false;
  std::vector<InputTensor> inputs;
  for (const TensorInfo &info : (*artifact)->manifest().inputs) {
    InputTensor &input = inputs.emplace_back(InputTensor{info.dtype, {}, nullptr});
    for (const Dim &dim : info.dims) {
      const Expr &expr = (*artifact)->program().expressions[dim.expr];
      input.dims.push_back(expr.op == ExprOp::constant ? expr.value : 2);
    }
  }
  std::vector<std::vector<int64_t>> dims;
  return (*session)->inferShapes(inputs, dims).ok();
}

TEST(Fuzz, EveryTruncationIsRefused) {
  const std::vector<std::byte> good = artifactBytes(tinyModel());
  for (size_t size = 0; size < good.size(); size += size < 4200 ? 1 : 61)
    ASSERT_FALSE(survives({good.begin(), good.begin() + size})) << size;
}

TEST(Fuzz, EveryFlippedByteIsFoundOrHarmless) {
  const std::vector<std::byte> good = artifactBytes(tinyModel());
  auto original = Artifact::fromMemory(good.data(), good.size());
  ASSERT_TRUE(original.ok());
  std::vector<std::byte> bytes = good;
  for (size_t i = 0; i < good.size(); i += i < kPageSize ? 1 : 7) {
    bytes[i] ^= std::byte{0xff};
    auto artifact = Artifact::fromMemory(bytes.data(), bytes.size());
    if (artifact.ok()) {
      // Only weights and the zeros between sections are not under a checksum at open.
      bool inside = false;
      for (const SectionEntry &section : (*original)->sections())
        inside |= i >= section.offset && i < section.offset + section.size &&
                  section.kind != SectionKind::weights;
      ASSERT_FALSE(inside || i < kPageSize) << i;
    }
    bytes[i] = good[i];
  }
}

/// Makes the checksums right again, as somebody would who alters a file on purpose.
void repairChecksums(std::vector<std::byte> &bytes) {
  FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (uint32_t i = 0; i < header.sectionCount && i < kMaxSections; ++i) {
    std::byte *row = bytes.data() + sizeof header + i * sizeof(SectionEntry);
    SectionEntry section;
    std::memcpy(&section, row, sizeof section);
    if (section.kind == SectionKind::weights || section.offset > bytes.size() ||
        section.size > bytes.size() - section.offset)
      continue;
    section.checksum = hash128(bytes.data() + section.offset, section.size);
    std::memcpy(row, &section, sizeof section);
  }
  header.checksum = {};
  std::memcpy(bytes.data(), &header, sizeof header);
  header.checksum = hash128(bytes.data(), kPageSize);
  std::memcpy(bytes.data(), &header, sizeof header);
}

/// Alters `rounds` copies of `good` at random; how many could still be opened and planned.
int survivorsOf(const std::vector<std::byte> &good, int rounds) {
  std::vector<size_t> places; // bytes of the header, the image's headers, the program, the manifest
  auto artifact = Artifact::fromMemory(good.data(), good.size());
  EXPECT_TRUE(artifact.ok());
  for (size_t i = 0; i < 256; ++i)
    places.push_back(i);
  for (const SectionEntry &section : (*artifact)->sections()) {
    uint64_t size = section.kind == SectionKind::image ? 600 : section.size;
    for (uint64_t i = 0; i < size && section.kind != SectionKind::weights; ++i)
      places.push_back(section.offset + i);
  }
  std::mt19937 random(1);
  int survivors = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::byte> bytes = good;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      std::byte &place = bytes[places[random() % places.size()]];
      switch (random() % 3) {
      case 0:
        place = std::byte(random());
        break;
      case 1:
        place ^= std::byte(1 << random() % 8);
        break;
      default:
        place = std::byte(random() % 2 ? 0xff : 0);
      }
    }
    repairChecksums(bytes);
    survivors += survives(bytes);
  }
  return survivors;
}

TEST(Fuzz, AlteredFilesWithRightChecksumsNeverCrash) {
  // Names and sizes may change freely.
  EXPECT_GT(survivorsOf(artifactBytes(tinyModel()), 20000), 100);
}

TEST(Fuzz, AlteredFilesWithCachesNeverCrash) {
  EXPECT_GT(survivorsOf(artifactBytes(cacheModel()), 20000), 100);
}

} // namespace
