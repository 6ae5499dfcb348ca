//===- Format.cpp - element types --------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/Format.h"

namespace permalloy::artifact {

namespace {

struct DTypeRow {
  DType type;
  uint32_t size;
  const char *name;
};

const DTypeRow kTypes[] = {
    {DType::f32, 4, "float32"},   {DType::u8, 1, "uint8"},     {DType::i8, 1, "int8"},
    {DType::u16, 2, "uint16"},    {DType::i16, 2, "int16"},    {DType::i32, 4, "int32"},
    {DType::i64, 8, "int64"},     {DType::boolean, 1, "bool"}, {DType::f16, 2, "float16"},
    {DType::f64, 8, "float64"},   {DType::u32, 4, "uint32"},   {DType::u64, 8, "uint64"},
    {DType::bf16, 2, "bfloat16"},
};

} // namespace

uint32_t dtypeSize(DType type) {
  for (const DTypeRow &row : kTypes)
    if (row.type == type)
      return row.size;
  return 0;
}

const char *stepText(const Program &program, const Step &step) {
  switch (step.kind) {
  case StepKind::launch:
    return program.kernels[step.kernel].name.c_str();
  case StepKind::copy:
    return "copy";
  case StepKind::jump:
  case StepKind::jumpIfZero:
    return "jump";
  case StepKind::bind:
    return "bind size";
  }
  return "?";
}

std::string dtypeName(DType type) {
  for (const DTypeRow &row : kTypes)
    if (row.type == type)
      return row.name;
  return "dtype " + std::to_string(static_cast<uint32_t>(type));
}

} // namespace permalloy::artifact
