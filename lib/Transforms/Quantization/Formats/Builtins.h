//===- Builtins.h - the weight formats of the product ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_FORMATS_BUILTINS_H
#define PERMALLOY_LIB_TRANSFORMS_QUANTIZATION_FORMATS_BUILTINS_H

#include "permalloy/Transforms/Levels.h"

namespace permalloy {

std::unique_ptr<WeightFormat> makeAffineFormat();
std::unique_ptr<WeightFormat> makeBlockFormat();
std::unique_ptr<WeightFormat> makeDynamicInt8Format();
std::unique_ptr<WeightFormat> makeQuadFormat();

/// One line for each format.
inline constexpr std::unique_ptr<WeightFormat> (*kBuiltinFormats[])() = {
    makeAffineFormat,
    makeBlockFormat,
    makeDynamicInt8Format,
    makeQuadFormat,
};

} // namespace permalloy

#endif
