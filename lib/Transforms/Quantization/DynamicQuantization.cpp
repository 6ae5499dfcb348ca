//===- DynamicQuantization.cpp - a layer in 8-bit integers -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// y = x W + b, row m of x and column n of W each with a scale:
//
//   m = max(absmax_k |x[m, k]|, least)    q = rne(x * (127 / m))    y = (q Q) * (m / 127) * s + b
//
// With outliers m is the largest magnitude beside those of the few largest elements o of the row, whose codes are clamped, and
//
//   y = (q Q + sum over o of (x[o] * (127 / m) - q[o]) * Q[o]) * (m / 127) * s + b
//
// After LLM.int8() (Dettmers et al., 2022), which multiplies columns of outliers in 16 bits; here each row has its own, and the
// weight stays in its codes.
//
// The reciprocal is multiplied by, not the scale divided by: a division is as long as the rest of the row's pass together, and where a
// tie goes is nothing that a model depends on. Rows of zeros have codes of zeros. Symmetric: no sums of rows or columns are needed.
//
//===----------------------------------------------------------------------===//

#include "DynamicQuantization.h"
#include "Tfm/Outliers.h"
#include "Tfm/PrecisionAttr.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_APPLYDYNAMICQUANTIZATION
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// Rows and columns of smaller magnitude have codes of this one: its reciprocal is a number of f32.
static constexpr float kLeastMagnitude = 1e-30f;
/// The same where outliers are left out of the row's magnitude, which is 0 for a row of few numbers: excess times code stays finite for
/// outliers up to 2e14.
static constexpr float kLeastInlier = 1e-20f;
static constexpr float kMostCode = 127.0f;

std::optional<int64_t> permalloy::outliersOfLevel(StringRef level) {
  if (!level.consume_front(kDynamicLevel))
    return std::nullopt;
  int64_t count = kDefaultOutliers;
  if (level.empty())
    return count;
  bool isCount = level.size() == 2 && level.consume_front("o") && !level.getAsInteger(10, count) && count <= 7;
  return isCount ? std::optional(count) : std::nullopt;
}

std::string permalloy::whyNotDynamic(LinearOp linear) {
  auto type = cast<RankedTensorType>(linear.getWeight().getType());
  Type element = type.getElementType();
  if (!linear.getWeight().getDefiningOp<GetWeightOp>())
    return "its weight is computed while running";
  if (!element.isF32() && !element.isF16() && !element.isBF16())
    return "its weight is not in f32, f16 or bf16";
  if (type.getEncoding())
    return "its weight is packed";
  if (cast<RankedTensorType>(linear.getInput().getType()).getRank() < 2)
    return "its input is a vector";
  // Sums of products of codes fit i32.
  if (type.getDimSize(0) > std::numeric_limits<int32_t>::max() / (int64_t(kMostCode) * int64_t(kMostCode)))
    return "its sums do not fit 32 bits";
  return "";
}

namespace {

/// Codes of `value` along one axis, and the scale of each row or column. With outliers, where they are and how much larger than their codes.
struct Codes {
  Value codes, scale;
  Value positions = {}, excess = {};
};

/// Builds operations on f32 in front of one place.
class Quantizer {
public:
  Quantizer(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  Codes codesOf(Value value, int64_t axis, int64_t outliers = 0);
  std::pair<Value, Value> scaled(Value value, Value factor);
  Value binary(BinaryKind kind, Value lhs, Value rhs, Type type) {
    return BinaryOp::create(builder, loc, type, kind, lhs, rhs);
  }
  Value cast(Value value, Type element) {
    auto type = llvm::cast<RankedTensorType>(value.getType());
    if (type.getElementType() == element)
      return value;
    return CastOp::create(builder, loc, RankedTensorType::get(type.getShape(), element), value);
  }
  Value number(float value) {
    auto type = RankedTensorType::get({}, builder.getF32Type());
    return ConstantOp::create(builder, loc, DenseElementsAttr::get(type, value));
  }

private:
  OpBuilder &builder;
  Location loc;
};

} // namespace

/// `value` times `factor`, and its codes.
std::pair<Value, Value> Quantizer::scaled(Value value, Value factor) {
  auto type = llvm::cast<RankedTensorType>(value.getType());
  value = binary(BinaryKind::Mul, value, factor, type);
  auto codeType = RankedTensorType::get(type.getShape(), builder.getI8Type());
  return {value, QuantizeOp::create(builder, loc, codeType, value, Value(), Value(), /*symmetric=*/true)};
}

Codes Quantizer::codesOf(Value value, int64_t axis, int64_t outliers) {
  value = cast(value, builder.getF32Type());
  SmallVector<int64_t> shape(llvm::cast<RankedTensorType>(value.getType()).getShape());
  shape[axis] = 1;
  auto scaleType = RankedTensorType::get(shape, builder.getF32Type());
  Value least = number(outliers ? kLeastInlier : kLeastMagnitude), most = number(kMostCode), step = number(1 / kMostCode), magnitude;
  if (outliers)
    magnitude = OutlierLimitOp::create(builder, loc, scaleType, value, outliers);
  else
    magnitude = ReduceOp::create(builder, loc, scaleType, ReduceKind::AbsMax, value, ArrayRef<int64_t>{axis}, /*keep_dims=*/true);
  magnitude = binary(BinaryKind::Max, magnitude, least, scaleType);
  Value scale = binary(BinaryKind::Mul, magnitude, step, scaleType), factor = binary(BinaryKind::Div, most, magnitude, scaleType);
  Codes codes{scaled(value, factor).second, scale};
  if (!outliers)
    return codes;
  shape[axis] = outliers;
  auto fewType = RankedTensorType::get(shape, builder.getF32Type());
  codes.positions = OutlierPositionsOp::create(builder, loc, RankedTensorType::get(shape, builder.getI32Type()), value, magnitude, outliers);
  Value taken = OutlierValuesOp::create(builder, loc, fewType, value, codes.positions);
  auto [number, code] = scaled(taken, factor);
  codes.excess = binary(BinaryKind::Sub, number, cast(code, builder.getF32Type()), fewType);
  return codes;
}

/// The codes of a layer's input, right behind it. Other layers that read it get equal operations, which cse merges. `narrow`: what
/// stands in memory between the kernel that makes the rows and that of their codes is bf16; a norm is in the latter.
static Codes codesOfRows(Value input, bool narrow, int64_t outliers, Location loc) {
  OpBuilder builder(input.getContext());
  builder.setInsertionPointAfterValue(input);
  Quantizer build(builder, loc);
  if (narrow && !isa_and_nonnull<LayerNormOp, RmsNormOp>(input.getDefiningOp()))
    input = build.cast(input, builder.getBF16Type());
  int64_t last = cast<RankedTensorType>(input.getType()).getRank() - 1;
  return build.codesOf(input, last, outliers);
}

/// A weight of the module whose body yields `part` of the codes of the columns of another one.
static Value weightOf(GetWeightOp use, StringRef suffix, bool wantsCodes, SymbolTable &symbols) {
  std::string name = (use.getWeight() + suffix).str();
  OpBuilder builder(use);
  Operation *original = symbols.lookup(use.getWeight());
  auto weight = symbols.lookup<WeightOp>(name);
  if (!weight) {
    builder.setInsertionPointAfter(original);
    OpBuilder inner(builder.getContext());
    Block *body = new Block;
    inner.setInsertionPointToStart(body);
    Value value = GetWeightOp::create(inner, use.getLoc(), use.getType(), use.getWeight());
    Codes codes = Quantizer(inner, use.getLoc()).codesOf(value, 0);
    Value part = wantsCodes ? codes.codes : codes.scale;
    YieldOp::create(inner, use.getLoc(), part);
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*body)))
      if (isOpTriviallyDead(&op))
        op.erase();
    weight = WeightOp::create(builder, use.getLoc(), name, llvm::cast<RankedTensorType>(part.getType()), Attribute());
    weight.getBody().push_back(body);
    symbols.insert(weight, std::next(Block::iterator(original)));
  }
  builder.setInsertionPoint(use);
  return GetWeightOp::create(builder, use.getLoc(), cast<RankedTensorType>(weight.getType()), weight.getSymName());
}

LinearOp permalloy::quantizeDynamically(LinearOp linear, SymbolTable &symbols, int64_t outliers) {
  Location loc = linear.getLoc();
  auto use = linear.getWeight().getDefiningOp<GetWeightOp>();
  auto precision = linear->getAttrOfType<StringAttr>(kPrecisionAttr);
  Codes rows = codesOfRows(linear.getInput(), precision && precision == "bf16", outliers, loc);
  Value weight = weightOf(use, ".w8a8.codes", /*wantsCodes=*/true, symbols);
  Value columns = weightOf(use, ".w8a8.scales", /*wantsCodes=*/false, symbols);
  OpBuilder builder(linear);
  Quantizer build(builder, loc);
  ArrayRef<int64_t> shape = cast<RankedTensorType>(linear.getResult().getType()).getShape();
  auto type = RankedTensorType::get(shape, builder.getF32Type());
  auto sumType = RankedTensorType::get(shape, builder.getI32Type());
  auto sums = LinearOp::create(builder, loc, sumType, rows.codes, weight, Value(), Activation::None);
  Value result = build.cast(sums, builder.getF32Type());
  if (rows.excess)
    result = build.binary(BinaryKind::Add, result, OutlierLinearOp::create(builder, loc, type, rows.excess, rows.positions, weight), type);
  result = build.binary(BinaryKind::Mul, result, rows.scale, type);
  result = build.binary(BinaryKind::Mul, result, columns, type);
  if (Value bias = linear.getBias())
    result = build.binary(BinaryKind::Add, result, build.cast(bias, builder.getF32Type()), type);
  if (auto kind = unaryOf(linear.getActivation()))
    result = UnaryOp::create(builder, loc, type, *kind, result);
  linear.getResult().replaceAllUsesWith(build.cast(result, getElementTypeOrSelf(linear.getResult().getType())));
  return sums;
}

namespace {

struct ApplyDynamicQuantization : permalloy::impl::ApplyDynamicQuantizationBase<ApplyDynamicQuantization> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<LinearOp> layers;
    getOperation().walk([&](LinearOp linear) {
      auto level = linear->getAttrOfType<StringAttr>("tfm.level");
      if (level && outliersOfLevel(level.getValue()))
        layers.push_back(linear);
    });
    for (LinearOp linear : layers) {
      if (std::string reason = whyNotDynamic(linear); !reason.empty()) {
        linear.emitError("cannot be w8a8: ") << reason;
        return signalPassFailure();
      }
      Operation *weight = linear.getWeight().getDefiningOp();
      quantizeDynamically(linear, symbols, *outliersOfLevel(linear->getAttrOfType<StringAttr>("tfm.level").getValue()));
      linear.erase();
      if (weight->use_empty())
        weight->erase();
      ++numLayers;
    }
  }
};

} // namespace
