/*===- run.c - runs a model.alloy from C --------------------------------------===*\
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                          *|
\*===--------------------------------------------------------------------------===*/
/*
 * usage: run model.alloy [symbol=size]...
 *
 * Runs the model once on inputs of ones, with the given sizes for its symbolic dimensions (1 where
 * none is given), and prints the first values of each output.
 *
 *   cc run.c -lpermalloy_runtime -o run && ./run model.alloy batch=2 seq=16
 */
#include "permalloy-c/permalloy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 64 };

/* Prints the failure and ends the program. */
static void check(permalloy_status *status) {
  if (!status)
    return;
  fprintf(stderr, "error: %s\n", permalloy_status_message(status));
  permalloy_status_release(status);
  exit(1);
}

/* The size of a dimension: its own, or what the command line says of its symbol, or 1. */
static int64_t dimSize(const permalloy_tensor_info *info, int axis, int argc, char **argv) {
  if (info->dims[axis] >= 0)
    return info->dims[axis];
  size_t length = strlen(info->dim_texts[axis]);
  for (int i = 2; i < argc; ++i)
    if (strncmp(argv[i], info->dim_texts[axis], length) == 0 && argv[i][length] == '=')
      return atoll(argv[i] + length + 1);
  return 1;
}

/* Fills `tensor` with ones of its type. */
static void fillOnes(permalloy_tensor *tensor) {
  size_t count = 1, size = permalloy_dtype_size(tensor->dtype);
  for (int i = 0; i < tensor->rank; ++i)
    count *= (size_t)tensor->dims[i];
  unsigned char one[8] = {1}; /* little-endian integers and bool */
  float oneFloat = 1;
  double oneDouble = 1;
  uint16_t oneHalf = 0x3c00, oneBrain = 0x3f80;
  if (tensor->dtype == PERMALLOY_FLOAT32)
    memcpy(one, &oneFloat, 4);
  if (tensor->dtype == PERMALLOY_FLOAT64)
    memcpy(one, &oneDouble, 8);
  if (tensor->dtype == PERMALLOY_FLOAT16)
    memcpy(one, &oneHalf, 2);
  if (tensor->dtype == PERMALLOY_BFLOAT16)
    memcpy(one, &oneBrain, 2);
  tensor->data = malloc(count * size + 1);
  if (!tensor->data) {
    fprintf(stderr, "error: out of memory\n");
    exit(1);
  }
  for (size_t i = 0; i < count; ++i)
    memcpy((char *)tensor->data + i * size, one, size);
}

static void print(const permalloy_tensor *tensor) {
  size_t count = 1;
  printf("%s %s [", tensor->name, permalloy_dtype_name(tensor->dtype));
  for (int i = 0; i < tensor->rank; ++i) {
    printf(i ? ", %lld" : "%lld", (long long)tensor->dims[i]);
    count *= (size_t)tensor->dims[i];
  }
  printf("]:");
  for (size_t i = 0; i < count && i < 8; ++i) {
    if (tensor->dtype == PERMALLOY_FLOAT32)
      printf(" %g", ((const float *)tensor->data)[i]);
    else if (tensor->dtype == PERMALLOY_INT64)
      printf(" %lld", ((const long long *)tensor->data)[i]);
  }
  printf("\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s model.alloy [symbol=size]...\n", argv[0]);
    return 2;
  }
  permalloy_session_options options = {.struct_size = sizeof options};
  permalloy_session *session;
  check(permalloy_session_open(argv[1], &options, &session));

  size_t inputCount = permalloy_session_input_count(session);
  size_t outputCount = permalloy_session_output_count(session);
  if (inputCount > MAX_TENSORS || outputCount > MAX_TENSORS) {
    fprintf(stderr, "error: this example takes at most %d inputs and outputs\n", MAX_TENSORS);
    return 1;
  }
  permalloy_tensor inputs[MAX_TENSORS] = {{0}}, outputs[MAX_TENSORS] = {{0}};
  for (size_t i = 0; i < inputCount; ++i) {
    permalloy_tensor_info info = {.struct_size = sizeof info};
    check(permalloy_session_input(session, i, &info));
    inputs[i].name = info.name;
    inputs[i].dtype = info.dtype;
    inputs[i].rank = info.rank;
    for (int axis = 0; axis < info.rank; ++axis)
      inputs[i].dims[axis] = dimSize(&info, axis, argc, argv);
    fillOnes(&inputs[i]);
  }
  for (size_t i = 0; i < outputCount; ++i) {
    permalloy_tensor_info info = {.struct_size = sizeof info};
    check(permalloy_session_output(session, i, &info));
    outputs[i].name = info.name; /* data stays NULL: allocated by the run */
  }

  check(permalloy_session_run(session, inputs, inputCount, outputs, outputCount, NULL));

  for (size_t i = 0; i < outputCount; ++i) {
    print(&outputs[i]);
    permalloy_tensor_release(&outputs[i]);
  }
  for (size_t i = 0; i < inputCount; ++i)
    free(inputs[i].data);
  permalloy_session_close(session);
  return 0;
}
