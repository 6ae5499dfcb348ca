//===- ValueEmitter.cpp - sites, memory and dispatch -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ValueEmitter.h"
#include "Tfm/Outliers.h"
#include "Tfm/Panels.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

ValueEmitter::ValueEmitter(KernelFrame &frame) : frame(frame), b(frame.builder()), ops(b) {
  anchor = b.i64(0).getDefiningOp();
}

//===----------------------------------------------------------------------===//
// Sizes and index arithmetic
//===----------------------------------------------------------------------===//

Value ValueEmitter::extent(DimExprAttr expr) {
  if (auto constant = expr.asConstant())
    return b.i64(*constant);
  Value &value = extents[expr];
  if (value)
    return value;
  if (!isDerived(expr)) {
    unsupportedHere(frame.kernel(), "a dimension depends on data: " + expr.str());
    return value = b.i64(0);
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(anchor);
  return value = frame.emit(expr);
}

Value ValueEmitter::linearize(ArrayRef<Value> indices, ArrayRef<DimExprAttr> dims) {
  Value result = b.i64(0);
  for (auto [index, dim] : llvm::zip_equal(indices, dims))
    if (!dim.isConstant(1))
      result = b.add(b.mul(result, extent(dim)), index);
  return result;
}

ValueEmitter::Index ValueEmitter::split(Value linear, ArrayRef<DimExprAttr> dims) {
  Key key = {{linear.getAsOpaquePointer(), 0}};
  for (DimExprAttr dim : dims)
    key.push_back({dim.getAsOpaquePointer(), 0});
  auto it = splits.find(key);
  if (it != splits.end() && llvm::all_of(it->second, [&](Value v) { return visible(v); }))
    return it->second;
  Index result(dims.size());
  int first = 0; // the first dimension that is not 1 takes what is left
  while (first < int(dims.size()) && dims[first].isConstant(1))
    ++first;
  for (int i = dims.size() - 1; i >= 0; --i) {
    if (dims[i].isConstant(1)) {
      result[i] = b.i64(0);
    } else if (i == first) {
      result[i] = linear;
    } else {
      result[i] = b.rem(linear, extent(dims[i]));
      linear = b.div(linear, extent(dims[i]));
    }
  }
  return splits[key] = result;
}

Site ValueEmitter::toFull(const Site &site, ArrayRef<DimExprAttr> dims) {
  Site result = site;
  result.form = Site::Form::Full;
  if (site.form == Site::Form::Full)
    return result;
  if (dims.empty()) {
    result.indices.clear();
    result.lane = -1;
    return result;
  }
  int last = dims.size() - 1;
  if (site.form == Site::Form::Rows) {
    result.indices = split(site.indices[0], dims.drop_back());
    result.indices.push_back(site.indices[1]);
    result.lane = site.isVector() ? last : -1;
    return result;
  }
  result.indices = split(site.indices[0], dims);
  if (!site.isVector())
    return result;
  while (last > 0 && dims[last].isConstant(1))
    --last;
  // The lanes of one vector must not run into the next row.
  lost |= last > 0 && !(site.aligned && isWhole(dims[last]));
  result.lane = last;
  return result;
}

static bool isOne(ArrayRef<DimExprAttr> dims) {
  return llvm::all_of(dims, [](DimExprAttr d) { return d.isConstant(1); });
}

Site ValueEmitter::operandSite(const Site &site, ArrayRef<DimExprAttr> result, Value operand) {
  tfm::Dims own = dims(operand);
  if (ArrayRef(own) == result)
    return site;
  if (isOne(own))
    return Site::full(Index(own.size(), b.i64(0)));
  bool sameWidth = !own.empty() && own.back() == result.back();
  if (site.form == Site::Form::Rows && sameWidth && own.size() <= result.size()) {
    // One row for all: bias, scale. (Equal leading dimensions were equal altogether.)
    if (isOne(ArrayRef(own).drop_back())) {
      Site column = Site::full(Index(own.size(), b.i64(0)));
      column.indices.back() = site.indices[1];
      column.lane = site.isVector() ? int(own.size()) - 1 : -1;
      column.aligned = site.aligned;
      column.mask = site.mask;
      return column;
    }
  }
  if (site.form == Site::Form::Rows && own.size() == result.size() && own.back().isConstant(1) &&
      ArrayRef(own).drop_back() == result.drop_back())
    return Site::rows(site.indices[0], b.i64(0));
  Site full = toFull(site, result);
  Site mapped = full;
  mapped.indices.clear();
  mapped.lane = -1;
  size_t shift = result.size() - own.size();
  for (size_t i = 0; i < own.size(); ++i) {
    Value index = full.indices[shift + i];
    bool isLane = full.lane == int(shift + i);
    bool repeats = own[i].isConstant(1) && !result[shift + i].isConstant(1);
    bool unknown = !own[i].asConstant() && own[i] != result[shift + i];
    if (repeats)
      index = b.i64(0);
    else if (unknown) // 1 or the same, which the run tells
      index = b.select(b.equal(extent(own[i]), b.i64(1)), b.i64(0), index);
    lost |= isLane && unknown;
    if (isLane && !repeats)
      mapped.lane = i;
    mapped.indices.push_back(index);
  }
  return mapped;
}

//===----------------------------------------------------------------------===//
// Loops and branches
//===----------------------------------------------------------------------===//

SmallVector<Value> ValueEmitter::nest(ArrayRef<DimExprAttr> dims, ValueRange init, Body body) {
  Index indices;
  std::function<SmallVector<Value>(ValueRange)> level = [&](ValueRange carried) -> SmallVector<Value> {
    if (indices.size() == dims.size())
      return body(indices, carried);
    return b.loop(b.i64(0), extent(dims[indices.size()]), 1, carried, [&](Value iv, ValueRange inner) {
      indices.push_back(iv);
      SmallVector<Value> values = level(inner);
      indices.pop_back();
      return values;
    });
  };
  return level(init);
}

SmallVector<Value> ValueEmitter::choose(Value condition, function_ref<SmallVector<Value>()> then,
                                        function_ref<SmallVector<Value>()> otherwise) {
  auto build = [&](function_ref<SmallVector<Value>()> part) {
    return [&, part](OpBuilder &nested, Location) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
      SmallVector<Value> values = part();
      scf::YieldOp::create(b, values);
    };
  };
  auto op = scf::IfOp::create(b, condition, build(then), build(otherwise));
  return SmallVector<Value>(op.getResults());
}

//===----------------------------------------------------------------------===//
// Remembered values
//===----------------------------------------------------------------------===//

ValueEmitter::Key ValueEmitter::keyOf(Value tensor, const Site &site) {
  Key key = {{tensor.getAsOpaquePointer(), int64_t(site.form)},
             {site.mask.getAsOpaquePointer(), site.lane * 2 + site.aligned}};
  for (Value index : site.indices) {
    APInt constant;
    bool isConstant = matchPattern(index, m_ConstantInt(&constant));
    key.push_back(isConstant ? std::pair<const void *, int64_t>(nullptr, constant.getSExtValue())
                             : std::pair<const void *, int64_t>(index.getAsOpaquePointer(), 0));
  }
  return key;
}

/// Everything is emitted forwards, so a value of this or an enclosing block stands before the builder.
bool ValueEmitter::visible(Value value) {
  for (Block *block = b.getInsertionBlock(); block;) {
    if (value.getParentBlock() == block)
      return true;
    Operation *parent = block->getParentOp();
    block = parent ? parent->getBlock() : nullptr;
  }
  return false;
}

void ValueEmitter::bind(Value tensor, std::function<Value(const Site &)> read) {
  if (!bound.contains(tensor)) {
    SmallVector<Value> work = {tensor};
    while (!work.empty()) {
      Value next = work.pop_back_val();
      if (dependsOnBound.insert(next).second)
        for (Operation *user : next.getUsers())
          llvm::append_range(work, user->getResults());
    }
  }
  bound[tensor] = std::move(read);
  ++generation;
}

Value ValueEmitter::at(Value tensor, const Site &site) {
  Key key = keyOf(tensor, site);
  unsigned current = dependsOnBound.contains(tensor) ? generation : 0;
  auto it = known.find(key);
  if (it != known.end() && it->second.generation == current && visible(it->second.value))
    return it->second.value;
  auto leaf = bound.find(tensor);
  Value value = leaf != bound.end() ? leaf->second(site) : Value();
  if (!value)
    value = compute(tensor, site);
  known[key] = {value, current};
  return value;
}

Value ValueEmitter::vectorAt(Value tensor, const Site &site) {
  Value value = at(tensor, site);
  return site.isVector() ? ops.toVector(value) : value;
}

//===----------------------------------------------------------------------===//
// Leaves and dispatch
//===----------------------------------------------------------------------===//

/// Lanes that are no neighbours: any value will do, the function is thrown away.
Value ValueEmitter::lose(Value tensor, const Site &site) {
  lost = true;
  return ops.toVector(ops.constant(Element::of(tensor), 0.0));
}

Value ValueEmitter::unsupportedHere(Operation *op, const Twine &why) {
  if (!unsupported)
    op->emitError("unsupported in a compiled kernel: ") << why;
  unsupported = true;
  Type type = op->getNumResults() ? op->getResult(0).getType() : Type(b.getF32Type());
  return ops.constant(Element::of(getElementTypeOrSelf(type)), 0.0);
}

Value ValueEmitter::loadAt(Element e, Value base, Value index, const Site &site, bool contiguous) {
  Value pointer = b.at(base, b.mul(index, e.bytes()));
  if (!site.isVector())
    return ops.load(e, pointer);
  lost |= !contiguous || !e.hasVectors();
  return lost ? ops.toVector(ops.constant(e, 0.0)) : ops.loadVector(e, pointer, site.mask);
}

bool ValueEmitter::isWhole(DimExprAttr width) const {
  auto fixed = width.asConstant();
  return fixed ? *fixed % b.target().lanes() == 0 : width == whole;
}

/// Whether a vector at `site` of a dense tensor begins at a multiple of its lanes, as the last dimension shows it.
bool ValueEmitter::isWholeVector(const Site &site, ArrayRef<DimExprAttr> dims) const {
  bool isLast = site.form == Site::Form::Rows ? site.lane == 1 : site.form == Site::Form::Full && site.lane == int(dims.size()) - 1;
  return isLast && site.aligned && !site.mask && !dims.empty() && isWhole(dims.back());
}

static unsigned vectorAlignment(KernelBuilder &b, Element e) { return std::min<int64_t>(16, b.target().lanes() * e.bytes()); }

/// Buffers of a GPU are aligned, and a vector whose alignment is not known moves element by element there.
void ValueEmitter::storeInRow(Element e, Value value, Value pointer, DimExprAttr width) {
  ops.storeVector(e, value, pointer, {});
  auto store = dyn_cast<LLVM::StoreOp>(*std::prev(b.getInsertionPoint()));
  if (store && b.target().isGpuThread() && isWhole(width))
    store.setAlignment(vectorAlignment(b, e));
}

/// The same for loads.
static void alignLoads(KernelBuilder &b, Operation *before, Element e) {
  Block::iterator from = before ? std::next(before->getIterator()) : b.getInsertionBlock()->begin();
  for (Operation &op : llvm::make_range(from, b.getInsertionPoint()))
    if (auto load = dyn_cast<LLVM::LoadOp>(op); load && isa<VectorType>(load.getType()))
      load.setAlignment(vectorAlignment(b, e));
}

Value ValueEmitter::load(Value argument, const Site &site) {
  if (isa_and_nonnull<tfm::PanelsAttr>(cast<RankedTensorType>(argument.getType()).getEncoding()))
    return loadPanels(argument, site);
  tfm::Dims own = dims(argument);
  Element e = Element::of(argument);
  Value base = frame.argument(argument);
  if (site.form == Site::Form::Linear)
    return loadAt(e, base, site.indices[0], site, true);
  if (site.form == Site::Form::Rows)
    return loadAt(e, base, b.add(b.mul(site.indices[0], extent(own.back())), site.indices[1]), site, true);
  bool contiguous = site.isVector() && isOne(ArrayRef(own).drop_front(site.lane + 1));
  return loadAt(e, base, linearize(site.indices, own), site, contiguous);
}

/// Element [k, n] of a packed weight; see Panels.h. A panel row holds 16 columns of `pairing` steps.
Value ValueEmitter::loadPanels(Value argument, const Site &site) {
  tfm::Dims own = dims(argument);
  Site full = toFull(site, own);
  Value k = full.indices[0], n = full.indices[1];
  Element e = Element::of(argument);
  int64_t pairing = tfm::panelPairing(e.stored), columns = tfm::kPanelColumns;
  Value row = b.add(b.mul(b.div(n, columns), b.ceilDiv(extent(own[0]), pairing)), b.div(k, pairing));
  Value column = b.add(b.mul(row, columns), b.rem(n, columns));
  Value index = b.add(b.mul(column, pairing), b.rem(k, pairing));
  if (full.lane == 0 && !full.mask && e.hasVectors() && (full.aligned || pairing == 1))
    return loadColumn(argument, index, pairing);
  bool contiguous = full.lane == 1 && full.aligned && pairing == 1;
  return loadAt(e, frame.argument(argument), index, full, contiguous);
}

/// A vector down a column of a panel, from an element at the start of its group of `pairing` rows.
Value ValueEmitter::loadColumn(Value argument, Value index, int64_t pairing) {
  Element e = Element::of(argument);
  Value column = ops.toVector(ops.constant(e, 0.0)), base = frame.argument(argument);
  for (int64_t i = 0; i < b.target().lanes(); ++i) {
    int64_t step = i / pairing * pairing * tfm::kPanelColumns + i % pairing;
    Value element = ops.load(e, b.at(base, b.mul(b.add(index, step), e.bytes())));
    column = vector::InsertOp::create(b, element, column, ArrayRef<int64_t>{i});
  }
  return column;
}

Value ValueEmitter::compute(Value tensor, const Site &site) {
  if (isa<BlockArgument>(tensor)) {
    auto end = b.getInsertionPoint();
    Operation *before = end == b.getInsertionBlock()->begin() ? nullptr : &*std::prev(end);
    Value value = load(tensor, site);
    bool isDense = !cast<RankedTensorType>(tensor.getType()).getEncoding();
    if (b.target().isGpuThread() && isDense && isWholeVector(site, dims(tensor)))
      alignLoads(b, before, Element::of(tensor));
    return value;
  }
  if (site.isVector() && !Element::of(tensor).hasVectors())
    return lose(tensor, site);
  return llvm::TypeSwitch<Operation *, Value>(tensor.getDefiningOp())
      .Case<tfm::ConstantOp, tfm::DimValuesOp, tfm::ShapeOfOp, tfm::RangeOp, tfm::ReshapeOp, tfm::BroadcastOp,
            tfm::TransposeOp, tfm::GatherOp, tfm::GatherNDOp, tfm::SliceOp, tfm::ConcatOp, tfm::PackOp, tfm::CastOp,
            tfm::UnaryOp, tfm::BinaryOp, tfm::CompareOp, tfm::SelectOp, tfm::QuantizeOp, tfm::DequantizeOp, tfm::ReduceOp, tfm::LayerNormOp,
            tfm::RmsNormOp, tfm::RotaryOp, tfm::SoftmaxOp, tfm::MatmulOp, tfm::LinearOp, tfm::AttentionOp,
            tfm::TopKOp, tfm::ScatterOp>([&](auto op) { return emit(op, site); })
      .Case<tfm::OutlierLinearOp>([&](Operation *op) { return emitOutlierLinear(op, site); })
      .Default([&](Operation *op) { return unsupportedHere(op, "operation " + op->getName().getStringRef()); });
}
