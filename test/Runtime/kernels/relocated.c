//===- relocated.c - an image that the runtime must refuse ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <stdint.h>

static int value;
/// An address in data needs a dynamic relocation.
__attribute__((visibility("default"))) int *const table[] = {&value};

__attribute__((visibility("default"))) void affine(void *const *buffers, const int64_t *scalars,
                                                   int64_t begin, int64_t end, void *scratch) {
  *table[0] = (int)begin;
}
