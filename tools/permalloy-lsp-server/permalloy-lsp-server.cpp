//===- permalloy-lsp-server.cpp - editors' view of our dialects --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Driver/Driver.h"

int main(int argc, char **argv) { return permalloy::permalloyLspServerMain(argc, argv); }
