//===- KvCache.cpp - buffers of past keys and values -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/KvCache.h"

#include "permalloy/Runtime/Strided.h"

#include <algorithm>
#include <unistd.h>

namespace permalloy {

using namespace artifact;

//===-- Registry ----------------------------------------------------------===//

CacheRegistry::CacheRegistry() : process_(::getpid()) {}

std::shared_ptr<CacheSet> CacheRegistry::find(const void *address) {
  std::lock_guard guard(lock_);
  auto it = sets_.find(address);
  return it == sets_.end() ? nullptr : it->second.lock();
}

//===-- Set ---------------------------------------------------------------===//

int64_t grownCapacity(int64_t length, int64_t most) {
  constexpr int64_t step = 64;
  if (length > INT64_MAX / 2)
    return length;
  int64_t wanted = (length + length / 2 + step - 1) / step * step;
  return std::max(length, std::min(std::max(wanted, step), most));
}

CacheSet::CacheSet(std::vector<CacheShape> shapes, int64_t capacity, int device,
                   std::shared_ptr<CacheRegistry> registry)
    : shapes_(std::move(shapes)), capacity_(capacity), device_(device),
      registry_(std::move(registry)) {}

std::vector<int64_t> CacheSet::dims(size_t cache, int64_t length) const {
  const CacheShape &shape = shapes_[cache];
  return {shape.batch, shape.heads, length, shape.size};
}

std::vector<int64_t> CacheSet::strides(size_t cache) const {
  return denseStrides(dims(cache, capacity_));
}

uint64_t CacheSet::bytes() const {
  uint64_t total = 0;
  for (size_t i = 0; i < shapes_.size(); ++i)
    total += tensorBytes(shapes_[i].dtype, dims(i, capacity_));
  return total;
}

Result<std::shared_ptr<CacheSet>> CacheSet::create(std::vector<CacheShape> shapes, int64_t capacity,
                                                   const Backend &backend,
                                                   std::shared_ptr<CacheRegistry> registry) {
  std::shared_ptr<CacheSet> set(
      new CacheSet(std::move(shapes), capacity, backend.device(), std::move(registry)));
  std::vector<uint64_t> sizes;
  for (size_t i = 0; i < set->shapes_.size(); ++i) {
    int64_t bytes = tensorBytes(set->shapes_[i].dtype, set->dims(i, capacity));
    if (bytes < 0)
      return Status(StatusCode::outOfMemory, "a cache of shape " +
                                                 shapeText(set->dims(i, capacity)) +
                                                 " is no possible size");
    sizes.push_back(std::max<int64_t>(bytes, 1)); // every buffer has an address of its own
  }
  Result<std::unique_ptr<BufferSet>> memory = backend.allocate(sizes, "past keys and values");
  if (!memory.ok())
    return memory.status();
  set->memory_ = std::move(*memory);
  for (size_t i = 0; i < sizes.size(); ++i)
    set->buffers_.push_back(set->memory_->buffer(i));
  std::lock_guard guard(set->registry_->lock_);
  set->registry_->sets_[set->buffer(0)] = set;
  return set;
}

CacheSet::~CacheSet() {
  // In a child of fork() the registry is the parent's, and its lock may be held by nobody.
  if (buffers_.empty() || registry_->process_ != ::getpid())
    return;
  std::lock_guard guard(registry_->lock_);
  registry_->sets_.erase(buffers_[0]);
}

InputTensor CacheSet::view(size_t cache, int64_t length) const {
  return {shapes_[cache].dtype, dims(cache, length), buffer(cache), strides(cache), device_};
}

bool CacheSet::isView(size_t cache, const InputTensor &tensor) const {
  return tensor.data == buffer(cache) && tensor.device == device_ && tensor.dims.size() == 4 &&
         tensor.dims == dims(cache, tensor.dims[kCacheAxis]) &&
         sameStrides(tensor.dims, tensor.strides, strides(cache));
}

bool CacheSet::claim(int64_t from, int64_t to) {
  return from <= to && to <= capacity_ &&
         length_.compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

void CacheSet::giveBack(int64_t from, int64_t to) {
  length_.compare_exchange_strong(to, from, std::memory_order_acq_rel);
}

Status CacheSet::fill(const Backend &backend, size_t cache, const InputTensor &rows) {
  std::vector<int64_t> dense = denseStrides(rows.dims);
  TensorMemory from{const_cast<void *>(rows.data), rows.device};
  return backend.copy({buffer(cache), device_}, strides(cache), from, rows.strides.empty() ? dense : rows.strides,
                      rows.dims, dtypeSize(rows.dtype));
}

Status CacheSet::copyOut(const Backend &backend, size_t cache, int64_t length, const TensorMemory &to) const {
  std::vector<int64_t> shape = dims(cache, length);
  return backend.copy(to, denseStrides(shape), {buffer(cache), device_}, strides(cache), shape,
                      dtypeSize(shapes_[cache].dtype));
}

//===-- State -------------------------------------------------------------===//

Status CacheState::truncate(int64_t length) {
  Use use(*this);
  if (!use.ok)
    return {StatusCode::invalidArgument, "the state is in use by a run"};
  if (length < 0 || length > this->length())
    return {StatusCode::invalidArgument, "cannot truncate a state of length " +
                                             std::to_string(this->length()) + " to " +
                                             std::to_string(length)};
  set()->truncate(length);
  return {};
}

} // namespace permalloy
