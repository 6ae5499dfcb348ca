//===- GpuMachineTest.cpp - faults of GPU kernels that the machine finds *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuMachine.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Codegen/GPU/CpuLoops.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Verifier.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/SourceMgr.h"

#include "gmock/gmock.h"
#include "gtest/gtest-spi.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using mlir::Value;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

constexpr int64_t kBytes = 1024;
using Body = std::function<void(GpuBuilder &b, WarpBuilder &warp)>;

/// A kernel that is written by hand: an operand, a result and scratch of kBytes each.
class HandMade {
public:
  HandMade(unsigned threads, const Body &body) : threads(threads) {
    mlir::DialectRegistry registry;
    registerKernelDialects(registry);
    registerGpuDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    context.disableMultithreading();
    module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    GpuBuilder b(*module, module->getLoc(), "kernel", GpuTarget::all().front(), threads, /*numBuffers=*/2, /*numScalars=*/0);
    WarpBuilder warp(b);
    body(b, warp);
    b.finish();
    EXPECT_TRUE(succeeded(mlir::verify(*module)));
  }

  /// What the machine says of a launch of `blocks`.
  std::vector<std::string> faults(int64_t blocks = 1, MachineSchedule schedule = {}) {
    auto describe = [](KernelBuilder &b) { return llvm::SmallVector<ThreadBuffer>{{b.i64(kBytes)}, {b.i64(kBytes), true}, {b.i64(kBytes), true}}; };
    EXPECT_TRUE(succeeded(toCpuThread(*module, "kernel", describe)) && succeeded(lowerToLLVM(*module, cpuLoopsTarget())));
    llvm::SmallVector<char, 0> object = llvm::cantFail(emitObject(*module, cpuLoopsTarget()));
    auto image = llvm::cantFail(linkImage({llvm::ArrayRef<char>(object)}));
    MappedImage code(image.bytes);
    // Room on both sides: what is outside must not fault here.
    struct alignas(16) Memory {
      char before[artifact::kDeviceCounters * 4] = {}, bytes[2 * kBytes] = {};
    };
    auto operand = std::make_unique<Memory>(), scratch = std::make_unique<Memory>();
    result = std::make_unique<std::array<int32_t, 2 * kBytes / 4>>();
    void *buffers[] = {operand->bytes, result->data()};
    testing::TestPartResultArray found;
    {
      testing::ScopedFakeTestPartResultReporter reporter(testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &found);
      runBlocks(code.at(image.entries.at("kernel")), buffers, nullptr, 0, blocks, threads, kBytes, scratch->bytes, schedule);
    }
    std::vector<std::string> texts;
    for (int i = 0; i < found.size(); ++i)
      texts.push_back(found.GetTestPartResult(i).message());
    return texts;
  }

  /// The optimised LLVM IR of the kernel for a GPU.
  std::string ir() {
    EXPECT_TRUE(succeeded(lowerToLLVM(*module, GpuTarget::all().front().thread())));
    return llvm::cantFail(emitGpuLLVMIR(*module, GpuTarget::all().front()));
  }

  std::unique_ptr<std::array<int32_t, 2 * kBytes / 4>> result;

private:
  unsigned threads;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

std::vector<std::string> faults(unsigned threads, const Body &body, int64_t blocks = 1) { return HandMade(threads, body).faults(blocks); }

/// Word `number` (i32) of a memory.
Value word(GpuBuilder &b, Value memory, Value number) { return b.at(memory, b.wide(b.mul(number, 4))); }
Value loadWord(GpuBuilder &b, Value memory, Value number) { return b.load(b.getI32Type(), word(b, memory, number)); }
void storeResult(GpuBuilder &b, Value value) { b.store(value, word(b, b.buffer(1), b.threadIndex())); }

/// Each thread leaves a word in shared memory, `between`, and reads that of the thread `distance` further on, of `threads`.
Body exchange(int64_t distance, int64_t threads, const std::function<void(GpuBuilder &, WarpBuilder &)> &between) {
  return [=](GpuBuilder &b, WarpBuilder &warp) {
    Value shared = warp.sharedMemory();
    b.store(b.threadIndex(), word(b, shared, b.threadIndex()));
    between(b, warp);
    storeResult(b, loadWord(b, shared, b.rem(b.add(b.threadIndex(), distance), threads)));
  };
}

TEST(GpuMachineTest, SharedMemoryNeedsBarriers) {
  auto barrier = [](GpuBuilder &, WarpBuilder &warp) { warp.barrier(); };
  auto ofWarp = [](GpuBuilder &, WarpBuilder &warp) { warp.barrierOfWarp(); };
  auto shuffle = [](GpuBuilder &b, WarpBuilder &warp) { warp.shuffleXor(b.threadIndex(), 1); };
  EXPECT_THAT(faults(64, exchange(33, 64, barrier)), IsEmpty());
  EXPECT_THAT(faults(32, exchange(1, 32, ofWarp)), IsEmpty());
  EXPECT_THAT(faults(64, exchange(32, 64, ofWarp)), ElementsAre(HasSubstr("race: thread 0 of block 0 reads shared 0x80, and nothing orders that "
                                                                          "behind what thread 32 wrote there\n  #4 %")));
  // All threads come by a shuffle, but it orders no memory.
  EXPECT_THAT(faults(32, exchange(1, 32, shuffle)), testing::Contains(HasSubstr("race")));
}

/// What is read must not be written before all have read it.
TEST(GpuMachineTest, WritesComeBehindReads) {
  for (bool isOrdered : {true, false}) {
    auto found = faults(64, exchange(1, 64, [&](GpuBuilder &b, WarpBuilder &warp) {
      warp.barrier();
      storeResult(b, loadWord(b, warp.sharedMemory(), b.rem(b.add(b.threadIndex(), 33), 64)));
      if (isOrdered)
        warp.barrier();
      b.store(b.i32(1), word(b, warp.sharedMemory(), b.threadIndex()));
      warp.barrier();
    }));
    if (isOrdered)
      EXPECT_THAT(found, IsEmpty());
    else
      EXPECT_THAT(found, testing::Contains(HasSubstr("thread 33 of block 0 writes shared 0x84, and nothing orders that behind what thread 0 read there")));
  }
}

/// A copy is there for its thread when that waited, for others behind the next barrier.
TEST(GpuMachineTest, CopiesAreWaitedFor) {
  for (bool waits : {true, false})
    for (bool meets : {true, false}) {
      auto found = faults(32, [&](GpuBuilder &b, WarpBuilder &warp) {
        Value shared = warp.sharedMemory(), place = b.mul(b.threadIndex(), 16);
        warp.copyAsync(b.at(shared, b.wide(place)), b.at(b.buffer(0), b.wide(place)));
        warp.commitCopies();
        if (waits)
          warp.waitCopies(0);
        if (meets)
          warp.barrier();
        storeResult(b, loadWord(b, shared, b.threadIndex()));
        if (!waits)
          warp.waitCopies(0);
      });
      if (waits && meets)
        EXPECT_THAT(found, IsEmpty());
      else
        EXPECT_THAT(found, testing::Contains(HasSubstr(waits ? "race" : "a copy of thread")));
    }
  EXPECT_THAT(faults(32, [&](GpuBuilder &b, WarpBuilder &warp) {
                Value place = b.wide(b.mul(b.threadIndex(), 16));
                warp.copyAsync(b.at(warp.sharedMemory(), place), b.at(b.buffer(0), place));
              }),
              ElementsAre(HasSubstr("ends before a copy")));
}

/// Blocks that leave parts of a result in scratch; the last to come adds them up.
Body split(const std::function<Value(GpuBuilder &, WarpBuilder &, Value counter, Value word)> &arrive) {
  return [=](GpuBuilder &b, WarpBuilder &warp) {
    Value parts = b.launchScratch();
    b.store(b.i32(1), word(b, parts, b.add(b.mul(b.blockIndex(), 64), b.threadIndex())));
    Value isLast = arrive(b, warp, b.at(parts, -4 * int64_t(artifact::kDeviceCounters)), warp.sharedMemory());
    b.ifThen(isLast, [&] {
      Value sum = b.i32(0);
      for (int64_t block = 0; block < 3; ++block)
        sum = b.add(sum, loadWord(b, parts, b.add(b.threadIndex(), block * 64)));
      storeResult(b, sum);
    });
  };
}

TEST(GpuMachineTest, BlocksMeetThroughFencesAndCounters) {
  HandMade good(64, split([](GpuBuilder &, WarpBuilder &warp, Value counter, Value flag) { return warp.arriveLast(counter, 3, flag); }));
  EXPECT_THAT(good.faults(3, machineSchedule(1)), IsEmpty());
  EXPECT_THAT(llvm::ArrayRef(good.result->data(), 64), testing::Each(3));
  /// Fences: 1 before the atomic operation and 2 behind it, of the thread that counts; 4 of all threads around the barriers.
  auto arrive = [](unsigned fences) {
    return split([=](GpuBuilder &b, WarpBuilder &warp, Value counter, Value flag) -> Value {
      auto fence = [&](unsigned which) {
        if (fences & which)
          mlir::LLVM::FenceOp::create(b, mlir::LLVM::AtomicOrdering::acq_rel, "device");
      };
      fence(4);
      warp.barrier();
      b.ifThen(b.equal(b.threadIndex(), b.i32(0)), [&] {
        fence(1);
        Value before = mlir::LLVM::AtomicRMWOp::create(b, mlir::LLVM::AtomicBinOp::uinc_wrap, counter, b.i32(2),
                                                       mlir::LLVM::AtomicOrdering::acq_rel, "device", 4);
        fence(2);
        b.store(before, flag);
      });
      warp.barrier();
      fence(4);
      return b.equal(b.load(b.getI32Type(), flag), b.i32(2));
    });
  };
  EXPECT_THAT(faults(64, arrive(3), 3), IsEmpty());
  for (unsigned fences : {0, 1, 2, 4})
    EXPECT_THAT(faults(64, arrive(fences), 3), testing::Contains(HasSubstr("of another block wrote there"))) << fences;
}

TEST(GpuMachineTest, BlocksWriteDifferentResults) {
  auto found = faults(32, [](GpuBuilder &b, WarpBuilder &) { storeResult(b, b.blockIndex()); }, 2);
  EXPECT_THAT(found, ElementsAre(HasSubstr("writes result, buffer 1 byte 0, and nothing orders that behind what thread 0 of another block wrote there")));
  // Bytes of a word are different places.
  EXPECT_THAT(faults(32, [](GpuBuilder &b, WarpBuilder &) {
                Value byte = mlir::arith::TruncIOp::create(b, b.getI8Type(), b.threadIndex());
                b.store(byte, b.at(b.buffer(1), b.threadInBlock()), 1);
              }),
              IsEmpty());
}

TEST(GpuMachineTest, AllThreadsComeBy) {
  auto half = [](GpuBuilder &b) { return b.less(b.bitAnd(b.threadIndex(), 31), 16); };
  auto isWaiting = ElementsAre(HasSubstr("wait for others that do not come"));
  EXPECT_THAT(faults(32, [&](GpuBuilder &b, WarpBuilder &warp) { b.ifThen(half(b), [&] { warp.shuffleXor(b.threadIndex(), 1); }); }),
              ElementsAre(testing::AllOf(HasSubstr("threads 0 to 15 wait in #"), HasSubstr("= nvvm.shfl.sync"), HasSubstr("threads 16 to 31 are done"))));
  // The same kind of operation in both branches is not the same operation.
  EXPECT_THAT(faults(32, [&](GpuBuilder &b, WarpBuilder &warp) {
                b.ifElse(half(b), [&] { warp.barrierOfWarp(); }, [&] { warp.barrierOfWarp(); });
              }),
              isWaiting);
  EXPECT_THAT(faults(32, [&](GpuBuilder &b, WarpBuilder &warp) {
                b.ifElse(half(b), [&] { warp.barrier(); }, [&] { warp.barrier(); });
              }),
              isWaiting);
  EXPECT_THAT(faults(64, [&](GpuBuilder &b, WarpBuilder &warp) { b.ifThen(b.less(b.threadIndex(), 32), [&] { warp.barrier(); }); }), isWaiting);
  EXPECT_THAT(faults(64, [&](GpuBuilder &b, WarpBuilder &warp) { b.ifThen(b.less(b.threadIndex(), 32), [&] { warp.barrierOfWarp(); }); }), IsEmpty());
}

TEST(GpuMachineTest, AccessesStayInTheirBuffers) {
  auto reading = [](int64_t offset, unsigned alignment) {
    return faults(32, [=](GpuBuilder &b, WarpBuilder &) {
      Value place = b.at(b.buffer(0), b.mul(b.threadInBlock(), 16));
      storeResult(b, b.load(b.getI32Type(), b.at(place, offset), alignment));
    });
  };
  EXPECT_THAT(reading(kBytes - 31 * 16 - 4, 4), IsEmpty());
  EXPECT_THAT(reading(kBytes - 31 * 16, 4), ElementsAre(HasSubstr("bounds: thread 31 of block 0 reads 4 bytes")));
  EXPECT_THAT(reading(-16, 4), ElementsAre(HasSubstr("bounds: thread 0 ")));
  EXPECT_THAT(reading(2, 4), ElementsAre(HasSubstr("not aligned to 4 bytes")));
  EXPECT_THAT(reading(8, 16), ElementsAre(HasSubstr("not aligned to 16 bytes")));
  EXPECT_THAT(faults(32, [](GpuBuilder &b, WarpBuilder &) { b.store(b.i32(0), word(b, b.buffer(0), b.threadIndex())); }),
              ElementsAre(HasSubstr("an operand is no result")));
  EXPECT_THAT(faults(32, [](GpuBuilder &b, WarpBuilder &warp) { b.store(b.i32(0), word(b, warp.sharedMemory(), b.add(b.threadIndex(), kBytes / 4))); }),
              ElementsAre(HasSubstr("the block has 1024 bytes")));
}

/// ld.global.nc is for what nobody writes while the kernel runs.
TEST(GpuMachineTest, ConstantLoadsAreOfOperands) {
  auto reading = [](const std::function<Value(GpuBuilder &)> &memory) {
    return faults(32, [&](GpuBuilder &b, WarpBuilder &) {
      Value own = word(b, memory(b), b.threadIndex());
      b.store(b.i32(1), word(b, b.launchScratch(), b.threadIndex()));
      storeResult(b, mlir::LLVM::LoadOp::create(b, b.getI32Type(), own, 4, /*isVolatile=*/false, /*isNonTemporal=*/false, /*isInvariant=*/true));
    });
  };
  EXPECT_THAT(reading([](GpuBuilder &b) { return b.buffer(0); }), IsEmpty());
  EXPECT_THAT(reading([](GpuBuilder &b) { return b.launchScratch(); }), ElementsAre(HasSubstr("constant: thread 0 of block 0 reads 4 bytes at scratch")));
}

TEST(GpuMachineTest, WhatNobodyWroteIsNotRead) {
  auto found = faults(32, [](GpuBuilder &b, WarpBuilder &warp) { storeResult(b, loadWord(b, warp.sharedMemory(), b.threadIndex())); });
  EXPECT_THAT(found, ElementsAre(HasSubstr("undefined: thread 0 of block 0 reads shared 0x0, which nobody wrote")));
  // Shared memory of the block before is another one's.
  auto twice = [](GpuBuilder &b, WarpBuilder &warp) {
    Value own = word(b, warp.sharedMemory(), b.threadIndex());
    b.ifThen(b.equal(b.blockIndex(), b.i32(0)), [&] { b.store(b.i32(1), own); });
    Value value = b.load(b.getI32Type(), own);
    b.store(value, word(b, b.buffer(1), b.add(b.threadIndex(), b.mul(b.blockIndex(), 32))));
  };
  EXPECT_THAT(faults(32, twice, 2), ElementsAre(HasSubstr("thread 0 of block 1")));
  found = faults(32, [](GpuBuilder &b, WarpBuilder &) { storeResult(b, loadWord(b, b.launchScratch(), b.threadIndex())); });
  EXPECT_THAT(found, ElementsAre(HasSubstr("reads scratch")));
}

/// What depends on the order of blocks or on when a copy happens has other results in other schedules.
TEST(GpuMachineTest, SchedulesDiffer) {
  auto resultOf = [](const Body &body, int64_t blocks, unsigned schedule) {
    HandMade kernel(32, body);
    kernel.faults(blocks, machineSchedule(schedule));
    return std::vector<int32_t>(kernel.result->data(), kernel.result->data() + blocks);
  };
  auto ticket = [](GpuBuilder &b, WarpBuilder &) {
    Value counter = b.at(b.launchScratch(), -4 * int64_t(artifact::kDeviceCounters));
    b.ifThen(b.equal(b.threadIndex(), b.i32(0)), [&] {
      Value own = mlir::LLVM::AtomicRMWOp::create(b, mlir::LLVM::AtomicBinOp::add, counter, b.i32(1), mlir::LLVM::AtomicOrdering::monotonic, "device", 4);
      b.store(own, word(b, b.buffer(1), b.blockIndex()));
    });
  };
  EXPECT_THAT(resultOf(ticket, 3, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(resultOf(ticket, 3, 1), ElementsAre(2, 1, 0));
  auto early = [](GpuBuilder &b, WarpBuilder &warp) {
    Value place = b.wide(b.mul(b.threadIndex(), 16)), own = b.at(warp.sharedMemory(), place);
    warp.copyAsync(own, b.at(b.buffer(0), place));
    warp.commitCopies();
    storeResult(b, b.load(b.getI32Type(), own));
    warp.waitCopies(0);
  };
  EXPECT_THAT(resultOf(early, 1, 0), ElementsAre(-1));
  EXPECT_THAT(resultOf(early, 1, 1), ElementsAre(0));
}

/// LLVM must not move what a warp does together behind a branch.
TEST(GpuMachineTest, WhatAWarpDoesIsConvergent) {
  std::string text = HandMade(32, [](GpuBuilder &b, WarpBuilder &warp) {
                       Value own = b.threadIndex(), zero = b.f32(0);
                       llvm::SmallVector<Value> a = warp.loadMatrix(b.at(warp.sharedMemory(), b.mul(b.threadInBlock(), 16)));
                       llvm::SmallVector<Value> c = warp.multiply(OperandType::bf16, a, {own, own}, {zero, zero, zero, zero});
                       warp.barrierOfWarp();
                       warp.barrier();
                       Value sum = warp.shuffleXor(c[0], 1), bits = warp.ballot(b.less(own, 16));
                       b.ifThen(b.less(own, b.narrow(b.blockNumber())), [&] {
                         storeResult(b, bits);
                         b.store(sum, b.at(b.buffer(1), 512));
                       });
                     }).ir();
  llvm::LLVMContext context;
  llvm::SMDiagnostic error;
  std::unique_ptr<llvm::Module> parsed = llvm::parseAssemblyString(text, error, context);
  ASSERT_TRUE(parsed);
  unsigned calls = 0;
  for (llvm::Function &function : *parsed)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction); call && !call->getCalledFunction()->getName().contains("sreg")) {
        EXPECT_TRUE(call->isConvergent()) << call->getCalledFunction()->getName().str();
        ++calls;
      }
  EXPECT_EQ(calls, 6u) << text;
}

} // namespace
