//===- PassCosts.cpp - the cost model's answers to passes --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "PassCosts.h"
#include "ScheduleChoice.h"
#include "permalloy/Codegen/KernelEmitter.h"

using namespace permalloy;
using namespace mlir;

PassCosts::Answers PassCosts::answersFor(const std::string &kernel) const {
  std::lock_guard<std::mutex> lock(mutex);
  auto [entry, isNew] = known.try_emplace(kernel);
  if (!isNew)
    return entry->second;
  if (!context)
    context = std::make_unique<codegen::KernelContext>();
  OwningOpRef<ModuleOp> module = context->parse(kernel);
  if (module && !module->getOps<kern::KernelOp>().empty()) {
    kern::KernelOp parsed = context->kernelOf(*module);
    if (succeeded(codegen::selectSchedule(parsed, target))) {
      NamedNumbers schedule = parsed.getScheduleAttr() ? numbersOf(parsed.getScheduleAttr()) : NamedNumbers();
      for (const KernelFacts &facts : usualFacts(parsed)) {
        CostAnswer answer = model->predict(facts, schedule, target.name.str());
        entry->second.us.push_back(answer.us);
        entry->second.estimates.push_back(answer.prior.nanoseconds() / 1e3);
      }
    }
  }
  context->takeError(); // no answer
  return entry->second;
}
