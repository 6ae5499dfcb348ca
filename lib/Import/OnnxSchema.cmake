# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# C++ of ONNX's own schema: protoc over the .proto inside the onnx Python package. Nothing is vendored. The copy is changed
# in two ways: the package name (so that no other onnx.pb.h can be mistaken for it), and one more field of TensorProto that
# WireSkim fills with the index of a byte region it left in the file.

include(PermalloyPython)
execute_process(
  COMMAND ${PERMALLOY_PYTHON} -c
    "import os, onnx, onnx.defs as d; print(os.path.dirname(onnx.__file__)); print(onnx.__version__); print(d.onnx_opset_version()); print(onnx.IR_VERSION)"
  OUTPUT_VARIABLE facts OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" facts "${facts}")
list(GET facts 0 onnx_dir)
list(GET facts 1 PERMALLOY_ONNX_VERSION)
list(GET facts 2 PERMALLOY_ONNX_OPSET)
list(GET facts 3 PERMALLOY_ONNX_IR)
message(STATUS "onnx ${PERMALLOY_ONNX_VERSION} (opset ${PERMALLOY_ONNX_OPSET}, IR ${PERMALLOY_ONNX_IR}) from ${onnx_dir}")

set(schema_dir ${CMAKE_CURRENT_BINARY_DIR})
set(schema ${schema_dir}/onnx.proto)
file(READ ${onnx_dir}/onnx-ml.proto text)
string(REPLACE "package onnx;" "package permalloy.onnx;" text "${text}")
set(anchor "optional bytes raw_data = 9;")
string(REPLACE "${anchor}" "${anchor}\n  optional uint64 permalloy_region = 20260;" text "${text}")
if(NOT text MATCHES "permalloy_region" OR NOT text MATCHES "LITE_RUNTIME")
  message(FATAL_ERROR "${onnx_dir}/onnx-ml.proto (onnx ${PERMALLOY_ONNX_VERSION}) has an unknown form")
endif()
file(CONFIGURE OUTPUT ${schema} CONTENT "${text}" @ONLY)
configure_file(${CMAKE_CURRENT_SOURCE_DIR}/OnnxVersion.h.in ${schema_dir}/OnnxVersion.h @ONLY)

find_package(Protobuf REQUIRED)
add_custom_command(
  OUTPUT ${schema_dir}/onnx.pb.cc ${schema_dir}/onnx.pb.h
  COMMAND ${Protobuf_PROTOC_EXECUTABLE} --cpp_out=${schema_dir} -I${schema_dir} ${schema}
  DEPENDS ${schema} COMMENT "Generating C++ of the ONNX schema")
find_library(PERMALLOY_PROTOBUF_LITE libprotobuf-lite.a REQUIRED)

# Generated code: no precompiled header, no warnings, hidden.
add_library(PermalloyOnnxSchema STATIC ${schema_dir}/onnx.pb.cc)
target_compile_options(PermalloyOnnxSchema PRIVATE -w -fvisibility=hidden)
target_include_directories(PermalloyOnnxSchema SYSTEM PUBLIC ${schema_dir} ${Protobuf_INCLUDE_DIRS})
target_link_libraries(PermalloyOnnxSchema PUBLIC ${PERMALLOY_PROTOBUF_LITE} -Wl,--exclude-libs,libprotobuf-lite.a)
add_custom_target(permalloy-onnx-schema DEPENDS ${schema_dir}/onnx.pb.h)
