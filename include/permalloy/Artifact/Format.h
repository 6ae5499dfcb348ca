//===- Format.h - what stands in a model.alloy file --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one description of model.alloy, shared by the compiler and the runtime. Plain C++20.
//
//   offset 0      FileHeader, SectionEntry[sectionCount], zeros up to 4096
//   offset 4096   weights      page aligned, mapped read-only, shared between processes
//   ...           image 0 ... image T-1     one ELF per target
//   ...           program      expressions, slots, weights, kernels, steps, targets
//   ...           manifest     what a user may ask: inputs, outputs, symbols, model metadata
//   ...           devices      only where the file has code for GPUs: kernels and grids of each
//   ...           device code 0 ... D-1     PTX and cubins of one GPU target each
//
// Sections start at multiples of 4096, in this order, with zeros between. The header carries the
// file's size and xxh3-128 checksums of everything but the weights, verified at every open; each
// weight has its own checksum, verified on request (`permalloy inspect --verify`), so that opening
// a large model does not read it. Same contents, same bytes: nothing here knows time or host.
//
// THE PROGRAM IS A TABLE. Sizes are expressions over the model's symbols (`batch`, `seq`):
//
//   expressions   %0 = symbol batch   %1 = symbol seq   %2 = mul %0, %1   %3 = const 1536
//                 %4 = mul %2, %3     %5 = const 4      %6 = ceildiv %2, %5
//   slots         slot 0: %4 bytes
//   steps         launch kernel 3 "/layer.0/output/dense"
//                   operands (slot 0 + 0, weight 7, weight 8, output 0 + 0)
//                   scalars (%2)  grids (tiles %6, scratch %3)
//
// An operand of an expression is an earlier one, so one loop evaluates them all into an int64
// array whenever the shapes change (overflow is an error). Slots arrive coloured: the runtime only
// places slot i behind slot i-1, each size rounded up to 64 bytes. Steps run in order, but for jumps:
// a branch jumps over the other one, a loop jumps back.
//
// CACHES. A decoder's past keys and values [batch, heads, length, size] may lie in a buffer that the
// runtime owns, [batch, heads, capacity, size], behind whose live rows a step appends its own: the
// manifest pairs the input (past) with the output (present), which then are views of that buffer
// and no operands; the program's steps use the cache instead. `capacity` is a symbol that no input
// binds: the runtime chooses it, at least the length of the outputs, one for all caches of a call.
//
// KERNEL ABI, version 2:
//   void kernel(void *const *buffers, const int64_t *scalars,
//               int64_t tile_begin, int64_t tile_end, void *scratch);
//   buffers  kernel arguments, then results. Dense row-major (or packed panels); bool is one byte,
//            0 or 1. Slots, weights and scratch are 64-byte aligned. Model inputs and outputs are
//            the caller's memory and only aligned to their element: a kernel may not use
//            aligned vector accesses on a buffer that can be an input or output.
//   scalars  values of the launch's scalar expressions.
//   tiles    0 <= tile_begin < tile_end <= tiles; tiles are independent, so the result does not
//            depend on how they are shared between threads. With 0 tiles nothing is called.
//   scratch  per worker, of at least the launch's scratch bytes. Where a worker begins with a launch its first 8 bytes, if it
//            has any, are 0 and the rest is undefined; between its calls of that launch all stays as the kernel left it.
// A barrier ends each launch. MXCSR is the default (subnormals kept, round to nearest).
//
// CODE IMAGES are ELF64 x86-64 shared objects with no undefined symbol, no dynamic relocation and
// no writable data; only their PT_LOAD segments matter, laid out in anonymous memory. The kernel
// table holds, per target, each kernel's virtual address in the image.
//
// DEVICES. The same program runs on a GPU: operands, scalars and steps are those above, only code and grids are other. A kernel
// is an entry point of its own name in PTX (text) and, where the compiler had ptxas, in a cubin; its parameters are 64-bit words:
// the addresses of its buffers, each 16-byte aligned, its scalars, the address of the launch's scratch, 256-byte aligned and never 0.
// Before the scratch lie kDeviceCounters 32-bit words that are 0 when a launch begins and that it leaves 0. Launches run in order.
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_ARTIFACT_FORMAT_H
#define PERMALLOY_ARTIFACT_FORMAT_H

#include "permalloy/Artifact/Hash.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace permalloy::artifact {

/// First bytes of every file. Like PNG's, they show a transfer in text mode.
constexpr unsigned char kMagic[8] = {0x89, 'A', 'L', 'Y', '\r', '\n', 0x1a, '\n'};
/// Version of this layout; a reader takes exactly its own.
constexpr uint32_t kFormatVersion = 2;
/// Version of the kernel ABI above.
constexpr uint32_t kKernelAbiVersion = 2;
/// Alignment of sections.
constexpr uint64_t kPageSize = 4096;
/// Alignment of weights, slots and scratch.
constexpr uint64_t kBufferAlignment = 64;
/// Counters before a launch's scratch on devices: blocks that share a result count there who is the last.
constexpr uint64_t kDeviceCounters = 4096;
/// Highest rank of an input or output.
constexpr uint32_t kMaxRank = 8;
/// "No expression" / "no index" where a field may be absent.
constexpr uint32_t kNone = 0xffffffff;

/// What a section holds.
enum class SectionKind : uint32_t { weights = 1, image = 2, program = 3, manifest = 4, devices = 5, deviceCode = 6 };

/// Fixed start of the file; stored as it stands.
struct FileHeader {
  unsigned char magic[8];
  uint32_t formatVersion;
  uint32_t kernelAbiVersion;
  uint64_t fileSize;
  uint32_t sectionCount;
  uint32_t reserved; ///< 0
  Hash128 checksum;  ///< of the header page with this field zero
};
static_assert(sizeof(FileHeader) == 48);

/// One row of the section table, right behind the header.
struct SectionEntry {
  SectionKind kind;
  uint32_t index; ///< of images and device code: the target's number; 0 otherwise
  uint64_t offset;
  uint64_t size;
  Hash128 checksum; ///< zero for weights
};
static_assert(sizeof(SectionEntry) == 40);

/// As many sections as the header page can list.
constexpr uint32_t kMaxSections = (kPageSize - sizeof(FileHeader)) / sizeof(SectionEntry);

/// Element types, with the numbers of ONNX's TensorProto.DataType.
enum class DType : uint32_t {
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  bf16 = 16,
};

/// Bytes of one element; 0 when `type` is none of the above.
uint32_t dtypeSize(DType type);
/// numpy's name of the type ("float32"); "dtype N" when it is none of the above.
std::string dtypeName(DType type);

//===-- Manifest ----------------------------------------------------------===//

/// One dimension of an input or output.
struct Dim {
  uint32_t expr = kNone; ///< its value
  std::string text;      ///< as printed: "batch", "12", "past + seq"
};

/// An input or output of the model.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<Dim> dims;
};

/// A symbolic dimension. It is bound by one axis of one input, which must be exactly this symbol;
/// every other dimension is checked against its expression. Behind those come symbols whose `input`
/// is kNone: the capacity of caches, which the runtime chooses, and data symbols, which steps bind
/// (1 until then).
struct Symbol {
  std::string name;
  int64_t min = 0;
  int64_t max = INT64_MAX; ///< inclusive
  uint32_t input = 0;
  uint32_t axis = 0;
};

/// An input and an output that are the same memory: see CACHES above. Both have rank 4, one dtype
/// and the same dimensions but kCacheAxis; heads and size are constants, the batch is a constant or
/// a symbol. The lengths before and after are the same expressions for all caches.
struct Cache {
  uint32_t input = 0;
  uint32_t output = 0;
};
/// The axis of a cached tensor that grows.
constexpr uint32_t kCacheAxis = 2;

/// A key and a value, both text.
struct Property {
  std::string key;
  std::string value;
};

/// Where the model came from.
struct ModelInfo {
  std::string graphName;
  std::string graphDescription;
  std::string producerName;
  std::string producerVersion;
  std::string domain;
  std::string description;
  int64_t version = 0;
  int64_t irVersion = 0;
  std::vector<Property> opsets; ///< domain ("" is ai.onnx), version
  std::vector<Property> custom; ///< metadata_props of the model
};

/// What a user may ask of a file.
struct Manifest {
  std::string producer;        ///< "permalloy"
  std::string producerVersion; ///< of the compiler, "0.1.0"
  std::string options;         ///< the compile options, as one would type them
  ModelInfo model;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::vector<Symbol> symbols;
  std::vector<Cache> caches;
  uint32_t capacity = kNone; ///< the symbol of the caches' capacity; kNone without caches

  /// The symbols that inputs bind.
  std::span<const Symbol> inputSymbols() const {
    size_t count = 0;
    while (count < symbols.size() && symbols[count].input != kNone)
      ++count;
    return std::span(symbols).first(count);
  }
};

//===-- Program -----------------------------------------------------------===//

/// Operations of expressions, on int64. Division rounds down (floorDiv, mod: the sign of the
/// divisor) or up (ceilDiv); dividing by 0 is an error. Comparisons give 0 or 1.
enum class ExprOp : uint8_t {
  constant = 0, ///< value
  symbol = 1,   ///< lhs is the symbol's index
  add = 2,
  sub = 3,
  mul = 4,
  floorDiv = 5,
  ceilDiv = 6,
  mod = 7,
  min = 8,
  max = 9,
  eq = 10,
  ne = 11,
  lt = 12,
  le = 13,
  logicalAnd = 14, ///< both non-zero
  logicalOr = 15,
};
constexpr uint8_t kLastExprOp = static_cast<uint8_t>(ExprOp::logicalOr);

/// One expression; `lhs` and `rhs` are indices of earlier ones.
struct Expr {
  ExprOp op = ExprOp::constant;
  uint32_t lhs = 0;
  uint32_t rhs = 0;
  int64_t value = 0;
  bool operator==(const Expr &) const = default;
};

/// Reusable memory for intermediate values.
struct Slot {
  uint32_t size = kNone;  ///< bytes, an expression
  uint32_t after = kNone; ///< of data symbols in `size`, the one that is bound last; kNone: none
};

/// A constant in the weights section.
struct Weight {
  std::string name;
  uint64_t offset = 0; ///< from the start of the section, a multiple of 64
  uint64_t size = 0;   ///< bytes
  Hash128 hash;
};

/// A kernel: what a launch must give it.
struct Kernel {
  std::string name;
  uint32_t bufferCount = 0;
  uint32_t scalarCount = 0;
};

/// A CPU that the file has an image for. The runtime takes the last one that the host can run, so
/// the compiler orders them from the least to the most demanding.
struct Target {
  std::string name;                  ///< "x86-64-v3"
  uint64_t features = 0;             ///< CpuFeature bits that the host must have
  std::vector<uint64_t> entryPoints; ///< per kernel: virtual address in the image
};

enum class OperandKind : uint8_t { input = 0, output = 1, slot = 2, weight = 3, cache = 4 };

/// A place in memory.
struct Operand {
  OperandKind kind = OperandKind::slot;
  uint32_t index = 0;
  uint32_t offset = kNone; ///< bytes, an expression; kNone is 0
};

enum class StepKind : uint8_t {
  launch = 0,
  copy = 1,
  jump = 2,       ///< go on at `target`
  jumpIfZero = 3, ///< go on at `target` when the first byte of the operand is 0
  bind = 4,       ///< give symbol `target` the int64 at the operand; places the slots `after` it
};

/// How a launch is cut up on one target, whose schedules differ from another's.
struct Grid {
  uint32_t tiles = kNone;        ///< an expression
  uint32_t scratchBytes = kNone; ///< per worker, an expression; kNone is 0
};

/// Something the compiler relied on; those of the program are checked whenever the shapes change, those
/// of a step when it is its turn.
struct Assumption {
  uint32_t condition = kNone; ///< an expression that must not be 0
  std::string message;        ///< what is wrong when it is, in the user's terms
};

/// One line of the program.
struct Step {
  StepKind kind = StepKind::launch;
  std::string name;              ///< the model's node names, for profiles and errors
  uint32_t kernel = kNone;       ///< launch
  std::vector<Operand> operands; ///< launch: the buffers; copy: from, to
  std::vector<uint32_t> scalars; ///< launch: expressions
  std::vector<Grid> grids;       ///< launch: one per target
  uint32_t copyBytes = kNone;    ///< copy: an expression
  uint32_t target = kNone;       ///< jumps: the step that follows, at most the number of steps; bind: the symbol
  std::vector<Assumption> checks; ///< launch: what sizes must be for its kernel to stay within its buffers
  uint32_t flops = kNone;        ///< estimate for profiles: an expression, may be kNone
  uint32_t bytes = kNone;        ///< estimated memory traffic: an expression, may be kNone
};

/// An output whose size depends on data: allocated when the steps are done, copied from a slot.
struct LateOutput {
  uint32_t output = 0;
  uint32_t slot = 0;
};

/// What runs.
struct Program {
  std::vector<Expr> expressions;
  std::vector<Slot> slots;
  std::vector<Weight> weights;
  std::vector<Kernel> kernels;
  std::vector<Target> targets;
  std::vector<Assumption> assumptions;
  std::vector<Step> steps;
  std::vector<LateOutput> lateOutputs;

  bool isLate(uint32_t output) const {
    for (const LateOutput &late : lateOutputs)
      if (late.output == output)
        return true;
    return false;
  }
};

//===-- Devices -----------------------------------------------------------===//

/// A range of the code of a device target.
struct CodeRange {
  uint64_t offset = 0;
  uint64_t size = 0; ///< bytes; 0: there is none
};

/// A kernel on one device target.
struct DeviceKernel {
  uint32_t threads = 0;   ///< of a block
  uint32_t registers = 0; ///< of a thread, as ptxas counts; 0: not known
  CodeRange ptx;          ///< always there, without a terminating 0
  CodeRange cubin;
};

/// A GPU architecture that the file has code for.
struct DeviceTarget {
  std::string name;        ///< "sm_90a"
  uint32_t capability = 0; ///< 10 * major + minor of the compute capability
  uint32_t exact = 0;      ///< 1: runs on this capability alone; 0: later ones compile the PTX
  std::vector<DeviceKernel> kernels; ///< as Program::kernels
};

/// How a launch is cut up on one device target; all expressions.
struct DeviceGrid {
  uint32_t blocks = kNone;
  uint32_t sharedBytes = kNone;  ///< dynamic shared memory of a block; kNone is 0
  uint32_t scratchBytes = kNone; ///< of the whole launch; kNone is 0
};

/// The grids of one step, one per device target; empty where the step is no launch.
struct DeviceStep {
  std::vector<DeviceGrid> grids;
};

/// What a program needs to run on GPUs.
struct DeviceTables {
  std::vector<DeviceTarget> targets;
  std::vector<DeviceStep> steps; ///< as Program::steps
};

/// What a step does, for people: the name of its kernel, or "copy", "jump", "bind size".
const char *stepText(const Program &program, const Step &step);

//===-- One visitor per struct: the serialised order of its fields ----------===//

template <class Archive> void visit(Archive &archive, Hash128 &hash) {
  archive.field("low", hash.low);
  archive.field("high", hash.high);
}
template <class Archive> void visit(Archive &archive, Dim &dim) {
  archive.field("expr", dim.expr);
  archive.field("text", dim.text);
}
template <class Archive> void visit(Archive &archive, TensorInfo &tensor) {
  archive.field("name", tensor.name);
  archive.field("dtype", tensor.dtype);
  archive.field("dims", tensor.dims);
}
template <class Archive> void visit(Archive &archive, Symbol &symbol) {
  archive.field("name", symbol.name);
  archive.field("min", symbol.min);
  archive.field("max", symbol.max);
  archive.field("input", symbol.input);
  archive.field("axis", symbol.axis);
}
template <class Archive> void visit(Archive &archive, Cache &cache) {
  archive.field("input", cache.input);
  archive.field("output", cache.output);
}
template <class Archive> void visit(Archive &archive, Property &property) {
  archive.field("key", property.key);
  archive.field("value", property.value);
}
template <class Archive> void visit(Archive &archive, ModelInfo &model) {
  archive.field("graph_name", model.graphName);
  archive.field("graph_description", model.graphDescription);
  archive.field("producer_name", model.producerName);
  archive.field("producer_version", model.producerVersion);
  archive.field("domain", model.domain);
  archive.field("description", model.description);
  archive.field("version", model.version);
  archive.field("ir_version", model.irVersion);
  archive.field("opsets", model.opsets);
  archive.field("custom", model.custom);
}
template <class Archive> void visit(Archive &archive, Manifest &manifest) {
  archive.field("producer", manifest.producer);
  archive.field("producer_version", manifest.producerVersion);
  archive.field("options", manifest.options);
  archive.field("model", manifest.model);
  archive.field("inputs", manifest.inputs);
  archive.field("outputs", manifest.outputs);
  archive.field("symbols", manifest.symbols);
  archive.field("caches", manifest.caches);
  archive.field("capacity", manifest.capacity);
}
template <class Archive> void visit(Archive &archive, Expr &expr) {
  archive.field("op", expr.op);
  archive.field("lhs", expr.lhs);
  archive.field("rhs", expr.rhs);
  archive.field("value", expr.value);
}
template <class Archive> void visit(Archive &archive, Slot &slot) {
  archive.field("size", slot.size);
  archive.field("after", slot.after);
}
template <class Archive> void visit(Archive &archive, Weight &weight) {
  archive.field("name", weight.name);
  archive.field("offset", weight.offset);
  archive.field("size", weight.size);
  archive.field("hash", weight.hash);
}
template <class Archive> void visit(Archive &archive, Kernel &kernel) {
  archive.field("name", kernel.name);
  archive.field("buffer_count", kernel.bufferCount);
  archive.field("scalar_count", kernel.scalarCount);
}
template <class Archive> void visit(Archive &archive, Target &target) {
  archive.field("name", target.name);
  archive.field("features", target.features);
  archive.field("entry_points", target.entryPoints);
}
template <class Archive> void visit(Archive &archive, Operand &operand) {
  archive.field("kind", operand.kind);
  archive.field("index", operand.index);
  archive.field("offset", operand.offset);
}
template <class Archive> void visit(Archive &archive, Grid &grid) {
  archive.field("tiles", grid.tiles);
  archive.field("scratch_bytes", grid.scratchBytes);
}
template <class Archive> void visit(Archive &archive, Assumption &assumption) {
  archive.field("condition", assumption.condition);
  archive.field("message", assumption.message);
}
template <class Archive> void visit(Archive &archive, Step &step) {
  archive.field("kind", step.kind);
  archive.field("name", step.name);
  archive.field("kernel", step.kernel);
  archive.field("operands", step.operands);
  archive.field("scalars", step.scalars);
  archive.field("grids", step.grids);
  archive.field("copy_bytes", step.copyBytes);
  archive.field("target", step.target);
  archive.field("checks", step.checks);
  archive.field("flops", step.flops);
  archive.field("bytes", step.bytes);
}
template <class Archive> void visit(Archive &archive, LateOutput &late) {
  archive.field("output", late.output);
  archive.field("slot", late.slot);
}
template <class Archive> void visit(Archive &archive, CodeRange &range) {
  archive.field("offset", range.offset);
  archive.field("size", range.size);
}
template <class Archive> void visit(Archive &archive, DeviceKernel &kernel) {
  archive.field("threads", kernel.threads);
  archive.field("registers", kernel.registers);
  archive.field("ptx", kernel.ptx);
  archive.field("cubin", kernel.cubin);
}
template <class Archive> void visit(Archive &archive, DeviceTarget &target) {
  archive.field("name", target.name);
  archive.field("capability", target.capability);
  archive.field("exact", target.exact);
  archive.field("kernels", target.kernels);
}
template <class Archive> void visit(Archive &archive, DeviceGrid &grid) {
  archive.field("blocks", grid.blocks);
  archive.field("shared_bytes", grid.sharedBytes);
  archive.field("scratch_bytes", grid.scratchBytes);
}
template <class Archive> void visit(Archive &archive, DeviceStep &step) { archive.field("grids", step.grids); }
template <class Archive> void visit(Archive &archive, DeviceTables &devices) {
  archive.field("targets", devices.targets);
  archive.field("steps", devices.steps);
}
template <class Archive> void visit(Archive &archive, Program &program) {
  archive.field("expressions", program.expressions);
  archive.field("slots", program.slots);
  archive.field("weights", program.weights);
  archive.field("kernels", program.kernels);
  archive.field("targets", program.targets);
  archive.field("assumptions", program.assumptions);
  archive.field("steps", program.steps);
  archive.field("late_outputs", program.lateOutputs);
}

} // namespace permalloy::artifact

#endif // PERMALLOY_ARTIFACT_FORMAT_H
