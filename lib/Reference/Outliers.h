//===- Outliers.h - evaluation of elements that leave their row's codes -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_REFERENCE_OUTLIERS_H
#define PERMALLOY_LIB_REFERENCE_OUTLIERS_H

#include "Evaluate.h"
#include "Tfm/Outliers.h"

namespace permalloy::reference {

Result evaluate(tfm::OutlierLimitOp op, Operands in, Scope &scope);
Result evaluate(tfm::OutlierPositionsOp op, Operands in, Scope &scope);
Result evaluate(tfm::OutlierValuesOp op, Operands in, Scope &scope);
Result evaluate(tfm::OutlierLinearOp op, Operands in, Scope &scope);

} // namespace permalloy::reference

#endif
