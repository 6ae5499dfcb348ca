//===- Activations.cpp - activation functions of ONNX ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

Value less(OpBinder &b, Value x, Value y) { return b.compare(CompareKind::Lt, x, y); }

LogicalResult importGelu(OpBinder &b) {
  std::string approximate = b.stringAttr("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    return b.error("approximate '" + approximate + "'; accepted are none and tanh");
  return b.yield(
      b.unary(approximate == "tanh" ? UnaryKind::GeluTanh : UnaryKind::GeluErf, b.input(0)));
}

/// com.microsoft Gelu, BiasGelu, FastGelu: with the bias, if any, added first.
template <UnaryKind kind> LogicalResult importBiasGelu(OpBinder &b) {
  Value x = b.input(0);
  if (Value bias = b.optionalInput(1))
    x = b.add(x, bias);
  return b.yield(b.unary(kind, x));
}

/// x * sigmoid(alpha * x)
Value swish(OpBinder &b, Value x, double alpha) {
  if (alpha == 1)
    return b.unary(UnaryKind::Silu, x);
  return b.mul(x, b.unary(UnaryKind::Sigmoid, b.mul(x, b.scalar(x, alpha))));
}
LogicalResult importSwish(OpBinder &b) {
  return b.yield(swish(b, b.input(0), b.floatAttr("alpha", 1)));
}
/// Swish of the gate, times the value; shapes must agree.
LogicalResult importSwiGLU(OpBinder &b) {
  Value gate = b.input(0), value = b.input(1);
  if (b.failed())
    return failure();
  bool fits = b.rank(gate) == b.rank(value);
  for (int64_t i = 0; fits && i < b.rank(gate); ++i)
    fits = b.staticDim(gate, i) == b.staticDim(value, i);
  if (!fits)
    return b.error("gate and value must have one shape");
  return b.yield(b.mul(swish(b, gate, b.floatAttr("alpha", 1)), value));
}
LogicalResult importQuickGelu(OpBinder &b) {
  return b.yield(swish(b, b.input(0), b.floatAttr("alpha", 1.702f)));
}

LogicalResult importLeakyRelu(OpBinder &b) {
  Value x = b.input(0);
  Value scaled = b.mul(x, b.scalar(x, b.floatAttr("alpha", 0.01f)));
  return b.yield(b.select(less(b, x, b.scalar(x, 0)), scaled, x));
}
LogicalResult importPRelu(OpBinder &b) {
  Value x = b.input(0), slope = b.input(1);
  return b.yield(b.select(less(b, x, b.scalar(x, 0)), b.mul(x, slope), x));
}
LogicalResult importThresholdedRelu(OpBinder &b) {
  Value x = b.input(0), zero = b.scalar(x, 0);
  return b.yield(
      b.select(b.compare(CompareKind::Gt, x, b.scalar(x, b.floatAttr("alpha", 1))), x, zero));
}

/// scale * (x < 0 ? alpha * (exp(x) - 1) : x)
Value scaledElu(OpBinder &b, Value x, double alpha, double scale) {
  Value negative = b.mul(b.scalar(x, alpha), b.sub(b.unary(UnaryKind::Exp, x), b.scalar(x, 1)));
  Value result = b.select(less(b, x, b.scalar(x, 0)), negative, x);
  return scale == 1 ? result : b.mul(result, b.scalar(x, scale));
}
LogicalResult importElu(OpBinder &b) {
  return b.yield(scaledElu(b, b.input(0), b.floatAttr("alpha", 1), 1));
}
LogicalResult importSelu(OpBinder &b) {
  return b.yield(scaledElu(b, b.input(0), b.floatAttr("alpha", 1.67326319217681884765625),
                           b.floatAttr("gamma", 1.05070102214813232421875)));
}
/// max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
LogicalResult importCelu(OpBinder &b) {
  Value x = b.input(0), zero = b.scalar(x, 0), alpha = b.scalar(x, b.floatAttr("alpha", 1));
  Value negative = b.mul(alpha, b.sub(b.unary(UnaryKind::Exp, b.div(x, alpha)), b.scalar(x, 1)));
  return b.yield(
      b.add(b.binary(BinaryKind::Max, x, zero), b.binary(BinaryKind::Min, negative, zero)));
}

/// log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which does not overflow.
Value softplus(OpBinder &b, Value x) {
  Value decay = b.unary(UnaryKind::Exp, b.unary(UnaryKind::Neg, b.unary(UnaryKind::Abs, x)));
  return b.add(b.unary(UnaryKind::Relu, x), b.unary(UnaryKind::Log, b.add(decay, b.scalar(x, 1))));
}
LogicalResult importSoftplus(OpBinder &b) { return b.yield(softplus(b, b.input(0))); }
LogicalResult importMish(OpBinder &b) {
  Value x = b.input(0);
  return b.yield(b.mul(x, b.unary(UnaryKind::Tanh, softplus(b, x))));
}
LogicalResult importSoftsign(OpBinder &b) {
  Value x = b.input(0);
  return b.yield(b.div(x, b.add(b.unary(UnaryKind::Abs, x), b.scalar(x, 1))));
}

/// max(0, min(1, alpha * x + beta))
Value hardSigmoid(OpBinder &b, Value x, double alpha, double beta) {
  Value line = b.add(b.mul(x, b.scalar(x, alpha)), b.scalar(x, beta));
  return b.binary(BinaryKind::Max, b.binary(BinaryKind::Min, line, b.scalar(x, 1)), b.scalar(x, 0));
}
LogicalResult importHardSigmoid(OpBinder &b) {
  return b.yield(hardSigmoid(b, b.input(0), b.floatAttr("alpha", 0.2f), b.floatAttr("beta", 0.5)));
}
LogicalResult importHardSwish(OpBinder &b) {
  Value x = b.input(0);
  return b.yield(b.mul(x, hardSigmoid(b, x, 1.0 / 6, 0.5)));
}

/// x + bias below -lambd, x - bias above lambd, 0 between.
LogicalResult importShrink(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  Type type = b.elementType(x); // integers are compared and moved in floating point
  x = b.isFloat(x) ? x : b.cast(x, b.builder.getF32Type());
  double limit = b.floatAttr("lambd", 0.5);
  Value bias = b.scalar(x, b.floatAttr("bias", 0));
  Value above =
      b.select(b.compare(CompareKind::Gt, x, b.scalar(x, limit)), b.sub(x, bias), b.scalar(x, 0));
  return b.yield(b.cast(b.select(less(b, x, b.scalar(x, -limit)), b.add(x, bias), above), type));
}

/// (exp(x) - exp(-x)) / 2, and 2 t / (1 - t^2) with t = tanh(x / 2) near 0, where that cancels.
LogicalResult importSinh(OpBinder &b) {
  Value x = b.input(0), half = b.scalar(x, 0.5);
  Value t = b.unary(UnaryKind::Tanh, b.mul(x, half));
  Value near = b.div(b.add(t, t), b.sub(b.scalar(x, 1), b.mul(t, t)));
  Value far = b.mul(
      b.sub(b.unary(UnaryKind::Exp, x), b.unary(UnaryKind::Exp, b.unary(UnaryKind::Neg, x))), half);
  return b.yield(b.select(less(b, b.unary(UnaryKind::Abs, x), b.scalar(x, 1)), near, far));
}
LogicalResult importCosh(OpBinder &b) {
  Value x = b.input(0);
  Value sum =
      b.add(b.unary(UnaryKind::Exp, x), b.unary(UnaryKind::Exp, b.unary(UnaryKind::Neg, x)));
  return b.yield(b.mul(sum, b.scalar(x, 0.5)));
}

LogicalResult importTan(OpBinder &b) {
  Value x = b.input(0);
  return b.yield(b.div(b.unary(UnaryKind::Sin, x), b.unary(UnaryKind::Cos, x)));
}

constexpr OpClass E = OpClass::Elementwise, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "Celu", 12, 28, D, importCelu},
    {"", "Cosh", 9, 22, D, importCosh},
    {"", "Elu", 6, 22, D, importElu},
    {"", "Gelu", 20, 20, E, importGelu},
    {"", "HardSigmoid", 6, 22, D, importHardSigmoid},
    {"", "HardSwish", 14, 22, D, importHardSwish},
    {"", "LeakyRelu", 6, 16, D, importLeakyRelu},
    {"", "Mish", 18, 22, D, importMish},
    {"", "PRelu", 7, 16, D, importPRelu},
    {"", "Selu", 6, 22, D, importSelu},
    {"", "Shrink", 9, 9, D, importShrink},
    {"", "Sinh", 9, 22, D, importSinh},
    {"", "Softplus", 1, 22, D, importSoftplus},
    {"", "Softsign", 1, 22, D, importSoftsign},
    {"", "SwiGLU", 28, 28, D, importSwiGLU},
    {"", "Swish", 24, 24, E, importSwish},
    {"", "Tan", 7, 22, D, importTan},
    {"", "ThresholdedRelu", 10, 22, D, importThresholdedRelu},
    {"com.microsoft", "BiasGelu", 1, 1, E, importBiasGelu<UnaryKind::GeluErf>},
    {"com.microsoft", "FastGelu", 1, 1, E, importBiasGelu<UnaryKind::GeluTanh>},
    {"com.microsoft", "Gelu", 1, 1, E, importBiasGelu<UnaryKind::GeluErf>},
    {"com.microsoft", "QuickGelu", 1, 1, E, importQuickGelu},
};

} // namespace

ArrayRef<OpRow> permalloy::activationRows() { return rows; }
