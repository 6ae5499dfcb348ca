//===- MakeTiny.cpp - writes the tests' tiny models to files -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceModel.h"

#include <cstdio>
#include <cstring>

int main(int argc, char **argv) {
  bool cache = false, gpu = false, wrong = argc < 2;
  for (int i = 2; i < argc; ++i) {
    cache |= std::strcmp(argv[i], "cache") == 0;
    gpu |= std::strcmp(argv[i], "gpu") == 0;
    wrong |= std::strcmp(argv[i], "cache") != 0 && std::strcmp(argv[i], "gpu") != 0;
  }
  if (wrong)
    return std::fprintf(stderr, "usage: permalloy-make-tiny OUT.alloy [cache] [gpu]\n"), 2;
  using namespace permalloy::test;
  permalloy::artifact::ArtifactContents contents = cache ? cacheModel() : tinyModel();
  if (gpu)
    contents = withDevice(std::move(contents));
  permalloy::Status status = permalloy::artifact::writeArtifact(argv[1], contents);
  if (!status.ok())
    return std::fprintf(stderr, "error: %s\n", status.message().c_str()), 1;
  return 0;
}
