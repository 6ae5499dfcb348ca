//===- KernelCacheTest.cpp - lookup, damage and size limit ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/Common/KernelCache.h"
#include "KernelRunner.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"

#include "llvm/Support/FileSystem.h"

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

class KernelCacheTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("permalloy-cache", folder));
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  std::string file(llvm::StringRef name) { return (folder + "/" + name).str(); }
  static llvm::ArrayRef<char> bytes(llvm::StringRef text) { return {text.data(), text.size()}; }

  llvm::SmallString<128> folder;
};

TEST_F(KernelCacheTest, KeepsObjects) {
  KernelCache cache(file("made/when/written"));
  EXPECT_FALSE(cache.lookup("a").has_value());
  cache.store("a", bytes("object a"));
  auto found = cache.lookup("a");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ("object a", llvm::StringRef(found->data(), found->size()));
  EXPECT_FALSE(cache.lookup("b").has_value());
}

TEST_F(KernelCacheTest, IgnoresDamagedFiles) {
  KernelCache cache(folder.str().str());
  cache.store("a", bytes("object a"));
  std::error_code error;
  llvm::raw_fd_ostream stream(file("a.o"), error, llvm::sys::fs::CD_OpenExisting);
  stream << "X";
  stream.close();
  EXPECT_FALSE(cache.lookup("a").has_value());
  llvm::raw_fd_ostream(file("b.o"), error) << "abc";
  EXPECT_FALSE(cache.lookup("b").has_value());
}

TEST_F(KernelCacheTest, StaysUnderItsLimit) {
  KernelCache cache(folder.str().str(), /*limitBytes=*/100);
  std::string object(40, 'x');
  for (const char *key : {"a", "b", "c"})
    cache.store(key, bytes(object));
  int left =
      cache.lookup("a").has_value() + cache.lookup("b").has_value() + cache.lookup("c").has_value();
  EXPECT_EQ(2, left);
}

TEST_F(KernelCacheTest, CannotBeWrittenIsNoError) {
  KernelCache("/proc/nowhere").store("a", bytes("object a"));
  KernelCache("").store("a", bytes("object a"));
  EXPECT_FALSE(KernelCache("").lookup("a").has_value());
}

TEST_F(KernelCacheTest, KeysDependOnTheKernelAndTheTarget) {
  auto key = [](float value, const CpuTarget &target) {
    KernelModule kernel;
    KernelBuilder b(*kernel.module, kernel.loc(), "kernel", target, 1, 0);
    b.store(b.f32(value), b.buffer(0));
    b.finish();
    EXPECT_TRUE(mlir::succeeded(lowerToLLVM(*kernel.module, target)));
    return KernelCache::keyOf(*kernel.module, target);
  };
  const CpuTarget &first = CpuTarget::all().front(), &last = CpuTarget::all().back();
  EXPECT_EQ(key(1, first), key(1, first));
  EXPECT_NE(key(1, first), key(2, first));
  EXPECT_NE(key(1, first), key(1, last));
  EXPECT_EQ(key(1, llvm::cantFail(CpuTarget::parse("sapphirerapids"))), key(1, CpuTarget::withoutAmx()))
      << "the same code";
}

TEST_F(KernelCacheTest, KeysOfGpusDependOnTheAssembler) {
  KernelModule kernel;
  const GpuTarget &first = GpuTarget::all().front(), &last = GpuTarget::all().back();
  std::string key = KernelCache::keyOf(*kernel.module, first, "release 13.0");
  EXPECT_EQ(key, KernelCache::keyOf(*kernel.module, first, "release 13.0"));
  EXPECT_NE(key, KernelCache::keyOf(*kernel.module, first, "release 12.4"));
  EXPECT_NE(key, KernelCache::keyOf(*kernel.module, first, "")) << "PTX alone";
  EXPECT_NE(key, KernelCache::keyOf(*kernel.module, last, "release 13.0"));
  EXPECT_NE(key, KernelCache::keyOf(*kernel.module, CpuTarget::all().front()));
}

TEST_F(KernelCacheTest, CodeOfGpusComesBack) {
  GpuCode code{".version 7.0", {}};
  code.cubin.bytes.assign({'\x7f', 'E', 'L', 'F', '\0'});
  code.cubin.report = {40, 8};
  llvm::SmallVector<char, 0> packed = code.pack();
  auto found = GpuCode::unpack(packed);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->ptx, code.ptx);
  EXPECT_EQ(llvm::ArrayRef(found->cubin.bytes), llvm::ArrayRef(code.cubin.bytes));
  EXPECT_EQ(found->cubin.report.registers, 40u);
  EXPECT_EQ(found->cubin.report.spillBytes, 8u);
  EXPECT_FALSE(GpuCode::unpack(llvm::ArrayRef(packed).take_front(20)).has_value()) << "less PTX than it says";
  EXPECT_FALSE(GpuCode::unpack({}).has_value());
}

} // namespace
