//===- SessionCaches.cpp - where a call's past is and goes -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SessionCaches.h"

#include "permalloy/Runtime/CallContext.h"
#include "permalloy/Runtime/Strided.h"

#include <algorithm>

namespace permalloy {

using namespace artifact;

/// Rows of a state that was not told how many.
static constexpr int64_t kStateRows = 256;

static Status invalid(std::string message) {
  return {StatusCode::invalidArgument, std::move(message)};
}

int64_t Session::mostCacheRows(const Manifest &manifest, const Program &program) {
  if (manifest.caches.empty())
    return 0;
  uint32_t length = manifest.outputs[manifest.caches[0].output].dims[kCacheAxis].expr;
  std::vector<int64_t> most; // of each expression; INT64_MAX where unknown
  for (uint32_t i = 0; i <= length; ++i) {
    const Expr &expr = program.expressions[i];
    int64_t bound = INT64_MAX;
    if (expr.op == ExprOp::constant)
      bound = expr.value;
    else if (expr.op == ExprOp::symbol)
      bound = manifest.symbols[expr.lhs].max;
    else if (expr.op == ExprOp::min)
      bound = std::min(most[expr.lhs], most[expr.rhs]);
    else if (expr.op == ExprOp::max)
      bound = std::max(most[expr.lhs], most[expr.rhs]);
    else if (expr.op == ExprOp::add &&
             __builtin_add_overflow(most[expr.lhs], most[expr.rhs], &bound))
      bound = INT64_MAX;
    most.push_back(bound);
  }
  return std::max<int64_t>(most[length], 1);
}

std::vector<CacheShape> Session::cacheShapes(int64_t batch) const {
  const std::vector<Expr> &table = artifact_->program().expressions;
  std::vector<CacheShape> shapes;
  for (const Cache &cache : artifact_->manifest().caches) {
    const TensorInfo &past = artifact_->manifest().inputs[cache.input];
    shapes.push_back(
        {past.dtype, batch, table[past.dims[1].expr].value, table[past.dims[3].expr].value});
  }
  return shapes;
}

/// The set that `inputs` show, or the state's; null when there is none.
std::shared_ptr<CacheSet> Session::findCaches(std::span<const InputTensor> inputs,
                                              CacheState *state) {
  if (state)
    return state->set();
  const std::vector<Cache> &caches = artifact_->manifest().caches;
  std::shared_ptr<CacheSet> set = registry()->find(inputs[caches[0].input].data);
  for (size_t i = 0; set && i < caches.size(); ++i)
    if (!set->isView(i, inputs[caches[i].input]))
      set = nullptr;
  return set;
}

/// A new set of `capacity` rows that begins with the past of `inputs`.
Status Session::copyCaches(CallContext &context, std::span<const InputTensor> inputs,
                           int64_t capacity, CacheUse &use) {
  const Manifest &manifest = artifact_->manifest();
  int64_t batch = context.values()[manifest.inputs[manifest.caches[0].input].dims[0].expr];
  Result<std::shared_ptr<CacheSet>> set =
      CacheSet::create(cacheShapes(batch), capacity, *backend_, registry());
  if (!set.ok())
    return set.status();
  for (size_t i = 0; i < manifest.caches.size(); ++i)
    PERMALLOY_TRY((*set)->fill(*backend_, i, inputs[manifest.caches[i].input]));
  (*set)->truncate(use.after);
  use.set = std::move(*set);
  return {};
}

Status Session::prepareCaches(CallContext &context, std::vector<int64_t> symbols,
                              std::span<const InputTensor> inputs, CacheState *state,
                              CacheUse &use) {
  const Manifest &manifest = artifact_->manifest();
  if (manifest.caches.empty())
    return context.prepare(symbols, inputs);
  std::shared_ptr<CacheSet> set = findCaches(inputs, state);
  int64_t &capacity = symbols[manifest.capacity];
  capacity = set ? set->capacity() : std::max<int64_t>(context.lastSymbol(manifest.capacity), 1);
  PERMALLOY_TRY(context.prepare(symbols, inputs));
  const Cache &first = manifest.caches[0];
  use.before = context.values()[manifest.inputs[first.input].dims[kCacheAxis].expr];
  use.after = context.values()[manifest.outputs[first.output].dims[kCacheAxis].expr];
  if (use.after < use.before)
    return {StatusCode::internal, "the caches shrink from " + std::to_string(use.before) +
                                      " rows to " + std::to_string(use.after)};
  if (set && set->claim(use.before, use.after)) {
    use.set = std::move(set);
    return {};
  }
  int64_t grown = grownCapacity(use.after, mostRows_);
  if (grown != capacity) {
    capacity = grown;
    PERMALLOY_TRY(context.prepare(symbols, inputs));
  }
  return copyCaches(context, inputs, grown, use);
}

Status Session::copyOutCaches(const CacheUse &use, std::span<const OutputTensor> outputs,
                              const OutputPlaces &places) {
  const std::vector<Cache> &caches = artifact_->manifest().caches;
  for (size_t i = 0; i < caches.size(); ++i)
    if (const TensorMemory &place = places.memory[caches[i].output]; place.data)
      PERMALLOY_TRY(use.set->copyOut(*backend_, i, outputs[caches[i].output].dims[kCacheAxis], place));
  return {};
}

void Session::handOut(const CacheUse &use, std::span<OutputTensor> outputs) {
  const std::vector<Cache> &caches = artifact_->manifest().caches;
  for (size_t i = 0; i < caches.size(); ++i) {
    OutputTensor &output = outputs[caches[i].output];
    if (output.data) // memory of its own
      continue;
    output.data = use.set->buffer(i);
    output.strides = use.set->strides(i);
    output.owner = use.set;
  }
}

//===-- States ------------------------------------------------------------===//

Result<std::unique_ptr<CacheState>> Session::createState(int64_t batch, int64_t capacity) {
  const Manifest &manifest = artifact_->manifest();
  if (manifest.caches.empty())
    return invalid("the model has no caches, so it takes no state");
  const Dim &dim = manifest.inputs[manifest.caches[0].input].dims[0];
  const Expr &expr = artifact_->program().expressions[dim.expr];
  bool isSymbol = expr.op == ExprOp::symbol;
  int64_t least = isSymbol ? manifest.symbols[expr.lhs].min : expr.value;
  int64_t most = isSymbol ? manifest.symbols[expr.lhs].max : expr.value;
  if (batch < std::max<int64_t>(least, 0) || batch > most)
    return invalid("a state of batch " + std::to_string(batch) + ": the model takes " +
                   std::to_string(least) + (most == least ? "" : " to " + std::to_string(most)));
  if (capacity < 0 || capacity > mostRows_)
    return invalid("a state of capacity " + std::to_string(capacity) + ": accepted are 1.." +
                   std::to_string(mostRows_) + ", or 0 to leave it to the session");
  Result<std::shared_ptr<CacheSet>> set =
      CacheSet::create(cacheShapes(batch), capacity ? capacity : std::min(kStateRows, mostRows_),
                       *backend_, registry());
  if (!set.ok())
    return set.status();
  return std::make_unique<CacheState>(std::move(*set), this);
}

Status Session::loadState(CacheState &state, std::span<const InputTensor> inputs) {
  const Manifest &manifest = artifact_->manifest();
  if (state.session_ != this || inputs.size() != manifest.inputs.size())
    return invalid("the state or the inputs belong to another session");
  CacheState::Use use(state);
  if (!use.ok)
    return invalid("the state is in use by a run");
  const InputTensor &first = inputs[manifest.caches[0].input];
  int64_t length = first.dims.size() == 4 ? first.dims[kCacheAxis] : -1;
  std::vector<CacheShape> shapes = cacheShapes(state.batch());
  for (size_t i = 0; i < shapes.size(); ++i) {
    const InputTensor &past = inputs[manifest.caches[i].input];
    PERMALLOY_TRY(checkInput(manifest.inputs[manifest.caches[i].input], past));
    std::vector<int64_t> expected = {shapes[i].batch, shapes[i].heads, length, shapes[i].size};
    if (past.dims != expected || length > mostRows_)
      return invalid("input '" + manifest.inputs[manifest.caches[i].input].name + "' of shape " +
                     shapeText(past.dims) + " does not fit a state of batch " +
                     std::to_string(state.batch()));
  }
  Result<std::shared_ptr<CacheSet>> set = state.set();
  if (length > state.capacity())
    set = CacheSet::create(shapes, grownCapacity(length, mostRows_), *backend_, registry());
  if (!set.ok())
    return set.status();
  for (size_t i = 0; i < shapes.size(); ++i)
    PERMALLOY_TRY((*set)->fill(*backend_, i, inputs[manifest.caches[i].input]));
  (*set)->truncate(length);
  state.replaceSet(std::move(*set));
  return {};
}

Status Session::runState(std::span<const InputTensor> inputs, std::span<OutputTensor> outputs,
                         const RunOptions &options) {
  const Manifest &manifest = artifact_->manifest();
  CacheState &state = *options.state;
  if (state.session_ != this)
    return invalid("the state belongs to another session");
  if (inputs.size() != manifest.inputs.size())
    return invalid(std::to_string(inputs.size()) + " inputs given, the model has " +
                   std::to_string(manifest.inputs.size()));
  CacheState::Use use(state);
  if (!use.ok)
    return invalid("the state is in use by another run");
  std::vector<InputTensor> all(inputs.begin(), inputs.end());
  for (size_t i = 0; i < manifest.caches.size(); ++i)
    all[manifest.caches[i].input] = state.set()->view(i, state.length());
  return runChecked(all, outputs, options);
}

} // namespace permalloy
