//===- KernelCheck.cpp - a function as one kernel, against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"
#include "GpuMachine.h"
#include "Tfm/Panels.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Codegen/GPU/CpuLoops.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Parser/Parser.h"

#include <sys/mman.h>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using llvm::SmallVector;

GuardedBuffer::GuardedBuffer(size_t size, size_t alignment) {
  constexpr size_t page = 4096;
  mapped = llvm::alignTo(size + alignment, page) + page;
  base = static_cast<char *>(
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(base + mapped - page, page, PROT_NONE);
  start = base + mapped - page - llvm::alignTo(size, alignment);
}

GuardedBuffer::~GuardedBuffer() { munmap(base, mapped); }

/// The body of `function` as a kernel behind it.
static kern::KernelOp makeKernel(mlir::func::FuncOp function, kern::Emitter emitter) {
  mlir::OpBuilder builder(function.getContext());
  builder.setInsertionPointAfter(function);
  SmallVector<mlir::Attribute> symbols, dims;
  for (const std::string &name : reference::dimensionNames(function))
    symbols.push_back(builder.getStringAttr(name));
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto own = function.getArgAttrOfType<mlir::ArrayAttr>(i, tfm::TfmDialect::kDimsAttr);
    auto type = mlir::cast<mlir::RankedTensorType>(function.getArgumentTypes()[i]);
    dims.push_back(own ? own : tfm::dimArray(function.getContext(), tfm::dimsOfType(type)));
  }
  auto kernel = kern::KernelOp::create(builder, function.getLoc(), builder.getStringAttr("kernel"),
                                       kern::EmitterAttr::get(function.getContext(), emitter),
                                       builder.getArrayAttr(symbols), builder.getArrayAttr(dims),
                                       nullptr, nullptr, nullptr);
  mlir::Block *block = builder.createBlock(&kernel.getBody());
  mlir::IRMapping mapping;
  for (mlir::BlockArgument argument : function.getArguments())
    mapping.map(argument, block->addArgument(argument.getType(), argument.getLoc()));
  for (mlir::Operation &op : function.getBody().front().without_terminator())
    builder.clone(op, mapping);
  SmallVector<mlir::Value> results;
  for (mlir::Value value : function.getBody().front().getTerminator()->getOperands())
    results.push_back(mapping.lookup(value));
  kern::YieldOp::create(builder, function.getLoc(), results);
  return kernel;
}

KernelCheck::KernelCheck(llvm::StringRef text, llvm::StringRef emitter) {
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  registerGpuDialects(registry);
  registry.insert<mlir::func::FuncDialect, tfm::TfmDialect, kern::KernDialect>();
  context.appendDialectRegistry(registry);
  context.loadAllAvailableDialects();
  context.disableMultithreading();
  module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  auto kind = kern::symbolizeEmitter(emitter);
  if (!module || !kind) {
    ADD_FAILURE() << "the test does not parse";
    return;
  }
  kernel = makeKernel(function(), *kind);
  auto packValue = [&](mlir::Value value) {
    if (mlir::isa_and_nonnull<mlir::BlockArgument>(value))
      value.setType(mlir::cast<mlir::RankedTensorType>(value.getType())
                        .cloneWithEncoding(tfm::PanelsAttr::get(&context)));
  };
  if (*kind != kern::Emitter::Generic) // which is tested with codes of a byte each
    for (auto decode : kernel.getBlock().getOps<tfm::DequantizeOp>())
      for (mlir::Value part : {mlir::Value(decode.getCodes()), mlir::Value(decode.getScales()),
                               mlir::Value(decode.getZeroPoints())})
        packValue(part);
  if (*kind != kern::Emitter::Contraction)
    return;
  auto pack = [&](auto linear) { packValue(linear.getWeight()); };
  llvm::for_each(kernel.getBlock().getOps<tfm::LinearOp>(), pack);
  llvm::for_each(kernel.getBlock().getOps<tfm::GroupedLinearOp>(), pack);
}

/// A matrix [K, N] in panels (Panels.h), or a stack of them one after the other.
static std::vector<char> packPanels(const reference::Tensor &matrix) {
  llvm::ArrayRef<int64_t> shape = matrix.shape().take_back(2);
  int64_t k = shape[0], n = shape[1], stack = matrix.size() / std::max<int64_t>(k * n, 1);
  mlir::Type type = matrix.elementType();
  size_t width = reference::elementBytes(matrix.element());
  int64_t size = tfm::panelElements(type, k, n), bits = tfm::panelBits(type);
  std::vector<char> panels(stack * tfm::panelBytes(type, k, n));
  for (int64_t i = 0; i < stack; ++i)
    for (int64_t row = 0; row < k; ++row)
      for (int64_t column = 0; column < n; ++column) {
        int64_t position = tfm::panelPosition(type, tfm::panelDepth(type, k), row, column);
        if (bits == 4) {
          position += i * size;
          panels[position / 2] |= (matrix.bytes()[(i * k + row) * n + column] & 15)
                                  << position % 2 * 4;
          continue;
        }
        memcpy(&panels[(i * size + position) * width],
               matrix.bytes().data() + ((i * k + row) * n + column) * width, width);
      }
  return panels;
}

std::string KernelCheck::assembly(const CpuTarget &target) {
  mlir::OwningOpRef<mlir::ModuleOp> built = mlir::ModuleOp::create(kernel.getLoc());
  if (failed(selectSchedule(kernel, target)) ||
      failed(emitKernel(kernel, target, "kernel", *built)) || failed(lowerToLLVM(*built, target))) {
    ADD_FAILURE() << "the kernel does not compile";
    return "";
  }
  auto text = emitAssembly(*built, target);
  if (!text) {
    ADD_FAILURE() << llvm::toString(text.takeError());
    return "";
  }
  return *text;
}

void KernelCheck::Compiled::operator()(void *const *buffers, int64_t begin, int64_t end,
                                       void *scratch) const {
  if (threads)
    return runBlocks(function, buffers, scalars.data(), begin, end, threads, sharedBytes, scratch);
  function(buffers, scalars.data(), begin, end, scratch);
}

static constexpr size_t kCounterBytes = artifact::kDeviceCounters * sizeof(uint32_t);

static bool areCountersZero(const void *scratch) {
  auto *end = static_cast<const char *>(scratch);
  return std::all_of(end - kCounterBytes, end, [](char byte) { return byte == 0; });
}

/// Launches of a kernel whose threads work together, in two schedules, or in all four where
/// PERMALLOY_GPU_CHECK is set: they give the same bits.
static void runSchedules(const KernelCheck::Compiled &kernel, llvm::ArrayRef<void *> buffers,
                         size_t inputs, llvm::ArrayRef<reference::Tensor> results, void *scratch) {
  std::vector<std::vector<char>> first;
  for (unsigned schedule = 1; schedule < (std::getenv("PERMALLOY_GPU_CHECK") ? 5 : 3); ++schedule) {
    SCOPED_TRACE("schedule " + std::to_string(schedule));
    memset(scratch, 0xff, kernel.scratchBytes);
    for (auto [result, buffer] : llvm::zip(results, buffers.drop_front(inputs)))
      memset(buffer, 0x5a, result.bytes().size());
    runBlocks(kernel.function, buffers.data(), kernel.scalars.data(), 0, kernel.tiles,
              kernel.threads, kernel.sharedBytes, scratch, machineSchedule(schedule));
    EXPECT_TRUE(areCountersZero(scratch)) << "counters are not left zero";
    for (auto [number, result] : llvm::enumerate(results)) {
      auto *bytes = static_cast<char *>(buffers[inputs + number]);
      size_t size = result.bytes().size();
      if (schedule == 1)
        first.emplace_back(bytes, bytes + size);
      else
        EXPECT_EQ(memcmp(first[number].data(), bytes, size), 0)
            << "result " << number << " depends on the order of threads";
    }
  }
}

/// The GPU kernel on this CPU: as loops over its threads or, where they work together, as a
/// function of one of them.
static llvm::Expected<CompiledObject> compileGpu(kern::KernelOp kernel,
                                                 mlir::DictionaryAttr schedule, GpuLaunch &launch,
                                                 bool &isTogether) {
  const GpuTarget &gpu = GpuTarget::all().front();
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(kernel.getLoc());
  if (failed(schedule ? setGpuSchedule(kernel, gpu, schedule) : selectGpuSchedule(kernel, gpu)) ||
      failed(emitGpuKernel(kernel, gpu, "kernel", *module)) || failed(mlir::verify(*module)))
    return llvm::createStringError("the GPU kernel cannot be built");
  launch = gpuLaunch(kernel);
  isTogether = std::getenv("PERMALLOY_GPU_CHECK") || !threadsAreIndependent(*module, "kernel");
  if (failed(isTogether ? toCpuThread(*module, "kernel", kernel) : toCpuLoops(*module, "kernel")) ||
      failed(lowerToLLVM(*module, cpuLoopsTarget())))
    return llvm::createStringError("the GPU kernel has no form on a CPU");
  auto object = emitObject(*module, cpuLoopsTarget());
  if (!object)
    return object.takeError();
  return CompiledObject{std::move(*object), {}, false};
}

static bool isGpuThread(const CpuTarget &target) {
  return &target == &GpuTarget::all().front().thread();
}

bool KernelCheck::makeCode(const CpuTarget &target) {
  bool isGpu = isGpuThread(target);
  if (!isGpu && failed(schedule ? codegen::setSchedule(kernel, target, schedule)
                                : selectSchedule(kernel, target))) {
    ADD_FAILURE() << "no schedule";
    return false;
  }
  Code wanted{target.name.str(), kernel.getEmitter(), isGpu ? schedule : kernel.getScheduleAttr()};
  if (code && std::tie(code->target, code->emitter, code->schedule) ==
                  std::tie(wanted.target, wanted.emitter, wanted.schedule))
    return true;
  auto object = isGpu ? compileGpu(kernel, schedule, wanted.launch, wanted.isTogether)
                      : compileKernel(kernel, target, "kernel");
  if (!object) {
    ADD_FAILURE() << llvm::toString(object.takeError());
    return false;
  }
  auto linked = linkImage({llvm::ArrayRef<char>(object->bytes)});
  if (!linked) {
    ADD_FAILURE() << llvm::toString(linked.takeError());
    return false;
  }
  wanted.image = std::make_shared<MappedImage>(linked->bytes);
  wanted.function = wanted.image->at(linked->entries.at("kernel"));
  code = std::move(wanted);
  return true;
}

KernelCheck::Compiled KernelCheck::compile(const CpuTarget &target, llvm::StringRef sizes) {
  Compiled result;
  bool isGpu = isGpuThread(target);
  std::string error;
  auto symbols = reference::parseSizes(sizes, error);
  if (failed(symbols)) {
    ADD_FAILURE() << error;
    return result;
  }
  if (!makeCode(target))
    return result;
  result.image = code->image, result.function = code->function;
  for (mlir::Attribute symbol : kernel.getSymbols())
    result.scalars.push_back(symbols->lookup(mlir::cast<mlir::StringAttr>(symbol).getValue()));
  const GpuLaunch &launch = code->launch;
  result.tiles = *reference::evaluate(isGpu ? launch.blocks : *kernel.getTiles(), *symbols, error);
  result.scratchBytes = *reference::evaluate(
      isGpu ? launch.scratchBytes : *kernel.getScratchBytes(), *symbols, error);
  if (code->isTogether) {
    result.threads = launch.threads;
    result.sharedBytes = *reference::evaluate(launch.sharedBytes, *symbols, error);
  }
  return result;
}

void KernelCheck::run(const CpuTarget &target, llvm::StringRef sizes,
                      reference::Tolerance tolerance, Change change) {
  SCOPED_TRACE("sizes " + sizes.str() + " on " + target.name.str());
  std::string error;
  auto symbols = reference::parseSizes(sizes, error);
  ASSERT_TRUE(succeeded(symbols)) << error;
  auto inputs = reference::randomInputs(function(), *symbols, 7);
  ASSERT_TRUE(succeeded(inputs));
  if (change)
    change(*inputs);
  auto expected = reference::interpret(function(), *inputs);
  ASSERT_TRUE(succeeded(expected));
  Compiled compiled = compile(target, sizes);
  ASSERT_TRUE(compiled.function);

  bool isGpu = isGpuThread(target);
  std::vector<std::unique_ptr<GuardedBuffer>> memory;
  SmallVector<void *> buffers;
  auto allocate = [&](size_t size) {
    memory.push_back(std::make_unique<GuardedBuffer>(size, isGpu ? 16 : 1));
    return memory.back()->data();
  };
  for (auto [argument, input] : llvm::zip(kernel.getBlock().getArguments(), *inputs)) {
    bool packed = bool(mlir::cast<mlir::RankedTensorType>(argument.getType()).getEncoding());
    if (packed && !input.type().getEncoding()) { // by the constructor: the test gives rows
      std::vector<char> panels = packPanels(input);
      buffers.push_back(allocate(panels.size()));
      memcpy(buffers.back(), panels.data(), panels.size());
      continue;
    }
    buffers.push_back(allocate(input.bytes().size()));
    memcpy(buffers.back(), input.bytes().data(), input.bytes().size());
  }
  for (const reference::Tensor &output : *expected) {
    buffers.push_back(allocate(output.bytes().size()));
    memset(buffers.back(), 0x5a, output.bytes().size());
  }
  size_t counters = isGpu ? kCounterBytes : 0;
  char *scratch = static_cast<char *>(allocate(counters + compiled.scratchBytes)) + counters;
  if (compiled.threads) {
    runSchedules(compiled, buffers, inputs->size(), *expected, scratch);
  } else {
    // NaN in every type: what a kernel reads it must have written.
    memset(scratch, 0xff, compiled.scratchBytes);
    memset(scratch, 0, std::min<int64_t>(compiled.scratchBytes, 8)); // as a worker begins a launch
    // Ranges of 1, 2, 4, ... tiles, the last one first: order and sharing must not matter.
    SmallVector<std::pair<int64_t, int64_t>> ranges;
    for (int64_t begin = 0, step = 1; begin < compiled.tiles; begin += step, step *= 2)
      ranges.push_back({begin, std::min(begin + step, compiled.tiles)});
    for (auto [begin, end] : llvm::reverse(ranges))
      compiled(buffers.data(), begin, end, scratch);
    EXPECT_TRUE(!isGpu || areCountersZero(scratch)) << "counters are not left zero";
  }
  for (auto [index, output] : llvm::enumerate(*expected)) {
    reference::Tensor actual(output.type());
    memcpy(actual.mutableBytes().data(), buffers[inputs->size() + index], output.bytes().size());
    reference::Difference difference = reference::compare(actual, output, tolerance);
    EXPECT_FALSE(difference) << "result " << index << ": " << difference.message;
  }
}
