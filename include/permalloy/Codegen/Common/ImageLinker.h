//===- ImageLinker.h - kernel objects to one flat ELF image -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_COMMON_IMAGELINKER_H
#define PERMALLOY_CODEGEN_COMMON_IMAGELINKER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <map>
#include <string>

namespace permalloy::codegen {

/// One ELF image with all the kernels of a target, as it goes into the artifact.
///
/// It has exactly one PT_LOAD segment, read+execute, at virtual address 0 and file offset 0,
/// holding headers, code and constants: the runtime copies its p_filesz bytes to any 64-byte
/// aligned anonymous memory, makes that read+execute and calls base + offset. No symbol is
/// undefined and there are no dynamic relocations (both checked here); the symbol table stays for
/// objdump and perf.
struct LinkedImage {
  llvm::SmallVector<char, 0> bytes;
  /// Kernel name -> offset of its first instruction in the image.
  std::map<std::string, uint64_t> entries;
};

/// Links `objects` with lld as a library; every global function becomes an entry. The bytes depend
/// on the objects and their order only. lld keeps global state, so calls are serialised by a lock.
llvm::Expected<LinkedImage> linkImage(llvm::ArrayRef<llvm::ArrayRef<char>> objects);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_COMMON_IMAGELINKER_H
