//===- KernelFacts.cpp - what a cost model knows of a kernel -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/KernelFacts.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/CostModel/KernelWork.h"
#include "permalloy/Reference/Tensor.h"

#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;

/// Bits of an element in memory.
static double bitsOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  double elements = tensor.hasStaticShape() ? double(std::max<int64_t>(tensor.getNumElements(), 1)) : 0;
  if (elements > 0) // packed elements are narrower than their type
    return 8.0 * double(reference::storageBytes(tensor)) / elements;
  return 8.0 * double(reference::elementBytes(reference::elementOf(tensor.getElementType())));
}

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

static void addNumber(raw_ostream &os, int64_t value) { os << (value == 0 ? 0 : llvm::Log2_64(uint64_t(std::abs(value))) + 1); }

static void addAttribute(raw_ostream &os, NamedAttribute attribute) {
  os << " " << attribute.getName().getValue();
  Attribute value = attribute.getValue();
  if (auto number = dyn_cast<IntegerAttr>(value))
    addNumber(os << "=", number.getType().isUnsignedInteger() ? int64_t(number.getUInt()) : number.getInt());
  else if (auto text = dyn_cast<StringAttr>(value))
    os << "=" << text.getValue();
  else if (!isa<FloatAttr, UnitAttr, ElementsAttr, ArrayAttr, DenseArrayAttr, tfm::DimExprAttr>(value))
    os << "=" << value; // an enum
}

/// An operation as a word.
static std::string wordOf(Operation &op) {
  std::string word;
  llvm::raw_string_ostream os(word);
  os << op.getName().stripDialect();
  for (NamedAttribute attribute : op.getAttrs())
    addAttribute(os, attribute);
  for (Type type : llvm::concat<const Type>(SmallVector<Type>(op.getOperandTypes()), SmallVector<Type>(op.getResultTypes())))
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      os << " " << tensor.getElementType();
  return word;
}

/// FNV-1a: the same on every machine and in every version, as a model's file depends on it.
static unsigned bucketOf(StringRef text) {
  uint64_t hash = 14695981039346656037u;
  for (char c : text)
    hash = (hash ^ uint8_t(c)) * 1099511628211u;
  return unsigned((hash ^ (hash >> 32)) % kTokenBuckets);
}

static void countTokens(kern::KernelOp kernel, std::array<float, kTokenBuckets> &counts) {
  DenseMap<Operation *, std::string> words;
  for (Operation &op : kernel.getBlock())
    words[&op] = wordOf(op);
  auto add = [&](const std::string &text) { counts[bucketOf(text)] += 1; };
  for (Operation &op : kernel.getBlock()) {
    add(words[&op]);
    for (Value operand : op.getOperands()) {
      Operation *before = operand.getDefiningOp();
      if (!before)
        continue;
      add(words[before] + ">" + words[&op]);
      for (Value further : before->getOperands())
        if (Operation *first = further.getDefiningOp())
          add(words[first] + ">" + words[before] + ">" + words[&op]);
    }
  }
  for (float &count : counts)
    count = std::log1p(count);
}

//===----------------------------------------------------------------------===//
// Sizes and work
//===----------------------------------------------------------------------===//

namespace {
class Reader {
public:
  Reader(kern::KernelOp kernel, const reference::Symbols &symbols)
      : kernel(kernel), symbols(symbols) {}
  std::optional<KernelFacts> read();

private:
  double value(tfm::DimExprAttr expr);
  double elements(Value of) { return value(shapes.numElements(of)); }
  void readLinear(Value input, Value result, Value weight);
  void readDecoding(Operation *op);
  void readAttention(tfm::AttentionOp op);
  void readMatmul(tfm::MatmulOp op);
  void readWork();
  double opsPerElement(Operation &op) const;

  kern::KernelOp kernel;
  const reference::Symbols &symbols;
  SymbolicShapes shapes;
  KernelFacts facts;
  bool known = true;
};
} // namespace

double Reader::value(tfm::DimExprAttr expr) {
  bool bound = expr && isDerived(expr);
  if (bound)
    expr.walkSymbols([&](StringRef name) { bound &= symbols.contains(name); });
  std::string error;
  auto number = bound ? reference::evaluate(expr, symbols, error) : std::nullopt;
  known &= number.has_value();
  return double(number.value_or(1));
}

/// What makes a weight from what is stored.
void Reader::readDecoding(Operation *op) {
  if (auto blocks = dyn_cast<tfm::ExpandBlocksOp>(op))
    facts.blockColumns = double(blocks.getBlock()[1]);
  auto decode = dyn_cast<tfm::DequantizeOp>(op);
  auto code = decode ? dyn_cast<tfm::QuantType>(getElementTypeOrSelf(decode.getCodes().getType())) : tfm::QuantType();
  if (!code)
    return;
  facts.codeGroup = std::min(double(code.getGroup()), facts.k);
  facts.hasZeroPoints = bool(decode.getZeroPoints()), facts.hasCodebook = bool(decode.getCodebook());
}

/// A product with a weight, which stands in the kernel or is made in it from what is stored (codes, scales, lists of blocks).
void Reader::readLinear(Value input, Value result, Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  facts.k = double(type.getShape().take_back(2)[0]), facts.n = double(type.getShape().back());
  facts.groups = type.getRank() == 3 ? double(type.getShape()[0]) : 1;
  facts.m = elements(result) / std::max(value(shapes.dims(result).back()), 1.0);
  facts.inputBits = bitsOf(input.getType());
  facts.isInteger = getElementTypeOrSelf(result.getType()).isInteger();
  // What the weight is made of.
  SmallVector<Value> waiting = {weight};
  DenseSet<Value> seen;
  double codeElements = 0, codeBytes = 0;
  while (!waiting.empty()) {
    Value made = waiting.pop_back_val();
    if (!seen.insert(made).second)
      continue;
    if (Operation *op = made.getDefiningOp()) {
      llvm::append_range(waiting, op->getOperands());
      readDecoding(op);
      continue;
    }
    auto stored = cast<RankedTensorType>(made.getType());
    double bytes = stored.hasStaticShape() ? double(reference::storageBytes(stored)) : 0;
    facts.weightBytes += bytes;
    if (bytes > codeBytes)
      codeBytes = bytes, codeElements = double(stored.getNumElements());
  }
  facts.density = std::clamp(codeElements / std::max(facts.groups * facts.k * facts.n, 1.0), 1e-3, 1.0);
  facts.weightBits = codeElements > 0 ? 8 * codeBytes / codeElements : bitsOf(type);
}

void Reader::readAttention(tfm::AttentionOp op) {
  tfm::Dims query = shapes.dims(op.getQuery()), key = shapes.dims(op.getKey());
  facts.batch = value(query[0]), facts.queries = value(query[op.queryAxis()]);
  facts.heads = double(op.getNumHeads()), facts.kvHeads = double(op.getNumKvHeads());
  facts.keys = value(op.keys(key));
  facts.headSize = value(query.back()) / (query.size() == 3 ? facts.heads : 1.0);
  facts.keyBits = bitsOf(op.getKey().getType());
  facts.causal = op.getCausal(), facts.hasMask = bool(op.getMask()), facts.hasCache = bool(op.getKvLengthAttr());
  facts.seenKeys = facts.causal ? std::max(facts.keys - (facts.queries - 1) / 2, 1.0) : facts.keys;
}

/// A product of two values: on CPUs scalar loops of the generic emitter.
void Reader::readMatmul(tfm::MatmulOp op) {
  tfm::Dims lhs = shapes.dims(op.getLhs()), result = shapes.dims(op.getResult());
  facts.k = value(lhs[lhs.size() - (op.getTransposeA() ? std::min<size_t>(2, lhs.size()) : 1)]);
  bool hasRows = lhs.size() > 1, hasColumns = shapes.dims(op.getRhs()).size() > 1; // vectors are matrices of one
  facts.n = hasColumns ? value(result.back()) : 1;
  facts.m = elements(op.getResult()) / std::max(facts.n, 1.0);
  for (tfm::DimExprAttr dim : ArrayRef(result).drop_back(size_t(hasRows) + size_t(hasColumns)))
    facts.matrices *= value(dim);
  facts.inputBits = bitsOf(op.getLhs().getType());
}

/// Instructions for each element of the result, from the emitters' polynomials; roughly, the trees correct it.
double Reader::opsPerElement(Operation &op) const {
  std::string kind;
  if (auto attribute = op.getAttr("kind"))
    llvm::raw_string_ostream(kind) << attribute;
  if (auto attribute = op.getAttr("activation"))
    llvm::raw_string_ostream(kind) << attribute;
  StringRef text = kind;
  double extra = text.contains("erf") ? 22 : text.contains("gelu") || text.contains("tanh") ? 20
                 : text.contains("silu") || text.contains("sigmoid") || text.contains("exp") ? 16
                 : text.contains("log") || text.contains("sin") || text.contains("cos") || text.contains("pow") ? 20
                 : text.contains("sqrt") || text.contains("div") ? 6 : text.contains("relu") ? 1 : 0;
  return extra + llvm::StringSwitch<double>(op.getName().stripDialect())
                     .Case("layer_norm", 8).Case("rms_norm", 6).Case("softmax", 22).Case("rotary", 6)
                     .Cases({"linear", "grouped_linear"}, 1).Cases({"attention", "matmul", "yield", "constant", "reshape"}, 0)
                     .Cases({"gather", "slice", "concat", "transpose", "scatter"}, 2)
                     .Default(1);
}

void Reader::readWork() {
  KernelWork work = workOf(kernel);
  facts.flops = value(work.flops), facts.bytes = value(work.bytes);
  auto isOfWeight = [](BlockArgument argument) {
    auto decodes = [](Operation *user) { return isa<tfm::ExpandBlocksOp, tfm::ExpandQuadsOp, tfm::DequantizeOp>(user); };
    return cast<RankedTensorType>(argument.getType()).getEncoding() || llvm::any_of(argument.getUsers(), decodes);
  };
  for (BlockArgument argument : kernel.getBlock().getArguments())
    if (!isOfWeight(argument) && !(facts.hasCache && argument.getType() != kernel.yielded()[0].getType()))
      facts.elements = std::max(facts.elements, elements(argument));
  for (Value result : kernel.yielded())
    facts.outputBytes += elements(result) * bitsOf(result.getType()) / 8;
  llvm::DenseMap<Operation *, double> times; // how many elements of each are computed
  for (Operation &op : llvm::reverse(kernel.getBlock())) {
    ++facts.operations;
    if (op.getNumResults() == 0 || isa<tfm::KvAppendOp>(op))
      continue;
    auto type = cast<RankedTensorType>(op.getResult(0).getType());
    bool ofWeight = facts.groups > 0 && type.hasStaticShape() && type.getNumElements() == int64_t(facts.groups * facts.k * facts.n);
    if (ofWeight)
      continue; // decoded on the way into a product
    // A reduction goes over its input.
    Value walked = isa<tfm::ReduceOp>(op) ? op.getOperand(0) : op.getResult(0);
    // Of a table of codes, the rows that are taken.
    bool isTable = isa<tfm::DequantizeOp>(op);
    double count = isTable ? 0 : elements(walked);
    for (Operation *user : op.getResult(0).getUsers()) // anew for each of theirs, where these are more
      if (isTable || isa<tfm::UnaryOp, tfm::BinaryOp, tfm::CastOp, tfm::SelectOp, tfm::CompareOp>(op))
        count = std::max(count, times.lookup(user));
    times[&op] = isa<tfm::LinearOp, tfm::GroupedLinearOp, tfm::AttentionOp, tfm::MatmulOp>(op) ? 0 : count;
    facts.elements = std::max(facts.elements, count);
    facts.vectorOps += count * opsPerElement(op);
  }
}

std::optional<KernelFacts> Reader::read() {
  facts.emitter = kernel.getEmitter();
  llvm::raw_string_ostream(facts.dtype) << getElementTypeOrSelf(kernel.yielded()[0].getType());
  for (Operation &op : kernel.getBlock()) {
    if (auto linear = dyn_cast<tfm::LinearOp>(op))
      readLinear(linear.getInput(), linear.getResult(), linear.getWeight());
    else if (auto grouped = dyn_cast<tfm::GroupedLinearOp>(op))
      readLinear(grouped.getInput(), grouped.getResult(), grouped.getWeight());
    else if (auto attention = dyn_cast<tfm::AttentionOp>(op))
      readAttention(attention);
    else if (auto matmul = dyn_cast<tfm::MatmulOp>(op))
      readMatmul(matmul);
  }
  readWork();
  countTokens(kernel, facts.tokens);
  return known ? std::optional(facts) : std::nullopt;
}

std::optional<KernelFacts> permalloy::factsOf(kern::KernelOp kernel, const reference::Symbols &symbols) {
  return Reader(kernel, symbols).read();
}
