//===- ScheduleAttribute.h - structs of schedules on kernels ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_SCHEDULEATTRIBUTE_H
#define PERMALLOY_LIB_CODEGEN_CPU_SCHEDULEATTRIBUTE_H

#include "Kern/Kern.h"
#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

inline mlir::LogicalResult reportSchedule(kern::KernelOp kernel, const CpuTarget &target,
                                          mlir::DictionaryAttr schedule, llvm::Error error) {
  return kernel.emitError("schedule ") << schedule << " does not fit " << target.name << ": "
                                       << llvm::toString(std::move(error));
}

/// The schedule that stands on a kernel; an error is emitted when it is none of `space`.
template <typename S>
mlir::FailureOr<S> readSchedule(kern::KernelOp kernel, const CpuTarget &target, const ScheduleSpaceOf<S> &space) {
  auto schedule = space.read(kernel.getScheduleAttr());
  if (!schedule)
    return reportSchedule(kernel, target, kernel.getScheduleAttr(), schedule.takeError());
  return *schedule;
}

/// Puts a schedule on a kernel and gives it: `wanted`, checked as by readSchedule, or `choice` where that is null.
template <typename S>
mlir::FailureOr<S> writeSchedule(kern::KernelOp kernel, const CpuTarget &target, const ScheduleSpaceOf<S> &space,
                                 const S &choice, mlir::DictionaryAttr wanted) {
  kernel.setScheduleAttr(wanted ? wanted : space.write(kernel.getContext(), choice));
  return readSchedule(kernel, target, space);
}

} // namespace permalloy::codegen

#endif
