//===- GraphBuilder.cpp - a parsed model to a module -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "GraphBuilder.h"

#include "OnnxVersion.h"
#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

OwningOpRef<ModuleOp> GraphBuilder::build() {
  OwningOpRef<ModuleOp> owner = ModuleOp::create(loc);
  module = *owner;
  if (failed(readOpsets()) || failed(indexInitializers()))
    return {};
  auto flat = flatten(model, opsets, loc);
  if (failed(flat))
    return {};
  nodes = std::move(*flat);

  builder.setInsertionPointToEnd(module.getBody());
  function = func::FuncOp::create(builder, loc, "main", builder.getFunctionType({}, {}));
  weights.emplace(tensors, function);
  builder.setInsertionPointToEnd(function.addEntryBlock());
  if (failed(addInputs()) || failed(checkOverrides()) || failed(addNodes()) || failed(addOutputs()))
    return {};
  describeModel();
  noteRanges();
  if (options.verify && failed(verify(module)))
    return {};
  return owner;
}

LogicalResult GraphBuilder::readOpsets() {
  for (const onnx::OperatorSetIdProto &opset : model.opset_import())
    opsets[normalizeDomain(opset.domain())] = opset.version();
  for (const onnx::FunctionProto &function : model.functions())
    for (const onnx::OperatorSetIdProto &opset : function.opset_import())
      if (normalizeDomain(opset.domain()).empty() && opset.version() > PERMALLOY_ONNX_OPSET)
        return emitError(loc, "function '") << function.name() << "' uses opset " << opset.version()
                                            << "; supported are 7 to " << PERMALLOY_ONNX_OPSET;
  if (model.ir_version() > PERMALLOY_ONNX_IR)
    return emitError(loc, "the model has IR version ")
           << model.ir_version() << "; the newest known is " << PERMALLOY_ONNX_IR
           << " (onnx " PERMALLOY_ONNX_VERSION ")";
  auto it = opsets.find("");
  if (it == opsets.end())
    return emitError(loc, "the model imports no opset of ai.onnx; supported are 7 to ")
           << PERMALLOY_ONNX_OPSET;
  if (it->second < 7 || it->second > PERMALLOY_ONNX_OPSET)
    return emitError(loc, "the model uses opset ")
           << it->second << " of ai.onnx; supported are 7 to " << PERMALLOY_ONNX_OPSET
           << " (onnx " PERMALLOY_ONNX_VERSION ")";
  return success();
}

LogicalResult GraphBuilder::indexInitializers() {
  if (model.graph().sparse_initializer_size())
    return emitError(loc, "the model has sparse initializers, which are unsupported: '")
           << model.graph().sparse_initializer(0).values().name() << "'";
  for (const onnx::TensorProto &tensor : model.graph().initializer()) {
    if (tensor.name().empty())
      return emitError(loc, "an initializer has no name");
    if (!initializers.try_emplace(tensor.name(), &tensor).second)
      return emitError(loc, "two initializers have the name '") << tensor.name() << "'";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

LogicalResult GraphBuilder::addNodes() {
  for (const FlatNode &node : nodes)
    used.insert(node.inputs.begin(), node.inputs.end());
  for (const onnx::ValueInfoProto &output : model.graph().output())
    used.insert(output.name());
  bool ok = true;
  for (const FlatNode &node : nodes)
    if (failed(addNode(node))) {
      ok = false;
      break;
    }
  if (!unsupported.empty())
    unsupported.emit(loc, nodes.size());
  return success(ok && unsupported.empty());
}

LogicalResult GraphBuilder::addNode(const FlatNode &node) {
  std::string reason;
  const OpRow *row = nullptr;
  if (node.opset == 0)
    reason = "the model imports no opset of its domain";
  else
    row = findOpRow(node.domain, node.op, node.opset, reason);
  bool poisoned = false;
  if (failed(resolveInputs(node, poisoned)))
    return failure();
  if (!row)
    unsupported.add(node, reason);
  if (!row || poisoned)
    return define(node, /*poisoned=*/true);
  if (row->kind == OpClass::Control)
    return node.op == "If" ? addIf(node) : addLoop(node);

  OpBinder binder(node, builder, shapes, *weights, values);
  if (succeeded(row->import(binder)))
    return define(node, /*poisoned=*/false);
  if (binder.unsupportedReason.empty())
    return binder.failed() ? failure() : binder.error("could not be imported");
  unsupported.add(node, binder.unsupportedReason);
  return define(node, /*poisoned=*/true);
}

LogicalResult GraphBuilder::resolveInputs(const FlatNode &node, bool &poisoned) {
  for (const std::string &name : node.inputs) {
    if (name.empty() || values.contains(name))
      continue;
    if (poisonedValues.contains(name)) {
      poisoned = true;
      continue;
    }
    Location nodeLoc = NameLoc::get(builder.getStringAttr(node.name));
    auto tensor = initializers.find(name);
    if (tensor != initializers.end()) {
      if (failed(addInitializer(name, *tensor->second, nodeLoc)))
        return failure();
      continue;
    }
    InFlightDiagnostic diagnostic = emitError(nodeLoc) << node.op << " reads '" << name
                                                       << "', which no earlier node writes";
    for (const FlatNode &other : nodes)
      if (llvm::is_contained(other.outputs, name))
        diagnostic.attachNote(NameLoc::get(builder.getStringAttr(other.name)))
            << "written here, by a later node: the graph is not in order or has a cycle";
    return diagnostic;
  }
  return success();
}

LogicalResult GraphBuilder::addInitializer(StringRef name, const onnx::TensorProto &tensor,
                                           Location nodeLoc) {
  auto value = weights->materialize(builder, name, tensor);
  if (!value)
    return emitError(nodeLoc) << "initializer '" << name << "' "
                              << llvm::toString(value.takeError());
  values[name] = *value;
  return success();
}

/// Checks that the node wrote each output once.
LogicalResult GraphBuilder::define(const FlatNode &node, bool poisoned) {
  for (const std::string &output : node.outputs) {
    if (output.empty())
      continue;
    if (initializers.contains(output) || !defined.insert(output).second)
      return emitError(NameLoc::get(builder.getStringAttr(node.name)))
             << node.op << " writes '" << output << "', which has a value already";
    if (poisoned)
      poisonedValues.insert(output);
    else if (!values.lookup(output) && used.contains(output))
      unsupported.add(node, "output '" + output + "' is not supported");
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

LogicalResult GraphBuilder::addOutputs() {
  if (model.graph().output().empty())
    return emitError(loc, "the graph has no output");
  SmallVector<Value> results;
  SmallVector<Attribute> names;
  for (const onnx::ValueInfoProto &output : model.graph().output()) {
    auto tensor = initializers.find(output.name());
    if (!values.lookup(output.name()) && tensor != initializers.end() &&
        failed(addInitializer(output.name(), *tensor->second, loc)))
      return failure();
    Value value = values.lookup(output.name());
    if (!value)
      return emitError(loc) << "output '" << output.name() << "' is written by no node";
    Type declared = elementTypeOf(output.type().tensor_type().elem_type(), builder.getContext());
    if (declared && declared != getElementTypeOrSelf(value.getType()))
      return emitError(loc) << "output '" << output.name() << "' is declared with elements "
                            << declared << " but has " << getElementTypeOrSelf(value.getType());
    results.push_back(value);
    names.push_back(builder.getStringAttr(output.name()));
  }
  func::ReturnOp::create(builder, loc, results);
  function.setType(
      builder.getFunctionType(function.getArgumentTypes(), ValueRange(results).getTypes()));
  for (auto [i, name] : llvm::enumerate(names))
    function.setResultAttr(i, TfmDialect::kNameAttr, name);
  return success();
}

void GraphBuilder::describeModel() {
  NamedAttrList facts;
  auto text = [&](StringRef key, StringRef value) {
    if (!value.empty())
      facts.set(key, builder.getStringAttr(value));
  };
  text("producer_name", model.producer_name());
  text("producer_version", model.producer_version());
  text("domain", model.domain());
  text("graph_name", model.graph().name());
  facts.set("model_version", builder.getI64IntegerAttr(model.model_version()));
  facts.set("ir_version", builder.getI64IntegerAttr(model.ir_version()));
  NamedAttrList imports, metadata;
  for (const auto &[domain, version] : opsets)
    imports.set(domain.empty() ? "ai.onnx" : domain, builder.getI64IntegerAttr(version));
  facts.set("opset", imports.getDictionary(builder.getContext()));
  for (const onnx::StringStringEntryProto &entry : model.metadata_props())
    if (!entry.key().empty())
      metadata.set(entry.key(), builder.getStringAttr(entry.value()));
  if (!metadata.empty())
    facts.set("metadata", metadata.getDictionary(builder.getContext()));
  module->setAttr(kOnnxAttr, facts.getDictionary(builder.getContext()));
}
