//===- OneDnn.cpp - products and attention of oneDNN ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Yardsticks.h"

#include <cstring>
#include <dnnl.hpp>

using dnnl::memory;

namespace permalloy::benchmarks {

namespace {
/// One engine and stream; threads are the environment's (OMP_NUM_THREADS, set by Main.cpp).
struct Device {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  static Device &get() {
    static Device device;
    return device;
  }
};
} // namespace

static memory::data_type typeOf(Element element) {
  return element == Element::f32 ? memory::data_type::f32 : memory::data_type::bf16;
}

static memory::desc dense(const memory::dims &dims, Element element) {
  memory::dims strides(dims.size(), 1);
  for (size_t i = dims.size() - 1; i > 0; --i)
    strides[i - 1] = strides[i] * dims[i];
  return memory::desc(dims, typeOf(element), strides);
}

static memory::desc anyLayout(const memory::dims &dims, Element element) {
  return memory::desc(dims, typeOf(element), memory::format_tag::any);
}

static dnnl::matmul::primitive_desc matmulOf(const memory::desc &a, const memory::desc &b,
                                             const memory::desc &c,
                                             const dnnl::primitive_attr &attributes = {}) {
#if DNNL_VERSION_MAJOR >= 3
  return {Device::get().engine, a, b, c, attributes};
#else
  return {dnnl::matmul::desc(a, b, c), attributes, Device::get().engine};
#endif
}

/// Memory of a description, filled through a reorder from dense random numbers.
static memory filled(const memory::desc &wanted, const memory::dims &dims, Element element,
                     uint64_t seed) {
  Device &device = Device::get();
  size_t count = 1;
  for (int64_t dim : dims)
    count *= dim;
  Memory random(count, element, seed);
  memory from(dense(dims, element), device.engine, random.data()), to(wanted, device.engine);
  dnnl::reorder(from, to).execute(device.stream, from, to);
  device.stream.wait();
  return to;
}

std::function<void()> oneDnnProduct(const ProductShape &shape) {
  try {
    Device &device = Device::get();
    memory::dims a = {shape.m, shape.k}, w = {shape.k, shape.n}, c = {shape.m, shape.n};
    auto primitive = matmulOf(dense(a, shape.element), anyLayout(w, shape.element),
                              dense(c, Element::f32));
    memory::desc packed = primitive.weights_desc();
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, filled(dense(a, shape.element), a, shape.element, 0)},
        {DNNL_ARG_WEIGHTS, filled(packed, w, shape.element, 1)},
        {DNNL_ARG_DST, memory(dense(c, Element::f32), device.engine)}};
    return [=, matmul = dnnl::matmul(primitive)]() mutable {
      matmul.execute(Device::get().stream, arguments);
      Device::get().stream.wait();
    };
  } catch (const dnnl::error &) {
    return {};
  }
}

std::function<void()> oneDnnAttention(const AttentionShape &shape) {
  if (shape.causal)
    return {};
  try {
    Device &device = Device::get();
    auto [s, heads, size, causal, element] = shape;
    int64_t row = heads * size;
    // [heads, s, size] inside of [s, heads * size], and its transpose.
    memory::dims queries = {heads, s, size}, keys = {heads, size, s}, scores = {heads, s, s};
    memory::desc q(queries, typeOf(element), memory::dims{size, row, 1});
    memory::desc k(keys, typeOf(element), memory::dims{size, 1, row});
    dnnl::primitive_attr scaled;
#if DNNL_VERSION_MAJOR < 3
    scaled.set_output_scales(0, {0.125f});
#endif
    auto first = matmulOf(q, k, dense(scores, element), scaled);
    auto second = matmulOf(dense(scores, element), q, q);
#if DNNL_VERSION_MAJOR >= 3
    dnnl::softmax_forward::primitive_desc middle(
        device.engine, dnnl::prop_kind::forward_inference, dnnl::algorithm::softmax_accurate,
        dense(scores, element), dense(scores, element), 2);
#else
    dnnl::softmax_v2_forward::primitive_desc middle(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::softmax_accurate,
         dense(scores, element), dense(scores, element), 2},
        device.engine);
#endif
    size_t count = static_cast<size_t>(s * row);
    auto input = [&](const memory::desc &desc, uint64_t seed) {
      Memory random(count, element, seed);
      memory result(desc, device.engine);
      memcpy(result.get_data_handle(), random.data(), random.size());
      return result;
    };
    memory qm = input(q, 0), km = input(k, 1), vm = input(q, 2), ym(q, device.engine);
    memory sm(dense(scores, element), device.engine), pm(dense(scores, element), device.engine);
#if DNNL_VERSION_MAJOR >= 3
    using Softmax = dnnl::softmax_forward;
#else
    using Softmax = dnnl::softmax_v2_forward;
#endif
    return [=, a = dnnl::matmul(first), b = Softmax(middle), c = dnnl::matmul(second)]() mutable {
      dnnl::stream &stream = Device::get().stream;
      a.execute(stream, {{DNNL_ARG_SRC, qm}, {DNNL_ARG_WEIGHTS, km}, {DNNL_ARG_DST, sm}});
      b.execute(stream, {{DNNL_ARG_SRC, sm}, {DNNL_ARG_DST, pm}});
      c.execute(stream, {{DNNL_ARG_SRC, pm}, {DNNL_ARG_WEIGHTS, vm}, {DNNL_ARG_DST, ym}});
      stream.wait();
    };
  } catch (const dnnl::error &) {
    return {};
  }
}

} // namespace permalloy::benchmarks
