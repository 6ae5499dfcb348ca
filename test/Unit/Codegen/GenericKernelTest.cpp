//===- GenericKernelTest.cpp - every operation through the generic emitter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"

#include <cmath>
#include <limits>

using namespace permalloy;
using namespace permalloy::codegen::test;
using reference::Tensor;
using reference::Tolerance;

namespace {

/// `$` in `pattern` replaced by `with`.
std::string fill(std::string pattern, const std::string &with) { return replaceAll(std::move(pattern), "$", with); }

const char *const kFloats[] = {"f32", "f64", "f16", "bf16"};
const char *const kIntegers[] = {"i8", "i16", "i32", "i64", "ui8", "ui16", "ui32", "ui64"};

/// Two roundings' worth of the type: kernels may round once more than the interpreter.
Tolerance toleranceOf(const std::string &type) {
  return type == "f16" ? Tolerance{2e-3, 1e-6} : type == "bf16" ? Tolerance{1.6e-2, 1e-6}
         : type == "f64" ? Tolerance{1e-12, 1e-12} : Tolerance{3e-6, 1e-6};
}

/// NaN, infinities, zeros, halves, subnormals and large numbers at the start of every floating-point input.
void plantSpecials(llvm::MutableArrayRef<Tensor> inputs) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double specials[] = {std::nan(""), infinity, -infinity, 0.0, -0.0, 0.5, 1.5, -2.5, 1e-41, -7.0, 60.0, -60.0};
  for (Tensor &tensor : inputs)
    if (reference::isFloat(tensor.element()))
      for (int64_t i = 0; i < std::min<int64_t>(tensor.size(), std::size(specials)); ++i)
        tensor.setNumber(i, specials[i]);
}

class GenericKernelTest : public CpuTargetTest {
protected:
  void check(const std::string &text, llvm::StringRef sizes = "", Tolerance tolerance = {},
             KernelCheck::Change change = nullptr) {
    SCOPED_TRACE(text);
    KernelCheck kernel(text, "generic");
    if (kernel)
      kernel.run(target(), sizes, tolerance, change);
  }
};

std::string unary(const std::string &kind, const std::string &type, const std::string &result) {
  return "func.func @main(%x: tensor<37x" + type + "> {tfm.test_range = [-5.0, 5.0]}) -> tensor<37x" + result + "> {\n%0 = tfm.unary " + kind +
         " %x : (tensor<37x" + type + ">) -> tensor<37x" + result + ">\nreturn %0 : tensor<37x" + result + ">\n}";
}

std::string binary(const std::string &kind, const std::string &type, const std::string &range) {
  return fill("func.func @main(%x: tensor<?x19x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<19>]" + range +
                  "}, %y: tensor<19x$> {tfm.dims = [#tfm.dim<19>]" + range + "}) -> tensor<?x19x$> {\n%0 = tfm.binary " + kind +
                  " %x, %y : (tensor<?x19x$>, tensor<19x$>) -> tensor<?x19x$>\nreturn %0 : tensor<?x19x$>\n}",
              type);
}

} // namespace

TEST_P(GenericKernelTest, UnaryOfFloats) {
  for (std::string kind : {"neg", "abs", "sqrt", "reciprocal", "exp", "log", "erf", "tanh", "sigmoid", "relu", "gelu_erf",
                           "gelu_tanh", "silu", "floor", "ceil", "round", "sign", "sin", "cos", "isnan", "isinf"})
    for (std::string type : kFloats) {
      bool isBool = kind[0] == 'i';
      // The tails of these are products that underflow; sign of zero follows the formula.
      bool formula = kind == "gelu_erf" || kind == "gelu_tanh" || kind == "silu";
      check(unary(kind, type, isBool ? "i1" : type), "", isBool ? Tolerance() : toleranceOf(type),
            formula ? KernelCheck::Change() : plantSpecials);
    }
}

TEST_P(GenericKernelTest, UnaryOfIntegers) {
  for (std::string type : kIntegers)
    for (std::string kind : {"neg", "abs", "sign", "relu"})
      check(fill("func.func @main(%x: tensor<37x$> {tfm.test_range = [" + std::string(type[0] == 'u' ? "0" : "-50") +
                     ", 50]}) -> tensor<37x$> {\n%0 = tfm.unary " + kind +
                     " %x : (tensor<37x$>) -> tensor<37x$>\nreturn %0 : tensor<37x$>\n}",
                 type));
  check(R"(func.func @main(%x: tensor<37xi1>) -> tensor<37xi1> {
    %0 = tfm.unary not %x : (tensor<37xi1>) -> tensor<37xi1>
    return %0 : tensor<37xi1>
  })");
}

TEST_P(GenericKernelTest, BinaryOfFloats) {
  for (std::string type : kFloats) {
    for (std::string kind : {"add", "sub", "mul", "div", "max", "min"})
      check(binary(kind, type, ""), "b=3", toleranceOf(type), plantSpecials);
    for (std::string kind : {"pow", "mod"})
      check(binary(kind, type, ", tfm.test_range = [0.1, 9.0]"), "b=3", toleranceOf(type));
  }
}

TEST_P(GenericKernelTest, PowerAndModOfSpecials) {
  for (std::string kind : {"pow", "mod"})
    check(R"(func.func @main(%x: tensor<13x1xf64>, %y: tensor<13xf64>) -> tensor<13x13xf64> {
      %0 = tfm.binary )" + kind + R"( %x, %y : (tensor<13x1xf64>, tensor<13xf64>) -> tensor<13x13xf64>
      return %0 : tensor<13x13xf64>
    })", "", {1e-11, 0}, plantSpecials);
}

TEST_P(GenericKernelTest, ConstantPowers) {
  for (std::string power : {"1.0", "2.0", "3.0", "-1.0", "0.5", "2.5"})
    check(R"(func.func @main(%x: tensor<4x19xf32> {tfm.test_range = [0.1, 3.0]}) -> tensor<4x19xf32> {
      %p = tfm.constant dense<)" + power + R"(> : tensor<f32>
      %0 = tfm.binary pow %x, %p : (tensor<4x19xf32>, tensor<f32>) -> tensor<4x19xf32>
      return %0 : tensor<4x19xf32>
    })", "", {1e-6, 0});
}

TEST_P(GenericKernelTest, BinaryOfIntegers) {
  for (std::string type : kIntegers) {
    std::string low = type[0] == 'u' ? "0" : "-50";
    for (std::string kind : {"add", "sub", "mul", "max", "min"})
      check(binary(kind, type, ", tfm.test_range = [" + low + ", 50]"), "b=3");
    for (std::string kind : {"div", "mod", "pow"})
      check(binary(kind, type, ", tfm.test_range = [1, 9]"), "b=3");
  }
  for (std::string kind : {"and", "or", "xor"})
    check(binary(kind, "i1", ""), "b=3");
}

TEST_P(GenericKernelTest, DividesNegativeIntegers) {
  for (std::string kind : {"div", "mod", "pow"})
    check(R"(func.func @main(%x: tensor<21xi32> {tfm.test_range = [-40, -1]}, %y: tensor<21xi32> {tfm.test_range = [-7, -1]},
                             %z: tensor<21xi32> {tfm.test_range = [1, 7]}) -> (tensor<21xi32>, tensor<21xi32>, tensor<21xi32>) {
      %0 = tfm.binary )" + kind + R"( %x, %y : (tensor<21xi32>, tensor<21xi32>) -> tensor<21xi32>
      %1 = tfm.binary )" + kind + R"( %x, %z : (tensor<21xi32>, tensor<21xi32>) -> tensor<21xi32>
      %2 = tfm.binary )" + kind + R"( %z, %y : (tensor<21xi32>, tensor<21xi32>) -> tensor<21xi32>
      return %0, %1, %2 : tensor<21xi32>, tensor<21xi32>, tensor<21xi32>
    })");
}

TEST_P(GenericKernelTest, Compares) {
  for (std::string kind : {"eq", "ne", "lt", "le", "gt", "ge"})
    for (std::string type : {"f32", "f64", "f16", "bf16", "i8", "i32", "i64", "ui8", "i1"})
      check(fill("func.func @main(%x: tensor<5x1x$>, %y: tensor<19x$>) -> tensor<5x19xi1> {\n%0 = tfm.compare " + kind +
                     " %x, %y : (tensor<5x1x$>, tensor<19x$>) -> tensor<5x19xi1>\nreturn %0 : tensor<5x19xi1>\n}",
                 type),
            "", {}, plantSpecials);
}

TEST_P(GenericKernelTest, Selects) {
  for (std::string type : {"f32", "f64", "f16", "bf16", "i8", "i64", "ui32", "i1"})
    check(fill(R"(func.func @main(%c: tensor<4x1xi1>, %d: tensor<35xi1>, %x: tensor<$>, %y: tensor<4x35x$>) -> (tensor<4x35x$>, tensor<4x35x$>) {
      %0 = tfm.select %c, %x, %y : (tensor<4x1xi1>, tensor<$>, tensor<4x35x$>) -> tensor<4x35x$>
      %1 = tfm.select %d, %y, %x : (tensor<35xi1>, tensor<4x35x$>, tensor<$>) -> tensor<4x35x$>
      return %0, %1 : tensor<4x35x$>, tensor<4x35x$>
    })", type));
}

TEST_P(GenericKernelTest, Casts) {
  for (std::string from : {"f32", "f64", "f16", "bf16", "i8", "i32", "i64", "ui8", "ui32", "i1"})
    for (std::string to : {"f32", "f64", "f16", "bf16", "i8", "i16", "i32", "i64", "ui8", "ui16", "ui32", "i1"}) {
      bool isUnsigned = from[0] == 'u' || to[0] == 'u';
      std::string range = from == "i1" ? "" : isUnsigned ? " {tfm.test_range = [0, 100]}" : " {tfm.test_range = [-100, 100]}";
      check("func.func @main(%x: tensor<35x" + from + ">" + range + ") -> tensor<35x" + to + "> {\n%0 = tfm.cast %x : (tensor<35x" +
            from + ">) -> tensor<35x" + to + ">\nreturn %0 : tensor<35x" + to + ">\n}");
    }
}

TEST_P(GenericKernelTest, NarrowsFromF64Once) {
  // 1 + 2^-11 + 2^-40 lies above the tie of f16, but rounds to it in f32; the same for bf16 at 2^-8.
  auto change = [](llvm::MutableArrayRef<Tensor> inputs) {
    inputs[0].setNumber(0, 1 + 0x1p-11 + 0x1p-40);
    inputs[0].setNumber(1, 1 + 0x1p-8 + 0x1p-40);
    inputs[0].setNumber(2, -(1 + 0x1p-8 + 0x1p-40));
    inputs[0].setNumber(3, 1e300);
  };
  for (std::string type : {"f16", "bf16"})
    check(fill("func.func @main(%x: tensor<7xf64>) -> tensor<7x$> {\n%0 = tfm.cast %x : (tensor<7xf64>) -> tensor<7x$>\nreturn %0 : tensor<7x$>\n}",
               type), "", {}, change);
}

TEST_P(GenericKernelTest, Reduces) {
  for (std::string type : {"f32", "f64", "f16", "bf16", "i32", "i64"})
    for (std::string kind : {"sum", "mean", "max", "min", "prod"}) {
      if (kind == "mean" && type[0] == 'i')
        continue;
      for (std::string axes : {"0", "1", "2", "0, 2", "0, 1, 2"}) {
        bool has[3] = {};
        for (char c : axes)
          if (c >= '0' && c <= '2')
            has[c - '0'] = true;
        std::string kept = std::string(has[0] ? "1x" : "?x") + (has[1] ? "1x" : "3x") + (has[2] ? "1x" : "21x");
        std::string dropped = std::string(has[0] ? "" : "?x") + (has[1] ? "" : "3x") + (has[2] ? "" : "21x");
        std::string range = type[0] == 'i' ? ", tfm.test_range = [-3, 4]" : "";
        check(fill("func.func @main(%x: tensor<?x3x21x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<3>, #tfm.dim<21>]" + range + "}) -> (tensor<" + kept +
                       "$>, tensor<" + dropped + "$>) {\n%0 = tfm.reduce " + kind + " %x axes [" + axes +
                       "] {keep_dims} : (tensor<?x3x21x$>) -> tensor<" + kept + "$>\n%1 = tfm.reduce " + kind + " %x axes [" + axes +
                       "] : (tensor<?x3x21x$>) -> tensor<" + dropped + "$>\nreturn %0, %1 : tensor<" + kept + "$>, tensor<" + dropped + "$>\n}",
                   type),
              "b=4", type == "f32" ? Tolerance{1e-5, 1e-5} : toleranceOf(type));
      }
    }
  for (std::string kind : {"all", "any"})
    check("func.func @main(%x: tensor<9x4xi1>) -> tensor<9xi1> {\n%0 = tfm.reduce " + kind +
          " %x axes [1] : (tensor<9x4xi1>) -> tensor<9xi1>\nreturn %0 : tensor<9xi1>\n}");
}

TEST_P(GenericKernelTest, SoftmaxAndLayerNorm) {
  for (std::string type : kFloats) {
    for (std::string axis : {"0", "1", "2"})
      check(fill("func.func @main(%x: tensor<?x5x?x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<5>, #tfm.dim<s>]}) -> tensor<?x5x?x$> {\n%0 = tfm.softmax %x {axis = " +
                     axis + " : i64} : (tensor<?x5x?x$>) -> tensor<?x5x?x$>\nreturn %0 : tensor<?x5x?x$>\n}", type),
            "b=3,s=19", toleranceOf(type));
    check(fill(R"(func.func @main(%x: tensor<?x3x21x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<3>, #tfm.dim<21>]}, %g: tensor<21x$>, %h: tensor<21x$>,
                                  %g2: tensor<3x21x$>) -> (tensor<?x3x21x$>, tensor<?x3x21x$>) {
      %0 = tfm.layer_norm %x, %g, %h {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x3x21x$>, tensor<21x$>, tensor<21x$>) -> tensor<?x3x21x$>
      %1 = tfm.layer_norm %x, %g2 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x3x21x$>, tensor<3x21x$>) -> tensor<?x3x21x$>
      return %0, %1 : tensor<?x3x21x$>, tensor<?x3x21x$>
    })", type), "b=4", type == "f32" ? Tolerance{1e-5, 1e-5} : Tolerance{toleranceOf(type).rtol, toleranceOf(type).rtol});
  }
}

TEST_P(GenericKernelTest, RmsNorm) {
  for (std::string type : kFloats)
    check(fill(R"(func.func @main(%x: tensor<?x3x21x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<3>, #tfm.dim<21>]}, %g: tensor<21x$>,
                                  %g2: tensor<3x21x$>) -> (tensor<?x3x21x$>, tensor<?x3x21x$>) {
      %0 = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x3x21x$>, tensor<21x$>) -> tensor<?x3x21x$>
      %1 = tfm.rms_norm %x, %g2 {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x3x21x$>, tensor<3x21x$>) -> tensor<?x3x21x$>
      return %0, %1 : tensor<?x3x21x$>, tensor<?x3x21x$>
    })", type), "b=4", type == "f32" ? Tolerance{1e-5, 1e-5} : Tolerance{toleranceOf(type).rtol, toleranceOf(type).rtol});
}

TEST_P(GenericKernelTest, Rotary) {
  for (std::string type : kFloats)
    for (std::string attributes : {"{num_heads = 2 : i64}", "{interleaved, num_heads = 2 : i64}"})
      check(fill(R"(func.func @main(%x: tensor<?x?x20x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<20>]},
                                    %c: tensor<?x?x3x$> {tfm.dims = [#tfm.dim<n>, #tfm.dim<s>, #tfm.dim<3>]},
                                    %t: tensor<?x?x3x$> {tfm.dims = [#tfm.dim<n>, #tfm.dim<s>, #tfm.dim<3>]}) -> tensor<?x?x20x$> {
        %0 = tfm.rotary %x, %c, %t )" + attributes + R"( : (tensor<?x?x20x$>, tensor<?x?x3x$>, tensor<?x?x3x$>) -> tensor<?x?x20x$>
        return %0 : tensor<?x?x20x$>
      })", type), "b=3,s=5,n=1", type == "f32" ? Tolerance{1e-6, 1e-6} : Tolerance{toleranceOf(type).rtol, toleranceOf(type).rtol});
}

TEST_P(GenericKernelTest, Matmuls) {
  for (std::string type : {"f32", "f64", "f16", "bf16", "i32"}) {
    Tolerance tolerance = type == "i32" ? Tolerance() : Tolerance{toleranceOf(type).rtol * 3, toleranceOf(type).rtol * 3};
    check(fill(R"(func.func @main(%a: tensor<?x3x5x7x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<3>, #tfm.dim<5>, #tfm.dim<7>]}, %w: tensor<3x7x37x$>, %v: tensor<3x37x7x$>,
                                  %t: tensor<7x5x$>, %u: tensor<7x$>)
        -> (tensor<?x3x5x37x$>, tensor<?x3x5x37x$>, tensor<?x3x5x5x$>, tensor<?x3x5x$>, tensor<37x$>) {
      %0 = tfm.matmul %a, %w : (tensor<?x3x5x7x$>, tensor<3x7x37x$>) -> tensor<?x3x5x37x$>
      %1 = tfm.matmul %a, %v {transpose_b} : (tensor<?x3x5x7x$>, tensor<3x37x7x$>) -> tensor<?x3x5x37x$>
      %2 = tfm.matmul %a, %t : (tensor<?x3x5x7x$>, tensor<7x5x$>) -> tensor<?x3x5x5x$>
      %3 = tfm.matmul %a, %u : (tensor<?x3x5x7x$>, tensor<7x$>) -> tensor<?x3x5x$>
      %4 = tfm.slice %w offsets [#tfm.dim<1>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<7>, #tfm.dim<37>] strides [1, 1, 1] : (tensor<3x7x37x$>) -> tensor<1x7x37x$>
      %5 = tfm.reshape %4 dims [#tfm.dim<7>, #tfm.dim<37>] : (tensor<1x7x37x$>) -> tensor<7x37x$>
      %6 = tfm.matmul %u, %5 : (tensor<7x$>, tensor<7x37x$>) -> tensor<37x$>
      return %0, %1, %2, %3, %6 : tensor<?x3x5x37x$>, tensor<?x3x5x37x$>, tensor<?x3x5x5x$>, tensor<?x3x5x$>, tensor<37x$>
    })", type), "b=2", tolerance);
    check(fill(R"(func.func @main(%a: tensor<7x5x$>, %w: tensor<7x35x$>) -> tensor<5x35x$> {
      %0 = tfm.matmul %a, %w {transpose_a} : (tensor<7x5x$>, tensor<7x35x$>) -> tensor<5x35x$>
      return %0 : tensor<5x35x$>
    })", type), "", tolerance);
  }
}

TEST_P(GenericKernelTest, Linears) {
  for (std::string activation : {"", "activation gelu_erf", "activation relu", "activation tanh"})
    for (std::string encoding : {"", ", #tfm.panels"})
      check(R"(func.func @main(%x: tensor<?x?x9xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<9>]}, %w: tensor<9x37xf32)" + encoding +
                R"(>, %c: tensor<37xf32>) -> tensor<?x?x37xf32> {
        %0 = tfm.linear %x, %w bias %c )" + activation + " : (tensor<?x?x9xf32>, tensor<9x37xf32" + encoding +
                R"(>, tensor<37xf32>) -> tensor<?x?x37xf32>
        return %0 : tensor<?x?x37xf32>
      })", "b=2,s=5", {1e-5, 1e-5});
  check(R"(func.func @main(%w: tensor<9x37xf32>) -> tensor<9x37xf32, #tfm.panels> {
    %0 = tfm.pack %w : (tensor<9x37xf32>) -> tensor<9x37xf32, #tfm.panels>
    return %0 : tensor<9x37xf32, #tfm.panels>
  })");
}

static std::string attention(const std::string &type, const std::string &mask, const std::string &rest) {
  std::string argument = mask.empty() ? "" : ", %m: tensor<?x1x1x?x" + mask + "> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}";
  std::string use = mask.empty() ? "" : " mask %m", maskType = mask.empty() ? "" : ", tensor<?x1x1x?x" + mask + ">";
  return fill(R"(func.func @main(%q: tensor<?x?x64x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<64>]},
      %k: tensor<?x?x32x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<32>]}, %v: tensor<?x?x32x$> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<32>]})" +
                  argument + R"() -> tensor<?x?x64x$> {
      %0 = tfm.attention %q, %k, %v)" + use + rest + R"( : (tensor<?x?x64x$>, tensor<?x?x32x$>, tensor<?x?x32x$>)" + maskType + R"() -> tensor<?x?x64x$>
      return %0 : tensor<?x?x64x$>
    })", type);
}

TEST_P(GenericKernelTest, Attends) {
  const std::string heads = " {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f32}";
  const std::string causal = " {causal, num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 0.25 : f32}";
  for (std::string type : kFloats) {
    Tolerance tolerance{toleranceOf(type).rtol * 2, toleranceOf(type).rtol * 2};
    check(attention(type, "", heads), "b=2,t=3,s=7", tolerance);
    check(attention(type, type, heads), "b=2,t=3,s=7", tolerance);
    check(attention(type, "i1", causal), "b=2,t=7,s=7", tolerance);
  }
  auto maskAll = [](llvm::MutableArrayRef<Tensor> inputs) {
    for (int64_t i = 0; i < 7; ++i)
      inputs[3].setInteger(i, 0);
  };
  for (std::string empty : {"nan", "zero", "uniform"})
    check(attention("f32", "i1", " empty_rows " + empty + heads), "b=2,t=3,s=7", {1e-5, 1e-6}, maskAll);
  check(R"(func.func @main(%q: tensor<2x3x5x8xf32>, %k: tensor<2x3x9x8xf32>, %v: tensor<2x3x9x19xf32>) -> tensor<2x3x5x19xf32> {
    %0 = tfm.attention %q, %k, %v {num_heads = 3 : i64, num_kv_heads = 3 : i64, scale = 0.3 : f32} : (tensor<2x3x5x8xf32>, tensor<2x3x9x8xf32>, tensor<2x3x9x19xf32>) -> tensor<2x3x5x19xf32>
    return %0 : tensor<2x3x5x19xf32>
  })", "", {1e-5, 1e-6});
}

INSTANTIATE_TEST_SUITE_P(Targets, GenericKernelTest, ::testing::ValuesIn(allTargets()), targetTestName);
INSTANTIATE_TEST_SUITE_P(Gpu, GenericKernelTest, ::testing::ValuesIn(gpuThreads()), targetTestName);
