//===- Einsum.cpp - sums of products in index notation -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operands are joined from left to right. A label that neither the result nor a later operand has
// is summed: within one operand by reduce, between two by matmul. For "bhqd,bhkd->bhqk":
//
//   labels of both that stay       b h    batch of the matmul
//   labels of both that end here   d      summed
//   labels of one                  q, k   rows and columns
//
// An ellipsis stands for labels of its own, aligned at the last dimension, whose sizes broadcast.
//
//===----------------------------------------------------------------------===//

#include "OpTable.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// A label is a letter, or -1, -2, ... for the dimensions of an ellipsis counted from the back.
using Labels = SmallVector<int, 6>;

bool contains(ArrayRef<int> labels, int label) { return llvm::is_contained(labels, label); }

/// Labels of `from` that `keep` accepts, in order.
template <typename F> Labels filter(ArrayRef<int> from, F keep) {
  Labels result;
  llvm::copy_if(from, std::back_inserter(result), keep);
  return result;
}

struct Term {
  Value value;
  Labels labels;
};

class EinsumImporter {
public:
  explicit EinsumImporter(OpBinder &b) : b(b) {}
  LogicalResult run();

private:
  LogicalResult parse(StringRef equation);
  LogicalResult parseTerm(StringRef text, Value operand);
  LogicalResult parseResult(StringRef text);
  void implicitResult();
  /// A label twice in one operand is its diagonal.
  Term takeDiagonals(Term term);
  Term sumExcept(Term term, ArrayRef<int> needed);
  Term permute(Term term, ArrayRef<int> order);
  Term join(Term x, Term y, ArrayRef<int> needed);
  Term multiply(Term x, Term y, const Labels &batch, const Labels &rows, const Labels &columns);
  Term contract(Term x, Term y, const Labels &batch, const Labels &rows, const Labels &columns,
                const Labels &summed);

  OpBinder &b;
  SmallVector<Term> terms;
  Labels result;
};

LogicalResult EinsumImporter::parseTerm(StringRef text, Value operand) {
  size_t dots = text.find("...");
  int64_t letters = int64_t(text.size()) - (dots == StringRef::npos ? 0 : 3);
  int64_t hidden = b.rank(operand) - letters;
  if (hidden < 0 || (hidden > 0 && dots == StringRef::npos))
    return b.error("the term '" + text + "' does not fit an operand of rank " +
                   Twine(b.rank(operand)));
  Labels labels;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == dots) {
      for (int64_t k = hidden; k > 0; --k)
        labels.push_back(-int(k));
      i += 2;
    } else if (llvm::isAlpha(text[i])) {
      labels.push_back(text[i]);
    } else {
      return b.error("the term '" + text + "' holds '" + text.substr(i, 1) +
                     "'; accepted are letters and one ellipsis");
    }
  }
  terms.push_back({operand, labels});
  return success();
}

/// Without "->", the ellipsis and then the labels that occur once, in alphabetical order.
void EinsumImporter::implicitResult() {
  std::map<int, int> count;
  for (const Term &term : terms)
    for (int label : term.labels)
      ++count[label];
  for (auto [label, times] : count)
    if (label < 0 || times == 1)
      result.push_back(label);
}

LogicalResult EinsumImporter::parseResult(StringRef text) {
  int hidden = 0;
  Labels known;
  for (const Term &term : terms)
    for (int label : term.labels) {
      known.push_back(label);
      hidden = std::max(hidden, -label);
    }
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("...")) {
      for (int k = hidden; k > 0; --k)
        result.push_back(-k);
      i += 2;
      continue;
    }
    if (!contains(known, text[i]) || contains(result, text[i]))
      return b.error("the result '" + text + "' holds '" + text.substr(i, 1) +
                     "', which must stand in an operand, and once in the result");
    result.push_back(text[i]);
  }
  return success();
}

LogicalResult EinsumImporter::parse(StringRef equation) {
  std::string text = equation.str();
  llvm::erase(text, ' ');
  auto [left, right] = StringRef(text).split("->");
  SmallVector<StringRef> parts;
  left.split(parts, ',');
  if (parts.size() != b.numInputs())
    return b.error("the equation '" + equation + "' has " + Twine(parts.size()) +
                   " operands, the node " + Twine(b.numInputs()));
  for (auto [i, part] : llvm::enumerate(parts)) {
    Value operand = b.input(i);
    if (b.failed() || failed(parseTerm(part, operand)))
      return failure();
  }
  if (StringRef(text).contains("->"))
    return parseResult(right);
  implicitResult();
  return success();
}

Term EinsumImporter::takeDiagonals(Term term) {
  for (int64_t j = int64_t(term.labels.size()) - 1; j > 0 && !b.failed(); --j) {
    int64_t i = llvm::find(term.labels, term.labels[j]) - term.labels.begin(),
            rank = b.rank(term.value);
    if (i == j)
      continue;
    Value onDiagonal =
        b.compare(CompareKind::Eq, b.alongAxis(b.iota(Extent(term.value, i)), i, rank),
                  b.alongAxis(b.iota(Extent(term.value, j)), j, rank));
    Value kept = b.select(onDiagonal, term.value, b.scalar(term.value, 0));
    term.value = b.reduce(ReduceKind::Sum, kept, {j}, /*keepDims=*/false);
    term.labels.erase(term.labels.begin() + j);
  }
  return term;
}

Term EinsumImporter::sumExcept(Term term, ArrayRef<int> needed) {
  Ints axes;
  for (auto [i, label] : llvm::enumerate(term.labels))
    if (!contains(needed, label))
      axes.push_back(int64_t(i));
  if (axes.empty())
    return term;
  term.value = b.reduce(ReduceKind::Sum, term.value, axes, /*keepDims=*/false);
  term.labels = filter(term.labels, [&](int label) { return contains(needed, label); });
  return term;
}

Term EinsumImporter::permute(Term term, ArrayRef<int> order) {
  if (ArrayRef<int>(term.labels) == order)
    return term;
  Ints perm;
  for (int label : order)
    perm.push_back(llvm::find(term.labels, label) - term.labels.begin());
  return {b.transpose(term.value, perm), Labels(order)};
}

Labels operator+(const Labels &x, const Labels &y) {
  Labels result = x;
  result.append(y);
  return result;
}

/// Nothing is summed: an elementwise product with ones where an operand lacks a label.
Term EinsumImporter::multiply(Term x, Term y, const Labels &batch, const Labels &rows,
                              const Labels &columns) {
  Labels all = batch + rows + columns;
  x = permute(x, batch + rows);
  y = permute(y, batch + columns);
  auto spread = [&](const Term &term) {
    SmallVector<Extent> extents;
    int64_t axis = 0;
    for (int label : all)
      extents.push_back(contains(term.labels, label) ? Extent(term.value, axis++) : Extent(1));
    return b.reshape(term.value, extents);
  };
  return {b.mul(spread(x), spread(y)), all};
}

Term EinsumImporter::contract(Term x, Term y, const Labels &batch, const Labels &rows,
                              const Labels &columns, const Labels &summed) {
  // The second operand stays as it is where matmul can read it transposed.
  bool transposed =
      ArrayRef<int>(y.labels) == ArrayRef<int>(batch + columns + summed) && !columns.empty();
  x = permute(x, batch + rows + summed);
  y = permute(y, transposed ? batch + columns + summed : batch + summed + columns);
  // Several labels become one dimension, and none a dimension of 1.
  auto matrix = [&](const Term &term, size_t first, size_t second) {
    int64_t begin = int64_t(batch.size()), middle = begin + int64_t(first);
    if (first == 1 && second == 1)
      return term.value;
    SmallVector<Extent> extents;
    for (int64_t i = 0; i < begin; ++i)
      extents.push_back(Extent(term.value, i));
    extents.push_back(Extent(term.value, begin, middle));
    extents.push_back(Extent(term.value, middle, middle + int64_t(second)));
    return b.reshape(term.value, extents);
  };
  Value lhs = matrix(x, rows.size(), summed.size());
  Value rhs = transposed ? matrix(y, columns.size(), summed.size())
                         : matrix(y, summed.size(), columns.size());
  Value product = b.matmul(lhs, rhs, false, transposed);
  if (b.failed() || (rows.size() == 1 && columns.size() == 1))
    return {product, batch + rows + columns};
  SmallVector<Extent> extents;
  int64_t count = int64_t(batch.size());
  for (int64_t i = 0; i < count; ++i)
    extents.push_back(Extent(product, i));
  for (int64_t i = 0; i < int64_t(rows.size()); ++i)
    extents.push_back(Extent(x.value, count + i));
  for (int64_t i = 0; i < int64_t(columns.size()); ++i)
    extents.push_back(Extent(y.value, count + i + (transposed ? 0 : int64_t(summed.size()))));
  return {b.reshape(product, extents), batch + rows + columns};
}

Term EinsumImporter::join(Term x, Term y, ArrayRef<int> needed) {
  x = sumExcept(x, Labels(needed) + y.labels);
  y = sumExcept(y, Labels(needed) + x.labels);
  auto inX = [&](int label) { return contains(x.labels, label); };
  auto inY = [&](int label) { return contains(y.labels, label); };
  auto isNeeded = [&](int label) { return contains(needed, label); };
  Labels batch = filter(x.labels, [&](int l) { return inY(l) && isNeeded(l); });
  Labels summed = filter(x.labels, [&](int l) { return inY(l) && !isNeeded(l); });
  Labels rows = filter(x.labels, [&](int l) { return !inY(l); });
  Labels columns = filter(y.labels, [&](int l) { return !inX(l); });
  return summed.empty() ? multiply(x, y, batch, rows, columns)
                        : contract(x, y, batch, rows, columns, summed);
}

LogicalResult EinsumImporter::run() {
  if (failed(parse(b.stringAttr("equation", ""))))
    return failure();
  for (Term &term : terms)
    term = takeDiagonals(term);
  Term sum = terms.front();
  for (size_t i = 1; i < terms.size() && !b.failed(); ++i) {
    Labels needed = result;
    for (size_t k = i + 1; k < terms.size(); ++k)
      needed.append(terms[k].labels);
    sum = join(sum, terms[i], needed);
  }
  if (b.failed())
    return failure();
  return b.yield(permute(sumExcept(sum, result), result).value);
}

LogicalResult importEinsum(OpBinder &b) { return EinsumImporter(b).run(); }

const OpRow rows[] = {
    {"", "Einsum", 12, 28, OpClass::Decomposed, importEinsum},
};

} // namespace

ArrayRef<OpRow> permalloy::einsumRows() { return rows; }
