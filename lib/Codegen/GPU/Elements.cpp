//===- Elements.cpp - numbers of elements -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Elements.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

void codegen::chooseVectors(KernelFrame &frame, DimExprAttr width, int64_t elements,
                            function_ref<void(bool isWhole)> body) {
  KernelBuilder &b = frame.builder();
  Value isWhole = b.equal(b.rem(frame.emit(width), elements), b.i64(0));
  b.ifElse(isWhole, [&] { body(true); }, [&] { body(false); });
}

ScheduleSpace::Values codegen::elementChoices(int64_t most) {
  ScheduleSpace::Values choices;
  llvm::copy_if(ArrayRef<int64_t>{1, 4, 8}, std::back_inserter(choices), [&](int64_t n) { return n <= most; });
  return choices;
}

void codegen::shortenDivisions(KernelFrame &frame, GpuBuilder &b) {
  kern::KernelOp kernel = frame.kernel();
  DimExprAttr most = DimExprAttr::constant(b.getContext(), 0);
  auto look = [&](Value tensor) {
    if (!isa<RankedTensorType>(tensor.getType()))
      return;
    tfm::Dims dims = frame.dims(tensor);
    if (llvm::all_of(dims, isDerived))
      most = DimExprAttr::max(most, DimExprAttr::product(b.getContext(), dims));
  };
  llvm::for_each(kernel.getBlock().getArguments(), look);
  for (Operation &op : kernel.getBlock())
    llvm::for_each(op.getResults(), look);
  b.shortenDivisions(frame.emit(most));
}
