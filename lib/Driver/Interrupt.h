//===- Interrupt.h - Ctrl-C that keeps what was found ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_INTERRUPT_H
#define PERMALLOY_LIB_DRIVER_INTERRUPT_H

namespace permalloy {

/// From now on the first SIGINT or SIGTERM sets a flag, which a command looks at between two steps; the second ends the process.
void stopOnInterrupt();
/// Whether one has come.
bool wasInterrupted();

} // namespace permalloy

#endif
