//===- MakeTiny.cpp - writes the tests' tiny models to files -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include <cstdio>
#include <cstring>

int main(int argc, char **argv) {
  bool cache = argc == 3 && std::strcmp(argv[2], "cache") == 0;
  if (argc != 2 && !cache)
    return std::fprintf(stderr, "usage: permalloy-make-tiny OUT.alloy [cache]\n"), 2;
  using namespace permalloy::test;
  permalloy::artifact::ArtifactContents contents = cache ? cacheModel() : tinyModel();
  permalloy::Status status = permalloy::artifact::writeArtifact(argv[1], contents);
  if (!status.ok())
    return std::fprintf(stderr, "error: %s\n", status.message().c_str()), 1;
  return 0;
}
