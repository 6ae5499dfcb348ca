//===- Passes.td - decisions of code generation ------------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_CODEGEN_PASSES_TD
#define PERMALLOY_CODEGEN_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectSchedules : Pass<"select-schedules", "::mlir::ModuleOp"> {
  let summary = "give every kernel a schedule for one target";
  let description = [{
    Writes `schedule`, `tiles` and `scratch_bytes` on every `kern.kernel` that has none yet: the default of its emitter for this
    target and these shapes, on a GPU what the cost model's prior makes of that of its form. A schedule that stands there is checked against what the emitter declares (ScheduleSpace.h) and kept,
    with the `tiles` and `scratch_bytes` that go with it, so it can be edited. Every legal schedule of a contraction gives the same
    bits.
  }];
  let options = [Option<"target", "target", "std::string", "\"host\"",
                        "instruction set: host, x86-64-v3, x86-64-v4, sapphirerapids; or a GPU: sm_80, sm_89, sm_90a, sm_100">,
                 Option<"listSpaces", "list-spaces", "bool", "false",
                        "print the parameters and values of each kernel's schedules">];
}

def PrintPtx : Pass<"print-ptx", "::mlir::ModuleOp"> {
  let summary = "print the PTX of every kernel";
  let description = [{
    Gives every `kern.kernel` that has no schedule the one that the compiler chooses for a GPU target, and prints the PTX that it compiles to. Needs no
    CUDA toolkit. The module stays as it is, but for the schedules.
  }];
  let options = [Option<"target", "target", "std::string", "\"sm_80\"", "sm_80, sm_89, sm_90a or sm_100">];
}

#endif
