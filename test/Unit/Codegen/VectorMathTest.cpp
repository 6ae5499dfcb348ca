//===- VectorMathTest.cpp - emitted functions against libm in double -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/VectorMath.h"
#include "KernelRunner.h"

#include <cmath>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

/// A function, the range it is swept over, and the error its header states: in units of the last
/// place where that is positive, and absolute times max(|x|, 1) where that is.
struct MathCase {
  const char *name;
  mlir::Value (*emit)(mlir::ImplicitLocOpBuilder &, mlir::Value);
  double (*exact)(double);
  float low, high;
  double ulps, absolute;
};

double exactSigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double exactSilu(double x) { return x / (1 + std::exp(-x)); }
double exactGeluErf(double x) { return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5))); }
double exactGeluTanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

const MathCase kCases[] = {
    {"exp", emitExp, std::exp, -110, 90, 2, 0},
    {"exp2", emitExp2, std::exp2, -155, 130, 2, 0},
    {"exp2_non_positive", emitExp2NonPositive, std::exp2, -125.9f, 0, 3, 0},
    {"log", emitLog, std::log, 0, 1e4f, 2, 0},
    {"log_near_one", emitLog, std::log, 0.5f, 2, 2, 0},
    {"erf", emitErf, std::erf, -6, 6, 4, 2e-7},
    {"tanh", emitTanh, std::tanh, -12, 12, 5, 3e-7},
    {"sigmoid", emitSigmoid, exactSigmoid, -85, 90, 4, 0},
    {"silu", emitSilu, exactSilu, -85, 90, 4, 0},
    {"gelu_erf", emitGeluErf, exactGeluErf, -12, 12, 0, 3e-7},
    {"gelu_tanh", emitGeluTanh, exactGeluTanh, -12, 12, 0, 3e-7},
};

/// buffers: input, output; [begin, end) are vectors, or elements in scalar form.
void buildMap(KernelModule &kernel, const CpuTarget &target, const MathCase &test, bool scalar) {
  KernelBuilder b(*kernel.module, kernel.loc(), "kernel", target, 2, 0);
  unsigned bytes = scalar ? 4 : target.lanes() * 4;
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](mlir::Value i) {
    mlir::Value offset = b.mul(i, bytes);
    mlir::Type type = scalar ? mlir::Type(b.getF32Type()) : mlir::Type(b.vectorType());
    b.store(test.emit(b, b.load(type, b.at(b.buffer(0), offset))), b.at(b.buffer(1), offset));
  });
  b.finish();
}

std::vector<float> sweep(const MathCase &test) {
  constexpr int count = 1 << 18; // a multiple of every vector
  std::vector<float> xs(count);
  for (int i = 0; i < count; ++i)
    xs[i] = static_cast<float>(test.low + (double(test.high) - test.low) * i / (count - 1));
  // Small magnitudes, where relative errors show.
  for (int i = 0; i < 4096 && test.low < 0 && test.high > 0; ++i)
    xs[i] = std::ldexp((i & 1 ? -1.0f : 1.0f) * (1 + (i % 61) / 61.0f), -(i % 140));
  return xs;
}

double ulpOf(double value) {
  float rounded = std::fabs(static_cast<float>(value));
  return std::max<double>(std::nextafter(rounded, INFINITY) - rounded, std::ldexp(1.0, -149));
}

class VectorMathTest : public CpuTargetTest {};

TEST_P(VectorMathTest, StatedErrors) {
  for (const MathCase &test : kCases) {
    KernelModule vectorModule, scalarModule;
    buildMap(vectorModule, target(), test, false);
    buildMap(scalarModule, target(), test, true);
    CompiledKernel vector(vectorModule, target()), scalar(scalarModule, target());
    ASSERT_TRUE(vector && scalar) << test.name;
    std::vector<float> xs = sweep(test), ys(xs.size()), zs(xs.size());
    int64_t count = xs.size();
    vector({xs.data(), ys.data()}, {}, 0, count / target().lanes());
    scalar({xs.data(), zs.data()}, {}, 0, count);
    EXPECT_EQ(0, memcmp(ys.data(), zs.data(), count * 4))
        << test.name << ": scalar and vector differ";
    double worstUlps = 0, worstAbsolute = 0;
    for (int64_t i = 0; i < count; ++i) {
      double exact = test.exact(xs[i]);
      if (std::isinf(exact) || std::fabs(exact) > std::numeric_limits<float>::max()) {
        EXPECT_EQ(static_cast<float>(exact), ys[i]) << test.name << " at " << xs[i];
        continue;
      }
      double error = std::fabs(ys[i] - exact);
      worstUlps = std::max(worstUlps, error / ulpOf(exact));
      worstAbsolute = std::max(worstAbsolute, error / std::max(1.0, std::fabs(double(xs[i]))));
    }
    if (test.ulps > 0)
      EXPECT_LE(worstUlps, test.ulps) << test.name;
    if (test.absolute > 0)
      EXPECT_LE(worstAbsolute, test.absolute) << test.name;
    RecordProperty(std::string(test.name) + "_ulps", std::to_string(worstUlps));
    RecordProperty(std::string(test.name) + "_absolute", std::to_string(worstAbsolute));
    if (getenv("PERMALLOY_TEST_VERBOSE"))
      llvm::errs() << test.name << ": " << worstUlps << " ulp, " << worstAbsolute << " absolute\n";
  }
}

float evaluate(const CpuTarget &target,
               mlir::Value (*emit)(mlir::ImplicitLocOpBuilder &, mlir::Value), float x) {
  KernelModule module;
  buildMap(module, target, {"", emit, nullptr, 0, 0, 0, 0}, false);
  CompiledKernel kernel(module, target);
  alignas(64) float in[16], out[16];
  std::fill_n(in, 16, x);
  kernel({in, out}, {}, 0, 1);
  return out[target.lanes() - 1];
}

TEST_P(VectorMathTest, SpecialValues) {
  const float inf = INFINITY, nan = NAN;
  for (auto emit : {emitExp, emitExp2, emitLog, emitErf, emitTanh, emitSigmoid, emitSilu,
                    emitGeluErf, emitGeluTanh})
    EXPECT_TRUE(std::isnan(evaluate(target(), emit, nan)));
  EXPECT_EQ(0.0f, evaluate(target(), emitExp, -inf));
  EXPECT_EQ(inf, evaluate(target(), emitExp, inf));
  EXPECT_EQ(1.0f, evaluate(target(), emitExp, 0.0f));
  EXPECT_EQ(0.0f, evaluate(target(), emitExp2NonPositive, -inf));
  EXPECT_EQ(1.0f, evaluate(target(), emitExp2NonPositive, 0.0f));
  EXPECT_EQ(-inf, evaluate(target(), emitLog, 0.0f));
  EXPECT_EQ(inf, evaluate(target(), emitLog, inf));
  EXPECT_TRUE(std::isnan(evaluate(target(), emitLog, -1.0f)));
  EXPECT_EQ(1.0f, evaluate(target(), emitErf, inf));
  EXPECT_EQ(-1.0f, evaluate(target(), emitErf, -1e30f));
  EXPECT_EQ(1.0f, evaluate(target(), emitTanh, inf));
  EXPECT_EQ(0.0f, evaluate(target(), emitSigmoid, -1e30f));
  EXPECT_EQ(inf, evaluate(target(), emitGeluErf, inf));
  EXPECT_EQ(-0.0f, evaluate(target(), emitGeluErf, -1e30f));
  EXPECT_EQ(-0.0f, evaluate(target(), emitGeluTanh, -1e30f));
}

INSTANTIATE_TEST_SUITE_P(Targets, VectorMathTest, ::testing::ValuesIn(vectorTargets()),
                         targetTestName);

} // namespace
