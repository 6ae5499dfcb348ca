//===- EmbeddedTrees.cpp - the trees of the cost model, as data --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// models/cpu.trees, which benchmarks/cost_model/train.py writes, between two symbols. The assembler reads it: as a C++ array it
// would take the compiler longer than all the rest of this folder.
//
//===----------------------------------------------------------------------===//

asm(R"(
  .pushsection .rodata
  .globl permalloyTreesBegin
  .globl permalloyTreesEnd
  .balign 16
permalloyTreesBegin:
  .incbin ")" PERMALLOY_TREES R"("
permalloyTreesEnd:
  .byte 0
  .popsection
)");
