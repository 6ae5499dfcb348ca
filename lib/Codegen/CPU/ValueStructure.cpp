//===- ValueStructure.cpp - structure as index maps --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static bool isOne(ArrayRef<DimExprAttr> dims) {
  return llvm::all_of(dims, [](DimExprAttr d) { return d.isConstant(1); });
}

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

/// The bytes of a constant as they stand in memory.
static std::string bytesOf(ElementsAttr value, Element e) {
  std::string bytes;
  auto append = [&](const APInt &bits) {
    for (int64_t i = 0; i < e.bytes(); ++i)
      bytes.push_back(char(bits.extractBitsAsZExtValue(std::min<unsigned>(8, bits.getBitWidth() - 8 * i), 8 * i)));
  };
  if (e.isFloat())
    for (APFloat element : value.getValues<APFloat>())
      append(element.bitcastToAPInt());
  else
    for (APInt element : value.getValues<APInt>())
      append(element);
  return bytes;
}

static std::optional<int64_t> constantIndex(Value index) {
  APInt value;
  return matchPattern(index, m_ConstantInt(&value)) ? std::optional(value.getSExtValue()) : std::nullopt;
}

Value ValueEmitter::emit(tfm::ConstantOp op, const Site &site) {
  ElementsAttr value = op.getValue();
  Element e = Element::of(op.getResult());
  auto immediate = [&](int64_t i) {
    return e.isFloat() ? ops.constant(e, value.getValues<APFloat>()[i]) : ops.constant(e, value.getValues<APInt>()[i]);
  };
  if (value.getNumElements() == 1 || value.isSplat())
    return immediate(0);
  tfm::Dims own = dims(op.getResult());
  Value index = site.indices[0];
  bool contiguous = true;
  if (site.form == Site::Form::Full) {
    index = linearize(site.indices, own);
    contiguous = !site.isVector() || isOne(ArrayRef(own).drop_front(site.lane + 1));
  } else if (site.form == Site::Form::Rows) {
    index = b.add(b.mul(index, extent(own.back())), site.indices[1]);
  }
  if (auto known = constantIndex(index); known && !site.isVector()) // outside on roads that are not taken
    return *known >= 0 && *known < value.getNumElements() ? immediate(*known) : ops.constant(e, 0.0);
  return loadAt(e, tableOf(op, [&] { return bytesOf(value, e); }), index, site, contiguous);
}

/// Bytes beside the code, one table for each operation.
Value ValueEmitter::tableOf(Operation *op, function_ref<std::string()> contents) {
  Value &table = tables[op];
  if (table)
    return table;
  OpBuilder::InsertionGuard guard(b);
  auto function = anchor->getParentOfType<LLVM::LLVMFuncOp>();
  std::string bytes = contents(), name = (function.getName() + "_table").str();
  while (SymbolTable::lookupNearestSymbolFrom(function, b.getStringAttr(name)))
    name += "_"; // another one's of this function
  b.setInsertionPoint(function);
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
  auto global =
      LLVM::GlobalOp::create(b, type, /*isConstant=*/true, LLVM::Linkage::Private, name, b.getStringAttr(bytes), /*alignment=*/64);
  b.setInsertionPoint(anchor);
  return table = LLVM::AddressOfOp::create(b, global);
}

/// values[index] of a short list of expressions, as elements.
Value ValueEmitter::emitChoice(ArrayRef<DimExprAttr> values, Element e, Value index) {
  auto element = [&](DimExprAttr value) { return ops.cast(Element::of(b.getI64Type()), e, extent(value)); };
  if (auto known = constantIndex(index))
    return element(values[*known]);
  Value result = element(values.back());
  for (int i = int(values.size()) - 2; i >= 0; --i)
    result = b.select(b.equal(index, b.i64(i)), element(values[i]), result);
  return result;
}

Value ValueEmitter::emit(tfm::DimValuesOp op, const Site &site) {
  if (site.isVector())
    return lose(op, site);
  Value index = site.indices.empty() ? b.i64(0) : linearize(toFull(site, dims(op.getResult())).indices, dims(op.getResult()));
  return emitChoice(tfm::dimsOf(op.getValues()), Element::of(op.getResult()), index);
}

Value ValueEmitter::emit(tfm::ShapeOfOp op, const Site &site) {
  if (site.isVector())
    return lose(op, site);
  return emitChoice(dims(op.getInput()), Element::of(op.getResult()), toFull(site, dims(op.getResult())).indices[0]);
}

Value ValueEmitter::emit(tfm::RangeOp op, const Site &site) {
  if (site.isVector())
    return lose(op, site);
  Element e = Element::of(op.getResult()), i64 = Element::of(b.getI64Type());
  Value index = toFull(site, dims(op.getResult())).indices[0];
  if (op.getSize())
    return ops.cast(i64, e, b.add(extent(*op.getFrom()), b.mul(index, op.getStep())));
  Value start = at(op.getBounds()[0], Site::full({})), delta = at(op.getBounds()[2], Site::full({}));
  Value steps = ops.binary(tfm::BinaryKind::Mul, e, ops.cast(i64, e, index), delta);
  return ops.binary(tfm::BinaryKind::Add, e, start, steps);
}

//===----------------------------------------------------------------------===//
// Index maps
//===----------------------------------------------------------------------===//

/// The site of a reshape's input (`from`) at `site` of its result (`to`). Equal leading and trailing dimensions keep their
/// indices; what lies between is numbered and split again.
Site ValueEmitter::reshapeSite(const Site &site, ArrayRef<DimExprAttr> from, ArrayRef<DimExprAttr> to, bool isLeaf) {
  if (site.form == Site::Form::Linear)
    return site;
  if (site.form == Site::Form::Rows && !from.empty() && from.back() == to.back())
    return from.size() > 1 ? site : toFull(site, from); // of one dimension: a row number of 0
  Site full = toFull(site, to);
  size_t head = 0, tail = 0, least = std::min(from.size(), to.size());
  while (head < least && from[head] == to[head])
    ++head;
  while (tail + head < least && from[from.size() - 1 - tail] == to[to.size() - 1 - tail])
    ++tail;
  ArrayRef<DimExprAttr> fromMiddle = from.drop_front(head).drop_back(tail), toMiddle = to.drop_front(head).drop_back(tail);
  bool laneBefore = full.lane < int(head), laneBehind = full.lane >= int(to.size() - tail);
  bool laneInside = full.isVector() && !laneBefore && !laneBehind;
  if (isLeaf && (!full.isVector() || laneInside) && tail == 0) {
    Site linear = full;
    linear.form = Site::Form::Linear;
    linear.indices = {linearize(full.indices, to)};
    linear.lane = full.isVector() ? 0 : -1;
    lost |= full.isVector() && !isOne(to.drop_front(full.lane + 1));
    return linear;
  }
  Site result = full;
  Value number = linearize(ArrayRef(full.indices).slice(head, toMiddle.size()), toMiddle);
  result.indices.assign(full.indices.begin(), full.indices.begin() + head);
  llvm::append_range(result.indices, split(number, fromMiddle));
  result.indices.append(full.indices.end() - tail, full.indices.end());
  if (laneBehind && full.isVector())
    result.lane = full.lane + int(from.size()) - int(to.size());
  if (!laneInside)
    return result;
  // Lanes count along the middle: they must be its innermost dimension and stay within one of the input's.
  size_t lane = fromMiddle.size();
  while (lane > 0 && fromMiddle[lane - 1].isConstant(1))
    --lane;
  unsigned lanes = b.target().lanes();
  auto width = to[full.lane].asConstant();
  bool innermost = isOne(toMiddle.drop_front(full.lane - head + 1)) && lane > 0;
  bool onlyDim = full.lane == int(head);
  bool numberAligned = full.aligned && (onlyDim || (width && *width % lanes == 0));
  auto inner = lane > 0 ? fromMiddle[lane - 1].asConstant() : std::nullopt;
  bool single = lane > 0 && isOne(fromMiddle.take_front(lane - 1));
  bool within = single || (inner && width && *inner % *width == 0) || (inner && numberAligned && *inner % lanes == 0);
  lost |= !innermost || !within;
  result.lane = int(head + lane) - 1;
  result.aligned = numberAligned && (single || (inner && *inner % lanes == 0));
  return result;
}

Value ValueEmitter::emit(tfm::ReshapeOp op, const Site &site) {
  auto type = cast<RankedTensorType>(op.getInput().getType());
  bool isLeaf = isa<BlockArgument>(op.getInput()) && !type.getEncoding();
  tfm::Dims from = dims(op.getInput()), to = dims(op.getResult());
  if (from.empty())
    return at(op.getInput(), Site::full({}));
  if (to.empty())
    return at(op.getInput(), Site::full(Index(from.size(), b.i64(0))));
  return at(op.getInput(), reshapeSite(site, from, to, isLeaf));
}

Value ValueEmitter::emit(tfm::BroadcastOp op, const Site &site) {
  return at(op.getInput(), operandSite(site, dims(op.getResult()), op.getInput()));
}

Value ValueEmitter::emit(tfm::TransposeOp op, const Site &site) {
  Site full = toFull(site, dims(op.getResult()));
  Site moved = full;
  for (auto [i, axis] : llvm::enumerate(op.getPerm())) {
    moved.indices[axis] = full.indices[i];
    if (full.lane == int(i))
      moved.lane = axis;
  }
  return at(op.getInput(), moved);
}

/// The index that a tensor holds at a site: negative ones count from the end, and all are clamped into the range.
Value ValueEmitter::clampedIndex(Value tensor, const Site &site, Value size) {
  Value index = ops.cast(Element::of(tensor), Element::of(b.getI64Type()), at(tensor, site));
  index = b.select(b.less(index, b.i64(0)), b.add(index, size), index);
  return b.max(b.min(index, b.sub(size, 1)), b.i64(0));
}

Value ValueEmitter::emit(tfm::GatherOp op, const Site &site) {
  Site full = toFull(site, dims(op.getResult()));
  int64_t axis = op.getAxis(), indexRank = cast<RankedTensorType>(op.getIndices().getType()).getRank();
  ArrayRef<Value> indices = full.indices;
  if (full.isVector() && full.lane >= axis && full.lane < axis + indexRank)
    return lose(op, site);
  Value size = extent(dims(op.getInput())[axis]);
  Value chosen = clampedIndex(op.getIndices(), Site::full(indices.slice(axis, indexRank)), size);
  Site source = full;
  source.indices = Index(indices.take_front(axis));
  source.indices.push_back(chosen);
  llvm::append_range(source.indices, indices.drop_front(axis + indexRank));
  if (full.lane >= axis + indexRank)
    source.lane = full.lane - indexRank + 1;
  return at(op.getInput(), source);
}

Value ValueEmitter::emit(tfm::GatherNDOp op, const Site &site) {
  Site full = toFull(site, dims(op.getResult()));
  tfm::Dims input = dims(op.getInput()), tuples = dims(op.getIndices());
  int64_t batch = op.getBatchDims(), length = *tuples.back().asConstant(), outer = tuples.size() - 1;
  if (full.isVector() && full.lane < outer)
    return lose(op, site);
  Site source = full;
  source.indices = Index(ArrayRef(full.indices).take_front(batch));
  for (int64_t i = 0; i < length; ++i) {
    Index place(ArrayRef(full.indices).take_front(outer));
    place.push_back(b.i64(i));
    source.indices.push_back(clampedIndex(op.getIndices(), Site::full(place), extent(input[batch + i])));
  }
  llvm::append_range(source.indices, ArrayRef(full.indices).drop_front(outer));
  if (full.isVector())
    source.lane = full.lane - outer + batch + length;
  return at(op.getInput(), source);
}

/// Start and step along the axis at `position` of a slice as imported, by ONNX's rules.
std::pair<Value, Value> ValueEmitter::sliceStep(tfm::SliceOp op, unsigned position, Value size) {
  Element i64 = Element::of(b.getI64Type());
  auto read = [&](Value tensor) {
    return ops.cast(Element::of(tensor), i64, at(tensor, Site::full({b.i64(position)})));
  };
  Value start = read(op.getStarts()), step = op.getSteps() ? read(op.getSteps()) : b.i64(1);
  start = b.select(b.less(start, b.i64(0)), b.add(start, size), start);
  Value last = b.select(b.less(step, b.i64(0)), b.sub(size, 1), size);
  return {b.max(b.min(start, last), b.i64(0)), step};
}

Value ValueEmitter::emit(tfm::SliceOp op, const Site &site) {
  Site source = toFull(site, dims(op.getResult()));
  tfm::Dims input = dims(op.getInput());
  auto move = [&](int64_t axis, Value offset, Value step) {
    auto offsetConstant = constantIndex(offset), stepConstant = constantIndex(step);
    if (source.lane == int(axis)) {
      lost |= stepConstant != 1;
      source.aligned &= offsetConstant && *offsetConstant % b.target().lanes() == 0;
    }
    source.indices[axis] = b.add(b.mul(source.indices[axis], step), offset);
  };
  if (op.getSizes()) {
    tfm::Dims offsets = tfm::dimsOf(*op.getOffsets());
    for (auto [axis, offset] : llvm::enumerate(offsets))
      move(axis, extent(offset), b.i64((*op.getStrides())[axis]));
  } else {
    for (auto [position, axis] : llvm::enumerate(*op.getAxes())) {
      auto [offset, step] = sliceStep(op, position, extent(input[axis]));
      move(axis, offset, step);
    }
  }
  return at(op.getInput(), source);
}

Value ValueEmitter::emit(tfm::ConcatOp op, const Site &site) {
  Site full = toFull(site, dims(op.getResult()));
  int64_t axis = op.getAxis();
  // Vectors along the axis must lie within one part.
  auto endsOnVector = [&](Value input) {
    auto width = dims(input)[axis].asConstant();
    return width && *width % b.target().lanes() == 0;
  };
  if (full.isVector() && full.lane == axis &&
      !(full.aligned && llvm::all_of(op.getInputs().drop_back(), endsOnVector)))
    return lose(op, site);
  Type type = Element::of(op.getResult()).registerType();
  if (full.isVector())
    type = VectorType::get(b.target().lanes(), type);
  Value position = full.indices[axis];
  // From the first input on: the one whose part of the axis holds the position.
  std::function<Value(unsigned, Value)> from = [&](unsigned i, Value start) -> Value {
    Value input = op.getInputs()[i];
    Site inside = full;
    inside.indices[axis] = b.sub(position, start);
    if (i + 1 == op.getInputs().size())
      return vectorAt(input, inside);
    Value end = b.add(start, extent(dims(input)[axis]));
    return choose(
        b.less(position, end), [&] { return SmallVector<Value>{vectorAt(input, inside)}; },
        [&] { return SmallVector<Value>{from(i + 1, end)}; })[0];
  };
  return from(0, b.i64(0));
}

Value ValueEmitter::emit(tfm::PackOp op, const Site &site) { return at(op.getInput(), site); }
