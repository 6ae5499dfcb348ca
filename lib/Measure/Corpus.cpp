//===- Corpus.cpp - kernels of transformers without a model ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Measure/Corpus.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"

#include <set>

using namespace permalloy;
using namespace permalloy::measure;

namespace {

/// Text of one kernel with its arguments.
struct KernelText {
  explicit KernelText(const char *emitter) : emitter(emitter) {}

  /// Adds an argument and gives its type. A dimension is a number or a symbol.
  std::string argument(const std::vector<std::string> &dims, const std::string &element, bool packed = false) {
    std::string type = typeOf(dims, element, packed), list;
    for (const std::string &dim : dims)
      list += (list.empty() ? "#tfm.dim<" : ", #tfm.dim<") + dim + ">";
    arguments += (arguments.empty() ? "" : ", ") + ("%a" + std::to_string(count++) + ": ") + type;
    argDims += (argDims.empty() ? "[" : ", [") + list + "]";
    return type;
  }
  static std::string typeOf(const std::vector<std::string> &dims, const std::string &element, bool packed = false) {
    std::string type = "tensor<";
    for (const std::string &dim : dims)
      type += (std::isdigit(static_cast<unsigned char>(dim[0])) ? dim : "?") + "x";
    return type + element + (packed ? ", #tfm.panels>" : ">");
  }
  void line(const std::string &text) { body += "  " + text + "\n"; }
  std::string str(const std::string &result, const std::string &type, const std::string &symbols) const {
    return std::string("kern.kernel @kernel ") + emitter + " attributes {arg_dims = [" + argDims + "], symbols = [" + symbols +
           "]} {\n^bb0(" + arguments + "):\n" + body + "  kern.yield " + result + " : " + type + "\n}\n";
  }

  const char *emitter;
  std::string arguments, argDims, body;
  unsigned count = 0;
};

/// Width and inner width of the usual transformers, from MiniLM to 7 billion parameters.
struct Family {
  int64_t width, inner, heads, kvHeads;
};
constexpr Family kFamilies[] = {{384, 1536, 6, 6},   {384, 1536, 12, 12},  {512, 2048, 8, 4},    {512, 1024, 8, 4},
                                {768, 3072, 12, 12}, {768, 2048, 12, 4},   {1024, 4096, 16, 16}, {1280, 5120, 20, 20},
                                {1536, 8960, 12, 2}, {2048, 5632, 32, 4},  {2048, 8192, 16, 8},  {4096, 11008, 32, 32}};

enum class Epilogue { None, Bias, BiasGelu, BiasResidual, Residual, SiluGate };

std::string number(int64_t value) { return std::to_string(value); }

/// In bf16, as `--precision bf16` leaves it: bias and residual in f32, sums that go on to another product rounded.
std::string linearText(int64_t n, int64_t k, const std::string &element, Epilogue epilogue) {
  KernelText text("contraction");
  std::string x = text.argument({"d0", "d1", number(k)}, element), w = text.argument({number(k), number(n)}, element, true);
  bool bias = epilogue == Epilogue::Bias || epilogue == Epilogue::BiasGelu || epilogue == Epilogue::BiasResidual;
  bool other = epilogue == Epilogue::BiasResidual || epilogue == Epilogue::Residual || epilogue == Epilogue::SiluGate;
  bool rounds = epilogue != Epilogue::BiasResidual && epilogue != Epilogue::Residual;
  std::string out = rounds ? element : "f32", y = KernelText::typeOf({"d0", "d1", number(n)}, out);
  std::string b = bias ? text.argument({number(n)}, "f32") : "";
  unsigned last = text.count;
  if (other)
    text.argument({"d0", "d1", number(n)}, out);
  const char *activation = epilogue == Epilogue::BiasGelu ? "activation gelu_erf "
                           : epilogue == Epilogue::SiluGate ? "activation silu "
                                                            : "";
  text.line("%0 = tfm.linear %a0, %a1 " + std::string(bias ? "bias %a2 " : "") + activation + ": (" + x + ", " + w +
            (bias ? ", " + b : "") + ") -> " + y);
  if (other)
    text.line("%1 = tfm.binary " + std::string(epilogue == Epilogue::SiluGate ? "mul" : "add") + " %0, %a" + number(last) +
              " : (" + y + ", " + y + ") -> " + y);
  return text.str(other ? "%1" : "%0", y, "\"d0\", \"d1\"");
}

/// Packed queries, keys and values as the projections leave them, or split where heads are shared.
std::string attentionText(int64_t heads, int64_t kvHeads, int64_t size, const std::string &element, bool causal, bool mask) {
  KernelText text("attention");
  std::string q = text.argument({"d0", "d1", number(heads * size)}, element), kv;
  for (int i = 0; i < 2; ++i)
    kv = heads == kvHeads ? text.argument({"d0", "d2", number(heads * size)}, element)
                          : text.argument({"d0", number(kvHeads), "d2", number(size)}, element);
  std::string m = mask ? text.argument({"d0", "1", "1", "d2"}, "i1") : "";
  text.line("%0 = tfm.attention %a0, %a1, %a2 " + std::string(mask ? "mask %a3 empty_rows uniform " : "") + "{" +
            (causal ? "causal, " : "") + "num_heads = " + number(heads) + " : i64, num_kv_heads = " + number(kvHeads) +
            " : i64, scale = 0.125 : f32} : (" + q + ", " + kv + ", " + kv + (mask ? ", " + m : "") + ") -> " + q);
  return text.str("%0", q, "\"d0\", \"d1\", \"d2\"");
}

std::string rowText(unsigned kind, int64_t width, const std::string &element) {
  KernelText text("row");
  std::string x = text.argument({"d0", "d1", number(width)}, element);
  std::string g = kind < 3 ? text.argument({number(width)}, element) : "";
  std::string axis = " {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (";
  switch (kind) {
  case 0:
    text.argument({number(width)}, element);
    text.line("%0 = tfm.layer_norm %a0, %a1, %a2" + axis + x + ", " + g + ", " + g + ") -> " + x);
    break;
  case 1:
    text.line("%0 = tfm.rms_norm %a0, %a1" + axis + x + ", " + g + ") -> " + x);
    break;
  case 2:
    text.line("%0 = tfm.binary mul %a0, %a1 : (" + x + ", " + g + ") -> " + x);
    break;
  default:
    text.argument({"d0", "d1", number(width)}, element);
    text.line("%0 = tfm.binary add %a0, %a1 : (" + x + ", " + x + ") -> " + x);
  }
  return text.str("%0", x, "\"d0\", \"d1\"");
}

} // namespace

Corpus::Corpus(mlir::MLIRContext &context, uint64_t seed) : context(context), random(seed) {}
Corpus::~Corpus() = default;

kern::KernelOp Corpus::parse(const std::string &text) {
  modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(text, &context));
  assert(modules.back() && "the corpus writes kernels that parse");
  return *modules.back()->getOps<kern::KernelOp>().begin();
}

TuningTask Corpus::next() {
  auto below = [&](uint64_t n) { return random() % n; };
  auto logUniform = [&](double low, double high) {
    double unit = double(random() >> 11) * 0x1p-53;
    return int64_t(std::exp(std::log(low) + unit * std::log(high / low)));
  };
  Family family = kFamilies[below(std::size(kFamilies))];
  if (below(4) == 0) { // of no known model
    int64_t size = 32 << below(3), heads = 1 + below(24);
    family = {heads * size, logUniform(64, 8192) / 16 * 16, heads, heads};
  }
  std::string element = below(3) == 0 ? "bf16" : "f32";
  auto rows = [&] {
    static constexpr int64_t usual[] = {1, 1, 4, 8, 16, 32, 64, 128, 128, 256, 512, 1024};
    return below(3) ? usual[below(std::size(usual))] : logUniform(1, 1024);
  };
  auto sizesOf = [](std::initializer_list<int64_t> values) {
    reference::Symbols symbols;
    int index = 0;
    for (int64_t value : values)
      symbols["d" + std::to_string(index++)] = value;
    return symbols;
  };
  // A schedule is compiled once for all sizes, and one artifact serves them all.
  auto several = [&](auto draw) {
    std::set<int64_t> distinct;
    for (int i = 0; i < 3; ++i)
      distinct.insert(draw());
    return distinct;
  };
  uint64_t kind = below(10);
  if (kind < 6) {
    const std::pair<int64_t, int64_t> shapes[] = {{family.width, family.width}, {family.inner, family.width},
                                                  {family.width, family.inner},
                                                  {family.width * family.kvHeads / family.heads, family.width}};
    auto [n, k] = shapes[below(std::size(shapes))];
    TuningTask task{parse(linearText(n, k, element, Epilogue(below(6)))), {}};
    // Launches of at most 3 GFLOP, 20 ms: more of them tell more.
    int64_t most = std::max<int64_t>(int64_t(1.5e9) / (n * k), 1);
    for (int64_t count : several([&] { return std::min<int64_t>(rows(), most); }))
      task.sizes.push_back(sizesOf({1, count}));
    return task;
  }
  if (kind < 9) {
    bool causal = below(2), mask = below(2), decode = below(4) == 0;
    TuningTask task{parse(attentionText(family.heads, family.kvHeads, family.width / family.heads, element, causal, mask)), {}};
    for (int64_t keys : several([&] { return decode ? logUniform(16, 4096) : std::max<int64_t>(rows(), 8); }))
      task.sizes.push_back(sizesOf({1, decode ? 1 : keys, keys}));
    return task;
  }
  TuningTask task{parse(rowText(below(4), family.width, element)), {}};
  for (int64_t count : several(rows))
    task.sizes.push_back(sizesOf({1, count}));
  return task;
}

std::vector<TuningTask> Corpus::take(unsigned count) {
  std::vector<TuningTask> tasks;
  while (tasks.size() < count)
    tasks.push_back(next());
  return tasks;
}
