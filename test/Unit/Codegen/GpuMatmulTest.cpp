//===- GpuMatmulTest.cpp - products of two activations, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuTest.h"

#include "llvm/ADT/StringExtras.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

Tolerance toleranceOf(llvm::StringRef type) {
  double unit = type == "bf16" ? 0x1p-8 : type == "f16" ? 0x1p-11 : 0;
  return {1e-5 + 2 * unit, 2e-5 + 8 * unit};
}

/// The type of a tensor of dimensions "b,4,s,32", and the attributes that say which symbols they are.
std::string typeOf(llvm::StringRef dims, llvm::StringRef element) {
  std::string text = "tensor<";
  llvm::SmallVector<llvm::StringRef> parts;
  dims.split(parts, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false); // "": a single element
  for (llvm::StringRef part : parts)
    text += (llvm::isDigit(part.front()) ? part.str() : "?") + "x";
  return text + element.str() + ">";
}

std::string dimsOf(llvm::StringRef dims) {
  std::string text = " {tfm.dims = [";
  llvm::SmallVector<llvm::StringRef> parts;
  dims.split(parts, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false); // "": a single element
  for (auto [i, part] : llvm::enumerate(parts))
    text += (i ? ", " : "") + ("#tfm.dim<" + part + ">").str();
  return text + "]}";
}

struct Product {
  const char *left, *right, *result;
  bool transposeLeft = false, transposeRight = false;
};

std::string textOf(const Product &p, llvm::StringRef element) {
  std::string left = typeOf(p.left, element), right = typeOf(p.right, element), result = typeOf(p.result, element);
  std::string flags = p.transposeLeft && p.transposeRight ? " {transpose_a, transpose_b}" : p.transposeLeft ? " {transpose_a}" : p.transposeRight ? " {transpose_b}" : "";
  return "func.func @main(%a: " + left + dimsOf(p.left) + ", %b: " + right + dimsOf(p.right) + ") -> " + result + " {\n  %0 = tfm.matmul %a, %b" + flags +
         " : (" + left + ", " + right + ") -> " + result + "\n  return %0 : " + result + "\n}";
}

/// In the form of the type; without conflicts of banks where rows are whole chunks (else elements are stored one by one).
void run(const Product &product, llvm::ArrayRef<const char *> sizes, llvm::ArrayRef<const char *> types = {"f32", "bf16", "f16"}, bool isWhole = false) {
  for (llvm::StringRef type : types) {
    SCOPED_TRACE(type.str() + " " + product.left + " x " + product.right);
    KernelCheck check(textOf(product, type), "generic");
    ASSERT_TRUE(bool(check));
    uint64_t before = bankConflicts();
    for (const char *size : sizes)
      check.run(thread(), size, toleranceOf(type));
    EXPECT_EQ(formOf(check), type == "f32" ? "matmul_fma" : "matmul");
    if (isWhole)
      EXPECT_EQ(bankConflicts(), before);
  }
}

/// Both orders of both operands; whole tiles, and K, M and N that end within one, in whole chunks and anywhere.
TEST(GpuMatmulTest, OrdersOfOperands) {
  for (bool left : {false, true})
    for (bool right : {false, true}) {
      SCOPED_TRACE(std::string(left ? "A transposed " : "") + (right ? "B transposed" : ""));
      run({"2,64,64", "2,64,64", "2,64,64", left, right}, {""}, {"bf16"}, /*isWhole=*/true);
      run({left ? "72,80" : "80,72", right ? "104,72" : "72,104", "80,104", left, right}, {""});
      run({left ? "37,21" : "21,37", right ? "43,37" : "37,43", "21,43", left, right}, {""});
    }
}

TEST(GpuMatmulTest, NoBankConflicts) {
  run({"64,64", "64,64", "64,64"}, {""}, {"f32", "f16"}, /*isWhole=*/true);
  run({"64,96", "72,96", "64,72", false, true}, {""}, {"f32", "f16"}, /*isWhole=*/true);
}

/// Sizes that are known when the kernel runs: rows of whole chunks or not.
TEST(GpuMatmulTest, SymbolicSizes) {
  run({"b,3,s,16", "b,3,t,16", "b,3,s,t", false, true}, {"b=2,s=9,t=9", "b=1,s=65,t=72", "b=1,s=1,t=130", "b=1,s=0,t=5", "b=1,s=5,t=0"});
  run({"b,3,s,t", "b,3,t,16", "b,3,s,16"}, {"b=2,s=9,t=9", "b=1,s=65,t=72", "b=1,s=1,t=131", "b=1,s=9,t=0"}); // K of none: zeros
  run({"k,m", "k,n", "m,n", true, false}, {"k=40,m=24,n=16", "k=7,m=33,n=70"});
}

/// Batches that are repeated, known and not, and missing.
TEST(GpuMatmulTest, BatchesAreBroadcast) {
  run({"2,1,9,12", "3,12,10", "2,3,9,10"}, {""});
  run({"9,12", "2,3,12,10", "2,3,9,10"}, {""});
  run({"b,1,9,12", "1,h,12,10", "b,h,9,10"}, {"b=2,h=3", "b=1,h=1"});
  run({"b,c,5,12", "b,1,12,10", "b,c,5,10"}, {"b=2,c=3"}, {"f32"});
}

/// Vectors are matrices of one row or column.
TEST(GpuMatmulTest, Vectors) {
  run({"70", "70,20", "20"}, {""});
  run({"2,20,70", "70", "2,20"}, {""});
  run({"70", "70", ""}, {""});
  run({"k", "k", ""}, {"k=40", "k=0"});
  run({"k", "3,k,9", "3,9"}, {"k=40"}, {"f32", "bf16"});
}

TEST(GpuMatmulTest, LargeBlocks) { run({"300,40", "40,260", "300,260"}, {""}, {"f32", "bf16"}); }

using Values = std::array<int64_t, 6>;
mlir::DictionaryAttr scheduleOf(KernelCheck &check, const char *form, const Values &values) {
  auto [rows, columns, words, warpRows, warpColumns, stages] = values;
  return scheduleOf(check, form,
                    {{"block_rows", rows},
                     {"block_columns", columns},
                     {"block_words", words},
                     {"warp_rows", warpRows},
                     {"warp_columns", warpColumns},
                     {"stages", stages}});
}

/// Every legal form of blocks and warps, each with one number of stages and one tile of K, as far as they are legal in turn; both orders of B.
TEST(GpuMatmulTest, EveryScheduleIsRight) {
  for (auto [type, form, all] : {std::tuple("bf16", "matmul", 31), {"f32", "matmul_fma", 27}}) {
    KernelCheck rows(textOf({"70,88", "88,72", "70,72"}, type), "generic"), turned(textOf({"70,88", "72,88", "70,72", false, true}, type), "generic");
    ASSERT_TRUE(bool(rows) && bool(turned));
    int64_t legal = 0;
    for (int64_t blockRows : {32, 64, 128})
      for (int64_t columns : {64, 128})
        for (int64_t warpRows : {16, 32, 64})
          for (int64_t warpColumns : {32, 64}) {
            KernelCheck &check = legal % 2 ? rows : turned;
            Values values;
            auto isLegal = [&](int64_t turn) {
              values = {blockRows, columns, turn / 2 % 2 ? 16 : 32, warpRows, warpColumns, 2 + turn % 3};
              return errorOf(check, scheduleOf(check, form, values)).empty();
            };
            auto turns = llvm::seq(legal, legal + 12); // all pairs
            if (llvm::none_of(turns, isLegal))
              continue;
            ++legal;
            SCOPED_TRACE(testing::PrintToString(values));
            uint64_t before = bankConflicts();
            check.setSchedule(scheduleOf(check, form, values));
            check.run(thread(), "", toleranceOf(type));
            EXPECT_EQ(bankConflicts(), before);
          }
    EXPECT_EQ(legal, all) << type;
  }
}

TEST(GpuMatmulTest, SchedulesAreChecked) {
  KernelCheck check(textOf({"64,64", "64,64", "64,64"}, "bf16"), "generic");
  auto error = [&](const char *form, const Values &values) {
    return errorOf(check, scheduleOf(check, form, values));
  };
  EXPECT_EQ(error("matmul", {64, 64, 16, 32, 32, 2}), "");
  EXPECT_THAT(error("matmul", {128, 128, 32, 64, 64, 4}),
              HasSubstr("the stages need 131072 bytes of shared memory; there are 98304"));
  EXPECT_THAT(error("matmul_fma", {64, 64, 16, 32, 32, 2}),
              HasSubstr("has no form 'matmul_fma': its operands are not f32"));
}

/// Integers have another form.
TEST(GpuMatmulTest, OtherProductsHaveOtherForms) {
  KernelCheck check(textOf({"9,12", "12,10", "9,10"}, "i32"), "generic");
  ASSERT_TRUE(bool(check));
  check.run(thread(), "", Tolerance{0, 0});
  EXPECT_THAT(formOf(check), Not(HasSubstr("matmul")));
}

std::string ptxOf(const Product &product, const char *type, const GpuTarget &target) {
  KernelCheck check(textOf(product, type), "generic");
  return ptxOf(check, target);
}

constexpr Product kScores = {"b,12,s,64", "b,12,t,64", "b,12,s,t", false, true}, kMixed = {"b,12,s,t", "b,12,t,64", "b,12,s,64"},
                  kKnown = {"12,512,512", "12,512,512", "12,512,512"}, kTurned = {"12,512,512", "12,512,512", "12,512,512", true, true};

TEST(GpuMatmulTest, UsesTheUnits) {
  std::string scores = ptxOf(kScores, "bf16", sm80()), known = ptxOf(kKnown, "bf16", sm80()), plain = ptxOf(kKnown, "f32", sm80());
  for (const std::string &ptx : {scores, known, plain})
    for (const char *word : {"cp.async.cg.shared.global", "st.global.v"})
      EXPECT_THAT(ptx, HasSubstr(word));
  for (const char *word : {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16"})
    EXPECT_THAT(scores, HasSubstr(word));
  EXPECT_THAT(known, HasSubstr("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"));
  EXPECT_THAT(known, Not(HasSubstr("ld.global"))); // all of it asynchronously
  EXPECT_THAT(plain, HasSubstr("fma.rn.f32"));
  EXPECT_THAT(plain, HasSubstr("st.global.v4"));
}

TEST(GpuMatmulTest, NothingSpills) {
  for (const Product &product : {kScores, kMixed, kKnown, kTurned})
    for (const char *type : {"f32", "bf16"})
      expectNoSpills(std::string(type) + " " + product.left + " x " + product.right,
                     [&](const GpuTarget &target) { return ptxOf(product, type, target); });
}

} // namespace
