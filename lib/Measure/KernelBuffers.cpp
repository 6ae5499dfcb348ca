//===- KernelBuffers.cpp - arguments for a kernel that is timed --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/KernelBuffers.h"
#include "Tfm/Panels.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Reference/Tensor.h"

#include <bit>
#include <cstring>

using namespace permalloy;
using namespace permalloy::measure;
using namespace mlir;

static constexpr uint64_t kMostBytes = uint64_t(1) << 30, kHugePages = 4 << 20;

/// A generator of Knuth's; its high bits are the good ones.
static uint32_t advance(uint32_t &state) { return state = state * 1664525u + 1013904223u; }

/// Numbers in [-1, 1), all normal ones, which no unit slows down for.
static void fill(std::byte *data, size_t bytes, Type element) {
  uint32_t state = 1;
  auto next = [&] { return float(int32_t(advance(state))) * 0x1p-31f; };
  auto store = [&](auto convert) {
    using Stored = decltype(convert(0.0f));
    for (size_t i = 0; i + sizeof(Stored) <= bytes; i += sizeof(Stored)) {
      Stored value = convert(next());
      std::memcpy(data + i, &value, sizeof(Stored));
    }
  };
  if (element.isF32())
    store([](float x) { return x; });
  else if (element.isF64())
    store([](float x) { return double(x); });
  else if (element.isBF16())
    store([](float x) { return uint16_t(std::bit_cast<uint32_t>(x) >> 16); });
  else if (element.isF16())
    store([](float x) { return static_cast<_Float16>(x); });
  else
    std::memset(data, element.isInteger(1) ? 1 : 0, bytes);
}

/// Codes of weights, and steps that quads keep: any byte is some.
static void fillCodes(std::byte *data, size_t bytes) {
  uint32_t state = 1;
  for (size_t i = 0; i < bytes; ++i)
    data[i] = std::byte(advance(state) >> 24);
}

/// `bytes` by copies of the first part, which is faster than making numbers.
static void fillLarge(std::byte *data, size_t bytes, Type element, bool isWeight = false) {
  size_t first = std::min<size_t>(bytes, 1 << 20);
  if (isWeight && (isa<tfm::QuantType>(element) || element.isInteger(8) || element.isInteger(32)))
    fillCodes(data, first);
  else
    fill(data, first, element);
  for (size_t done = first; done < bytes; done += first)
    std::memcpy(data + done, data, std::min(first, bytes - done));
}

std::byte *WeightArena::take(size_t bytes, Type element) {
  Pool &pool = pools[element];
  if (pool.memory.size() == 0) {
    Result<Mapping> mapping = Mapping::anonymous(kMostBytes);
    if (!mapping.ok())
      return nullptr;
    pool.memory = std::move(*mapping);
    fillLarge(pool.memory.data(), std::max(size, kMostBytes / 2), element, /*isWeight=*/true);
  }
  if (pool.next + bytes > std::max(size, bytes))
    pool.next = 0;
  std::byte *result = pool.memory.data() + pool.next;
  pool.next += llvm::alignTo(bytes, 4096) + 4096; // not all copies at the same place of the sets of a cache
  return result;
}

static std::optional<int64_t> bytesOf(Value value, ArrayRef<tfm::DimExprAttr> dims, const reference::Symbols &symbols) {
  auto type = cast<RankedTensorType>(value.getType());
  std::string error;
  SmallVector<int64_t> shape;
  for (tfm::DimExprAttr dim : dims) {
    auto size = reference::evaluate(dim, symbols, error);
    if (!size || *size < 0)
      return std::nullopt;
    shape.push_back(*size);
  }
  return reference::storageBytes(RankedTensorType::get(shape, type.getElementType(), type.getEncoding()));
}

/// The table of a tfm.grouped_linear: offsets of the groups, then the numbers of the rows.
static void fillGroups(kern::KernelOp kernel, BlockArgument argument, std::byte *data, size_t bytes) {
  for (auto grouped : kernel.getBlock().getOps<tfm::GroupedLinearOp>()) {
    if (grouped.getGroups() != argument || !getElementTypeOrSelf(argument.getType()).isInteger(64))
      continue;
    int64_t groups = grouped.getWeight().getType().getDimSize(0), rows = int64_t(bytes / 8) - groups - 1;
    auto *table = reinterpret_cast<int64_t *>(data);
    for (int64_t group = 0; group <= groups; ++group)
      table[group] = rows * group / groups;
    for (int64_t row = 0; row < rows; ++row)
      table[groups + 1 + row] = row;
  }
}

/// The operation that walks the list of kept blocks `value`, or null.
static tfm::ExpandBlocksOp walkerOf(Value value) {
  for (OpOperand &use : value.getUses())
    if (auto expand = dyn_cast<tfm::ExpandBlocksOp>(use.getOwner()); expand && expand.getRows() == value)
      return expand;
  return {};
}

/// Whether an argument is the numbers of a weight, packed, as blocks, or what quads keep and where: each layer of a model has its own.
static bool isWeight(Value value) {
  auto isBlocks = [&](Operation *user) { return isa<tfm::ExpandQuadsOp>(user) || (isa<tfm::ExpandBlocksOp>(user) && user->getOperand(0) == value); };
  return isa<BlockArgument>(value) && (isa_and_nonnull<tfm::PanelsAttr>(cast<RankedTensorType>(value.getType()).getEncoding()) ||
                                       llvm::any_of(value.getUsers(), isBlocks));
}

/// Each list in steps of of/kept, somewhere within each: as spread and as irregular as solvers leave them.
void KernelBuffers::fillBlockRows(const BlockRows &rows, int64_t kept, int64_t of) {
  auto *numbers = reinterpret_cast<int32_t *>(rows.data);
  uint32_t state = 1;
  for (size_t i = 0, count = rows.bytes / 4 * rows.copies; i < count; ++i) {
    int64_t place = int64_t(i) % kept, begin = place * of / kept, end = (place + 1) * of / kept;
    numbers[i] = int32_t(begin + int64_t(advance(state) >> 8) % std::max<int64_t>(end - begin, 1));
  }
}

llvm::Expected<KernelBuffers> KernelBuffers::make(kern::KernelOp kernel, const reference::Symbols &symbols, WeightArena &arena) {
  KernelBuffers result;
  result.arena = &arena;
  SymbolicShapes shapes;
  std::vector<Value> values; ///< that lie in `memory`, with their sizes
  std::vector<uint64_t> sizes;
  std::vector<size_t> positions;
  auto add = [&](Value value, ArrayRef<tfm::DimExprAttr> dims) -> llvm::Error {
    auto bytes = bytesOf(value, dims, symbols);
    if (!bytes || (result.total += *bytes) > kMostBytes)
      return llvm::createStringError(bytes ? "its buffers take more than a gigabyte" : "a size of its buffers is not known");
    auto type = cast<RankedTensorType>(value.getType());
    result.addresses.push_back(nullptr);
    result.buffers.push_back({uint64_t(*bytes), isWeight(value) && arena.holds(*bytes)});
    if (result.buffers.back().isWeight) {
      result.weights.push_back({result.addresses.size() - 1, size_t(*bytes), type.getElementType()});
      return llvm::Error::success();
    }
    if (walkerOf(value))
      result.blockRows.push_back({.argument = result.addresses.size() - 1, .bytes = size_t(*bytes)});
    values.push_back(value), sizes.push_back(*bytes), positions.push_back(result.addresses.size() - 1);
    return llvm::Error::success();
  };
  for (Value value : kernel.getBlock().getArguments())
    if (llvm::Error error = add(value, shapes.dims(value)))
      return std::move(error);
  for (Value value : kernel.yielded())
    if (llvm::Error error = add(value, shapes.dims(value)))
      return std::move(error);
  size_t weightBytes = 0;
  for (const Weight &weight : result.weights) {
    if (!arena.take(1, weight.element)) // each element type has a mapping of its own
      return llvm::createStringError("there is no memory for weights");
    weightBytes += weight.bytes;
  }
  for (BlockRows &rows : result.blockRows) { // as many copies as there are of the blocks
    rows.copies = std::max<size_t>(arena.bytes() / std::max(weightBytes, rows.bytes), 1);
    sizes[llvm::find(positions, rows.argument) - positions.begin()] *= rows.copies;
  }
  // Behind each other as the runtime places them, in pages as large as a model's: the last block only makes the mapping so. It
  // is also what vectors may be loaded from at the end of a row.
  sizes.push_back(kHugePages);
  if (Status status = result.memory.place(sizes); !status.ok())
    return llvm::createStringError(status.message());
  for (auto [index, value] : llvm::enumerate(values)) {
    std::byte *data = result.memory.buffer(index);
    fillLarge(data, sizes[index], getElementTypeOrSelf(value.getType()));
    if (auto argument = dyn_cast<BlockArgument>(value))
      fillGroups(kernel, argument, data, sizes[index]);
    result.addresses[positions[index]] = data;
  }
  for (BlockRows &rows : result.blockRows) {
    rows.data = static_cast<std::byte *>(result.addresses[rows.argument]);
    tfm::ExpandBlocksOp walker = walkerOf(kernel.getBlock().getArgument(rows.argument));
    result.fillBlockRows(rows, walker.kept(), llvm::divideCeil(walker.getShape()[0], walker.blockDepth()));
  }
  return result;
}

void *const *KernelBuffers::next() {
  for (const Weight &weight : weights)
    addresses[weight.argument] = arena->take(weight.bytes, weight.element);
  for (BlockRows &rows : blockRows) {
    addresses[rows.argument] = rows.data + rows.next * rows.bytes;
    rows.next = (rows.next + 1) % rows.copies;
  }
  return addresses.data();
}
