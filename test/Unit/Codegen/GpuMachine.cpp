//===- GpuMachine.cpp - blocks of GPU threads on a CPU ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuMachine.h"

#include "llvm/ADT/APFloat.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <ucontext.h>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

constexpr unsigned kWarp = 32, kStackBytes = 128 * 1024;

struct Copy {
  char *to;
  const char *from;
  uint32_t bytes;
};

/// Of shared memory.
struct Access {
  uint32_t instruction, bytes;
  uintptr_t address;
};

std::atomic<uint64_t> conflicts = 0;

struct Thread {
  ucontext_t context;
  bool done = false;
  /// What it waits for; nothing: it can run.
  std::optional<ThreadStep> wants;
  uint32_t *words = nullptr;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
  std::vector<Access> accesses;
};

/// One block.
class Block : public ThreadMachine {
public:
  Block(KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t number, unsigned count, size_t sharedBytes,
        void *launchScratch);
  void run();

private:
  static void enter(unsigned low, unsigned high, unsigned thread);
  static void take(ThreadMachine *machine, int64_t what, uint32_t *words);
  bool act(ThreadStep what, uint32_t *words);
  void wait(unsigned groups);
  bool release(unsigned first, unsigned count, bool isWarp);
  void checkBanks(unsigned first);
  void together(unsigned first, ThreadStep what);
  void loadMatrix(unsigned first, bool isTransposed);
  void multiply(unsigned first, ThreadStep what);
  void shuffle(unsigned first);
  void ballot(unsigned first);
  Thread &at(unsigned number) { return threads[number]; }

  KernelFunction kernel;
  void *const *buffers;
  const int64_t *scalars;
  int64_t number;
  std::vector<char> memory;
  std::vector<Thread> threads;
  ucontext_t scheduler;
  unsigned current = 0;
};

char *addressOf(const uint32_t *words) {
  char *address;
  memcpy(&address, words, sizeof address);
  return address;
}

/// Of the thread `number` of any block of this thread of the CPU: blocks run one after the other.
char *stackOf(unsigned number) {
  thread_local std::vector<std::unique_ptr<char[]>> stacks;
  while (stacks.size() <= number)
    stacks.push_back(std::make_unique_for_overwrite<char[]>(kStackBytes));
  return stacks[number].get();
}

float floatOf(uint32_t bits) { return std::bit_cast<float>(bits); }

int32_t byteOf(uint32_t word, unsigned index, bool isUnsigned) {
  uint8_t byte = word >> 8 * index;
  return isUnsigned ? int32_t(byte) : int32_t(int8_t(byte));
}

/// Element `index` of an operand word.
float elementOf(ThreadStep type, uint32_t word, unsigned index) {
  if (type == ThreadStep::multiplyTf32)
    return floatOf(word & 0xffffe000u); // 10 bits of mantissa
  uint16_t half = word >> 16 * index;
  if (int64_t(type) != int64_t(ThreadStep::multiplyTf32) + 1) // bf16
    return floatOf(uint32_t(half) << 16);
  llvm::APFloat value(llvm::APFloat::IEEEhalf(), llvm::APInt(16, half));
  bool lossy;
  value.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lossy);
  return value.convertToFloat();
}

} // namespace

Block::Block(KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t number, unsigned count, size_t sharedBytes,
             void *launchScratch)
    : kernel(kernel), buffers(buffers), scalars(scalars), number(number), memory(sharedBytes + 1024, char(0xff)), threads(count) {
  step = take;
  shared = reinterpret_cast<void *>(llvm::alignTo(reinterpret_cast<uintptr_t>(memory.data()), 1024));
  scratch = launchScratch;
}

void Block::enter(unsigned low, unsigned high, unsigned thread) {
  auto *block = reinterpret_cast<Block *>(uintptr_t(high) << 32 | low);
  auto function = reinterpret_cast<void (*)(void *const *, const int64_t *, int64_t, int64_t, ThreadMachine *)>(block->kernel);
  function(block->buffers, block->scalars, block->number, thread, block);
  block->at(thread).done = true;
}

/// From the kernel: done at once, or the thread stops until others have come.
void Block::take(ThreadMachine *machine, int64_t what, uint32_t *words) {
  auto *block = static_cast<Block *>(machine);
  Thread &thread = block->at(block->current);
  if (block->act(ThreadStep(what), words))
    return;
  thread.wants = ThreadStep(what);
  thread.words = words;
  swapcontext(&thread.context, &block->scheduler);
}

/// What a thread does alone.
bool Block::act(ThreadStep what, uint32_t *words) {
  Thread &thread = at(current);
  switch (what) {
  case ThreadStep::copy:
    thread.open.push_back({addressOf(words), addressOf(words + 2), words[4]});
    return true;
  case ThreadStep::commitCopies:
    thread.groups.push_back(std::move(thread.open));
    thread.open.clear();
    return true;
  case ThreadStep::waitCopies:
    wait(words[0]);
    return true;
  case ThreadStep::access:
    thread.accesses.push_back({words[0], words[1], reinterpret_cast<uintptr_t>(addressOf(words + 2))});
    return true;
  default:
    return false;
  }
}

void Block::wait(unsigned groups) {
  Thread &thread = at(current);
  for (; thread.groups.size() > groups; thread.groups.pop_front())
    for (const Copy &copy : thread.groups.front()) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(copy.to) % 16, 0u);
      EXPECT_TRUE(copy.bytes == 0 || copy.bytes == 16);
      memset(copy.to, 0, 16);
      memcpy(copy.to, copy.from, copy.bytes);
    }
}

/// The 8 x 4 words of matrix m are rows whose addresses lanes 8 m .. 8 m + 7 give; lane l gets word l % 4 of row l / 4 of each.
/// Transposed, it gets the elements l / 4 of the rows l % 4 * 2 and the one behind that.
void Block::loadMatrix(unsigned first, bool isTransposed) {
  const char *rows[kWarp];
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    rows[lane] = addressOf(at(first + lane).words);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(rows[lane]) % 16, 0u);
  }
  // Eight lanes are served at once: their rows must lie in different banks.
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    unsigned places = 0;
    for (unsigned row = 0; row < 8; ++row)
      places |= 1u << reinterpret_cast<uintptr_t>(rows[matrix * 8 + row]) / 16 % 8;
    EXPECT_EQ(places, 0xffu) << "bank conflict";
  }
  for (unsigned lane = 0; lane < kWarp; ++lane)
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
      uint32_t *word = at(first + lane).words + matrix;
      if (!isTransposed)
        memcpy(word, rows[matrix * 8 + lane / 4] + lane % 4 * 4, 4);
      for (unsigned half = 0; isTransposed && half < 2; ++half)
        memcpy(reinterpret_cast<char *>(word) + half * 2, rows[matrix * 8 + lane % 4 * 2 + half] + lane / 4 * 2, 2);
    }
}

void Block::multiply(unsigned first, ThreadStep what) {
  bool isInteger = int64_t(what) == int64_t(ThreadStep::multiplyTf32) + 3;
  unsigned inWord = what == ThreadStep::multiplyTf32 ? 1 : isInteger ? 4 : 2;
  uint32_t a[16][8], b[8][8], c[16][8], unsignedBytes = at(first).words[10];
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    const uint32_t *words = at(first + lane).words;
    unsigned g = lane / 4, t = lane % 4;
    a[g][t] = words[0], a[g + 8][t] = words[1], a[g][t + 4] = words[2], a[g + 8][t + 4] = words[3];
    b[t][g] = words[4], b[t + 4][g] = words[5];
    c[g][2 * t] = words[6], c[g][2 * t + 1] = words[7], c[g + 8][2 * t] = words[8], c[g + 8][2 * t + 1] = words[9];
  }
  // Every element is used eight or sixteen times, and its conversion is what takes time.
  int32_t integersOfA[16][32], integersOfB[32][8];
  float floatsOfA[16][16], floatsOfB[16][8];
  for (unsigned k = 0; k < 8 * inWord; ++k) {
    for (unsigned row = 0; row < 16; ++row)
      if (uint32_t word = a[row][k / inWord]; isInteger)
        integersOfA[row][k] = byteOf(word, k % 4, unsignedBytes & 1);
      else
        floatsOfA[row][k] = elementOf(what, word, k % inWord);
    for (unsigned column = 0; column < 8; ++column)
      if (uint32_t word = b[k / inWord][column]; isInteger)
        integersOfB[k][column] = byteOf(word, k % 4, unsignedBytes & 2);
      else
        floatsOfB[k][column] = elementOf(what, word, k % inWord);
  }
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned column = 0; column < 8; ++column) {
      float sum = floatOf(c[row][column]);
      uint32_t integer = c[row][column];
      for (unsigned k = 0; k < 8 * inWord; ++k)
        if (isInteger)
          integer += integersOfA[row][k] * integersOfB[k][column];
        else
          sum += floatsOfA[row][k] * floatsOfB[k][column];
      c[row][column] = isInteger ? integer : std::bit_cast<uint32_t>(sum);
    }
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    uint32_t *words = at(first + lane).words;
    unsigned g = lane / 4, t = lane % 4;
    words[0] = c[g][2 * t], words[1] = c[g][2 * t + 1], words[2] = c[g + 8][2 * t], words[3] = c[g + 8][2 * t + 1];
  }
}

void Block::shuffle(unsigned first) {
  uint32_t given[kWarp];
  for (unsigned lane = 0; lane < kWarp; ++lane)
    given[lane] = at(first + lane).words[0];
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    uint32_t *words = at(first + lane).words;
    auto kind = ShuffleKind(words[2]);
    unsigned from = kind == ShuffleKind::index ? words[1] : kind == ShuffleKind::down ? lane + words[1] : lane ^ words[1];
    words[0] = given[from < kWarp ? from : lane];
  }
}

void Block::ballot(unsigned first) {
  uint32_t bits = 0;
  for (unsigned lane = 0; lane < kWarp; ++lane)
    bits |= at(first + lane).words[0] << lane;
  for (unsigned lane = 0; lane < kWarp; ++lane)
    at(first + lane).words[0] = bits;
}

void Block::together(unsigned first, ThreadStep what) {
  if (what == ThreadStep::ballot)
    return ballot(first);
  if (what == ThreadStep::shuffle)
    return shuffle(first);
  if (what == ThreadStep::barrierOfWarp)
    return;
  if (what == ThreadStep::loadMatrix || what == ThreadStep::loadTransposed)
    return loadMatrix(first, what == ThreadStep::loadTransposed);
  multiply(first, what);
}

/// Whether threads that are served at once want different words of a bank.
static bool conflict(llvm::ArrayRef<Thread> threads, size_t access) {
  uintptr_t wordOf[32] = {};
  for (const Thread &thread : threads) {
    auto [instruction, bytes, address] = thread.accesses[access];
    for (uintptr_t word = address / 4; word * 4 < address + bytes; ++word) {
      if (wordOf[word % 32] && wordOf[word % 32] != word)
        return true;
      wordOf[word % 32] = word;
    }
  }
  return false;
}

/// What the threads of a warp did since they last waited, where all did the same.
void Block::checkBanks(unsigned first) {
  llvm::MutableArrayRef<Thread> warp = llvm::MutableArrayRef(threads).slice(first, kWarp);
  bool alike = llvm::all_of(warp, [&](const Thread &thread) {
    return std::ranges::equal(thread.accesses, warp[0].accesses, {}, &Access::instruction, &Access::instruction);
  });
  for (size_t i = 0; alike && i < warp[0].accesses.size(); ++i) {
    unsigned atOnce = kWarp * 4 / std::max(warp[0].accesses[i].bytes, 4u); // 128 bytes
    for (unsigned from = 0; from < kWarp; from += atOnce)
      conflicts += conflict(warp.slice(from, atOnce), i);
  }
  for (Thread &thread : warp)
    thread.accesses.clear();
}

/// Lets threads go on that all wait for the same.
bool Block::release(unsigned first, unsigned count, bool isWarp) {
  std::optional<ThreadStep> what = at(first).wants;
  if (!what || (*what == ThreadStep::barrier) == isWarp)
    return false;
  for (unsigned i = first; i < first + count; ++i)
    if (at(i).wants != what)
      return false;
  for (unsigned warp = first; warp < first + count; warp += kWarp)
    checkBanks(warp);
  if (isWarp)
    together(first, *what);
  for (unsigned i = first; i < first + count; ++i)
    at(i).wants.reset();
  return true;
}

void Block::run() {
  for (unsigned i = 0; i < threads.size(); ++i) {
    Thread &thread = at(i);
    getcontext(&thread.context);
    thread.context.uc_stack = {stackOf(i), 0, kStackBytes};
    thread.context.uc_link = &scheduler;
    auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&thread.context, reinterpret_cast<void (*)()>(enter), 3, unsigned(self), unsigned(self >> 32), i);
  }
  for (;;) {
    bool moved = false, done = true;
    for (current = 0; current < threads.size(); ++current) {
      Thread &thread = at(current);
      while (!thread.done && !thread.wants) {
        swapcontext(&scheduler, &thread.context);
        moved = true;
      }
      done &= thread.done;
      if (current % kWarp == kWarp - 1)
        moved |= release(current - kWarp + 1, kWarp, /*isWarp=*/true);
    }
    if (done)
      return;
    moved |= release(0, threads.size(), /*isWarp=*/false);
    if (!moved)
      return ADD_FAILURE() << "threads wait for others that do not come", void();
  }
}

uint64_t permalloy::codegen::test::bankConflicts() { return conflicts; }

void permalloy::codegen::test::runBlocks(KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end,
                                         unsigned threads, size_t sharedBytes, void *scratch) {
  for (int64_t number = begin; number < end; ++number)
    Block(kernel, buffers, scalars, number, threads, sharedBytes, scratch).run();
}
