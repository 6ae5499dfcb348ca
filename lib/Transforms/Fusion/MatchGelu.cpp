//===- MatchGelu.cpp - spellings of gelu -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A product is read as a number times factors, whatever its association: x * (0.5 * (1 + t)) and (x
// * (1 + t)) * 0.5 and (x / 2) * (1 + t) are all 0.5 {x, 1 + t}. Sums are read the same way: a
// number plus terms.
//
//===----------------------------------------------------------------------===//

#include "../Splat.h"
#include "Match.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct Product {
  double number = 1;
  SmallVector<Value, 4> factors;
};

} // namespace

/// Multiplies `product` by `value`, looking into products, quotients by numbers and small powers.
/// Inner operations must be used here only: x itself may be a product.
static void multiply(Product &product, Value value, bool isRoot) {
  if (auto number = splatNumber(value)) {
    product.number *= *number;
    return;
  }
  auto op = value.getDefiningOp<BinaryOp>();
  if (op && (isRoot || value.hasOneUse())) {
    if (op.getKind() == BinaryKind::Mul) {
      multiply(product, op.getLhs(), false);
      multiply(product, op.getRhs(), false);
      return;
    }
    auto divisor = op.getKind() == BinaryKind::Div ? splatNumber(op.getRhs()) : std::nullopt;
    if (divisor) {
      product.number /= *divisor;
      multiply(product, op.getLhs(), false);
      return;
    }
    auto power = op.getKind() == BinaryKind::Pow ? splatNumber(op.getRhs()) : std::nullopt;
    if (power == 2.0 || power == 3.0) {
      product.factors.append(int(*power), op.getLhs());
      return;
    }
  }
  product.factors.push_back(value);
}

static Product asProduct(Value value) {
  Product product;
  multiply(product, value, true);
  return product;
}

/// number + term, the number on either side.
static std::optional<std::pair<double, Value>> asShifted(Value value) {
  auto op = value.getDefiningOp<BinaryOp>();
  if (!op || op.getKind() != BinaryKind::Add)
    return std::nullopt;
  if (auto number = splatNumber(op.getLhs()))
    return std::pair(*number, op.getRhs());
  if (auto number = splatNumber(op.getRhs()))
    return std::pair(*number, op.getLhs());
  return std::nullopt;
}

static bool isPowerOf(const Product &product, Value x, unsigned count) {
  return product.factors.size() == count &&
         llvm::all_of(product.factors, [&](Value f) { return f == x; });
}

/// sqrt(2/pi) (x + 0.044715 x^3), or sqrt(2/pi) x (1 + 0.044715 x^2).
static bool isTanhArgument(Value value, Value x) {
  constexpr double kRoot = 0.79788456080286535588, kCubic = 0.044715;
  Type element = getElementTypeOrSelf(x.getType());
  Product outer = asProduct(value);
  if (!isNear(outer.number, kRoot, element))
    return false;
  if (outer.factors.size() == 1) {
    auto sum = outer.factors.front().getDefiningOp<BinaryOp>();
    if (!sum || sum.getKind() != BinaryKind::Add)
      return false;
    Value cubic = sum.getLhs() == x ? sum.getRhs() : sum.getRhs() == x ? sum.getLhs() : Value();
    Product cube = cubic ? asProduct(cubic) : Product();
    return cubic && isNear(cube.number, kCubic, element) && isPowerOf(cube, x, 3);
  }
  if (outer.factors.size() != 2 || !llvm::is_contained(outer.factors, x))
    return false;
  auto shifted = asShifted(outer.factors[0] == x ? outer.factors[1] : outer.factors[0]);
  Product square = shifted ? asProduct(shifted->second) : Product();
  return shifted && isNear(shifted->first, 1) && isNear(square.number, kCubic, element) &&
         isPowerOf(square, x, 2);
}

std::optional<GeluMatch> permalloy::matchGelu(BinaryOp root, std::string &reason) {
  auto mismatch = [&](const char *why) {
    reason = why;
    return std::nullopt;
  };
  if (root.getKind() != BinaryKind::Mul && root.getKind() != BinaryKind::Div)
    return mismatch("no product");
  Product product = asProduct(root.getResult());
  if (product.factors.size() != 2)
    return mismatch("not a product of a number, x and 1 + erf or tanh");
  for (unsigned i : {0u, 1u}) {
    Value x = product.factors[i];
    auto shifted = asShifted(product.factors[1 - i]);
    if (!shifted)
      continue;
    Product curve = asProduct(shifted->second);
    auto function =
        curve.factors.size() == 1 ? curve.factors.front().getDefiningOp<UnaryOp>() : UnaryOp();
    if (!function ||
        (function.getKind() != UnaryKind::Erf && function.getKind() != UnaryKind::Tanh))
      continue;
    if (!isNear(product.number * shifted->first, 0.5) ||
        !isNear(product.number * curve.number, 0.5))
      return mismatch("the factor of 1 + erf or tanh is not 1/2");
    if (function.getKind() == UnaryKind::Tanh) {
      if (!isTanhArgument(function.getInput(), x))
        return mismatch("the argument of tanh is not sqrt(2/pi) (x + 0.044715 x^3)");
      return GeluMatch{x, UnaryKind::GeluTanh};
    }
    Product argument = asProduct(function.getInput());
    if (argument.factors.size() != 1 || argument.factors.front() != x ||
        !isNear(argument.number, 0.70710678118654752440, getElementTypeOrSelf(x.getType())))
      return mismatch("the argument of erf is not x / sqrt(2)");
    return GeluMatch{x, UnaryKind::GeluErf};
  }
  return mismatch("no factor is 1 + erf or 1 + tanh");
}
