//===- Outliers.h - operations of elements that leave their row's codes -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TFM_OUTLIERS_H
#define PERMALLOY_TFM_OUTLIERS_H

#include "Tfm/Tfm.h"

#define GET_OP_CLASSES
#include "Tfm/OutlierOps.h.inc"

#endif
