//===- Flatten.cpp - one list of nodes from graph and functions --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Flatten.h"

#include "mlir/IR/Diagnostics.h"

using namespace mlir;
using namespace permalloy;

StringRef permalloy::normalizeDomain(StringRef domain) { return domain == "ai.onnx" ? "" : domain; }

namespace {

constexpr size_t kMaxNodes = 1'000'000;
constexpr unsigned kMaxCallDepth = 64;

using AttributeMap = llvm::StringMap<const onnx::AttributeProto *>;

/// What names mean inside of the graph or of one call of a function.
struct Scope {
  std::string valuePrefix; ///< unique for a call; empty in the graph
  std::string nodePrefix;  ///< for people: `call/`
  llvm::StringMap<std::string> values;
  AttributeMap attributes;
  const OpsetMap *opsets = nullptr;
  unsigned depth = 0;

  std::string resolve(StringRef name) const {
    if (name.empty())
      return "";
    auto it = values.find(name);
    return it != values.end() ? it->second : valuePrefix + name.str();
  }
};

class Flattener {
public:
  Flattener(const onnx::ModelProto &model, Location loc);
  LogicalResult run(const OpsetMap &opsets);
  std::vector<FlatNode> nodes;

private:
  template <typename Nodes> LogicalResult add(const Nodes &list, const Scope &scope);
  LogicalResult addNode(const onnx::NodeProto &node, const Scope &scope);
  LogicalResult addGraphs(FlatNode &node, const Scope &scope);
  LogicalResult call(const onnx::FunctionProto &function, const FlatNode &node, const Scope &scope);
  FlatNode bind(const onnx::NodeProto &node, const Scope &scope);
  void alias(StringRef from, StringRef to, const FlatNode &node);

  const onnx::ModelProto &model;
  Location loc;
  llvm::StringMap<const onnx::FunctionProto *> functions;
  unsigned calls = 0;
  size_t total = 0; ///< nodes, those of graphs inside included
};

std::string functionKey(StringRef domain, StringRef name, StringRef overload) {
  return (normalizeDomain(domain) + "\n" + name + "\n" + overload).str();
}

Flattener::Flattener(const onnx::ModelProto &model, Location loc) : model(model), loc(loc) {
  for (const onnx::FunctionProto &function : model.functions())
    functions[functionKey(function.domain(), function.name(), function.overload())] = &function;
}

LogicalResult Flattener::run(const OpsetMap &opsets) {
  Scope scope;
  scope.opsets = &opsets;
  return add(model.graph().node(), scope);
}

template <typename Nodes> LogicalResult Flattener::add(const Nodes &list, const Scope &scope) {
  for (const onnx::NodeProto &node : list)
    if (failed(addNode(node, scope)))
      return failure();
  return success();
}

FlatNode Flattener::bind(const onnx::NodeProto &node, const Scope &scope) {
  FlatNode flat;
  flat.domain = normalizeDomain(node.domain());
  flat.op = node.op_type();
  flat.name =
      scope.nodePrefix +
      (node.name().empty() ? node.op_type() + "_" + std::to_string(nodes.size()) : node.name());
  flat.opset = scope.opsets->lookup(flat.domain);
  for (const std::string &input : node.input())
    flat.inputs.push_back(scope.resolve(input));
  for (const std::string &output : node.output())
    flat.outputs.push_back(scope.resolve(output));
  for (const onnx::AttributeProto &attribute : node.attribute()) {
    const onnx::AttributeProto *value = &attribute;
    if (!attribute.ref_attr_name().empty())
      value = scope.attributes.lookup(attribute.ref_attr_name());
    if (value)
      flat.attributes[attribute.name()] = value;
  }
  return flat;
}

LogicalResult Flattener::addNode(const onnx::NodeProto &node, const Scope &scope) {
  if (++total > kMaxNodes)
    return emitError(loc, "the model unfolds into more than ")
           << kMaxNodes << " nodes, which is unsupported";
  FlatNode flat = bind(node, scope);
  if (const onnx::FunctionProto *function =
          functions.lookup(functionKey(node.domain(), node.op_type(), node.overload())))
    return call(*function, flat, scope);
  if (failed(addGraphs(flat, scope)))
    return failure();
  nodes.push_back(std::move(flat));
  return success();
}

LogicalResult Flattener::addGraphs(FlatNode &node, const Scope &scope) {
  for (const auto &[name, attribute] : node.attributes) {
    if (!attribute->has_g())
      continue;
    if (scope.depth >= kMaxCallDepth)
      return emitError(loc, "graphs and functions are nested more than ")
             << kMaxCallDepth << " deep, which is unsupported";
    auto graph = std::make_shared<FlatGraph>();
    for (const onnx::ValueInfoProto &input : attribute->g().input())
      graph->inputs.push_back(scope.resolve(input.name()));
    for (const onnx::ValueInfoProto &output : attribute->g().output())
      graph->outputs.push_back(scope.resolve(output.name()));
    for (const onnx::TensorProto &tensor : attribute->g().initializer())
      graph->initializers[scope.resolve(tensor.name())] = &tensor;
    Scope inner = scope;
    inner.nodePrefix = node.name + "/";
    ++inner.depth;
    std::swap(nodes, graph->nodes);
    LogicalResult result = add(attribute->g().node(), inner);
    std::swap(nodes, graph->nodes);
    if (failed(result))
      return failure();
    node.graphs[name] = std::move(graph);
  }
  return success();
}

void Flattener::alias(StringRef from, StringRef to, const FlatNode &node) {
  FlatNode identity;
  identity.name = node.name;
  identity.op = "Identity";
  identity.opset = 13;
  identity.inputs = {from.str()};
  identity.outputs = {to.str()};
  nodes.push_back(std::move(identity));
}

LogicalResult Flattener::call(const onnx::FunctionProto &function, const FlatNode &node,
                              const Scope &scope) {
  Location nodeLoc = NameLoc::get(StringAttr::get(loc.getContext(), node.name));
  if (scope.depth >= kMaxCallDepth)
    return emitError(nodeLoc, "function '")
           << function.name() << "' is nested more than " << kMaxCallDepth
           << " deep; a function must not call itself";
  if (node.inputs.size() > size_t(function.input_size()) ||
      node.outputs.size() > size_t(function.output_size()))
    return emitError(nodeLoc, "call of function '")
           << function.name() << "' with " << node.inputs.size() << " inputs and "
           << node.outputs.size() << " outputs; it has " << function.input_size() << " and "
           << function.output_size();
  if (++calls > kMaxNodes)
    return emitError(loc, "the model has more than ")
           << kMaxNodes << " function calls, which is unsupported";
  Scope inner;
  inner.valuePrefix = node.name + "#" + std::to_string(calls) + "/";
  inner.nodePrefix = node.name + "/";
  inner.depth = scope.depth + 1;
  OpsetMap opsets = *scope.opsets;
  for (const onnx::OperatorSetIdProto &opset : function.opset_import())
    opsets[normalizeDomain(opset.domain())] = opset.version();
  inner.opsets = &opsets;
  for (const onnx::AttributeProto &attribute : function.attribute_proto())
    inner.attributes[attribute.name()] = &attribute;
  for (const auto &[name, value] : node.attributes)
    inner.attributes[name] = value;
  for (auto [i, name] : llvm::enumerate(function.input()))
    inner.values[name] = size_t(i) < node.inputs.size() ? node.inputs[i] : "";
  // An output that is an input of the function has no node that could write it.
  SmallVector<std::pair<std::string, std::string>> aliases;
  for (auto [i, name] : llvm::enumerate(function.output())) {
    if (size_t(i) >= node.outputs.size() || node.outputs[i].empty())
      continue;
    auto [it, isNew] = inner.values.try_emplace(name, node.outputs[i]);
    if (!isNew)
      aliases.push_back({it->second, node.outputs[i]});
  }
  if (failed(add(function.node(), inner)))
    return failure();
  for (auto &[from, to] : aliases)
    alias(from, to, node);
  return success();
}

} // namespace

FailureOr<std::vector<FlatNode>> permalloy::flatten(const onnx::ModelProto &model,
                                                    const OpsetMap &opsets, Location loc) {
  Flattener flattener(model, loc);
  if (failed(flattener.run(opsets)))
    return failure();
  return std::move(flattener.nodes);
}
