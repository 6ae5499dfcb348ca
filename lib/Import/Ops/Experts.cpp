//===- Experts.cpp - onnxruntime's mixture of experts ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// What com.microsoft.MoE calls its activation; nullopt after an error.
std::optional<Activation> activationOf(OpBinder &b, StringRef name) {
  auto activation = llvm::StringSwitch<std::optional<Activation>>(name)
                        .Case("relu", Activation::Relu)
                        .Case("gelu", Activation::GeluTanh)
                        .Cases({"silu", "swiglu"}, Activation::Silu)
                        .Case("identity", Activation::None)
                        .Default(std::nullopt);
  if (!activation)
    (void)b.error("activation_type '" + name +
                  "' is none of relu, gelu, silu, swiglu, identity");
  return activation;
}

/// Rows that alternate between gate and up, [E, 2F, ...], as the gates and then the ups.
Value separated(OpBinder &b, Value weight) {
  if (!weight || b.failed())
    return weight;
  bool matrix = b.rank(weight) == 3;
  auto rows = b.staticDim(weight, 1);
  if (!rows || *rows % 2 != 0) {
    (void)b.error("fc1 must have an even number of rows for swiglu");
    return {};
  }
  SmallVector<Extent> pairs = {Extent(weight, 0), Extent(*rows / 2), Extent(2)};
  SmallVector<Extent> flat = {Extent(weight, 0), Extent(*rows)};
  SmallVector<int64_t> perm = {0, 2, 1};
  if (matrix) {
    pairs.push_back(Extent(weight, 2));
    flat.push_back(Extent(weight, 2));
    perm.push_back(3);
  }
  return b.reshape(b.transpose(b.reshape(weight, pairs), perm), flat);
}

/// The first layer of the experts: fc1 with fc3, or fc1 alone.
std::pair<Value, Value> firstLayer(OpBinder &b, bool swiglu) {
  Value weight = b.input(2), bias = b.optionalInput(3), gated = b.optionalInput(6),
        gatedBias = b.optionalInput(7);
  int64_t fusion = b.intAttr("swiglu_fusion", 0);
  if (swiglu && gated && fusion != 0) {
    (void)b.error("swiglu_fusion " + Twine(fusion) + " leaves no use for fc3");
    return {};
  }
  if (swiglu && !gated && fusion == 0) {
    (void)b.error("swiglu needs fc3, or swiglu_fusion 1 or 2");
    return {};
  }
  if (swiglu && fusion == 1) {
    weight = separated(b, weight);
    bias = separated(b, bias);
  }
  weight = b.transpose(weight, {0, 2, 1});
  if (!gated)
    return {weight, bias};
  if (bool(bias) != bool(gatedBias)) {
    (void)b.unsupported("a bias on one of fc1 and fc3 only");
    return {};
  }
  weight = b.concat({weight, b.transpose(gated, {0, 2, 1})}, 2);
  return {weight, bias ? b.concat({bias, gatedBias}, 1) : Value()};
}

LogicalResult importMoE(OpBinder &b) {
  Value x = b.input(0), logits = b.input(1), down = b.input(4), downBias = b.optionalInput(5);
  std::string name = b.stringAttr("activation_type", "relu");
  auto activation = activationOf(b, name);
  if (b.failed())
    return failure();
  bool swiglu = name == "swiglu";
  if (b.intAttr("use_sparse_mixer", 0))
    return b.unsupported("use_sparse_mixer");
  if (swiglu && (b.floatAttr("activation_alpha", 1) != 1 || b.floatAttr("activation_beta", 0) != 0 ||
                 b.hasAttr("swiglu_limit")))
    return b.unsupported("swiglu with an alpha, beta or limit");
  if (b.rank(logits) != 2 || b.rank(b.input(2)) != 3 || b.rank(down) != 3)
    return b.error("router_probs must have rank 2, the weights of the experts rank 3");
  bool wide = b.rank(x) == 3;
  Value rows = wide ? b.reshape(x, {Extent(x, 0, 2), Extent(x, 2)}) : x;
  auto [up, upBias] = firstLayer(b, swiglu);
  bool gated = swiglu || b.hasInput(6);
  down = b.transpose(down, {0, 2, 1});
  if (b.failed())
    return failure();
  Value y = b.create<MoeOp>(b.elementType(x), rows, logits, up, down, upBias, downBias,
                            b.intAttr("k", 1), MoeScore::Softmax,
                            b.intAttr("normalize_routing_weights", 0) != 0, gated, *activation);
  return b.yield(wide ? b.reshape(y, {Extent(x, 0), Extent(x, 1), Extent(x, 2)}) : y);
}

const OpRow rows[] = {
    {"com.microsoft", "MoE", 1, 1, OpClass::Concept, importMoE},
};

} // namespace

ArrayRef<OpRow> permalloy::expertRows() { return rows; }
