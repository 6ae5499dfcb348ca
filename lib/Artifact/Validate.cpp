//===- Validate.cpp - is every index, size and name of an artifact sound? --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/Validate.h"

#include <algorithm>
#include <set>

namespace permalloy::artifact {

namespace {

/// Walks both structs; the first fault is kept.
class Validator {
public:
  Validator(const Manifest &manifest, const Program &program, uint64_t weightsSize)
      : manifest_(manifest), program_(program), weightsSize_(weightsSize) {}

  Status run() {
    checkExpressions();
    checkTensors("input", manifest_.inputs);
    checkTensors("output", manifest_.outputs);
    checkSymbols();
    checkCaches();
    checkSlotsAndWeights();
    checkTargets();
    checkAssumptions();
    checkSteps();
    if (fault_.empty())
      checkDataSizes();
    if (fault_.empty())
      return {};
    return {StatusCode::invalidArtifact, fault_};
  }

private:
  void checkExpressions();
  void checkTensors(const std::string &role, const std::vector<TensorInfo> &tensors);
  void checkSymbols();
  void checkCaches();
  void checkCachedTensors(const TensorInfo &past, const TensorInfo &present,
                          const std::string &where);
  void checkSlotsAndWeights();
  void checkTargets();
  void checkAssumptions();
  void checkSteps();
  void checkDataSizes();
  void checkLaunch(const Step &step, const std::string &where);
  void checkOperand(const Operand &operand, const std::string &where, bool written);

  /// Records `message` when `condition` does not hold; returns it.
  bool require(bool condition, const std::string &message) {
    if (!condition && fault_.empty())
      fault_ = message;
    return condition;
  }
  bool requireExpr(uint32_t index, const std::string &where, bool optional) {
    if (optional && index == kNone)
      return true;
    return require(index < program_.expressions.size(),
                   where + " refers to expression " + std::to_string(index) + " of " +
                       std::to_string(program_.expressions.size()));
  }

  /// Whether steps bind symbol `index`.
  bool isDataSymbol(uint32_t index) const {
    return index < manifest_.symbols.size() && manifest_.symbols[index].input == kNone &&
           index != manifest_.capacity;
  }

  const Manifest &manifest_;
  const Program &program_;
  uint64_t weightsSize_;
  std::string fault_;
};

void Validator::checkExpressions() {
  for (uint32_t i = 0; i < program_.expressions.size(); ++i) {
    const Expr &expr = program_.expressions[i];
    std::string where = "expression " + std::to_string(i);
    if (!require(static_cast<uint8_t>(expr.op) <= kLastExprOp, where + " has an unknown operation"))
      return;
    if (expr.op == ExprOp::symbol)
      require(expr.lhs < manifest_.symbols.size(), where + " refers to an unknown symbol");
    else if (expr.op != ExprOp::constant)
      require(expr.lhs < i && expr.rhs < i, where + " refers to a later expression");
  }
}

void Validator::checkTensors(const std::string &role, const std::vector<TensorInfo> &tensors) {
  std::set<std::string> names;
  for (const TensorInfo &tensor : tensors) {
    std::string where = role + " '" + tensor.name + "'";
    require(names.insert(tensor.name).second, where + " appears twice");
    require(dtypeSize(tensor.dtype) != 0, where + " has unknown " + dtypeName(tensor.dtype));
    require(tensor.dims.size() <= kMaxRank, where + " has rank " +
                                                std::to_string(tensor.dims.size()) + ", at most " +
                                                std::to_string(kMaxRank) + " is supported");
    for (const Dim &dim : tensor.dims)
      requireExpr(dim.expr, where, /*optional=*/false);
  }
}

void Validator::checkSymbols() {
  std::set<std::string> names;
  for (uint32_t i = 0; i < manifest_.symbols.size(); ++i) {
    const Symbol &symbol = manifest_.symbols[i];
    std::string where = "symbol '" + symbol.name + "'";
    require(names.insert(symbol.name).second, where + " appears twice");
    require(symbol.min >= 0 && symbol.min <= symbol.max,
            where + " has the empty or negative range " + std::to_string(symbol.min) + ".." +
                std::to_string(symbol.max));
    if (i == manifest_.capacity) {
      require(symbol.input == kNone && !manifest_.caches.empty(),
              where + " is the capacity of no cache");
      continue;
    }
    if (symbol.input == kNone) {
      auto binds = [&](const Step &step) {
        return step.kind == StepKind::bind && step.target == i;
      };
      require(std::any_of(program_.steps.begin(), program_.steps.end(), binds),
              where + " is bound by no input and no step");
      continue;
    }
    require(i == 0 || manifest_.symbols[i - 1].input != kNone,
            where + " stands behind symbols that no input binds");
    if (!require(symbol.input < manifest_.inputs.size() &&
                     symbol.axis < manifest_.inputs[symbol.input].dims.size(),
                 where + " is bound by no input"))
      continue;
    uint32_t expr = manifest_.inputs[symbol.input].dims[symbol.axis].expr;
    require(expr < program_.expressions.size() && program_.expressions[expr].op == ExprOp::symbol &&
                program_.expressions[expr].lhs == i,
            where + " is bound by a dimension that is another expression");
  }
}

/// What the runtime relies on when it lays out the buffer of a cache and views it.
void Validator::checkCachedTensors(const TensorInfo &past, const TensorInfo &present,
                                   const std::string &where) {
  if (!require(past.dtype == present.dtype && past.dims.size() == 4 && present.dims.size() == 4,
               where + " is no pair of tensors of rank 4 and one dtype") ||
      !fault_.empty())
    return;
  for (uint32_t axis = 0; axis < 4; ++axis) {
    uint32_t expr = past.dims[axis].expr;
    if (axis == kCacheAxis)
      continue;
    require(present.dims[axis].expr == expr, where + " changes dimension " + std::to_string(axis));
    ExprOp op = program_.expressions[expr].op;
    require(op == ExprOp::constant || (axis == 0 && op == ExprOp::symbol),
            where + " has a dimension " + std::to_string(axis) + " that varies");
  }
  const TensorInfo &first = manifest_.inputs[manifest_.caches[0].input];
  const TensorInfo &grown = manifest_.outputs[manifest_.caches[0].output];
  require(past.dims[0].expr == first.dims[0].expr &&
              past.dims[kCacheAxis].expr == first.dims[kCacheAxis].expr &&
              present.dims[kCacheAxis].expr == grown.dims[kCacheAxis].expr,
          where + " has another batch or length than the first");
}

void Validator::checkCaches() {
  require(manifest_.caches.empty() == (manifest_.capacity == kNone),
          "caches without a capacity, or the reverse");
  require(manifest_.capacity == kNone || manifest_.capacity == manifest_.inputSymbols().size(),
          "the capacity of the caches is not the first symbol that no input binds");
  std::set<uint32_t> inputs, outputs;
  for (size_t i = 0; i < manifest_.caches.size() && fault_.empty(); ++i) {
    const Cache &cache = manifest_.caches[i];
    std::string where = "cache " + std::to_string(i);
    if (!require(cache.input < manifest_.inputs.size() && cache.output < manifest_.outputs.size(),
                 where + " refers to an unknown input or output"))
      return;
    require(inputs.insert(cache.input).second && outputs.insert(cache.output).second,
            where + " shares its input or output with another");
    checkCachedTensors(manifest_.inputs[cache.input], manifest_.outputs[cache.output], where);
  }
}

void Validator::checkSlotsAndWeights() {
  for (const Slot &slot : program_.slots) {
    requireExpr(slot.size, "a slot", /*optional=*/false);
    require(slot.after == kNone || isDataSymbol(slot.after),
            "a slot is placed after a symbol that is none of data");
  }
  for (const LateOutput &late : program_.lateOutputs)
    require(late.output < manifest_.outputs.size() && late.slot < program_.slots.size(),
            "a late output refers to an unknown output or slot");
  for (const Weight &weight : program_.weights) {
    std::string where = "weight '" + weight.name + "'";
    require(weight.offset % kBufferAlignment == 0, where + " is not aligned");
    require(weight.offset <= weightsSize_ && weight.size <= weightsSize_ - weight.offset,
            where + " lies outside the weights section");
  }
}

void Validator::checkTargets() {
  for (const Target &target : program_.targets)
    require(target.entryPoints.size() == program_.kernels.size(),
            "target '" + target.name + "' has " + std::to_string(target.entryPoints.size()) +
                " entry points for " + std::to_string(program_.kernels.size()) + " kernels");
}

void Validator::checkAssumptions() {
  for (const Assumption &assumption : program_.assumptions)
    requireExpr(assumption.condition, "an assumption", /*optional=*/false);
}

void Validator::checkOperand(const Operand &operand, const std::string &where, bool written) {
  requireExpr(operand.offset, where, /*optional=*/true);
  size_t count = 0;
  const char *kind = "";
  switch (operand.kind) {
  case OperandKind::input:
    count = manifest_.inputs.size(), kind = "input";
    break;
  case OperandKind::output:
    count = manifest_.outputs.size(), kind = "output";
    break;
  case OperandKind::slot:
    count = program_.slots.size(), kind = "slot";
    break;
  case OperandKind::weight:
    count = program_.weights.size(), kind = "weight";
    break;
  case OperandKind::cache:
    count = manifest_.caches.size(), kind = "cache";
    break;
  default:
    require(false, where + " has an operand of unknown kind");
    return;
  }
  require(operand.index < count, where + " refers to " + kind + " " +
                                     std::to_string(operand.index) + " of " +
                                     std::to_string(count));
  for (const Cache &cache : manifest_.caches)
    require(!(operand.kind == OperandKind::input && operand.index == cache.input) &&
                !(operand.kind == OperandKind::output && operand.index == cache.output),
            where + " uses " + kind + " " + std::to_string(operand.index) + ", which is a cache");
  require(!written || operand.kind == OperandKind::output || operand.kind == OperandKind::slot,
          where + " writes to " + kind + " " + std::to_string(operand.index));
}

void Validator::checkLaunch(const Step &step, const std::string &where) {
  if (!require(step.kernel < program_.kernels.size(), where + " launches an unknown kernel"))
    return;
  const Kernel &kernel = program_.kernels[step.kernel];
  require(step.operands.size() == kernel.bufferCount,
          where + " gives kernel '" + kernel.name + "' " + std::to_string(step.operands.size()) +
              " buffers, it takes " + std::to_string(kernel.bufferCount));
  require(step.scalars.size() == kernel.scalarCount,
          where + " gives kernel '" + kernel.name + "' " + std::to_string(step.scalars.size()) +
              " scalars, it takes " + std::to_string(kernel.scalarCount));
  require(step.grids.size() == program_.targets.size(),
          where + " has " + std::to_string(step.grids.size()) + " grids for " +
              std::to_string(program_.targets.size()) + " targets");
  for (const Assumption &check : step.checks)
    requireExpr(check.condition, where, /*optional=*/false);
  for (const Grid &grid : step.grids) {
    requireExpr(grid.tiles, where, /*optional=*/false);
    requireExpr(grid.scratchBytes, where, /*optional=*/true);
  }
  for (uint32_t scalar : step.scalars)
    requireExpr(scalar, where, /*optional=*/false);
}

void Validator::checkSteps() {
  for (size_t i = 0; i < program_.steps.size() && fault_.empty(); ++i) {
    const Step &step = program_.steps[i];
    std::string where = "step " + std::to_string(i) + " '" + step.name + "'";
    requireExpr(step.flops, where, /*optional=*/true);
    requireExpr(step.bytes, where, /*optional=*/true);
    if (step.kind == StepKind::launch) {
      checkLaunch(step, where);
    } else if (step.kind == StepKind::copy) {
      require(step.operands.size() == 2, where + " copies without a source and a destination");
      require(step.kernel == kNone && step.grids.empty() && step.scalars.empty(),
              where + " copies and launches");
      requireExpr(step.copyBytes, where, /*optional=*/false);
    } else if (step.kind == StepKind::bind) {
      require(step.operands.size() == 1, where + " binds a symbol to no value");
      require(step.kernel == kNone && step.grids.empty() && step.scalars.empty(),
              where + " binds and launches");
      require(isDataSymbol(step.target), where + " binds a symbol that is none of data");
    } else if (step.kind == StepKind::jump || step.kind == StepKind::jumpIfZero) {
      require(step.operands.size() == (step.kind == StepKind::jump ? 0 : 1),
              where + " jumps with " + std::to_string(step.operands.size()) + " operands");
      require(step.kernel == kNone && step.grids.empty() && step.scalars.empty(),
              where + " jumps and launches");
      require(step.target <= program_.steps.size(),
              where + " jumps to step " + std::to_string(step.target) + " of " +
                  std::to_string(program_.steps.size()));
    } else {
      require(false, where + " is of unknown kind");
    }
    for (size_t k = 0; k < step.operands.size(); ++k)
      checkOperand(step.operands[k], where, step.kind == StepKind::copy && k == 1);
  }
}

/// Memory that is there before the steps run has a size that no step changes.
void Validator::checkDataSizes() {
  std::vector<bool> varies; // of each expression: needs a data symbol
  for (const Expr &expr : program_.expressions)
    varies.push_back(expr.op == ExprOp::symbol ? isDataSymbol(expr.lhs)
                                               : expr.op != ExprOp::constant &&
                                                     (varies[expr.lhs] || varies[expr.rhs]));
  auto tensorVaries = [&](const TensorInfo &tensor) {
    return std::ranges::any_of(tensor.dims, [&](const Dim &dim) { return varies[dim.expr]; });
  };
  for (const TensorInfo &input : manifest_.inputs)
    require(!tensorVaries(input), "input '" + input.name + "' has a size that depends on data");
  std::set<uint32_t> late;
  for (const LateOutput &output : program_.lateOutputs)
    require(late.insert(output.output).second, "a late output appears twice");
  for (uint32_t i = 0; i < manifest_.outputs.size(); ++i)
    require(late.contains(i) || !tensorVaries(manifest_.outputs[i]),
            "output '" + manifest_.outputs[i].name +
                "' has a size that depends on data and is no late output");
  for (const Cache &cache : manifest_.caches)
    require(!late.contains(cache.output), "a late output is a cache");
  for (const Slot &slot : program_.slots)
    require(slot.after != kNone || !varies[slot.size],
            "a slot has a size that depends on data and is placed after no symbol");
  for (const Step &step : program_.steps)
    for (const Operand &operand : step.operands)
      require(operand.kind != OperandKind::output || !late.contains(operand.index),
              "step '" + step.name + "' uses output " + std::to_string(operand.index) +
                  ", which is late");
}

} // namespace

Status validate(const Manifest &manifest, const Program &program, uint64_t weightsSize) {
  return Validator(manifest, program, weightsSize).run();
}

} // namespace permalloy::artifact
