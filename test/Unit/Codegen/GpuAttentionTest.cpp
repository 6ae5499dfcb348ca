//===- GpuAttentionTest.cpp - attention on GPUs: numbers, PTX, registers -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../../../lib/Codegen/GPU/AttentionSchedule.h"
#include "GpuTest.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

/// A kernel with sizes b (batch), q (queries) and k (keys), of q, k, v and perhaps a mask.
struct Case {
  std::string element = "bf16";
  int64_t heads = 2, kvHeads = 2, size = 32;
  std::string options = {};   ///< ", causal"
  std::string mask = {};      ///< its type, [b or 1, heads or 1, q or 1, k]: "b,1,1,k,i1"
  std::string emptyRows = {}; ///< "zero"
  bool packed = true;         ///< [b, s, heads * size]; else [b, heads, s, size]
  std::string queries = "q";  ///< or a number
  int64_t capacity = 0;       ///< rows of keys and values, where not as many as keys

  /// "tf32": of f32 that may be rounded.
  bool isTf32() const { return element == "tf32"; }
  std::string stored() const { return isTf32() ? "f32" : element; }

  std::string type(llvm::ArrayRef<std::string> dims, const std::string &of) const {
    std::string result = "tensor<";
    for (const std::string &dim : dims)
      result += (isdigit(dim[0]) ? dim : "?") + "x";
    return result + of + ">";
  }
  std::string argument(const std::string &name, llvm::ArrayRef<std::string> dims, const std::string &of) const {
    std::string list;
    for (const std::string &dim : dims)
      list += (list.empty() ? "" : ", ") + ("#tfm.dim<" + dim + ">");
    return "%" + name + ": " + type(dims, of) + " {tfm.dims = [" + list + "]}";
  }
  llvm::SmallVector<std::string> dims(int64_t count, const std::string &length) const {
    if (packed)
      return {"b", length, std::to_string(count * size)};
    return {"b", std::to_string(count), length, std::to_string(size)};
  }
  std::string text() const {
    llvm::SmallVector<std::string> query = dims(heads, queries), key = dims(kvHeads, capacity ? std::to_string(capacity) : "k");
    std::string arguments = argument("q", query, stored()) + ", " + argument("k", key, stored()) + ", " + argument("v", key, stored());
    std::string q = type(query, stored()), k = type(key, stored()), types = q + ", " + k + ", " + k, use;
    std::string result = stored();
    if (!mask.empty()) {
      llvm::SmallVector<llvm::StringRef> parts;
      llvm::StringRef(mask).split(parts, ',');
      llvm::SmallVector<std::string> maskDims;
      for (llvm::StringRef part : llvm::ArrayRef(parts).drop_back())
        maskDims.push_back(part.str());
      arguments += ", " + argument("m", maskDims, parts.back().str());
      types += ", " + type(maskDims, parts.back().str());
      use = " mask %m";
      if (parts.back() != "i1")
        result = parts.back().str();
    }
    std::string out = type(query, result);
    std::string rest = (emptyRows.empty() ? "" : " empty_rows " + emptyRows) + (capacity ? std::string(" kv_length #tfm.dim<k>") : "");
    return "func.func @main(" + arguments + ") -> " + out + " {\n%0 = tfm.attention %q, %k, %v" + use + rest +
           " {num_heads = " + std::to_string(heads) + " : i64, num_kv_heads = " + std::to_string(kvHeads) + " : i64, scale = 0.2 : f32" +
           options + (isTf32() ? ", tfm.precision = \"tf32\"" : "") + "} : (" + types + ") -> " + out + "\nreturn %0 : " + out + "\n}";
  }
};

Tolerance toleranceOf(const Case &c) {
  if (c.element == "f32")
    return {1e-5, 1e-5};
  if (c.isTf32())
    return {2e-3, 2e-3};
  return c.element == "f16" ? Tolerance{2e-3, 2e-3} : Tolerance{1.6e-2, 1.6e-2};
}

void expectEqual(const Case &c, llvm::ArrayRef<const char *> sizes, KernelCheck::Change change = nullptr) {
  KernelCheck check(c.text(), "attention");
  ASSERT_TRUE(bool(check));
  uint64_t before = bankConflicts();
  for (const char *size : sizes)
    check.run(thread(), size, toleranceOf(c), change);
  EXPECT_TRUE(c.element == "f32" || bankConflicts() == before) << bankConflicts() - before;
  EXPECT_EQ(formOf(check), c.element == "f32" ? "attention_fma" : "attention");
}

const char *const kElements[] = {"bf16", "f16", "f32", "tf32"};

/// Blocks of 64 rows and their edges, several tiles of keys and one.
TEST(GpuAttentionTest, Lengths) {
  for (const char *element : kElements)
    expectEqual({element}, {"b=1,q=64,k=64", "b=2,q=70,k=150", "b=1,q=17,k=1", "b=1,q=130,k=33"});
}

TEST(GpuAttentionTest, HeadSizes) {
  for (int64_t size : {8, 16, 40, 48, 64, 80, 96, 128, 160, 256})
    for (const char *element : {"bf16", "f32", "tf32"})
      expectEqual({element, 1, 1, size}, {"b=1,q=20,k=37"});
  for (int64_t size : {4, 20, 100})
    expectEqual({"tf32", 1, 1, size}, {"b=1,q=20,k=37", "b=1,q=1,k=37"});
}

/// Rounded to nearest, ties away from zero, in both products: what is cut off, or rounded to even, is further off (GpuTensorTest has the
/// numbers). One key: its weight is 1, so the value comes out, rounded.
TEST(GpuAttentionTest, Tf32IsRoundedToNearest) {
  for (const char *size : {"b=1,q=20,k=1", "b=1,q=1,k=1"}) {
    KernelCheck check(Case{"tf32", 1, 1, 32}.text(), "attention");
    ASSERT_TRUE(bool(check));
    check.run(thread(), size, {0, 0x1p-12}, [](llvm::MutableArrayRef<reference::Tensor> inputs) {
      for (int64_t i = 0; i < inputs[2].size(); ++i)
        inputs[2].setNumber(i, (i % 2 ? 1 : -1) * (1 + 0x1p-10 - 0x1p-13));
    });
  }
  // Two keys whose scores are x (1 + 2^-11) and x (1 + 3 2^-11): to nearest, away, their difference stays.
  KernelCheck check(Case{"tf32", 1, 1, 32}.text(), "attention");
  check.run(thread(), "b=1,q=20,k=2", {0, 0x1p-10}, [](llvm::MutableArrayRef<reference::Tensor> inputs) {
    for (int64_t i = 0; i < inputs[0].size(); ++i)
      inputs[0].setNumber(i, i % 32 == 0 ? 4096 : 0);
    for (int64_t i = 0; i < inputs[1].size(); ++i)
      inputs[1].setNumber(i, i % 32 == 0 ? 1 + (i ? 3 : 1) * 0x1p-11 : 0);
    for (int64_t i = 0; i < inputs[2].size(); ++i)
      inputs[2].setNumber(i, i < 32 ? 1 : -1);
  });
}

/// The same of queries and keys: a score is 4096 times the difference of two numbers, so that of two keys the first gets
/// more weight the more of it rounding leaves. Cut off, 1 + 2^-10 - 2^-16 is 1; to even, 1 + 2^-11 and 1 + 3 2^-11 part.
TEST(GpuAttentionTest, Tf32RoundsQueriesAndKeysToNearest) {
  const double pairs[][2] = {{1 + 0x1p-10 - 0x1p-16, 1}, {1 + 0x1p-11, 1 + 3 * 0x1p-11}};
  KernelCheck check(Case{"tf32", 1, 1, 32}.text(), "attention");
  ASSERT_TRUE(bool(check));
  for (const char *size : {"b=1,q=20,k=2", "b=1,q=1,k=2"})
    for (int64_t rounded : {0, 1}) // queries, keys
      for (auto &numbers : pairs)
        for (int sign : {1, -1})
          check.run(thread(), size, {0, 0x1p-5}, [&](llvm::MutableArrayRef<reference::Tensor> inputs) {
            const double factors[] = {4096, -4096};
            for (int64_t operand : {0, 1})
              for (int64_t i = 0; i < inputs[operand].size(); ++i) {
                bool isSet = i % 32 < 2 && (operand == 0 || i < 32); // the second key is zero
                inputs[operand].setNumber(i, !isSet ? 0 : operand == rounded ? sign * numbers[i % 32] : factors[i % 32]);
              }
            for (int64_t i = 0; i < inputs[2].size(); ++i)
              inputs[2].setNumber(i, i < 32 ? 1 : -1);
          });
}

/// And of weights: all but one are 1 - 2^-13, which is 1 to nearest, and 1 - 2^-11 when cut off, while their sum is exact. All values are 1.
TEST(GpuAttentionTest, Tf32RoundsWeightsToNearest) {
  KernelCheck check(Case{"tf32", 1, 1, 32}.text(), "attention");
  ASSERT_TRUE(bool(check));
  for (const char *size : {"b=1,q=20,k=40", "b=1,q=1,k=40"})
    check.run(thread(), size, {0, 0x1p-12}, [](llvm::MutableArrayRef<reference::Tensor> inputs) {
      for (int64_t i = 0; i < inputs[0].size(); ++i)
        inputs[0].setNumber(i, i % 32 == 0);
      for (int64_t i = 0; i < inputs[1].size(); ++i) // scaled by 0.2
        inputs[1].setNumber(i, i > 0 && i % 32 == 0 ? -5 * 0x1p-13 : 0);
      for (int64_t i = 0; i < inputs[2].size(); ++i)
        inputs[2].setNumber(i, 1);
    });
}

TEST(GpuAttentionTest, Layouts) {
  for (const char *element : kElements)
    for (bool packed : {true, false}) {
      Case c{element, 4, 2};
      c.packed = packed;
      expectEqual(c, {"b=2,q=33,k=45", "b=2,q=3,k=45"});
    }
}

/// More heads than a thousand blocks: each takes all keys.
TEST(GpuAttentionTest, ManyHeadsAreNotSplit) {
  expectEqual({"f32", 2, 2, 8}, {"b=520,q=1,k=150"});
}

/// Few rows: a warp has all, warps and blocks share the keys.
TEST(GpuAttentionTest, Decoding) {
  for (const char *element : kElements)
    for (auto [heads, kvHeads] : {std::pair<int64_t, int64_t>{2, 2}, {6, 2}, {8, 1}})
      for (const char *options : {"", ", causal"})
        expectEqual({element, heads, kvHeads, 32, options}, {"b=1,q=1,k=1", "b=2,q=1,k=300", "b=1,q=2,k=120", "b=1,q=4,k=450"});
  for (int64_t size : {8, 40, 64, 128, 256}) {
    expectEqual({"bf16", 4, 1, size}, {"b=1,q=1,k=200"});
    expectEqual({"f32", 4, 1, size}, {"b=1,q=1,k=200"});
    expectEqual({"tf32", 4, 1, size}, {"b=1,q=1,k=200"});
  }
}

/// The number of queries is known: one way only.
TEST(GpuAttentionTest, StaticQueries) {
  for (const char *queries : {"1", "40"})
    for (const char *element : kElements) {
      Case c{element, 4, 2};
      c.queries = queries;
      expectEqual(c, {"b=2,k=45", "b=1,k=200"});
    }
}

TEST(GpuAttentionTest, CausalAndWindows) {
  for (const char *element : {"bf16", "f32", "tf32"})
    for (const char *options : {", causal", ", causal, window_left = 9 : i64", ", window_left = 3 : i64, window_right = 20 : i64",
                                ", window_left = 0 : i64, window_right = 0 : i64"})
      for (const char *emptyRows : {"zero", "uniform"}) {
        Case c{element, 2, 1, 16, options};
        c.emptyRows = emptyRows;
        expectEqual(c, {"b=1,q=70,k=70", "b=1,q=40,k=130", "b=1,q=3,k=130", "b=1,q=40,k=9", "b=1,q=4,k=2"});
      }
}

TEST(GpuAttentionTest, Masks) {
  for (const char *element : {"bf16", "f32", "tf32"})
    for (std::string of : {"i1", element[0] == 'b' ? "bf16" : "f32"})
      for (std::string shape : {"b,1,1,k,", "1,1,q,k,", "1,2,q,k,", "b,2,1,1,"})
        for (const char *options : {"", ", causal"}) {
          Case c{element, 2, 2, 16, options, shape + of};
          c.emptyRows = "uniform";
          expectEqual(c, {"b=2,q=20,k=70", "b=2,q=2,k=70"});
        }
}

/// Masks of -inf and of the lowest number; batches whose keys are all hidden.
TEST(GpuAttentionTest, HiddenKeys) {
  for (const char *element : {"bf16", "f32", "tf32"})
    for (float hiding : {-INFINITY, -3.0e38f})
      for (const char *emptyRows : {"nan", "zero", "uniform"}) {
        Case c{element, 2, 2, 16, "", "b,1,1,k,f32"};
        c.emptyRows = emptyRows;
        expectEqual(c, {"b=2,q=20,k=70", "b=2,q=1,k=70", "b=2,q=1,k=200"}, [&](llvm::MutableArrayRef<reference::Tensor> inputs) {
          for (int64_t i = 0; i < inputs[3].size(); ++i)
            inputs[3].setNumber(i, i < inputs[3].size() / 2 || i % 3 == 0 ? hiding : 0.25 * (i % 5));
        });
      }
}

TEST(GpuAttentionTest, Softcap) {
  for (const char *element : kElements)
    for (const char *mask : {"", "b,1,1,k,i1"}) {
      Case c{element, 2, 2, 32, ", causal, softcap = 1.5 : f32", mask};
      c.emptyRows = "zero";
      expectEqual(c, {"b=1,q=40,k=70", "b=1,q=1,k=70"});
    }
}

/// Rows of a cache behind the keys are not read.
TEST(GpuAttentionTest, Caches) {
  for (const char *element : kElements) {
    Case c{element, 4, 2, 32, ", causal", "1,1,1,k,i1"};
    c.packed = false;
    c.emptyRows = "zero";
    c.capacity = 160;
    expectEqual(c, {"b=2,q=1,k=77", "b=1,q=40,k=77"}, [&](llvm::MutableArrayRef<reference::Tensor> inputs) {
      for (int64_t i = 0; i < inputs[1].size(); ++i)
        if (i / c.size % c.capacity >= 77)
          for (reference::Tensor *tensor : {&inputs[1], &inputs[2]})
            tensor->setNumber(i, NAN);
    });
  }
}

TEST(GpuAttentionTest, ResultsOfTheMasksType) {
  for (auto [element, of] : {std::pair("bf16", "f32"), {"f16", "bf16"}, {"f32", "f16"}, {"tf32", "f16"}, {"tf32", "bf16"}}) {
    Case c{element, 2, 2, 24, "", "1,1,q,k," + std::string(of)};
    KernelCheck check(c.text(), "attention");
    ASSERT_TRUE(bool(check));
    for (const char *size : {"b=1,q=20,k=40", "b=1,q=2,k=40"})
      check.run(thread(), size, {1.6e-2, 1.6e-2});
  }
}

/// What has no fast form.
TEST(GpuAttentionTest, OtherHeadsAreRows) {
  for (auto [element, size] : {std::pair("bf16", 12), {"f32", 6}, {"tf32", 6}}) {
    KernelCheck check(Case{element, 2, 2, size}.text(), "attention");
    ASSERT_TRUE(bool(check));
    check.run(thread(), "b=1,q=5,k=7", {1.6e-2, 1.6e-2});
    EXPECT_EQ(formOf(check), "rows");
  }
}

/// Schedules of the space, at sizes with edges.
TEST(GpuAttentionTest, Schedules) {
  for (const char *element : {"bf16", "f32", "tf32"}) {
    bool isTf32 = element[0] == 't', onTensorCores = isTf32 || element[0] == 'b';
    Case c{element, 2, 1, 32, ", causal"};
    KernelCheck check(c.text(), "attention");
    ASSERT_TRUE(bool(check));
    auto space = gpuAttentionSpace({onTensorCores, c.size, 2, false, isTf32}, 96 * 1024);
    std::vector<ScheduleSpace::Values> all = space.all();
    ASSERT_GT(all.size(), 20u);
    // Each differs from the one tried before in many parameters; a prime step visits every value of each.
    for (size_t i = 0; i < all.size(); i += 31) {
      mlir::NamedAttrList schedule(space.attribute(check.kernelOp().getContext(), all[i]));
      schedule.set("form", mlir::StringAttr::get(check.kernelOp().getContext(), onTensorCores ? "attention" : "attention_fma"));
      check.setSchedule(schedule.getDictionary(check.kernelOp().getContext()));
      SCOPED_TRACE(space.str(all[i]));
      uint64_t before = bankConflicts();
      for (const char *size : {"b=1,q=35,k=150", "b=1,q=1,k=300"})
        check.run(thread(), size, toleranceOf(c));
      EXPECT_TRUE(!onTensorCores || bankConflicts() == before) << bankConflicts() - before;
    }
  }
}

std::string ptxOf(const Case &c, const GpuTarget &target) {
  KernelCheck check(c.text(), "attention");
  return ptxOf(check, target);
}

TEST(GpuAttentionTest, UsesTheUnits) {
  std::string ptx = ptxOf({"bf16", 8, 8, 128, ", causal"}, sm80());
  for (const char *word : {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                           "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", "cp.async.cg.shared.global", "ex2.approx.ftz.f32",
                           "cvt.rn.bf16x2.f32", "shfl.sync.bfly.b32", "atom.", "st.global.v2"})
    EXPECT_THAT(ptx, HasSubstr(word));
  std::string rounded = ptxOf({"tf32", 8, 8, 128, ", causal"}, sm80());
  for (const char *word : {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "cvt.rna.tf32.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                           "ld.shared.v4", "cp.async.cg.shared.global", "st.global.v4"})
    EXPECT_THAT(rounded, HasSubstr(word));
  EXPECT_THAT(rounded, Not(HasSubstr(".trans."))); // of 16 bits only
  std::string fma = ptxOf({"f32", 8, 8, 64}, sm80());
  for (const char *word : {"fma.rn.f32", "ld.shared.v4", "cp.async.cg.shared.global", "st.global.v4"})
    EXPECT_THAT(fma, HasSubstr(word));
}

TEST(GpuAttentionTest, NothingSpills) {
  for (const char *element : {"bf16", "f32", "tf32"})
    for (int64_t size : {64, 128})
      for (const char *mask : {"", "b,1,1,k,i1"}) {
        Case c{element, 8, 2, size, ", causal", mask};
        expectNoSpills(element + (" " + std::to_string(size)) + (*mask ? ", masked" : ""),
                       [&](const GpuTarget &target) { return ptxOf(c, target); });
      }
}

} // namespace
