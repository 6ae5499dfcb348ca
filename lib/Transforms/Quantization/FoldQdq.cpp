//===- FoldQdq.cpp - products of dequantized codes become integer products -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models that were quantized by a tool dequantize both factors, multiply them in f32, and quantize the result. The same in integers:
//
//   matmul((A - a) s, (B - b) t)                 = (A B - a colsum(B) - rowsum(A) b + K a b) * (s t)
//   quantize of that with scale r, zero point z  = clamp(rne(sums * (s t / r)) + z)
//
// The sums are exact; s t / r is one number of f32 (for each column), as in onnxruntime's kernels.
//
//===----------------------------------------------------------------------===//

#include "../Rewriting.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_FOLDQDQ
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

bool isScalar(Value value) { return typeOf(value).hasStaticShape() && typeOf(value).getNumElements() == 1; }

/// (codes - zero) * scale, as DequantizeLinear is imported; no zero point where it is 0.
struct Dequantized {
  Value codes, zero, scale; ///< 8 bits; i32 or null; f32
};

std::optional<Dequantized> matchDequantized(Value value) {
  auto product = value.getDefiningOp<BinaryOp>();
  auto numbers = product && product.getKind() == BinaryKind::Mul ? product.getLhs().getDefiningOp<CastOp>() : CastOp();
  if (!numbers || !typeOf(product).getElementType().isF32() || !typeOf(numbers.getInput()).getElementType().isInteger(32))
    return std::nullopt;
  Dequantized result{numbers.getInput(), {}, product.getRhs()};
  if (auto difference = result.codes.getDefiningOp<BinaryOp>(); difference && difference.getKind() == BinaryKind::Sub)
    result.codes = difference.getLhs(), result.zero = difference.getRhs();
  auto widened = result.codes.getDefiningOp<CastOp>();
  if (!widened || !typeOf(widened.getInput()).getElementType().isInteger(8))
    return std::nullopt;
  result.codes = widened.getInput();
  return result;
}

/// Whether a stored value is of integers, whatever it was converted to since.
bool holdsIntegers(Value value) {
  while (!isa<IntegerType>(typeOf(value).getElementType())) {
    Operation *op = value.getDefiningOp();
    if (auto use = dyn_cast_or_null<GetWeightOp>(op)) {
      auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
      if (!weight || weight.getBody().empty())
        return false;
      value = weight.getBody().front().getTerminator()->getOperand(0);
    } else if (isa_and_nonnull<CastOp, ReshapeOp, TransposeOp, BroadcastOp, SliceOp>(op)) {
      value = op->getOperand(0);
    } else {
      return false;
    }
  }
  return true;
}

/// A stored weight of 8 bits with one scale for each column. Its parts are converted, which fold-weights records.
std::optional<Dequantized> matchWeight(Value value, OpBuilder &builder) {
  auto decode = value.getDefiningOp<DequantizeOp>();
  if (!decode || decode.getCodebook() || typeOf(decode).getRank() != 2 || !typeOf(decode).getElementType().isF32())
    return std::nullopt;
  auto code = cast<QuantType>(typeOf(decode.getCodes()).getElementType());
  if (code.getBits() != 8 || typeOf(decode.getScales()).getDimSize(0) != 1)
    return std::nullopt;
  if (decode.getZeroPoints() && !holdsIntegers(decode.getZeroPoints()))
    return std::nullopt;
  auto converted = [&](Value part, Type element) -> Value {
    auto type = RankedTensorType::get(typeOf(part).getShape(), element);
    return part.getType() == type ? part : CastOp::create(builder, decode.getLoc(), type, part).getResult();
  };
  auto byte = IntegerType::get(builder.getContext(), 8, code.getIsSigned() ? IntegerType::Signless : IntegerType::Unsigned);
  Dequantized result{converted(decode.getCodes(), byte), {}, converted(decode.getScales(), builder.getF32Type())};
  if (decode.getZeroPoints())
    result.zero = converted(decode.getZeroPoints(), builder.getI32Type());
  return result;
}

/// One number, or one for each column of the product: [N] or [1, N].
bool isByColumn(Value value, int64_t columns) {
  auto type = typeOf(value);
  return isScalar(value) || (type.hasStaticShape() && type.getNumElements() == columns && type.getShape().back() == columns);
}

class Folder {
public:
  Folder(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  Value binary(BinaryKind kind, Value lhs, Value rhs, Type type) { return BinaryOp::create(builder, loc, type, kind, lhs, rhs); }
  /// `lhs` has the shape of the result.
  Value onto(BinaryKind kind, Value lhs, Value rhs) { return binary(kind, lhs, rhs, lhs.getType()); }
  Value widened(Value codes) {
    return CastOp::create(builder, loc, RankedTensorType::get(typeOf(codes).getShape(), builder.getI32Type()), codes);
  }
  Value sumOver(Value codes, int64_t axis, bool keep) {
    SmallVector<int64_t> shape(typeOf(codes).getShape());
    if (keep)
      shape[axis] = 1;
    else
      shape.erase(shape.begin() + axis);
    auto type = RankedTensorType::get(shape, builder.getI32Type());
    return ReduceOp::create(builder, loc, type, ReduceKind::Sum, widened(codes), ArrayRef<int64_t>{axis}, keep);
  }
  Value number(int64_t value) {
    auto type = RankedTensorType::get({}, builder.getI32Type());
    return ConstantOp::create(builder, loc, DenseElementsAttr::get(type, int32_t(value)));
  }
  Value sums(const Dequantized &x, const Dequantized &w, ArrayRef<int64_t> shape);

private:
  /// a times b, where one of them is one number.
  Value scaled(Value a, Value b) { return binary(BinaryKind::Mul, a, b, isScalar(b) ? a.getType() : b.getType()); }

  OpBuilder &builder;
  Location loc;
};

Value Folder::sums(const Dequantized &x, const Dequantized &w, ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, builder.getI32Type());
  Value result = LinearOp::create(builder, loc, type, x.codes, w.codes, Value(), Activation::None);
  if (x.zero)
    result = onto(BinaryKind::Sub, result, scaled(sumOver(w.codes, 0, /*keep=*/false), x.zero));
  if (w.zero) {
    Value rows = sumOver(x.codes, typeOf(x.codes).getRank() - 1, /*keep=*/true);
    result = onto(BinaryKind::Sub, result, binary(BinaryKind::Mul, rows, w.zero, isScalar(w.zero) ? rows.getType() : Type(type)));
  }
  if (x.zero && w.zero)
    result = onto(BinaryKind::Add, result, scaled(scaled(w.zero, x.zero), number(typeOf(w.codes).getDimSize(0))));
  return result;
}

/// The quantization that is the one reader of `value`, by one scale.
QuantizeOp onlyQuantization(Value value) {
  auto quantize = value.hasOneUse() ? dyn_cast<QuantizeOp>(*value.user_begin()) : QuantizeOp();
  bool fits = quantize && quantize.getInput() == value && quantize.getScale() && isScalar(quantize.getScale()) &&
              typeOf(quantize.getScale()).getElementType().isF32();
  return fits ? quantize : QuantizeOp();
}

bool fold(MatmulOp matmul) {
  OpBuilder builder(matmul);
  auto x = matchDequantized(matmul.getLhs()), w = x ? matchDequantized(matmul.getRhs()) : x;
  if (x && !w)
    w = matchWeight(matmul.getRhs(), builder);
  if (!x || !w || matmul.getTransposeA() || matmul.getTransposeB() || typeOf(w->codes).getRank() != 2 || typeOf(x->codes).getRank() < 2)
    return false;
  // Differences of bytes and zero points are up to 255, and their sums must fit into i32.
  if (typeOf(w->codes).getDimSize(0) > std::numeric_limits<int32_t>::max() / (255 * 255))
    return false;
  int64_t columns = typeOf(w->codes).getDimSize(1);
  bool scalars = isScalar(x->scale) && (!x->zero || isScalar(x->zero));
  if (!typeOf(w->codes).hasStaticShape() || !scalars || !isByColumn(w->scale, columns) || (w->zero && !isByColumn(w->zero, columns)))
    return false;
  Folder folder(builder, matmul.getLoc());
  auto type = typeOf(matmul.getResult());
  Value sums = folder.sums(*x, *w, type.getShape());
  Value factor = folder.binary(BinaryKind::Mul, w->scale, x->scale, w->scale.getType());
  QuantizeOp quantize = onlyQuantization(matmul.getResult());
  if (quantize) {
    builder.setInsertionPoint(quantize); // behind its scale
    factor = folder.onto(BinaryKind::Div, factor, quantize.getScale());
  }
  Value numbers = CastOp::create(builder, matmul.getLoc(), type, sums);
  Value product = folder.onto(BinaryKind::Mul, numbers, factor);
  if (quantize)
    quantize.getScaleMutable().clear();
  matmul.getResult().replaceAllUsesWith(product);
  matmul.erase();
  return true;
}

struct FoldQdq : permalloy::impl::FoldQdqBase<FoldQdq> {
  void runOnOperation() override {
    SmallVector<MatmulOp> products;
    getOperation().walk([&](MatmulOp matmul) { products.push_back(matmul); });
    for (MatmulOp matmul : products)
      numFolded += fold(matmul);
  }
};

} // namespace
