//===- AmxAttentionTest.cpp - attention in bf16 on AMX against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The interpreter computes in double from the same bf16 queries, keys and values. A kernel rounds each weight P to bf16 and
// divides by the sum of the rounded ones, so with elements of at most 1 an f32 result is off by at most 2^-8 (weights and
// their sum, 2^-9 each) and far less where many keys average out; a bf16 result by its own rounding besides.
//
//===----------------------------------------------------------------------===//
#include "KernelCheck.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"

#include <chrono>
#include <cmath>
#include <random>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tolerance;

namespace {

/// One attention as a function: batch b, queries s, keys t.
struct Case {
  int64_t heads = 2, kvHeads = 2, size = 64;
  bool packed = true;      ///< [B, S, H * D]; else [B, H, S, D]
  std::string result = "f32";
  std::string mask;        ///< its type, with dimensions of b, H, s, t: "bx1x1xtxi1"
  std::string attributes;  ///< ", causal"
  std::string emptyRows = "zero";
  std::string keyLength;   ///< " kv_length #tfm.dim<t>": keys have rows to spare
  std::string element = "bf16";

  std::string tensor(const std::string &name, const std::string &shape, const std::string &element) const {
    return "%" + name + ": " + type(shape, element) + " {tfm.dims = " + dims(shape) + "}";
  }
  static std::string dims(llvm::StringRef shape) {
    std::string text;
    for (llvm::StringRef dim : llvm::split(shape, 'x'))
      text += (text.empty() ? "[" : ", ") + ("#tfm.dim<" + dim.str() + ">");
    return text + "]";
  }
  static std::string type(llvm::StringRef shape, const std::string &element) {
    std::string text = "tensor<";
    for (llvm::StringRef dim : llvm::split(shape, 'x'))
      text += (llvm::isDigit(dim[0]) ? dim.str() : "?") + "x";
    return text + element + ">";
  }
  std::string shape(int64_t count, const std::string &length) const {
    return packed ? "bx" + length + "x" + std::to_string(count * size)
                  : "bx" + std::to_string(count) + "x" + length + "x" + std::to_string(size);
  }
  std::string text() const {
    std::string q = shape(heads, "s"), k = shape(kvHeads, keyLength.empty() ? "t" : "c");
    auto [maskShape, maskElement] = llvm::StringRef(mask).rsplit('x');
    std::string m = mask.empty() ? "" : ", " + tensor("m", maskShape.str(), maskElement.str());
    std::string scale = std::to_string(1 / std::sqrt(double(size)));
    return "func.func @main(" + tensor("q", q, element) + ", " + tensor("k", k, element) + ", " + tensor("v", k, element) +
           m + ") -> " + type(q, result) + " {\n  %0 = tfm.attention %q, %k, %v" + (mask.empty() ? "" : " mask %m") +
           " empty_rows " + emptyRows + keyLength + " {num_heads = " + std::to_string(heads) +
           " : i64, num_kv_heads = " + std::to_string(kvHeads) + " : i64, scale = " + scale + " : f32" + attributes +
           "} : (" + type(q, element) + ", " + type(k, element) + ", " + type(k, element) +
           (mask.empty() ? "" : ", " + type(maskShape, maskElement.str())) + ") -> " + type(q, result) +
           "\n  return %0 : " + type(q, result) + "\n}";
  }
};

const CpuTarget &amxTarget() {
  for (const CpuTarget &target : CpuTarget::all())
    if (target.hasAmx())
      return target;
  llvm_unreachable("no target with AMX");
}

class AmxAttentionTest : public ::testing::Test {
protected:
  void SetUp() override {
    if (!amxTarget().supportedByHost() || !permalloy::requestAmxPermission())
      GTEST_SKIP() << "this machine lacks " << amxTarget().name.str();
  }
  void check(const Case &c, llvm::ArrayRef<const char *> sizes, KernelCheck::Change change = nullptr) {
    SCOPED_TRACE(c.text());
    KernelCheck kernel(c.text(), "attention");
    ASSERT_TRUE(bool(kernel));
    double unit = c.result == "bf16" ? 0x1p-8 : 0;
    for (const char *size : sizes)
      kernel.run(amxTarget(), size, Tolerance{unit, 0x1p-8}, change);
  }
};

TEST_F(AmxAttentionTest, HeadSizes) {
  bool packed = false;
  for (int64_t size : {5, 16, 20, 32, 48, 64, 80, 96, 128, 256}) {
    Case c;
    c.size = size;
    c.packed = packed = !packed;
    c.result = size % 3 == 0 ? "f32" : "bf16";
    check(c, {"b=2,s=37,t=45"});
  }
}

TEST_F(AmxAttentionTest, Lengths) {
  Case c;
  check(c, {"b=1,s=9,t=1", "b=1,s=32,t=32", "b=2,s=33,t=31", "b=1,s=300,t=257", "b=0,s=20,t=20", "b=1,s=10,t=700"});
  c.result = "bf16";
  check(c, {"b=2,s=130,t=513"});
}

TEST_F(AmxAttentionTest, HeadsThatShareKeys) {
  for (auto [heads, kvHeads] : {std::pair<int64_t, int64_t>{4, 2}, {6, 1}, {8, 2}}) {
    Case c;
    c.heads = heads;
    c.kvHeads = kvHeads;
    c.attributes = ", causal";
    check(c, {"b=2,s=260,t=300"});
  }
}

TEST_F(AmxAttentionTest, CausalAndWindows) {
  llvm::StringRef rows[] = {"nan", "zero", "uniform"};
  unsigned next = 0;
  for (const char *attributes :
       {", causal", ", window_left = 3 : i64", ", window_right = 2 : i64", ", causal, window_left = 40 : i64",
        ", window_left = 0 : i64, window_right = 0 : i64", ", window_left = 300 : i64, window_right = 70 : i64"}) {
    Case c;
    c.attributes = attributes;
    c.emptyRows = rows[next++ % 3].str();
    c.packed = false;
    check(c, {"b=1,s=33,t=290", "b=1,s=50,t=20", "b=2,s=300,t=300"});
  }
}

TEST_F(AmxAttentionTest, Masks) {
  for (const char *mask : {"bx1x1xtxi1", "bx1x1xtxf32", "bx1xsxtxi1", "bx1xsxtxf32", "1x2xsxtxbf16", "bx2x1xtxi1",
                           "bx1xsx1xf32", "1x1x1x1xf32"})
    for (const char *attributes : {"", ", causal"}) {
      Case c;
      c.mask = mask;
      c.attributes = attributes;
      check(c, {"b=2,s=37,t=300"});
    }
}

TEST_F(AmxAttentionTest, MasksOfUnknownExtent) {
  Case c;
  c.mask = "nx1xmxkxf32";
  check(c, {"b=2,s=40,t=45,n=1,m=1,k=1", "b=2,s=40,t=45,n=2,m=40,k=45", "b=2,s=40,t=45,n=1,m=40,k=1"});
}

TEST_F(AmxAttentionTest, RowsWithoutKeys) {
  for (const char *rows : {"nan", "zero", "uniform"})
    for (const char *mask : {"bx1x1xtxi1", "bx1xsxtxi1"}) {
      Case c;
      c.mask = mask;
      c.emptyRows = rows;
      auto hide = [](llvm::MutableArrayRef<reference::Tensor> inputs) {
        auto bytes = inputs[3].mutableBytes();
        std::fill(bytes.begin(), bytes.begin() + bytes.size() / 2, 0);
      };
      check(c, {"b=2,s=20,t=150"}, hide);
    }
}

TEST_F(AmxAttentionTest, Softcap) {
  for (const char *mask : {"", "bx1x1xtxi1", "bx1xsxtxf32"}) {
    Case c;
    c.mask = mask;
    c.attributes = ", causal, softcap = 1.5 : f32";
    check(c, {"b=1,s=40,t=70"});
  }
}

TEST_F(AmxAttentionTest, KeysOfACache) {
  Case c;
  c.heads = 4;
  c.packed = false;
  c.keyLength = " kv_length #tfm.dim<t>";
  c.attributes = ", causal";
  c.mask = "bx1x1xtxi1"; // names the length
  check(c, {"b=2,s=20,t=77,c=77"});
}

/// GFLOP/s of one thread, beside f32 without AMX, on random numbers. Prints:
///   PERMALLOY_MEASURE=1 taskset -c 1 PermalloyCodegenTests --gtest_filter='AmxAttentionTest.Speed*'
double gigaflops(const Case &c, const CpuTarget &target, int64_t length) {
  KernelCheck kernel(c.text(), "attention");
  auto compiled = kernel.compile(target, "b=1,s=" + std::to_string(length) + ",t=" + std::to_string(length));
  std::mt19937 random(1);
  auto fill = [&](int64_t count) {
    auto memory = std::make_unique<GuardedBuffer>(count * 4);
    for (int64_t i = 0; i < count; ++i) { // upper halves are bf16 numbers as well
      float value = 2e-3f * (random() % 2001) - 2;
      uint32_t bits = llvm::bit_cast<uint32_t>(value);
      if (c.element == "bf16")
        static_cast<uint16_t *>(memory->data())[i] = bits >> 16;
      else
        static_cast<float *>(memory->data())[i] = value;
    }
    return memory;
  };
  auto q = fill(c.heads * c.size * length), k = fill(c.kvHeads * c.size * length), v = fill(c.kvHeads * c.size * length),
       m = fill(length), out = fill(c.heads * c.size * length), scratch = fill(compiled.scratchBytes / 4 + 16);
  memset(m->data(), 1, length); // attends to all
  llvm::SmallVector<void *> buffers = {q->data(), k->data(), v->data()};
  if (!c.mask.empty())
    buffers.push_back(m->data());
  buffers.push_back(out->data());
  void *place = reinterpret_cast<void *>(llvm::alignTo(reinterpret_cast<uintptr_t>(scratch->data()), 64));
  double best = 1e9, spent = 0;
  for (int repeat = 0; repeat < 3 || spent < 0.1; ++repeat) {
    auto begin = std::chrono::steady_clock::now();
    compiled.function(buffers.data(), compiled.scalars.data(), 0, compiled.tiles, place);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = std::min(best, seconds);
    spent += seconds;
  }
  bool causal = c.attributes.find("causal") != std::string::npos;
  return 4e-9 * c.heads * length * length * c.size * (causal ? 0.5 : 1) / best;
}

TEST_F(AmxAttentionTest, Speed) {
  if (!getenv("PERMALLOY_MEASURE"))
    GTEST_SKIP() << "a measurement: set PERMALLOY_MEASURE=1";
  const CpuTarget v4 = llvm::cantFail(CpuTarget::parse("x86-64-v4"));
  auto row = [&](const char *name, Case c) {
    c.result = "bf16";
    printf("%-28s", name);
    Case plain = c;
    plain.element = plain.result = "f32";
    for (int64_t length : {128, 256, 512, 1024, 2048, 4096})
      printf("  %4.0f / %3.0f", gigaflops(c, amxTarget(), length), length <= 1024 ? gigaflops(plain, v4, length) : 0);
    printf("\n");
  };
  Case c;
  c.heads = c.kvHeads = 12;
  row("12 x 64", c);
  c.mask = "bx1x1xtxi1";
  row("12 x 64, key mask", c);
  c.mask = "";
  c.attributes = ", causal";
  row("12 x 64, causal", c);
  c.size = 128;
  row("12 x 128, causal", c);
  c.attributes = "";
  row("12 x 128", c);
  c.heads = c.kvHeads = 32;
  c.size = 64;
  row("32 x 64, rows of 4096 bytes", c);
  c.heads = c.kvHeads = 12;
  c.size = 32;
  row("12 x 32", c);
}

/// Assembly needs no machine that runs it.
TEST(AmxAttentionAssembly, InnerLoopsHaveTilesAndNoSpills) {
  for (int64_t size : {64, 80, 128})
    for (const char *mask : {"", "bx1x1xtxi1"}) {
      Case c;
      c.size = size;
      c.mask = mask;
      KernelCheck kernel(c.text(), "attention");
      std::string assembly = kernel.assembly(amxTarget());
      EXPECT_NE(std::string::npos, assembly.find("tdpbf16ps"));
      EXPECT_NE(std::string::npos, assembly.find("tilerelease"));
      for (const InnerLoop &loop : innermostLoops(assembly))
        EXPECT_EQ(0u, loop.vectorSpills) << "head size " << size << ", loop of " << loop.instructions << " instructions";
    }
}

} // namespace
