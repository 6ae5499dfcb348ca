//===- permalloy-opt.cpp - runs passes on MLIR files -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Driver/Driver.h"

int main(int argc, char **argv) { return permalloy::permalloyOptMain(argc, argv); }
