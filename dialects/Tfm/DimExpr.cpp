//===- DimExpr.cpp - symbolic dimension expressions --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every expression is kept as a polynomial over atoms (symbols and the nonlinear nodes floordiv, mod, max, min): a sorted
// sum of sorted products. Two expressions that are equal as polynomials are therefore one attribute:
//
//   seq * batch + batch * seq          is  batch * seq * 2
//   (batch * seq * 384) floordiv seq   is  batch * 384
//   (batch * past + batch * seq) floordiv (past + seq)   is  batch
//
//===----------------------------------------------------------------------===//

#include "Tfm/Tfm.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/Support/MathExtras.h"

#include <map>

using namespace mlir;
using namespace permalloy::tfm;

namespace {

/// Product of atoms, sorted by text; the empty product is 1.
using Monomial = std::vector<DimExprAttr>;

struct MonomialLess {
  bool operator()(const Monomial &a, const Monomial &b) const {
    if (a.size() != b.size())
      return a.size() > b.size();
    for (auto [x, y] : llvm::zip(a, b))
      if (x != y)
        return x.str() < y.str();
    return false;
  }
};

using Polynomial = std::map<Monomial, int64_t, MonomialLess>;

DimExprAttr makeNode(MLIRContext *context, DimKind kind, ArrayRef<Attribute> operands) {
  return DimExprAttr::get(context, kind, 0, StringAttr(), operands);
}

// Overflow wraps, as it would at run time; the importer refuses tensors of that size.
int64_t wrappingAdd(int64_t a, int64_t b) { return int64_t(uint64_t(a) + uint64_t(b)); }
int64_t wrappingMul(int64_t a, int64_t b) { return int64_t(uint64_t(a) * uint64_t(b)); }

void addTerm(Polynomial &p, const Monomial &m, int64_t coefficient) {
  int64_t &slot = p[m];
  slot = wrappingAdd(slot, coefficient);
  if (slot == 0)
    p.erase(m);
}

Polynomial toPolynomial(DimExprAttr expr) {
  Polynomial result;
  switch (expr.getKind()) {
  case DimKind::Constant:
    if (expr.getValue() != 0)
      result[{}] = expr.getValue();
    return result;
  case DimKind::Add:
    for (unsigned i = 0, e = expr.getOperands().size(); i < e; ++i)
      for (auto &[m, c] : toPolynomial(expr.operand(i)))
        addTerm(result, m, c);
    return result;
  case DimKind::Mul: {
    Monomial m;
    int64_t coefficient = 1;
    for (unsigned i = 0, e = expr.getOperands().size(); i < e; ++i) {
      if (auto c = expr.operand(i).asConstant())
        coefficient = wrappingMul(coefficient, *c);
      else
        m.push_back(expr.operand(i));
    }
    result[m] = coefficient;
    return result;
  }
  default:
    result[{expr}] = 1;
    return result;
  }
}

DimExprAttr fromMonomial(MLIRContext *context, const Monomial &m, int64_t coefficient) {
  if (m.empty())
    return DimExprAttr::constant(context, coefficient);
  SmallVector<Attribute> factors(m.begin(), m.end());
  if (coefficient != 1)
    factors.push_back(DimExprAttr::constant(context, coefficient));
  return factors.size() == 1 ? m.front() : makeNode(context, DimKind::Mul, factors);
}

DimExprAttr fromPolynomial(MLIRContext *context, const Polynomial &p) {
  if (p.empty())
    return DimExprAttr::constant(context, 0);
  SmallVector<Attribute> terms;
  for (auto &[m, c] : p)
    terms.push_back(fromMonomial(context, m, c));
  return terms.size() == 1 ? cast<DimExprAttr>(terms.front()) : makeNode(context, DimKind::Add, terms);
}

/// p / d when every term of p divides by the monomial d exactly.
std::optional<Polynomial> divideExactly(const Polynomial &p, const Monomial &d, int64_t coefficient) {
  Polynomial result;
  for (auto &[m, c] : p) {
    bool negates = coefficient == -1; // the smallest integer / -1 traps
    if (!negates && c % coefficient != 0)
      return std::nullopt;
    Monomial rest = m;
    for (DimExprAttr factor : d) {
      auto it = llvm::find(rest, factor);
      if (it == rest.end())
        return std::nullopt;
      rest.erase(it);
    }
    addTerm(result, rest, negates ? wrappingMul(c, -1) : c / coefficient);
  }
  return result;
}

/// The quotient of two polynomials, when there is no remainder: long division by the first term. Terms are sorted by degree
/// first, so the division takes away the leading term at each step; a divisor whose order does not fit gives nullopt.
std::optional<Polynomial> divideExactly(Polynomial p, const Polynomial &divisor) {
  Polynomial quotient;
  for (size_t steps = 0; !p.empty(); ++steps) {
    Polynomial leading = {*p.begin()};
    auto factor = steps < 64 ? divideExactly(leading, divisor.begin()->first, divisor.begin()->second) : std::nullopt;
    if (!factor)
      return std::nullopt;
    const auto &[m, c] = *factor->begin();
    addTerm(quotient, m, c);
    for (auto &[n, d] : divisor) {
      Monomial joined = m;
      joined.insert(joined.end(), n.begin(), n.end());
      llvm::sort(joined, [](DimExprAttr a, DimExprAttr b) { return a.str() < b.str(); });
      addTerm(p, joined, wrappingMul(wrappingMul(c, d), -1));
    }
  }
  return quotient;
}

} // namespace

DimExprAttr DimExprAttr::constant(MLIRContext *context, int64_t value) {
  return get(context, DimKind::Constant, value, StringAttr(), {});
}

DimExprAttr DimExprAttr::symbol(MLIRContext *context, StringRef name) {
  return get(context, DimKind::Symbol, 0, StringAttr::get(context, name), {});
}

DimExprAttr DimExprAttr::add(DimExprAttr lhs, DimExprAttr rhs) {
  if (!lhs || !rhs)
    return {};
  Polynomial sum = toPolynomial(lhs);
  for (auto &[m, c] : toPolynomial(rhs))
    addTerm(sum, m, c);
  return fromPolynomial(lhs.getContext(), sum);
}

DimExprAttr DimExprAttr::sub(DimExprAttr lhs, DimExprAttr rhs) {
  return rhs ? add(lhs, mul(rhs, constant(rhs.getContext(), -1))) : DimExprAttr();
}

DimExprAttr DimExprAttr::mul(DimExprAttr lhs, DimExprAttr rhs) {
  if (!lhs || !rhs)
    return {};
  Polynomial product;
  Polynomial right = toPolynomial(rhs);
  for (auto &[m, c] : toPolynomial(lhs))
    for (auto &[n, d] : right) {
      Monomial joined = m;
      joined.insert(joined.end(), n.begin(), n.end());
      llvm::sort(joined, [](DimExprAttr a, DimExprAttr b) { return a.str() < b.str(); });
      addTerm(product, joined, wrappingMul(c, d));
    }
  return fromPolynomial(lhs.getContext(), product);
}

DimExprAttr DimExprAttr::product(MLIRContext *context, ArrayRef<DimExprAttr> dims) {
  DimExprAttr result = constant(context, 1);
  for (DimExprAttr dim : dims)
    result = mul(result, dim);
  return result;
}

DimExprAttr DimExprAttr::floorDiv(DimExprAttr lhs, DimExprAttr rhs) {
  if (!lhs || !rhs || rhs.isConstant(0))
    return {};
  MLIRContext *context = lhs.getContext();
  if (rhs.isConstant(-1))
    return mul(lhs, rhs);
  if (auto a = lhs.asConstant(), b = rhs.asConstant(); a && b)
    return constant(context, llvm::divideFloorSigned(*a, *b));
  Polynomial divisor = toPolynomial(rhs);
  if (divisor.size() == 1)
    if (auto quotient = divideExactly(toPolynomial(lhs), divisor.begin()->first, divisor.begin()->second))
      return fromPolynomial(context, *quotient);
  if (lhs == rhs)
    return constant(context, 1);
  if (auto quotient = divideExactly(toPolynomial(lhs), divisor))
    return fromPolynomial(context, *quotient);
  return makeNode(context, DimKind::FloorDiv, {lhs, rhs});
}

DimExprAttr DimExprAttr::ceilDiv(DimExprAttr lhs, DimExprAttr rhs) {
  if (!lhs || !rhs)
    return {};
  DimExprAttr minusOne = constant(lhs.getContext(), -1);
  if (auto divisor = rhs.asConstant(); divisor && *divisor < 0) // the sum below rounds up for positive divisors only
    return ceilDiv(mul(lhs, minusOne), mul(rhs, minusOne));
  return floorDiv(add(lhs, add(rhs, minusOne)), rhs);
}

DimExprAttr DimExprAttr::mod(DimExprAttr lhs, DimExprAttr rhs) {
  DimExprAttr quotient = floorDiv(lhs, rhs);
  if (!quotient)
    return {};
  if (quotient.getKind() != DimKind::FloorDiv)
    return sub(lhs, mul(quotient, rhs));
  return makeNode(lhs.getContext(), DimKind::Mod, {lhs, rhs});
}

/// `node` is a max or min with `operand` among its operands.
static bool isExtremumOf(DimExprAttr node, DimKind kind, DimExprAttr operand) {
  return node.getKind() == kind && llvm::is_contained(node.getOperands(), Attribute(operand));
}

/// max and min: equal operands and constants fold, and so does max(x, min(x, y)) = x (a slice of position ids up to `seq` has
/// min(512, seq) elements and is added to `seq` others); the rest is one node with operands in text order.
static DimExprAttr extremum(DimKind kind, DimExprAttr lhs, DimExprAttr rhs) {
  if (!lhs || !rhs)
    return {};
  if (auto difference = DimExprAttr::sub(lhs, rhs).asConstant())
    return (*difference >= 0) == (kind == DimKind::Max) ? lhs : rhs;
  DimKind dual = kind == DimKind::Max ? DimKind::Min : DimKind::Max;
  if (isExtremumOf(rhs, dual, lhs) || isExtremumOf(lhs, kind, rhs))
    return lhs;
  if (isExtremumOf(lhs, dual, rhs) || isExtremumOf(rhs, kind, lhs))
    return rhs;
  if (rhs.str() < lhs.str())
    std::swap(lhs, rhs);
  return makeNode(lhs.getContext(), kind, {lhs, rhs});
}

DimExprAttr DimExprAttr::max(DimExprAttr lhs, DimExprAttr rhs) { return extremum(DimKind::Max, lhs, rhs); }
DimExprAttr DimExprAttr::min(DimExprAttr lhs, DimExprAttr rhs) { return extremum(DimKind::Min, lhs, rhs); }

std::optional<int64_t> DimExprAttr::asConstant() const {
  if (getKind() == DimKind::Constant)
    return getValue();
  return std::nullopt;
}

bool DimExprAttr::isNotNegative() const {
  if (getKind() == DimKind::Constant)
    return getValue() >= 0;
  for (unsigned i = 0, e = getOperands().size(); i < e; ++i)
    if (!operand(i).isNotNegative())
      return false;
  return true;
}

/// Rebuilds one node over new operands, so that it is canonical again.
static DimExprAttr rebuild(DimKind kind, ArrayRef<DimExprAttr> operands) {
  DimExprAttr result = operands.front();
  for (DimExprAttr next : operands.drop_front()) {
    switch (kind) {
    case DimKind::Add: result = DimExprAttr::add(result, next); break;
    case DimKind::Mul: result = DimExprAttr::mul(result, next); break;
    case DimKind::FloorDiv: result = DimExprAttr::floorDiv(result, next); break;
    case DimKind::Mod: result = DimExprAttr::mod(result, next); break;
    case DimKind::Max: result = DimExprAttr::max(result, next); break;
    case DimKind::Min: result = DimExprAttr::min(result, next); break;
    case DimKind::Constant:
    case DimKind::Symbol: llvm_unreachable("leaves have no operands");
    }
  }
  return result;
}

DimExprAttr DimExprAttr::substitute(function_ref<DimExprAttr(StringRef)> map) const {
  if (getKind() == DimKind::Constant)
    return *this;
  if (getKind() == DimKind::Symbol) {
    DimExprAttr replacement = map(getName());
    return replacement ? replacement : *this;
  }
  SmallVector<DimExprAttr> operands;
  for (unsigned i = 0, e = getOperands().size(); i < e; ++i)
    operands.push_back(operand(i).substitute(map));
  return rebuild(getKind(), operands);
}

void DimExprAttr::walkSymbols(function_ref<void(StringRef)> visit) const {
  if (getKind() == DimKind::Symbol)
    visit(getName());
  for (unsigned i = 0, e = getOperands().size(); i < e; ++i)
    operand(i).walkSymbols(visit);
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

/// A name that the parser reads back without quotes.
static bool isPlainName(StringRef name) {
  if (name.empty() || name == "floordiv" || name == "mod" || name == "max" || name == "min")
    return false;
  return (llvm::isAlpha(name[0]) || name[0] == '_') &&
         llvm::all_of(name, [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

static void printExpr(raw_ostream &os, DimExprAttr expr, bool asOperand);

static void printJoined(raw_ostream &os, DimExprAttr expr, StringRef separator) {
  for (unsigned i = 0, e = expr.getOperands().size(); i < e; ++i) {
    if (i)
      os << separator;
    DimExprAttr operand = expr.operand(i);
    printExpr(os, operand, expr.getKind() != DimKind::Add || operand.getKind() != DimKind::Mul);
  }
}

static void printExpr(raw_ostream &os, DimExprAttr expr, bool asOperand) {
  switch (expr.getKind()) {
  case DimKind::Constant:
    os << expr.getValue();
    return;
  case DimKind::Symbol:
    if (isPlainName(expr.getName()))
      os << expr.getName().getValue();
    else {
      os << '"';
      llvm::printEscapedString(expr.getName(), os);
      os << '"';
    }
    return;
  case DimKind::Max:
  case DimKind::Min:
    os << stringifyDimKind(expr.getKind()) << '(';
    printExpr(os, expr.operand(0), false);
    os << ", ";
    printExpr(os, expr.operand(1), false);
    os << ')';
    return;
  case DimKind::Add:
  case DimKind::Mul:
  case DimKind::FloorDiv:
  case DimKind::Mod: {
    StringRef separator = expr.getKind() == DimKind::Add   ? " + "
                          : expr.getKind() == DimKind::Mul ? " * "
                          : expr.getKind() == DimKind::Mod ? " mod "
                                                           : " floordiv ";
    if (asOperand)
      os << '(';
    printJoined(os, expr, separator);
    if (asOperand)
      os << ')';
    return;
  }
  }
}

std::string DimExprAttr::str() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  printExpr(os, *this, false);
  return text;
}

void DimExprAttr::print(AsmPrinter &printer) const { printer << '<' << str() << '>'; }

static DimExprAttr parseSum(AsmParser &parser);

/// Null where the text fits nothing; the caller reports it, once.
static DimExprAttr parseAtom(AsmParser &parser) {
  MLIRContext *context = parser.getContext();
  int64_t value = 0;
  std::string text;
  StringRef keyword;
  if (OptionalParseResult r = parser.parseOptionalInteger(value); r.has_value())
    return failed(*r) ? DimExprAttr() : DimExprAttr::constant(context, value);
  if (succeeded(parser.parseOptionalString(&text)))
    return DimExprAttr::symbol(context, text);
  if (succeeded(parser.parseOptionalLParen())) {
    DimExprAttr inner = parseSum(parser);
    return inner && succeeded(parser.parseOptionalRParen()) ? inner : DimExprAttr();
  }
  if (failed(parser.parseOptionalKeyword(&keyword)))
    return {};
  if (keyword != "max" && keyword != "min")
    return DimExprAttr::symbol(context, keyword);
  if (failed(parser.parseOptionalLParen()))
    return {};
  DimExprAttr lhs = parseSum(parser);
  if (!lhs || failed(parser.parseOptionalComma()))
    return {};
  DimExprAttr rhs = parseSum(parser);
  if (!rhs || failed(parser.parseOptionalRParen()))
    return {};
  return keyword == "max" ? DimExprAttr::max(lhs, rhs) : DimExprAttr::min(lhs, rhs);
}

static DimExprAttr parseProduct(AsmParser &parser) {
  DimExprAttr result = parseAtom(parser);
  while (result) {
    if (succeeded(parser.parseOptionalStar()))
      result = DimExprAttr::mul(result, parseAtom(parser));
    else if (succeeded(parser.parseOptionalKeyword("floordiv")))
      result = DimExprAttr::floorDiv(result, parseAtom(parser));
    else if (succeeded(parser.parseOptionalKeyword("mod")))
      result = DimExprAttr::mod(result, parseAtom(parser));
    else
      return result;
  }
  return result;
}

static DimExprAttr parseSum(AsmParser &parser) {
  DimExprAttr result = parseProduct(parser);
  while (result && succeeded(parser.parseOptionalPlus()))
    result = DimExprAttr::add(result, parseProduct(parser));
  return result;
}

Attribute DimExprAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  if (failed(parser.parseLess()))
    return {};
  DimExprAttr result = parseSum(parser);
  if (!result) {
    parser.emitError(loc, "expected a dimension expression: integers, names, +, *, floordiv, mod, max(a, b), min(a, b)");
    return {};
  }
  return succeeded(parser.parseGreater()) ? result : DimExprAttr();
}
