//===- KernelIdentity.cpp - when two kernels are the same for tuning *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/KernelIdentity.h"
#include "permalloy/Artifact/Hash.h"

using namespace permalloy;
using namespace mlir;

static std::string hashOf(const std::string &text) { return hash128(text.data(), text.size()).hex(); }

static std::string textOf(kern::KernelOp kernel) {
  OwningOpRef<kern::KernelOp> copy = kernel.clone();
  copy->setSymName("kernel");
  copy->removeScheduleAttr();
  copy->removeTilesAttr();
  copy->removeScratchBytesAttr();
  std::string text;
  llvm::raw_string_ostream os(text);
  copy.get()->print(os, OpPrintingFlags().useLocalScope());
  return text;
}

/// A weight of a product, as panels, kept blocks or kept quads.
static bool isPacked(Value value) {
  auto isBlocks = [&](Operation *user) { return isa<tfm::ExpandBlocksOp, tfm::ExpandQuadsOp>(user); };
  return isa_and_nonnull<tfm::PanelsAttr>(cast<RankedTensorType>(value.getType()).getEncoding()) || llvm::any_of(value.getUsers(), isBlocks);
}

/// The sizes of packed weights and the width of rows decide what a schedule is worth; other sizes differ between runs. A mask
/// is as wide as the keys are many.
static void printType(raw_ostream &os, Value value) {
  auto tensor = cast<RankedTensorType>(value.getType());
  if (isPacked(value)) {
    os << tensor;
    return;
  }
  bool isMask = llvm::any_of(value.getUsers(), [&](Operation *user) {
    auto attention = dyn_cast<tfm::AttentionOp>(user);
    return attention && attention.getMask() == value;
  });
  os << tensor.getElementType() << "/" << tensor.getRank();
  if (isa<BlockArgument>(value) && !isMask && tensor.getRank() > 0 && !tensor.isDynamicDim(tensor.getRank() - 1))
    os << "x" << tensor.getShape().back();
  if (tensor.getEncoding())
    os << tensor.getEncoding();
}

/// Sizes, and numbers of elements, that stand in attributes.
static bool isSize(Attribute attribute) {
  auto array = dyn_cast<ArrayAttr>(attribute);
  return isa<ElementsAttr, tfm::DimExprAttr>(attribute) ||
         (array && !array.empty() && llvm::all_of(array, llvm::IsaPred<tfm::DimExprAttr>));
}

static std::string structureOf(kern::KernelOp kernel) {
  std::string text;
  llvm::raw_string_ostream os(text);
  DenseMap<Value, unsigned> numbers;
  auto declare = [&](Value value) {
    numbers.try_emplace(value, numbers.size());
    os << " ";
    printType(os, value);
  };
  os << kern::stringifyEmitter(kernel.getEmitter());
  llvm::for_each(kernel.getBlock().getArguments(), declare);
  for (Operation &op : kernel.getBlock()) {
    os << "\n" << op.getName();
    for (Value operand : op.getOperands())
      os << " %" << numbers.lookup(operand);
    for (NamedAttribute attribute : op.getAttrs())
      if (!isSize(attribute.getValue()))
        os << " " << attribute.getName() << "=" << attribute.getValue();
    llvm::for_each(op.getResults(), declare);
  }
  return text;
}

/// Calls `visit` for each dimension of the arguments that are no packed weights.
static void forEachDim(kern::KernelOp kernel, function_ref<void(tfm::DimExprAttr)> visit) {
  for (BlockArgument argument : kernel.getBlock().getArguments())
    if (!isPacked(argument))
      for (tfm::DimExprAttr dim : kern::argDims(kernel, argument.getArgNumber()))
        visit(dim);
}

KernelIdentity permalloy::identityOf(kern::KernelOp kernel) {
  KernelIdentity result;
  result.text = textOf(kernel);
  result.id = hashOf(result.text);
  result.structure = hashOf(structureOf(kernel));
  result.emitter = kern::stringifyEmitter(kernel.getEmitter()).str();
  llvm::raw_string_ostream(result.dtype) << getElementTypeOrSelf(kernel.yielded()[0].getType());
  forEachDim(kernel, [&](tfm::DimExprAttr dim) { result.dims.push_back(dim.str()); });
  return result;
}

std::vector<int64_t> permalloy::sizesOf(kern::KernelOp kernel, const reference::Symbols &symbols) {
  std::vector<int64_t> result;
  forEachDim(kernel, [&](tfm::DimExprAttr dim) {
    std::string error;
    bool known = true;
    dim.walkSymbols([&](StringRef name) { known &= symbols.contains(name); });
    std::optional<int64_t> value = known ? reference::evaluate(dim, symbols, error) : std::nullopt;
    result.push_back(value.value_or(-1));
  });
  return result;
}
