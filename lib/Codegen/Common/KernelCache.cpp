//===- KernelCache.cpp - compiled kernels kept on disk ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/Common/KernelCache.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

using namespace permalloy::codegen;
using llvm::ArrayRef;
using llvm::StringRef;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

/// Raised when the road from lowered IR to object (ObjectEmission.cpp) changes, or that to PTX (PtxEmission.cpp).
static constexpr StringRef kFormat = "permalloy-object-2 llvm-" LLVM_VERSION_STRING " ";
static constexpr StringRef kGpuFormat = "permalloy-gpu-1 llvm-" LLVM_VERSION_STRING " ";
static constexpr StringRef kExtension = ".o";

std::string KernelCache::defaultFolder() {
  llvm::SmallString<128> folder;
  if (!path::cache_directory(folder))
    return "";
  path::append(folder, "permalloy", "kernels");
  return folder.str().str();
}

static std::string hashOf(const llvm::Twine &head, mlir::ModuleOp lowered) {
  std::string text = (head + "\n").str();
  llvm::raw_string_ostream stream(text);
  lowered.print(stream,
                mlir::OpPrintingFlags().printGenericOpForm().elideLargeElementsAttrs(1 << 20));
  llvm::BLAKE3 hasher;
  hasher.update(text);
  return llvm::toHex(hasher.final<20>(), /*LowerCase=*/true);
}

std::string KernelCache::keyOf(mlir::ModuleOp lowered, const CpuTarget &target) {
  // Targets that differ in what intrinsics may be used generate the same code from the same IR.
  return hashOf(kFormat + target.llvmCpu + " " + target.llvmTuneCpu, lowered);
}

std::string KernelCache::keyOf(mlir::ModuleOp lowered, const GpuTarget &target, StringRef assembler) {
  return hashOf(kGpuFormat + target.name + " " + target.ptxFeature + " " + assembler, lowered);
}

static std::string pathOf(StringRef folder, StringRef key) {
  llvm::SmallString<128> result(folder);
  path::append(result, key + kExtension);
  return result.str().str();
}

/// Eight bytes that end each file.
static std::string checksum(ArrayRef<char> object) {
  uint64_t hash =
      llvm::xxh3_64bits(ArrayRef(reinterpret_cast<const uint8_t *>(object.data()), object.size()));
  return std::string(reinterpret_cast<const char *>(&hash), sizeof(hash));
}

std::optional<llvm::SmallVector<char, 0>> KernelCache::lookup(StringRef key) const {
  if (folder.empty())
    return std::nullopt;
  auto file = llvm::MemoryBuffer::getFile(pathOf(folder, key), /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file || (*file)->getBufferSize() < sizeof(uint64_t))
    return std::nullopt;
  ArrayRef<char> bytes((*file)->getBufferStart(), (*file)->getBufferSize());
  ArrayRef<char> object = bytes.drop_back(sizeof(uint64_t));
  if (checksum(object) != StringRef(bytes.end() - sizeof(uint64_t), sizeof(uint64_t)))
    return std::nullopt;
  return llvm::SmallVector<char, 0>(object);
}

void KernelCache::store(StringRef key, ArrayRef<char> object) const {
  if (folder.empty() || fs::create_directories(folder, /*IgnoreExisting=*/true, fs::owner_all))
    return;
  std::string target = pathOf(folder, key);
  auto temporary = fs::TempFile::create(target + ".%%%%%%", fs::owner_read | fs::owner_write);
  if (!temporary)
    return llvm::consumeError(temporary.takeError());
  llvm::raw_fd_ostream stream(temporary->FD, /*shouldClose=*/false);
  stream << StringRef(object.data(), object.size()) << checksum(object);
  stream.flush();
  bool failed = stream.has_error();
  stream.clear_error();
  llvm::consumeError(failed ? temporary->discard() : temporary->keep(target));
  prune();
}

void KernelCache::prune() const {
  struct Entry {
    fs::file_status status;
    std::string path;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; it != end && !error; it.increment(error)) {
    fs::file_status status;
    if (path::extension(it->path()) != kExtension || fs::status(it->path(), status))
      continue;
    total += status.getSize();
    entries.push_back({status, it->path()});
  }
  if (total <= limitBytes)
    return;
  llvm::sort(entries, [](const Entry &a, const Entry &b) {
    return a.status.getLastModificationTime() < b.status.getLastModificationTime();
  });
  for (const Entry &entry : entries) {
    if (total <= limitBytes)
      return;
    fs::remove(entry.path);
    total -= entry.status.getSize();
  }
}
