//===- Kern.cpp - the kernel and launch dialect ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Kern/Kern.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::kern;

#include "Kern/KernDialect.cpp.inc"
#include "Kern/KernEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "Kern/KernAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "Kern/KernOps.cpp.inc"

void KernDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "Kern/KernAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "Kern/KernOps.cpp.inc"
      >();
}

LogicalResult KernelOp::verify() {
  Block &block = getBlock();
  if (getArgDims().size() != block.getNumArguments())
    return emitOpError("has ") << block.getNumArguments() << " arguments but " << getArgDims().size() << " arg_dims (kernel_c1)";
  for (auto [dims, argument] : llvm::zip(getArgDims(), block.getArguments())) {
    auto list = dyn_cast<ArrayAttr>(dims);
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    bool ok = list && type && int64_t(list.size()) == type.getRank() &&
              llvm::all_of(list, [](Attribute a) { return isa<tfm::DimExprAttr>(a); });
    if (!ok)
      return emitOpError("arg_dims ") << dims << " do not fit argument " << argument.getType() << " (kernel_c1)";
  }
  if (!isa<YieldOp>(block.getTerminator()) || yielded().empty())
    return emitOpError("must end in kern.yield with at least one value (kernel_c2)");
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto callee = symbols.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!callee)
    return emitOpError("refers to ") << getKernelAttr() << ", which is no kern.kernel (launch_c1)";
  if (callee.getBlock().getArgumentTypes() != getInputs().getTypes() || callee.yielded().getTypes() != getResultTypes()) {
    InFlightDiagnostic diagnostic = emitOpError("types differ from those of ") << getKernelAttr() << " (launch_c1)";
    diagnostic.attachNote(callee.getLoc()) << "kernel declared here";
    return diagnostic;
  }
  if (callee.getSymbols().size() != getScalars().size())
    return emitOpError("gives ") << getScalars().size() << " scalars to a kernel of " << callee.getSymbols().size() << " symbols (launch_c2)";
  return success();
}

static bool isRank4(Type type) { return cast<RankedTensorType>(type).getRank() == 4; }

static bool haveOneElementType(Type a, Type b) { return getElementTypeOrSelf(a) == getElementTypeOrSelf(b); }

LogicalResult CacheOp::verify() {
  Type past = getPast().getType(), cache = getCache().getType();
  if (!isRank4(past) || !isRank4(cache) || !haveOneElementType(past, cache))
    return emitOpError("needs a past and a cache of rank 4 and one element type, not ") << past << " and " << cache << " (cache_c1)";
  if (getDims().size() != 4 || cast<tfm::DimExprAttr>(getDims()[2]).getKind() != tfm::DimKind::Symbol)
    return emitOpError("needs four dims, the third a symbol, not ") << getDims() << " (cache_c2)";
  return success();
}

LogicalResult CacheViewOp::verify() {
  Type cache = getCache().getType(), present = getPresent().getType();
  if (!isRank4(cache) || !isRank4(present) || !haveOneElementType(cache, present) || getDims().size() != 4)
    return emitOpError("needs four dims and tensors of rank 4 and one element type, not ")
           << getDims() << ", " << cache << " and " << present << " (cache_view_c1)";
  return success();
}

Value kern::storageOf(Value value) {
  for (;;) {
    if (auto view = value.getDefiningOp<ViewOp>())
      value = view.getInput();
    else if (auto view = value.getDefiningOp<CacheViewOp>())
      value = view.getCache();
    else
      return value;
  }
}

tfm::Dims kern::argDims(KernelOp kernel, unsigned index) {
  return tfm::dimsOf(cast<ArrayAttr>(kernel.getArgDims()[index]));
}

tfm::DimExprAttr kern::atLaunch(tfm::DimExprAttr expr, KernelOp kernel, LaunchOp launch) {
  return expr.substitute([&](StringRef name) -> tfm::DimExprAttr {
    for (auto [symbol, value] : llvm::zip(kernel.getSymbols(), launch.getScalars()))
      if (cast<StringAttr>(symbol).getValue() == name)
        return cast<tfm::DimExprAttr>(value);
    return {};
  });
}
