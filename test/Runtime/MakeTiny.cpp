//===- MakeTiny.cpp - writes the tests' tiny model to a file -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TestModel.h"

#include <cstdio>

int main(int argc, char **argv) {
  if (argc != 2)
    return std::fprintf(stderr, "usage: permalloy-make-tiny OUT.alloy\n"), 2;
  permalloy::artifact::ArtifactContents contents = permalloy::test::tinyModel();
  permalloy::Status status = permalloy::artifact::writeArtifact(argv[1], contents);
  if (!status.ok())
    return std::fprintf(stderr, "error: %s\n", status.message().c_str()), 1;
  return 0;
}
