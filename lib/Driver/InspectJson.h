//===- InspectJson.h - a compiled model as JSON ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_INSPECTJSON_H
#define PERMALLOY_LIB_DRIVER_INSPECTJSON_H

#include "Commands.h"

#include "permalloy/Runtime/Artifact.h"

#include "llvm/Support/raw_ostream.h"

namespace permalloy {

/// Prints all that `inspect` knows as one JSON object.
void printJson(const Artifact &artifact, llvm::raw_ostream &os);

/// "[batch, 384]".
std::string dimsText(const artifact::TensorInfo &tensor);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_INSPECTJSON_H
