//===- GpuMachine.cpp - blocks of GPU threads on a CPU ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuMachine.h"
#include "GpuBlock.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using llvm::formatv;

static constexpr size_t kStackBytes = 128 * 1024;

//===----------------------------------------------------------------------===//
// Stacks
//===----------------------------------------------------------------------===//

/// Saves what a function call keeps on this stack and its top at `from`, and goes on where the stack `to` was left.
[[gnu::naked, gnu::noinline]] static void switchStack(void **, void *) {
  asm("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n retq\n");
}

/// Of the thread `number` of any block of this thread of the CPU, such that switching to it calls `enter`.
static void *freshStack(unsigned number, void (*enter)()) {
  thread_local std::vector<std::unique_ptr<char[]>> stacks;
  while (stacks.size() <= number)
    stacks.push_back(std::make_unique_for_overwrite<char[]>(kStackBytes));
  auto top = reinterpret_cast<uintptr_t>(stacks[number].get() + kStackBytes) & ~uintptr_t(63);
  auto *words = reinterpret_cast<uintptr_t *>(top) - 8; // six registers, where to return to, and a word that aligns the stack
  std::fill_n(words, 8, 0);
  words[6] = reinterpret_cast<uintptr_t>(enter);
  return words;
}

//===----------------------------------------------------------------------===//
// The machine
//===----------------------------------------------------------------------===//

namespace {

/// One launch.
class Machine : public ThreadMachine {
public:
  Machine(KernelFunction kernel, void *const *buffers, const int64_t *scalars, unsigned count, size_t sharedBytes, void *launchScratch,
          MachineSchedule schedule);
  void run(int64_t begin, int64_t end);

private:
  static void enter();
  static void take(ThreadMachine *machine, int64_t what, uint32_t *words);
  static void see(ThreadMachine *machine, void *address, uint64_t access);
  bool act(ThreadStep what, uint32_t *words, unsigned place);
  void carryOut(const Copy &copy);
  void wait(unsigned groups);
  void finish();
  bool runBlock(int64_t block);
  bool runWarp(unsigned warp);
  bool releaseWarp(unsigned warp);
  bool releaseBlock();
  void reportWaiting();
  std::vector<unsigned> ordered(unsigned count);

  KernelFunction kernel;
  void *const *buffers;
  const int64_t *scalars;
  int64_t number = 0;
  MachineSchedule schedule;
  std::minstd_rand random;
  std::vector<char> memory;
  std::vector<Thread> threads;
  GpuChecks checks;
  void *scheduler = nullptr;
  unsigned current = 0;
};

thread_local Machine *running = nullptr;

char *addressOf(const uint32_t *words) {
  char *address;
  memcpy(&address, words, sizeof address);
  return address;
}

constexpr size_t kSharedAlignment = 1024;
/// Accesses that end behind shared memory are faults, and are carried out all the same: not in the memory of somebody else.
constexpr size_t kBehindShared = 4096;

uintptr_t sharedBase(const std::vector<char> &memory) { return llvm::alignTo(reinterpret_cast<uintptr_t>(memory.data()), kSharedAlignment); }

} // namespace

Machine::Machine(KernelFunction kernel, void *const *buffers, const int64_t *scalars, unsigned count, size_t sharedBytes,
                 void *launchScratch, MachineSchedule schedule)
    : kernel(kernel), buffers(buffers), scalars(scalars), schedule(schedule), random(schedule.order), memory(kSharedAlignment + sharedBytes + kBehindShared),
      threads(count), checks(sharedBase(memory), sharedBytes) {
  step = take;
  shared = reinterpret_cast<void *>(sharedBase(memory));
  scratch = launchScratch;
  access = see;
  places = nullptr;
  EXPECT_EQ(count % kWarp, 0u);
}

void Machine::enter() {
  Machine *own = running;
  auto function = reinterpret_cast<void (*)(void *const *, const int64_t *, int64_t, int64_t, ThreadMachine *)>(own->kernel);
  function(own->buffers, own->scalars, own->number, own->current, own);
  own->finish();
  Thread &thread = own->threads[own->current];
  thread.isDone = true;
  switchStack(&thread.stack, own->scheduler); // not to come back
}

//===----------------------------------------------------------------------===//
// What a thread does alone
//===----------------------------------------------------------------------===//

/// From the kernel: done at once, or the thread stops until others have come.
void Machine::take(ThreadMachine *machine, int64_t what, uint32_t *words) {
  auto *own = static_cast<Machine *>(machine);
  auto step = ThreadStep(what & 0xffffffff);
  unsigned place = unsigned(what >> 32);
  if (own->act(step, words, place))
    return;
  Thread &thread = own->threads[own->current];
  thread.wants = step;
  thread.place = place;
  thread.words = words;
  if (step == ThreadStep::loadMatrix || step == ThreadStep::loadTransposed)
    own->checks.access(own->current, reinterpret_cast<uintptr_t>(addressOf(words)),
                       {16, 16, ThreadAccess::load, 0, ThreadAccess::shared, uint16_t(place)});
  switchStack(&thread.stack, own->scheduler);
}

void Machine::see(ThreadMachine *machine, void *address, uint64_t packed) {
  auto *own = static_cast<Machine *>(machine);
  auto access = std::bit_cast<ThreadAccess>(packed);
  auto at = reinterpret_cast<uintptr_t>(address);
  if (access.buffer == ThreadAccess::shared)
    own->threads[own->current].accesses.push_back({access.place, access.bytes, at});
  own->checks.setPlaces(own->places);
  own->checks.access(own->current, at, access);
}

bool Machine::act(ThreadStep what, uint32_t *words, unsigned place) {
  Thread &thread = threads[current];
  switch (what) {
  case ThreadStep::copy: {
    Copy copy{addressOf(words), addressOf(words + 2), words[4], place};
    checks.copyBegins(current, reinterpret_cast<uintptr_t>(copy.to), reinterpret_cast<uintptr_t>(copy.from), copy.bytes,
                      uint16_t(words[5]), place);
    if (schedule.eagerCopies)
      carryOut(copy);
    thread.open.push_back(copy);
    return true;
  }
  case ThreadStep::commitCopies:
    thread.groups.push_back(std::move(thread.open));
    thread.open.clear();
    return true;
  case ThreadStep::waitCopies:
    wait(words[0]);
    return true;
  case ThreadStep::fence:
    checks.timeline.fence(current, words[0] & 1, words[0] & 2);
    return true;
  case ThreadStep::declare: {
    uint64_t bytes;
    memcpy(&bytes, words + 4, sizeof bytes);
    char *address = addressOf(words + 2);
    checks.setPlaces(places);
    checks.declare(words[0], words[1], address == scratch, reinterpret_cast<uintptr_t>(address), bytes);
    return true;
  }
  default:
    return false;
  }
}

void Machine::carryOut(const Copy &copy) {
  memset(copy.to, 0, 16);
  memcpy(copy.to, copy.from, copy.bytes);
}

void Machine::wait(unsigned groups) {
  Thread &thread = threads[current];
  for (; thread.groups.size() > groups; thread.groups.pop_front())
    for (const Copy &copy : thread.groups.front()) {
      if (!schedule.eagerCopies)
        carryOut(copy);
      checks.copyEnds(current, reinterpret_cast<uintptr_t>(copy.to), copy.place);
    }
}

/// The end of a thread.
void Machine::finish() {
  Thread &thread = threads[current];
  thread.groups.push_back(std::move(thread.open));
  for (const std::vector<Copy> &group : thread.groups)
    for (const Copy &copy : group)
      checks.report("waiting", copy.place, 0, formatv("thread {0} of block {1} ends before a copy of its has\n  {2}", current, number,
                                                      checks.place(copy.place)));
}

//===----------------------------------------------------------------------===//
// What threads do together
//===----------------------------------------------------------------------===//

/// Lets the threads of a warp go on that all wait in the same operation.
bool Machine::releaseWarp(unsigned number) {
  auto warp = llvm::MutableArrayRef(threads).slice(number * kWarp, kWarp);
  std::optional<ThreadStep> what = warp[0].wants;
  if (!what || *what == ThreadStep::barrier ||
      llvm::any_of(warp, [&](const Thread &thread) { return thread.wants != what || thread.place != warp[0].place; }))
    return false;
  countBankConflicts(warp);
  doTogether(warp, *what, [&](const std::string &fault) {
    checks.report("banks", warp[0].place, 0, formatv("{0}\n  {1}", fault, checks.place(warp[0].place)));
  });
  if (*what == ThreadStep::barrierOfWarp)
    checks.timeline.barrierOfWarp(number);
  for (Thread &thread : warp)
    thread.wants.reset();
  return true;
}

/// The same of a block at a barrier; each warp comes by one operation.
bool Machine::releaseBlock() {
  for (size_t i = 0; i < threads.size(); ++i)
    if (threads[i].wants != ThreadStep::barrier || threads[i].place != threads[i / kWarp * kWarp].place)
      return false;
  for (size_t first = 0; first < threads.size(); first += kWarp)
    countBankConflicts(llvm::MutableArrayRef(threads).slice(first, kWarp));
  checks.timeline.barrier();
  for (Thread &thread : threads)
    thread.wants.reset();
  return true;
}

/// Nobody can go on: what the threads wait for, those that follow one another and wait for the same together.
void Machine::reportWaiting() {
  std::string text;
  auto isLike = [&](size_t a, size_t b) {
    return threads[a].isDone == threads[b].isDone && threads[a].wants == threads[b].wants && threads[a].place == threads[b].place;
  };
  unsigned parts = 0;
  for (size_t first = 0, next = 0; first < threads.size() && parts < 6; first = next, ++parts) {
    while (next < threads.size() && isLike(first, next))
      ++next;
    std::string where = threads[first].isDone ? "are done" : "wait in " + checks.place(threads[first].place);
    text += formatv("\n  threads {0} to {1} {2}", first, next - 1, where);
  }
  checks.report("waiting", 0, 0, formatv("threads of block {0} wait for others that do not come{1}", number, text));
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

std::vector<unsigned> Machine::ordered(unsigned count) {
  std::vector<unsigned> result(count);
  std::iota(result.begin(), result.end(), 0);
  if (schedule.order == 1)
    std::ranges::reverse(result);
  else if (schedule.order > 1)
    std::ranges::shuffle(result, random);
  return result;
}

/// Every thread of a warp that can run does until it waits. Whether any did.
bool Machine::runWarp(unsigned warp) {
  bool moved = false;
  auto runLane = [&](unsigned lane) {
    current = warp * kWarp + lane;
    if (threads[current].isDone || threads[current].wants)
      return;
    switchStack(&scheduler, threads[current].stack);
    moved = true;
  };
  if (schedule.order == 0)
    for (unsigned lane = 0; lane < kWarp; ++lane)
      runLane(lane);
  else
    for (unsigned lane : ordered(kWarp))
      runLane(lane);
  return releaseWarp(warp) || moved;
}

bool Machine::runBlock(int64_t block) {
  number = block;
  memset(shared, 0xff, memory.data() + memory.size() - static_cast<char *>(shared));
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i] = {};
    threads[i].stack = freshStack(i, enter);
  }
  checks.beginBlock(block, threads.size());
  while (llvm::any_of(threads, [](const Thread &thread) { return !thread.isDone; })) {
    bool moved = false;
    for (unsigned warp : ordered(threads.size() / kWarp)) {
      bool goesOn = schedule.order == 1 || (schedule.order > 1 && random() % 2);
      do
        moved |= runWarp(warp);
      while (goesOn && !threads[warp * kWarp].wants && !threads[warp * kWarp].isDone);
    }
    if (!(releaseBlock() || moved))
      return reportWaiting(), false;
  }
  return true;
}

void Machine::run(int64_t begin, int64_t end) {
  Machine *outer = std::exchange(running, this);
  for (unsigned i : ordered(end - begin))
    if (!runBlock(begin + i))
      break;
  running = outer;
}

MachineSchedule permalloy::codegen::test::machineSchedule(unsigned seed) { return {seed % 4, seed % 2 == 1}; }

void permalloy::codegen::test::runBlocks(KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end,
                                         unsigned threads, size_t sharedBytes, void *scratch, MachineSchedule schedule) {
  Machine(kernel, buffers, scalars, threads, sharedBytes, scratch, schedule).run(begin, end);
}
