//===- native.cpp - permalloy._native: the C interface for Python -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A thin layer: python/permalloy/tensors.py checks and converts arguments, this module hands
// addresses to the C interface with the GIL released, and gives outputs as arrays that own their
// memory. A failed status becomes the exception that permalloy.errors.from_status makes of it.
// Declared for type checkers in permalloy/_native.pyi.
//===----------------------------------------------------------------------===//
#include "permalloy-c/permalloy.h"

#include <memory>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>
#include <string>
#include <tuple>
#include <vector>

namespace nb = nanobind;

namespace {

void check(permalloy_status *status) {
  if (!status)
    return;
  std::unique_ptr<permalloy_status, decltype(&permalloy_status_release)> owner(
      status, permalloy_status_release);
  nb::object error = nb::module_::import_("permalloy.errors")
                         .attr("from_status")(static_cast<int>(permalloy_status_get_code(status)),
                                              permalloy_status_message(status));
  PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(error.ptr())), error.ptr());
  throw nb::python_error();
}

/// Name, ONNX type number, shape, strides in elements (empty: dense), address and GPU (-1: the host) of
/// an array that the caller keeps alive.
using Feed = std::tuple<std::string, int, std::vector<int64_t>, std::vector<int64_t>, uintptr_t, int>;

/// Name, address and bytes of the caller's memory for an output, and whose memory it is; address 0: a new
/// array there.
using Target = std::tuple<std::string, uintptr_t, size_t, int>;

/// `device` as Python has it: a GPU's number, -1 for the host.
void setDevice(permalloy_tensor &tensor, int device) {
  tensor.device_type = device < 0 ? PERMALLOY_CPU : PERMALLOY_CUDA;
  tensor.device_id = device < 0 ? 0 : device;
}

/// A switch that one thread turns while others run.
struct Flag {
  int32_t value = 0;
  bool get() const { return __atomic_load_n(&value, __ATOMIC_RELAXED) != 0; }
  void set(bool on) { __atomic_store_n(&value, on, __ATOMIC_RELAXED); }
};

/// numpy's type for an output; bfloat16, which numpy lacks, travels as uint16.
nb::dlpack::dtype dlpackType(permalloy_dtype dtype) {
  using nb::dlpack::dtype_code;
  auto make = [&](dtype_code code) {
    return nb::dlpack::dtype{static_cast<uint8_t>(code),
                             static_cast<uint8_t>(8 * permalloy_dtype_size(dtype)), 1};
  };
  switch (dtype) {
  case PERMALLOY_FLOAT16:
  case PERMALLOY_FLOAT32:
  case PERMALLOY_FLOAT64:
    return make(dtype_code::Float);
  case PERMALLOY_INT8:
  case PERMALLOY_INT16:
  case PERMALLOY_INT32:
  case PERMALLOY_INT64:
    return make(dtype_code::Int);
  case PERMALLOY_BOOL:
    return make(dtype_code::Bool);
  default:
    return make(dtype_code::UInt);
  }
}

/// ONNX's number of a DLPack type, 0 for one that no model takes.
int onnxNumber(nb::dlpack::dtype type) {
  constexpr uint8_t bfloatCode = static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat);
  if (type.lanes != 1)
    return PERMALLOY_UNDEFINED;
  if (type.code == bfloatCode)
    return type.bits == 16 ? PERMALLOY_BFLOAT16 : PERMALLOY_UNDEFINED;
  for (int number = PERMALLOY_FLOAT32; number < PERMALLOY_BFLOAT16; ++number) {
    auto dtype = static_cast<permalloy_dtype>(number);
    if (permalloy_dtype_size(dtype) && dlpackType(dtype) == type)
      return number;
  }
  return PERMALLOY_UNDEFINED;
}

/// (type number, shape, strides in elements, address, owner, GPU) of any object with __dlpack__ or
/// capsule; the owner keeps the memory. Nothing is copied; the memory must be the CPU's or an NVIDIA
/// GPU's.
nb::tuple importDlpack(nb::ndarray<nb::ro> array) {
  bool isGpu = array.device_type() == nb::device::cuda::value;
  if (!isGpu && array.device_type() != nb::device::cpu::value)
    throw nb::type_error("the tensor is not in the CPU's or an NVIDIA GPU's memory");
  int device = isGpu ? static_cast<int>(array.device_id()) : -1;
  nb::list shape, strides;
  for (size_t axis = 0; axis < array.ndim(); ++axis) {
    shape.append(array.shape(axis));
    strides.append(array.stride(axis));
  }
  auto address = reinterpret_cast<uintptr_t>(array.data());
  int number = onnxNumber(array.dtype());
  auto *held = new nb::ndarray<nb::ro>(std::move(array));
  nb::capsule owner(held,
                    [](void *data) noexcept { delete static_cast<nb::ndarray<nb::ro> *>(data); });
  return nb::make_tuple(number, shape, strides, address, owner, device);
}

/// An object with __dlpack__ on memory that `owner` keeps, of the host (-1) or a GPU; strides in elements.
nb::object exportDlpack(uintptr_t address, const std::vector<size_t> &shape,
                        const std::vector<int64_t> &strides, int number, nb::object owner, int device) {
  nb::dlpack::dtype type =
      number == PERMALLOY_BFLOAT16
          ? nb::dlpack::dtype{static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1}
          : dlpackType(static_cast<permalloy_dtype>(number));
  return nb::cast(nb::ndarray<nb::array_api>(reinterpret_cast<void *>(address), shape.size(),
                                             shape.data(), owner, strides.data(), type,
                                             device < 0 ? nb::device::cpu::value : nb::device::cuda::value,
                                             device < 0 ? 0 : device));
}

/// An array that owns the output's memory, or keeps the cache that it is a view of. On a GPU:
/// (shape, strides in elements or none, address, owner).
nb::object toArray(permalloy_tensor &tensor) {
  nb::capsule owner =
      tensor.owner
          ? nb::capsule(tensor.owner, [](void *kept) noexcept { permalloy_owner_release(kept); })
          : nb::capsule(tensor.data, [](void *data) noexcept { permalloy_data_release(data); });
  void *data = tensor.data;
  tensor.owned = 0;
  std::vector<size_t> shape(tensor.dims, tensor.dims + tensor.rank);
  if (tensor.device_type == PERMALLOY_CUDA) {
    std::vector<int64_t> strides(tensor.strides, tensor.strides + (tensor.strided ? tensor.rank : 0));
    return nb::make_tuple(shape, strides, reinterpret_cast<uintptr_t>(data), owner);
  }
  return nb::cast(nb::ndarray<nb::numpy>(data, shape.size(), shape.data(), owner,
                                         tensor.strided ? tensor.strides : nullptr,
                                         dlpackType(tensor.dtype)));
}

/// Outputs of a run; what has not become an array is freed with it.
struct Outputs {
  explicit Outputs(const std::vector<Target> &targets) : tensors(targets.size()) {
    for (size_t i = 0; i < targets.size(); ++i) {
      const auto &[name, address, bytes, device] = targets[i];
      tensors[i] = {};
      tensors[i].name = name.c_str();
      tensors[i].data = reinterpret_cast<void *>(address);
      tensors[i].capacity = bytes;
      setDevice(tensors[i], device);
    }
  }
  ~Outputs() {
    for (permalloy_tensor &tensor : tensors)
      permalloy_tensor_release(&tensor);
  }
  std::vector<permalloy_tensor> tensors;
};

/// What C takes for an input of Python's.
permalloy_tensor toTensor(const Feed &feed) {
  const auto &[name, dtype, shape, strides, address, device] = feed;
  permalloy_tensor tensor = {};
  tensor.name = name.c_str();
  tensor.dtype = static_cast<permalloy_dtype>(dtype);
  tensor.rank = static_cast<int32_t>(shape.size());
  for (size_t i = 0; i < shape.size() && i < PERMALLOY_MAX_RANK; ++i)
    tensor.dims[i] = shape[i];
  tensor.strided = !strides.empty();
  for (size_t i = 0; i < strides.size() && i < PERMALLOY_MAX_RANK; ++i)
    tensor.strides[i] = strides[i];
  tensor.data = reinterpret_cast<void *>(address);
  setDevice(tensor, device);
  return tensor;
}

/// (name, major and minor compute capability) of each GPU; raises what is wrong where there is none.
nb::list gpus() {
  size_t count = 0;
  check(permalloy_gpu_count(&count));
  nb::list all;
  for (size_t i = 0; i < count; ++i) {
    permalloy_gpu_info info = {};
    info.struct_size = sizeof info;
    check(permalloy_gpu(i, &info));
    all.append(nb::make_tuple(info.name, info.major, info.minor));
  }
  return all;
}

/// (address, owner) of new memory of a GPU.
nb::tuple allocateOnGpu(size_t number, size_t bytes) {
  void *data = nullptr, *owner = nullptr;
  check(permalloy_gpu_allocate(number, bytes, &data, &owner));
  return nb::make_tuple(reinterpret_cast<uintptr_t>(data),
                        nb::capsule(owner, [](void *kept) noexcept { permalloy_owner_release(kept); }));
}

/// Waits for the legacy default stream of a GPU.
void waitForGpu(size_t number) {
  permalloy_status *status;
  {
    nb::gil_scoped_release release;
    status = permalloy_gpu_wait(number);
  }
  check(status);
}

/// Copies between addresses of the host (-1) and of a GPU.
void copyBytes(uintptr_t to, int toDevice, uintptr_t from, int fromDevice, size_t bytes) {
  permalloy_tensor target = {}, source = {};
  target.data = reinterpret_cast<void *>(to);
  source.data = reinterpret_cast<void *>(from);
  setDevice(target, toDevice);
  setDevice(source, fromDevice);
  permalloy_status *status;
  {
    nb::gil_scoped_release release;
    status = permalloy_copy(&target, &source, bytes);
  }
  check(status);
}

/// The caches of a batch of sequences; the Python object keeps its session.
class NativeState {
public:
  NativeState(permalloy_session *session, int64_t batch, int64_t capacity) {
    check(permalloy_state_create(session, batch, capacity, &state_));
  }
  NativeState(const NativeState &) = delete;
  NativeState &operator=(const NativeState &) = delete;
  ~NativeState() { permalloy_state_release(state_); }

  permalloy_state *get() const { return state_; }
  int64_t length() const { return permalloy_state_length(state_); }
  int64_t capacity() const { return permalloy_state_capacity(state_); }
  int64_t batch() const { return permalloy_state_batch(state_); }
  uint64_t bytes() const { return permalloy_state_bytes(state_); }
  void truncate(int64_t length) { check(permalloy_state_truncate(state_, length)); }
  void load(const std::vector<Feed> &feeds) {
    std::vector<permalloy_tensor> inputs;
    for (const Feed &feed : feeds)
      inputs.push_back(toTensor(feed));
    permalloy_status *status;
    {
      nb::gil_scoped_release release;
      status = permalloy_state_load(state_, inputs.data(), inputs.size());
    }
    check(status);
  }

private:
  permalloy_state *state_ = nullptr;
};

/// When the steps of runs happened.
class NativeProfile {
public:
  explicit NativeProfile(const permalloy_session *session) {
    check(permalloy_profile_create(session, &profile_));
  }
  NativeProfile(const NativeProfile &) = delete;
  NativeProfile &operator=(const NativeProfile &) = delete;
  ~NativeProfile() { permalloy_profile_release(profile_); }

  permalloy_profile *get() const { return profile_; }
  void write(const std::string &path) const {
    permalloy_status *status;
    {
      nb::gil_scoped_release release;
      status = permalloy_profile_write(profile_, path.c_str());
    }
    check(status);
  }

private:
  permalloy_profile *profile_ = nullptr;
};

class NativeSession {
public:
  NativeSession(const std::string &path, int threads, const std::string &device,
                uintptr_t stream) {
    permalloy_session_options options = makeOptions(threads, device, stream);
    permalloy_status *status;
    {
      nb::gil_scoped_release release;
      status = permalloy_session_open(path.c_str(), &options, &session_);
    }
    check(status);
  }
  NativeSession(nb::bytes data, int threads, const std::string &device, uintptr_t stream) {
    permalloy_session_options options = makeOptions(threads, device, stream);
    permalloy_status *status;
    {
      nb::gil_scoped_release release;
      status = permalloy_session_open_memory(data.data(), data.size(), &options, &session_);
    }
    check(status);
  }
  NativeSession(const NativeSession &) = delete;
  NativeSession &operator=(const NativeSession &) = delete;
  ~NativeSession() { permalloy_session_close(session_); }

  nb::list inputs() const {
    return describe(permalloy_session_input_count, permalloy_session_input);
  }
  nb::list outputs() const {
    return describe(permalloy_session_output_count, permalloy_session_output);
  }
  nb::dict metadata() const {
    nb::dict all;
    for (size_t i = 0; i < permalloy_session_metadata_count(session_); ++i)
      all[permalloy_session_metadata_key(session_, i)] =
          permalloy_session_metadata_value(session_, i);
    return all;
  }
  int threads() const { return permalloy_session_threads(session_); }

  /// (name, kernel) of each step.
  nb::list steps() const {
    nb::list all;
    for (size_t i = 0; i < permalloy_session_step_count(session_); ++i) {
      permalloy_step_info info = {};
      info.struct_size = sizeof info;
      check(permalloy_session_step(session_, i, &info));
      all.append(nb::make_tuple(info.name, info.kernel));
    }
    return all;
  }

  /// (input, output) of each cache.
  nb::list caches() const {
    nb::list all;
    for (size_t i = 0; i < permalloy_session_cache_count(session_); ++i) {
      size_t input = 0, output = 0;
      check(permalloy_session_cache(session_, i, &input, &output));
      permalloy_tensor_info past = {}, present = {};
      past.struct_size = present.struct_size = sizeof past;
      check(permalloy_session_input(session_, input, &past));
      check(permalloy_session_output(session_, output, &present));
      all.append(nb::make_tuple(past.name, present.name));
    }
    return all;
  }

  std::unique_ptr<NativeState> createState(int64_t batch, int64_t capacity) {
    return std::make_unique<NativeState>(session_, batch, capacity);
  }

  std::unique_ptr<NativeProfile> createProfile() {
    return std::make_unique<NativeProfile>(session_);
  }

  /// Of each target its new array, or the shape of what was written to the caller's memory; and
  /// the steps' times in nanoseconds when `timed` is set. `profile` gets the run added.
  nb::tuple run(const std::vector<Feed> &feeds, const std::vector<Target> &targets, bool timed,
                const Flag *terminate, const NativeState *state, const NativeProfile *profile) {
    std::vector<permalloy_tensor> inputs;
    for (const Feed &feed : feeds)
      inputs.push_back(toTensor(feed));
    Outputs outputs(targets);
    std::vector<int64_t> times(timed ? permalloy_session_step_count(session_) : 0);
    permalloy_run_options options = {};
    options.struct_size = sizeof options;
    options.step_nanoseconds = timed ? times.data() : nullptr;
    options.step_count = times.size();
    options.terminate = terminate ? &terminate->value : nullptr;
    options.profile = profile ? profile->get() : nullptr;
    permalloy_status *status;
    {
      nb::gil_scoped_release release;
      status = state ? permalloy_state_run(state->get(), inputs.data(), inputs.size(),
                                           outputs.tensors.data(), outputs.tensors.size(), &options)
                     : permalloy_session_run(session_, inputs.data(), inputs.size(),
                                             outputs.tensors.data(), outputs.tensors.size(),
                                             &options);
    }
    check(status);
    nb::list results;
    for (permalloy_tensor &tensor : outputs.tensors) {
      if (tensor.owned)
        results.append(toArray(tensor));
      else
        results.append(nb::cast(std::vector<int64_t>(tensor.dims, tensor.dims + tensor.rank)));
    }
    return nb::make_tuple(results, times);
  }

private:
  static permalloy_session_options makeOptions(int threads, const std::string &device,
                                               uintptr_t stream) {
    permalloy_session_options options = {};
    options.struct_size = sizeof options;
    options.threads = threads;
    options.device = device.c_str();
    options.stream = reinterpret_cast<void *>(stream);
    return options;
  }

  /// (name, ONNX type number, [size or symbol text]) of each input or output.
  template <class Count, class Query> nb::list describe(Count count, Query query) const {
    nb::list all;
    for (size_t i = 0; i < count(session_); ++i) {
      permalloy_tensor_info info = {};
      info.struct_size = sizeof info;
      check(query(session_, i, &info));
      nb::list dims;
      for (int axis = 0; axis < info.rank; ++axis) {
        if (info.dims[axis] >= 0)
          dims.append(info.dims[axis]);
        else
          dims.append(info.dim_texts[axis]);
      }
      all.append(nb::make_tuple(info.name, static_cast<int>(info.dtype), dims));
    }
    return all;
  }

  permalloy_session *session_ = nullptr;
};

} // namespace

NB_MODULE(_native, m) {
  nb::set_leak_warnings(false); // sessions in module globals outlive the interpreter's clean-up
  m.def("version", [] { return permalloy_version(); });
  m.def("available_cpus", [] { return permalloy_available_cpus(); });
  m.def("cpu_features", [] { return permalloy_cpu_features(); });
  m.def("import_dlpack", &importDlpack, nb::arg("tensor"));
  m.def("export_dlpack", &exportDlpack, nb::arg("address"), nb::arg("shape"), nb::arg("strides"),
        nb::arg("number"), nb::arg("owner"), nb::arg("device"));
  m.def("gpus", &gpus);
  m.def("allocate_on_gpu", &allocateOnGpu, nb::arg("number"), nb::arg("bytes"));
  m.def("wait_for_gpu", &waitForGpu, nb::arg("number"));
  m.def("copy_bytes", &copyBytes, nb::arg("to"), nb::arg("to_device"), nb::arg("source"),
        nb::arg("source_device"), nb::arg("bytes"));
  nb::class_<Flag>(m, "Flag").def(nb::init<>()).def_prop_rw("value", &Flag::get, &Flag::set);
  nb::class_<NativeSession>(m, "Session")
      .def(nb::init<const std::string &, int, const std::string &, uintptr_t>(),
           nb::arg("source"), nb::arg("threads"), nb::arg("device"), nb::arg("stream"))
      .def(nb::init<nb::bytes, int, const std::string &, uintptr_t>(), nb::arg("source"),
           nb::arg("threads"), nb::arg("device"), nb::arg("stream"))
      .def("inputs", &NativeSession::inputs)
      .def("outputs", &NativeSession::outputs)
      .def("metadata", &NativeSession::metadata)
      .def("steps", &NativeSession::steps)
      .def("threads", &NativeSession::threads)
      .def("run", &NativeSession::run, nb::arg("feeds"), nb::arg("targets"), nb::arg("timed"),
           nb::arg("terminate").none(), nb::arg("state").none(), nb::arg("profile").none())
      .def("create_profile", &NativeSession::createProfile)
      .def("caches", &NativeSession::caches)
      .def("create_state", &NativeSession::createState, nb::arg("batch"), nb::arg("capacity"),
           nb::keep_alive<0, 1>());
  nb::class_<NativeProfile>(m, "Profile").def("write", &NativeProfile::write, nb::arg("path"));
  nb::class_<NativeState>(m, "State")
      .def_prop_ro("length", &NativeState::length)
      .def_prop_ro("capacity", &NativeState::capacity)
      .def_prop_ro("batch", &NativeState::batch)
      .def_prop_ro("nbytes", &NativeState::bytes)
      .def("load", &NativeState::load, nb::arg("feeds"))
      .def("truncate", &NativeState::truncate, nb::arg("length"));
}
