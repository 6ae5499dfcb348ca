//===- tiny.c - kernels of the runtime's test models ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiled and linked as the compiler's images are: no library, no undefined symbol, no relocation.
#include <stdint.h>

#define KERNEL(name)                                                                               \
  __attribute__((visibility("default"))) void name(void *const *buffers, const int64_t *scalars,   \
                                                   int64_t begin, int64_t end, void *scratch)

/// out[row] = x[row] * w + b, one row of `scalars[0]` columns a tile.
KERNEL(affine) {
  int64_t columns = scalars[0];
  const float *x = buffers[0], *w = buffers[1], *b = buffers[2];
  float *out = buffers[3];
  for (int64_t row = begin; row < end; ++row)
    for (int64_t i = 0; i < columns; ++i)
      out[row * columns + i] = x[row * columns + i] * w[i] + b[i];
}

/// out[row] = in[row] * m[row].
KERNEL(mask_rows) {
  int64_t columns = scalars[0];
  const float *in = buffers[0], *m = buffers[1];
  float *out = buffers[2];
  for (int64_t row = begin; row < end; ++row)
    for (int64_t i = 0; i < columns; ++i)
      out[row * columns + i] = in[row * columns + i] * m[row];
}

/// out[row] = sum of in[row], by way of a copy in scratch.
KERNEL(row_sum) {
  int64_t columns = scalars[0];
  const float *in = buffers[0];
  float *out = buffers[1], *copy = scratch;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = 0; i < columns; ++i)
      copy[i] = in[row * columns + i];
    float sum = 0;
    for (int64_t i = 0; i < columns; ++i)
      sum += copy[i];
    out[row] = sum;
  }
}

/// Writes `scalars[0]` bytes past the end of buffer 1, whose size is `scalars[1]`: a faulty kernel.
KERNEL(overrun) {
  volatile char *out = buffers[1];
  for (int64_t i = 0; i < scalars[0]; ++i)
    out[scalars[1] + i] = 1;
}

/// out[tile] = the floating point control word of the thread that runs the tile.
KERNEL(control_word) {
  uint32_t *out = buffers[1];
  for (int64_t tile = begin; tile < end; ++tile) {
    uint32_t word;
    __asm__ volatile("stmxcsr %0" : "=m"(word));
    out[tile] = word;
  }
}

/// Rows [scalars[0], + scalars[1]) of each head of a cache of scalars[2] rows of scalars[3] columns.
KERNEL(append_rows) {
  int64_t at = scalars[0], count = scalars[1], capacity = scalars[2], size = scalars[3];
  const float *rows = buffers[1];
  float *cache = buffers[2];
  for (int64_t head = begin; head < end; ++head)
    for (int64_t i = 0; i < count * size; ++i)
      cache[(head * capacity + at) * size + i] = rows[head * count * size + i];
}

/// out[head] = sum over the first scalars[0] rows of k[row] + (row + 1) * v[row].
KERNEL(read_caches) {
  int64_t length = scalars[0], capacity = scalars[1], size = scalars[2];
  const float *k = buffers[0], *v = buffers[1];
  float *out = buffers[2];
  for (int64_t head = begin; head < end; ++head)
    for (int64_t i = 0; i < size; ++i) {
      float sum = 0;
      for (int64_t row = 0; row < length; ++row) {
        int64_t at = (head * capacity + row) * size + i;
        sum += k[at] + (float)(row + 1) * v[at];
      }
      out[head * size + i] = sum;
    }
}
