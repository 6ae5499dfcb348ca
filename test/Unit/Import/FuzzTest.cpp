//===- FuzzTest.cpp - damaged models never crash the importer ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Deterministic mutations of a small model that has one of everything: a function, a weight, typed
// data, external data, attributes of each kind. Each import gives a module or an error. Worth most
// in the asan preset.
//
//===----------------------------------------------------------------------===//

#include "onnx.pb.h"
#include "permalloy/Import/Import.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

using namespace permalloy;

namespace {

onnx::AttributeProto *addAttribute(onnx::NodeProto *node, const char *name,
                                   onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto *attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return attribute;
}

onnx::NodeProto *addNode(google::protobuf::RepeatedPtrField<onnx::NodeProto> *nodes, const char *op,
                         std::initializer_list<const char *> inputs, const char *output,
                         const char *domain = "") {
  onnx::NodeProto *node = nodes->Add();
  node->set_op_type(op);
  node->set_domain(domain);
  node->set_name(output);
  for (const char *input : inputs)
    node->add_input(input);
  node->add_output(output);
  return node;
}

void addValue(onnx::ValueInfoProto *value, const char *name) {
  value->set_name(name);
  auto *type = value->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("batch");
  type->mutable_shape()->add_dim()->set_dim_value(32);
}

void addTensors(onnx::GraphProto *graph) {
  onnx::TensorProto *large = graph->add_initializer();
  large->set_name("w");
  large->set_data_type(onnx::TensorProto::FLOAT);
  large->add_dims(32);
  large->add_dims(16);
  large->set_raw_data(std::string(32 * 16 * 4, '\1'));
  onnx::TensorProto *typed = graph->add_initializer();
  typed->set_name("shape");
  typed->set_data_type(onnx::TensorProto::INT64);
  typed->add_dims(3);
  for (int64_t extent : {-1, 4, 4})
    typed->add_int64_data(extent);
  onnx::TensorProto *external = graph->add_initializer();
  external->set_name("outside");
  external->set_data_type(onnx::TensorProto::FLOAT);
  external->set_data_location(onnx::TensorProto::EXTERNAL);
  auto *entry = external->add_external_data();
  entry->set_key("location");
  entry->set_value("weights.bin");
}

onnx::ModelProto makeModel() {
  onnx::ModelProto model;
  model.set_ir_version(10);
  for (const char *domain : {"", "local"}) {
    auto *opset = model.add_opset_import();
    opset->set_domain(domain);
    opset->set_version(*domain ? 1 : 23);
  }
  onnx::GraphProto *graph = model.mutable_graph();
  graph->set_name("g");
  addValue(graph->add_input(), "x");
  addValue(graph->add_output(), "y");
  addTensors(graph);
  addNode(graph->mutable_node(), "MatMul", {"x", "w"}, "a");
  addNode(graph->mutable_node(), "Reshape", {"a", "shape"}, "b");
  auto *transpose = addNode(graph->mutable_node(), "Transpose", {"b"}, "c");
  auto *perm = addAttribute(transpose, "perm", onnx::AttributeProto::INTS);
  for (int64_t axis : {0, 2, 1})
    perm->add_ints(axis);
  addAttribute(addNode(graph->mutable_node(), "Softmax", {"c"}, "d"), "axis",
               onnx::AttributeProto::INT)
      ->set_i(-1);
  addNode(graph->mutable_node(), "Twice", {"d"}, "y", "local");
  onnx::FunctionProto *function = model.add_functions();
  function->set_name("Twice");
  function->set_domain("local");
  function->add_input("p");
  function->add_output("q");
  auto *opset = function->add_opset_import();
  opset->set_version(23);
  addNode(function->mutable_node(), "Add", {"p", "p"}, "r");
  addAttribute(addNode(function->mutable_node(), "LeakyRelu", {"r"}, "q"), "alpha",
               onnx::AttributeProto::FLOAT)
      ->set_f(0.5f);
  return model;
}

/// A module, or at least one error.
void importOrError(const std::string &bytes) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  unsigned errors = 0;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &) { ++errors; });
  auto module = importOnnx(llvm::MemoryBufferRef(bytes, "model"), "model.onnx", context);
  EXPECT_TRUE(module || errors > 0);
}

/// One to four random changes: a byte, a bit, a cut, a repetition.
std::string mutate(std::string bytes, std::mt19937 &random) {
  auto below = [&](size_t n) { return n ? random() % n : 0; };
  for (size_t i = 0, count = 1 + below(4); i < count && !bytes.empty(); ++i) {
    // Most of the bytes are one weight: stay near the ends.
    size_t at = below(2) ? below(std::min<size_t>(bytes.size(), 64))
                         : bytes.size() - 1 - below(std::min<size_t>(bytes.size(), 500));
    switch (below(4)) {
    case 0:
      bytes[at] = char(random());
      break;
    case 1:
      bytes[at] ^= char(1u << below(8));
      break;
    case 2:
      bytes.erase(at, 1 + below(8));
      break;
    case 3:
      bytes.insert(at, bytes.substr(at, 1 + below(16)));
      break;
    }
  }
  return bytes;
}

TEST(ImportFuzz, TheModelItself) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  std::string bytes = makeModel().SerializeAsString();
  EXPECT_TRUE(importOnnx(llvm::MemoryBufferRef(bytes, "model"), "model.onnx", context));
}

TEST(ImportFuzz, EveryTruncation) {
  std::string bytes = makeModel().SerializeAsString();
  for (size_t length = 0; length < bytes.size(); ++length)
    importOrError(bytes.substr(0, length));
}

TEST(ImportFuzz, RandomChanges) {
  const char *full = std::getenv("PERMALLOY_TEST_FULL");
  int rounds = full && *full == '1' ? 100000 : 3000;
  std::mt19937 random(1);
  std::string bytes = makeModel().SerializeAsString();
  for (int i = 0; i < rounds; ++i)
    importOrError(mutate(bytes, random));
}

} // namespace
