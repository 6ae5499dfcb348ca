//===- DynamicInt8.cpp - weights and inputs in 8-bit integers ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// w8a8: codes of 8 bits with one scale of f32 for each column of the weight and, found while running, for each row of the input.
// It is a format of layers alone: a table's rows are not multiplied. w8a8oR: the R largest elements of each row are more than their codes,
// and the rest of them is multiplied in f32; w8a8 is w8a8o2.
//
//===----------------------------------------------------------------------===//

#include "../DynamicQuantization.h"
#include "Builtins.h"
#include "Tfm/PrecisionAttr.h"

using namespace mlir;
using namespace permalloy;

namespace {

class DynamicInt8Format : public WeightFormat {
public:
  std::string names() const override { return "w8a8, w8a8oR (R: elements of each row beside their codes, 0 to 7; 2)"; }
  bool accepts(StringRef level) const override { return outliersOfLevel(level).has_value(); }
  bool ignores(StringRef, StringRef precision) const override { return precision == kTf32Precision; }
  double bitsPerWeight(StringRef, int64_t k, int64_t) const override { return 8 + 32.0 / double(k); }

  std::string whyNot(StringRef, WeightSite site) const override {
    auto linear = dyn_cast<tfm::LinearOp>(site.op);
    return linear ? whyNotDynamic(linear) : "w8a8 is for products, and this takes rows of a table";
  }

  LogicalResult encode(StringRef level, StringRef, WeightSite site, EncodeContext &context) const override {
    quantizeDynamically(cast<tfm::LinearOp>(site.op), context.symbols, *outliersOfLevel(level));
    return success();
  }
};

} // namespace

std::unique_ptr<WeightFormat> permalloy::makeDynamicInt8Format() { return std::make_unique<DynamicInt8Format>(); }
