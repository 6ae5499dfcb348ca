//===- native.cpp - permalloy._native: the C interface for Python -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A thin layer: python/permalloy/session.py checks and converts arguments, this module hands
// addresses to the C interface with the GIL released, and gives outputs as arrays that own their
// memory. A failed status becomes the exception that permalloy.errors.from_status makes of it.
//===----------------------------------------------------------------------===//
#include "permalloy-c/permalloy.h"

#include <memory>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
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

/// Name, ONNX type number, shape, address of a C-contiguous array that the caller keeps alive.
using Feed = std::tuple<std::string, int, std::vector<int64_t>, uintptr_t>;

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

/// An array that owns the output's memory.
nb::object toArray(permalloy_tensor &tensor) {
  nb::capsule owner(tensor.data, [](void *data) noexcept { permalloy_data_release(data); });
  void *data = tensor.data;
  tensor.owned = 0;
  std::vector<size_t> shape(tensor.dims, tensor.dims + tensor.rank);
  return nb::cast(nb::ndarray<nb::numpy>(data, shape.size(), shape.data(), owner, nullptr,
                                         dlpackType(tensor.dtype)));
}

/// Outputs of a run; what has not become an array is freed with it.
struct Outputs {
  explicit Outputs(const std::vector<std::string> &names) : tensors(names.size()) {
    for (size_t i = 0; i < names.size(); ++i) {
      tensors[i] = {};
      tensors[i].name = names[i].c_str();
    }
  }
  ~Outputs() {
    for (permalloy_tensor &tensor : tensors)
      permalloy_tensor_release(&tensor);
  }
  std::vector<permalloy_tensor> tensors;
};

class NativeSession {
public:
  NativeSession(const std::string &path, int threads) {
    permalloy_session_options options = makeOptions(threads);
    permalloy_status *status;
    {
      nb::gil_scoped_release release;
      status = permalloy_session_open(path.c_str(), &options, &session_);
    }
    check(status);
  }
  NativeSession(nb::bytes data, int threads) {
    permalloy_session_options options = makeOptions(threads);
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

  nb::list inputs() const { return describe(permalloy_session_input_count, permalloy_session_input); }
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

  /// The arrays of `names`, and the steps' times in nanoseconds when `profile` is set.
  nb::tuple run(const std::vector<Feed> &feeds, const std::vector<std::string> &names,
                bool profile) {
    std::vector<permalloy_tensor> inputs;
    for (const Feed &feed : feeds)
      inputs.push_back(toTensor(feed));
    Outputs outputs(names);
    std::vector<int64_t> times(profile ? permalloy_session_step_count(session_) : 0);
    permalloy_run_options options = {};
    options.struct_size = sizeof options;
    options.step_nanoseconds = profile ? times.data() : nullptr;
    options.step_count = times.size();
    permalloy_status *status;
    {
      nb::gil_scoped_release release;
      status = permalloy_session_run(session_, inputs.data(), inputs.size(),
                                     outputs.tensors.data(), outputs.tensors.size(), &options);
    }
    check(status);
    nb::list arrays;
    for (permalloy_tensor &tensor : outputs.tensors)
      arrays.append(toArray(tensor));
    return nb::make_tuple(arrays, times);
  }

private:
  static permalloy_session_options makeOptions(int threads) {
    permalloy_session_options options = {};
    options.struct_size = sizeof options;
    options.threads = threads;
    return options;
  }

  static permalloy_tensor toTensor(const Feed &feed) {
    const auto &[name, dtype, shape, address] = feed;
    permalloy_tensor tensor = {};
    tensor.name = name.c_str();
    tensor.dtype = static_cast<permalloy_dtype>(dtype);
    tensor.rank = static_cast<int32_t>(shape.size());
    for (size_t i = 0; i < shape.size() && i < PERMALLOY_MAX_RANK; ++i)
      tensor.dims[i] = shape[i];
    tensor.data = reinterpret_cast<void *>(address);
    return tensor;
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
  nb::class_<NativeSession>(m, "Session")
      .def(nb::init<const std::string &, int>(), nb::arg("path"), nb::arg("threads"))
      .def(nb::init<nb::bytes, int>(), nb::arg("data"), nb::arg("threads"))
      .def("inputs", &NativeSession::inputs)
      .def("outputs", &NativeSession::outputs)
      .def("metadata", &NativeSession::metadata)
      .def("steps", &NativeSession::steps)
      .def("threads", &NativeSession::threads)
      .def("run", &NativeSession::run, nb::arg("feeds"), nb::arg("names"), nb::arg("profile"));
}
