//===- Attention.cpp - softmax(Q K^T) V -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Kernel.h"
#include "Register.h"
#include "Yardsticks.h"

namespace permalloy::benchmarks {

/// Packed queries, keys and values, as projections write them.
static std::string moduleOf(const AttentionShape &shape) {
  std::string row = std::to_string(shape.heads * shape.size), heads = std::to_string(shape.heads);
  std::string type = "tensor<?x?x" + row + "x" + nameOf(shape.element) + ">", arguments;
  for (const char *name : {"q", "k", "v"})
    arguments += (arguments.empty() ? "%" : ", %") + std::string(name) + ": " + type + " {tfm.name = \"" +
                 name + "\", tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<" + row + ">]}";
  return "module {\n  func.func @main(" + arguments + ") -> (" + type +
         " {tfm.name = \"y\"}) {\n    %y = tfm.attention %q, %k, %v {num_heads = " + heads +
         " : i64, num_kv_heads = " + heads + " : i64, scale = 0.125 : f32" +
         (shape.causal ? ", causal" : "") + "} : (" + type + ", " + type + ", " + type + ") -> " +
         type + "\n    return %y : " + type + "\n  }\n}\n";
}

static Timed ours(const AttentionShape &shape) {
  std::vector<int64_t> dims = {1, shape.sequence, shape.heads * shape.size};
  std::vector<Argument> inputs;
  for (const char *name : {"q", "k", "v"})
    inputs.push_back({name, dims, shape.element});
  auto kernel =
      std::make_shared<Kernel>(moduleOf(shape), inputs, Argument{"y", dims, shape.element});
  return [kernel] { return kernel->run(); };
}

static void add(const AttentionShape &shape) {
  auto [s, heads, size, causal, element] = shape;
  std::string name = std::string("attention/") + nameOf(element) + (causal ? "/causal" : "/full") +
                     "/s" + std::to_string(s);
  double seen = causal ? 0.5 * s * (s + 1) : double(s) * s; // pairs of a query and a key
  Work work = {4.0 * seen * heads * size, 4.0 * s * heads * size * bytesOf(element)};
  registerBenchmark(name, "permalloy", work, [=] { return ours(shape); });
#ifdef PERMALLOY_HAVE_ONEDNN
  if (!causal)
    registerBenchmark(name, "onednn", work, [=] { return timed(oneDnnAttention(shape)); });
#endif
}

void registerAttention() {
  constexpr int64_t heads = 12, size = 64;
  for (Element element : {Element::f32, Element::bf16})
    for (bool causal : {false, true})
      for (int64_t sequence : {128, 256, 512, 1024, 2048, 4096})
        add({sequence, heads, size, causal, element});
}

} // namespace permalloy::benchmarks
