//===- CandidateCompiler.cpp - candidates compiled while others are measured *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/CandidateCompiler.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace permalloy;
using namespace permalloy::measure;

static constexpr unsigned kKernelsOfAContext = 64;

static bool hasSeveralCpus() {
  cpu_set_t cpus;
  return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1;
}

/// Also where the process has a real-time priority, which threads inherit. That it cannot be had is no error.
static void takeLowestPriority() {
  sched_param none = {};
  ::sched_setscheduler(0, SCHED_OTHER, &none);
  ::setpriority(PRIO_PROCESS, ::syscall(SYS_gettid), 19);
}

CandidateCompiler::~CandidateCompiler() {
  {
    std::lock_guard lock(mutex);
    ends = true;
    waiting.clear();
  }
  changed.notify_all();
  if (helper.joinable())
    helper.join();
}

CandidateCompiler::Handle CandidateCompiler::begin(kern::KernelOp kernel) {
  auto job = std::make_shared<Job>();
  job->text = codegen::textOf(kernel);
  {
    std::lock_guard lock(mutex);
    waiting.push_back(job);
  }
  changed.notify_all();
  if (!helper.joinable() && hasSeveralCpus())
    helper = std::thread([this] { work(); });
  return job;
}

/// With the mutex held.
CandidateCompiler::Handle CandidateCompiler::takeNext() {
  Handle job = std::move(waiting.front());
  waiting.pop_front();
  return job;
}

void CandidateCompiler::wait(const Handle &job) {
  std::unique_lock lock(mutex);
  while (!job->isDone) {
    if (waiting.empty()) {
      changed.wait(lock);
      continue;
    }
    Handle next = takeNext();
    lock.unlock();
    compile(own, *next);
    lock.lock();
    next->isDone = true;
  }
}

void CandidateCompiler::work() {
  takeLowestPriority();
  Workplace workplace;
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return ends || !waiting.empty(); });
    if (ends)
      return;
    Handle job = takeNext();
    lock.unlock();
    compile(workplace, *job);
    lock.lock();
    job->isDone = true;
    changed.notify_all();
  }
}

void CandidateCompiler::compile(Workplace &workplace, Job &job) {
  if (workplace.kernels++ % kKernelsOfAContext == 0)
    workplace.context = std::make_unique<codegen::KernelContext>();
  codegen::KernelContext &context = *workplace.context;
  auto module = context.parse(job.text);
  if (!module) {
    job.error = "internal error: it cannot be read back: " + context.takeError();
    return;
  }
  auto candidate = Candidate::compile(context.kernelOf(*module), target);
  std::string why = context.takeError();
  if (candidate)
    job.candidate = std::move(*candidate);
  else
    job.error = llvm::toString(candidate.takeError()) + (why.empty() ? "" : ": " + why);
}
