//===- ImageLinkerTest.cpp - what linkImage makes and refuses ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelRunner.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/IR/Diagnostics.h"

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

const CpuTarget &baseline() { return CpuTarget::all().back(); }

/// An object with one kernel `name` that maps x to erf(x) + `offset`.
llvm::SmallVector<char, 0> makeObject(llvm::StringRef name, float offset) {
  KernelModule kernel;
  KernelBuilder b(*kernel.module, kernel.loc(), name, baseline(), 2, 0);
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](mlir::Value i) {
    mlir::Value x = b.loadVector(b.at(b.buffer(0), b.mul(i, 32)));
    b.store(b.addf(emitErf(b, x), b.splat(offset)), b.at(b.buffer(1), b.mul(i, 32)));
  });
  b.finish();
  EXPECT_TRUE(mlir::succeeded(lowerToLLVM(*kernel.module, baseline())));
  return llvm::cantFail(emitObject(*kernel.module, baseline()));
}

TEST(ImageLinkerTest, LinksSeveralKernelsDeterministically) {
  auto first = makeObject("first", 1), second = makeObject("second", 2);
  auto image =
      llvm::cantFail(linkImage({llvm::ArrayRef<char>(first), llvm::ArrayRef<char>(second)}));
  auto again = llvm::cantFail(linkImage({llvm::ArrayRef<char>(makeObject("first", 1)),
                                         llvm::ArrayRef<char>(makeObject("second", 2))}));
  EXPECT_EQ(image.bytes, again.bytes);
  ASSERT_EQ(2u, image.entries.size());
  if (!baseline().supportedByHost())
    GTEST_SKIP() << "this machine lacks " << baseline().name.str();
  MappedImage mapped(image.bytes);
  float in[8] = {}, out[8];
  void *buffers[] = {in, out};
  mapped.at(image.entries["second"])(buffers, nullptr, 0, 1, nullptr);
  EXPECT_EQ(2.0f, out[7]);
}

TEST(ImageLinkerTest, LinksNoKernelAtAll) {
  auto image = llvm::cantFail(linkImage({}));
  EXPECT_TRUE(image.entries.empty());
  EXPECT_EQ(image.bytes, llvm::cantFail(linkImage({})).bytes);
}

TEST(ImageLinkerTest, RefusesUndefinedSymbols) {
  KernelModule kernel;
  mlir::OpBuilder builder(kernel.module->getBodyRegion());
  auto type = mlir::LLVM::LLVMFunctionType::get(mlir::LLVM::LLVMVoidType::get(&kernel.context), {});
  auto callee = mlir::LLVM::LLVMFuncOp::create(builder, kernel.loc(), "somewhere_else", type);
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", baseline(), 0, 0);
  mlir::LLVM::CallOp::create(b, callee, mlir::ValueRange());
  b.finish();
  ASSERT_TRUE(mlir::succeeded(lowerToLLVM(*kernel.module, baseline())));
  auto object = llvm::cantFail(emitObject(*kernel.module, baseline()));
  auto image = linkImage({llvm::ArrayRef<char>(object)});
  ASSERT_FALSE(bool(image));
  EXPECT_NE(std::string::npos, llvm::toString(image.takeError()).find("somewhere_else"));
}

TEST(ImageLinkerTest, RefusesWhatIsNoObject) {
  llvm::StringRef text = "not an object";
  auto image = linkImage({llvm::ArrayRef<char>(text.data(), text.size())});
  ASSERT_FALSE(bool(image));
  llvm::consumeError(image.takeError());
  // lld can be called again after a failure.
  auto object = makeObject("kernel", 1);
  EXPECT_TRUE(bool(linkImage({llvm::ArrayRef<char>(object)})));
}

TEST(KernelCheckTest, RefusesVectorsWiderThanARegister) {
  KernelModule kernel;
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", baseline(), 1, 0);
  auto wide = mlir::VectorType::get(16, b.getF32Type());
  b.store(b.load(wide, b.buffer(0)), b.at(b.buffer(0), 64));
  b.finish();
  std::string message;
  mlir::ScopedDiagnosticHandler handler(&kernel.context,
                                        [&](mlir::Diagnostic &d) { message = d.str(); });
  EXPECT_TRUE(mlir::failed(checkKernel(*kernel.module, baseline())));
  EXPECT_NE(std::string::npos, message.find("vector<16xf32>")) << message;
}

TEST(CpuTargetTest, ParsesNames) {
  EXPECT_EQ("x86-64-v4", llvm::cantFail(CpuTarget::parse("x86-64-v4")).name);
  auto unknown = CpuTarget::parse("pentium");
  ASSERT_FALSE(bool(unknown));
  EXPECT_EQ("unknown CPU target 'pentium'; supported are host, sapphirerapids, icelake-server, x86-64-v4, alderlake, x86-64-v3",
            llvm::toString(unknown.takeError()));
}

} // namespace
