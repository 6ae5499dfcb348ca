//===- ControlFlow.cpp - If and Loop ------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A branch whose condition is known while importing is inlined. Other branches and the bodies of
// loops become private functions beside @main, called by tfm.if and tfm.while; what they read of
// the graph around them becomes further arguments.
//
//===----------------------------------------------------------------------===//

#include "GraphBuilder.h"
#include "OpTable.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// While a function for a graph inside of a node is built: values, defined names and the place of
/// insertion are its own.
class GraphBuilder::FunctionScope {
public:
  FunctionScope(GraphBuilder &graph, StringRef name)
      : graph(graph), guard(graph.builder), outerFunction(graph.function),
        outerValues(std::move(graph.values)), outerDefined(graph.defined) {
    graph.values.clear();
    graph.builder.setInsertionPointToEnd(graph.module.getBody());
    graph.function = func::FuncOp::create(graph.builder, graph.loc, name,
                                          graph.builder.getFunctionType({}, {}));
    graph.function.setPrivate();
    graph.builder.setInsertionPointToEnd(graph.function.addEntryBlock());
  }
  ~FunctionScope() {
    graph.function = outerFunction;
    graph.values = std::move(outerValues);
    graph.defined = std::move(outerDefined);
  }

  Value addArgument(Type type, const Dims &dims, unsigned index) {
    func::FuncOp function = graph.function;
    NamedAttribute attribute(StringAttr::get(type.getContext(), TfmDialect::kDimsAttr),
                             dimArray(type.getContext(), dims));
    LogicalResult inserted = function.insertArgument(
        index, type, DictionaryAttr::get(type.getContext(), attribute), graph.loc);
    (void)inserted; // an argument of a tensor type is always legal
    graph.shapes.setDims(function.getArgument(index), dims);
    return function.getArgument(index);
  }
  /// A further argument, like `outer`.
  Value addArgument(Value outer) {
    return addArgument(outer.getType(), graph.shapes.dims(outer), graph.function.getNumArguments());
  }

  /// Ends the function.
  void close(ValueRange results) {
    func::ReturnOp::create(graph.builder, graph.loc, results);
    graph.function.setType(graph.builder.getFunctionType(graph.function.getArgumentTypes(),
                                                         results.getTypes()));
  }

private:
  GraphBuilder &graph;
  OpBuilder::InsertionGuard guard;
  func::FuncOp outerFunction;
  llvm::StringMap<Value> outerValues;
  llvm::StringSet<> outerDefined;
};

//===----------------------------------------------------------------------===//
// Names and values
//===----------------------------------------------------------------------===//

/// Names that `graph` reads and does not write.
static void freeNames(const FlatGraph &graph, llvm::StringSet<> bound,
                      llvm::SetVector<StringRef> &names) {
  for (const std::string &input : graph.inputs)
    bound.insert(input);
  for (const auto &initializer : graph.initializers)
    bound.insert(initializer.getKey());
  auto read = [&](StringRef name) {
    if (!name.empty() && !bound.contains(name))
      names.insert(name);
  };
  for (const FlatNode &node : graph.nodes) {
    for (const std::string &input : node.inputs)
      read(input);
    for (const auto &inner : node.graphs)
      freeNames(*inner.getValue(), bound, names);
    for (const std::string &output : node.outputs)
      bound.insert(output);
  }
  for (const std::string &output : graph.outputs)
    read(output);
}

/// Outer values that become arguments of the functions of `graphs`; constants and weights are not
/// among them, each function has its own.
LogicalResult GraphBuilder::collectCaptures(ArrayRef<const FlatGraph *> graphs,
                                            Captures &captures, std::string &reason) {
  llvm::SetVector<StringRef> names;
  for (const FlatGraph *graph : graphs)
    freeNames(*graph, {}, names);
  for (StringRef name : names) {
    Value value = values.lookup(name);
    if (!value)
      continue; // an initializer, or nothing: reported where it is read
    captures.emplace_back(name, value);
    if (!isSource(value) && !llvm::all_of(shapes.dims(value), isDerived)) {
      reason = ("it reads '" + name + "', whose size depends on data").str();
      return failure();
    }
  }
  return success();
}

bool GraphBuilder::isSource(Value value) {
  return isa_and_nonnull<ConstantOp, GetWeightOp>(value.getDefiningOp());
}

/// Gives the function under construction its captures; those passed to it are appended to `passed`.
void GraphBuilder::bindCaptures(FunctionScope &scope, const Captures &captures,
                                SmallVectorImpl<Value> &passed) {
  for (const auto &[name, outer] : captures) {
    if (isSource(outer)) {
      values[name] = builder.clone(*outer.getDefiningOp())->getResult(0);
      continue;
    }
    values[name] = scope.addArgument(outer);
    passed.push_back(outer);
  }
}

/// Imports the nodes of `graph` here; its outputs are appended to `results`, null where a node was
/// unsupported.
LogicalResult GraphBuilder::addGraph(const FlatGraph &graph, Location nodeLoc,
                                     SmallVectorImpl<Value> &results) {
  for (const auto &initializer : graph.initializers)
    initializers.insert({initializer.getKey(), initializer.getValue()});
  used.insert(graph.outputs.begin(), graph.outputs.end());
  for (const FlatNode &node : graph.nodes)
    used.insert(node.inputs.begin(), node.inputs.end());
  for (const FlatNode &node : graph.nodes)
    if (failed(addNode(node)))
      return failure();
  for (const std::string &output : graph.outputs) {
    auto tensor = initializers.find(output);
    if (!values.lookup(output) && tensor != initializers.end() &&
        failed(addInitializer(output, *tensor->second, nodeLoc)))
      return failure();
    Value value = values.lookup(output);
    if (!value && !poisonedValues.contains(output))
      return emitError(nodeLoc) << "output '" << output << "' of a graph inside is written by no node";
    results.push_back(value);
  }
  forget(graph);
  return success();
}

/// Drops the names that `graph` wrote: a graph beside it may use them for other things.
void GraphBuilder::forget(const FlatGraph &graph) {
  for (const auto &initializer : graph.initializers) {
    initializers.erase(initializer.getKey());
    values.erase(initializer.getKey());
  }
  for (const FlatNode &node : graph.nodes)
    for (const std::string &output : node.outputs) {
      defined.erase(output);
      poisonedValues.erase(output);
      values.erase(output);
    }
}

/// The graph attribute `name`; reports its absence.
const FlatGraph *GraphBuilder::graphOf(const FlatNode &node, StringRef name) {
  auto it = node.graphs.find(name);
  if (it != node.graphs.end())
    return it->second.get();
  emitError(NameLoc::get(builder.getStringAttr(node.name)))
      << node.op << " has no attribute '" << name << "'";
  return nullptr;
}

LogicalResult GraphBuilder::refuse(const FlatNode &node, const Twine &reason) {
  unsupported.add(node, reason.str());
  return define(node, /*poisoned=*/true);
}

/// One expression per result, all known; null otherwise.
static ArrayAttr dimLists(ValueRange results, SymbolicShapes &shapes, MLIRContext *context) {
  SmallVector<Attribute> lists;
  for (Value result : results) {
    Dims dims = shapes.dims(result);
    if (!llvm::all_of(dims, isDerived))
      return {};
    lists.push_back(dimArray(context, dims));
  }
  return ArrayAttr::get(context, lists);
}

//===----------------------------------------------------------------------===//
// If
//===----------------------------------------------------------------------===//

LogicalResult GraphBuilder::addIf(const FlatNode &node) {
  const FlatGraph *branches[] = {graphOf(node, "then_branch"), graphOf(node, "else_branch")};
  if (!branches[0] || !branches[1])
    return failure();
  Location nodeLoc = NameLoc::get(builder.getStringAttr(node.name));
  for (const FlatGraph *branch : branches)
    if (branch->outputs.size() != node.outputs.size())
      return emitError(nodeLoc) << "If has " << node.outputs.size() << " outputs but a branch gives "
                                << branch->outputs.size();
  Value condition = node.inputs.empty() ? Value() : values.lookup(node.inputs[0]);
  if (!condition || !getElementTypeOrSelf(condition.getType()).isInteger(1))
    return emitError(nodeLoc) << "the condition of If must be a bool";
  std::optional<Dims> known = shapes.contents(condition);
  if (!known || known->size() != 1 || !(*known)[0] || !(*known)[0].asConstant())
    return addRuntimeIf(node, condition, branches);
  SmallVector<Value> results;
  if (failed(addGraph(*branches[*(*known)[0].asConstant() ? 0 : 1], nodeLoc, results)))
    return failure();
  bool poisoned = llvm::is_contained(results, Value());
  for (auto [name, value] : llvm::zip(node.outputs, results))
    if (!poisoned)
      values[name] = value;
  return define(node, poisoned);
}

LogicalResult GraphBuilder::addRuntimeIf(const FlatNode &node, Value condition,
                                         ArrayRef<const FlatGraph *> branches) {
  Captures captures;
  std::string reason;
  if (failed(collectCaptures(branches, captures, reason)))
    return refuse(node, reason);
  Location nodeLoc = NameLoc::get(builder.getStringAttr(node.name));
  SmallVector<Value> passed;
  SmallVector<FlatSymbolRefAttr> names;
  SmallVector<Type> types;
  ArrayAttr dims;
  for (const FlatGraph *branch : branches) {
    SmallVector<Value> results;
    FunctionScope scope(*this, weights->uniqueName(names.empty() ? "then_branch" : "else_branch"));
    passed.clear();
    bindCaptures(scope, captures, passed);
    if (failed(addGraph(*branch, nodeLoc, results)))
      return failure();
    names.push_back(FlatSymbolRefAttr::get(function.getSymNameAttr()));
    if (llvm::is_contained(results, Value())) {
      reason = "a node in a branch is unsupported";
      scope.close({});
      continue;
    }
    scope.close(results);
    ArrayAttr lists = dimLists(results, shapes, builder.getContext());
    if (!lists)
      reason = "sizes of its outputs depend on data";
    else if (dims && (dims != lists || types != llvm::to_vector(ValueRange(results).getTypes())))
      reason = "its branches give outputs of different types or shapes";
    dims = lists;
    types = llvm::to_vector(ValueRange(results).getTypes());
  }
  if (!reason.empty())
    return refuse(node, reason);
  auto op = IfOp::create(builder, nodeLoc, types, condition, names[0], names[1], passed, dims,
                         DenseI64ArrayAttr());
  for (auto [name, value] : llvm::zip(node.outputs, op.getResults()))
    values[name] = value;
  return define(node, /*poisoned=*/false);
}

//===----------------------------------------------------------------------===//
// Loop
//===----------------------------------------------------------------------===//

/// A Loop while it becomes a tfm.while.
struct GraphBuilder::LoopParts {
  Value trips, condition;     ///< null when absent
  SmallVector<Value> initial; ///< of the carried values
  DimExprAttr count;          ///< of iterations; null when it depends on data
  /// Buffers [count, ...] of outputs that collect one element per iteration.
  SmallVector<std::pair<Type, Dims>> scans;
  SmallVector<Value> passed; ///< captures
  FlatSymbolRefAttr body;
};

/// A bool scalar: `condition` and iteration < trips, as far as they are given.
static Value loopCondition(OpBinder &b, Value condition, Value iteration, Value trips) {
  Value result = condition ? b.reshape(condition, {}) : Value();
  if (!trips)
    return result;
  Value more = b.compare(CompareKind::Lt, iteration, trips);
  return result ? b.binary(BinaryKind::And, result, more) : more;
}

/// `buffer` with element `iteration` replaced.
static Value storeScan(OpBinder &b, Value buffer, Value element, Value iteration) {
  int64_t rank = b.rank(buffer);
  Value axis = b.alongAxis(b.iota(Extent(buffer, 0)), 0, rank);
  SmallVector<Extent> extents = {Extent(1)};
  for (int64_t i = 0; i + 1 < rank; ++i)
    extents.push_back(Extent(element, i));
  return b.select(b.compare(CompareKind::Eq, axis, iteration), b.reshape(element, extents), buffer);
}

LogicalResult GraphBuilder::addLoop(const FlatNode &node) {
  const FlatGraph *body = graphOf(node, "body");
  if (!body)
    return failure();
  size_t carried = node.inputs.size() < 2 ? 0 : node.inputs.size() - 2;
  OpBinder b(node, builder, shapes, *weights, values);
  if (body->inputs.size() != carried + 2 || body->outputs.size() != node.outputs.size() + 1 ||
      node.outputs.size() < carried)
    return b.error("it carries " + Twine(carried) + " values and has " + Twine(node.outputs.size()) +
                   " outputs, but its body takes " + Twine(body->inputs.size()) +
                   " inputs and gives " + Twine(body->outputs.size()) + " outputs");
  LoopParts loop;
  if (Value trips = b.optionalInput(0)) {
    loop.trips = b.reshape(trips, {});
    auto known = shapes.contents(loop.trips);
    loop.count = known ? (*known)[0] : DimExprAttr();
  }
  loop.condition = b.optionalInput(1);
  if (loop.condition && matchPattern(loop.condition, m_One()))
    loop.condition = {};
  else if (loop.condition)
    loop.count = {};
  for (size_t i = 0; i < carried; ++i)
    loop.initial.push_back(b.input(i + 2));
  for (auto [i, value] : llvm::enumerate(loop.initial))
    if (!llvm::all_of(shapes.dims(value), isDerived))
      return refuse(node, "the size of '" + node.inputs[i + 2] + "' depends on data");
  std::string reason;
  Captures captures;
  if (failed(collectCaptures({body}, captures, reason)))
    return refuse(node, reason);
  if (failed(buildBody(node, *body, captures, loop, reason)))
    return failure();
  return reason.empty() ? buildWhile(node, b, loop) : refuse(node, reason);
}

/// The function of one iteration: (iteration, carried, scans, captures) to (condition, the same).
/// A `reason` says why it is unsupported.
LogicalResult GraphBuilder::buildBody(const FlatNode &node, const FlatGraph &body,
                                      const Captures &captures, LoopParts &loop,
                                      std::string &reason) {
  FunctionScope scope(*this, weights->uniqueName("loop_body"));
  OpBinder b(node, builder, shapes, *weights, values);
  Value iteration = scope.addArgument(RankedTensorType::get({}, builder.getI64Type()), {}, 0);
  values[body.inputs[0]] = iteration;
  values[body.inputs[1]] = b.scalar(builder.getI1Type(), 1);
  for (auto [i, value] : llvm::enumerate(loop.initial))
    values[body.inputs[i + 2]] = scope.addArgument(value);
  bindCaptures(scope, captures, loop.passed);
  Value trips;
  if (loop.trips) {
    trips = scope.addArgument(loop.trips);
    loop.passed.push_back(loop.trips);
  }
  SmallVector<Value> outputs;
  if (failed(addGraph(body, b.loc, outputs)))
    return failure();
  loop.body = FlatSymbolRefAttr::get(function.getSymNameAttr());
  if (llvm::is_contained(outputs, Value()))
    reason = "a node of its body is unsupported";
  else
    reason = checkOutputs(node, body, outputs, loop);
  if (!reason.empty()) {
    scope.close({});
    return success();
  }
  Value next = b.add(iteration, b.scalar(iteration, 1));
  bool always = matchPattern(outputs[0], m_One());
  SmallVector<Value> results = {loopCondition(b, always && trips ? Value() : outputs[0], next, trips),
                                next};
  results.append(outputs.begin() + 1, outputs.begin() + 1 + loop.initial.size());
  for (auto [i, scan] : llvm::enumerate(loop.scans)) {
    Value buffer = scope.addArgument(scan.first, scan.second, 1 + loop.initial.size() + i);
    results.push_back(storeScan(b, buffer, outputs[1 + loop.initial.size() + i], iteration));
  }
  if (b.failed())
    return failure();
  scope.close(results);
  return success();
}

/// Carried values must keep their shapes; collected ones need a known count. Fills in `scans`.
std::string GraphBuilder::checkOutputs(const FlatNode &node, const FlatGraph &body,
                                       ArrayRef<Value> outputs, LoopParts &loop) {
  for (auto [i, initial] : llvm::enumerate(loop.initial)) {
    Dims before = shapes.dims(initial), after = shapes.dims(outputs[i + 1]);
    if (before != after || initial.getType() != outputs[i + 1].getType())
      return "'" + node.inputs[i + 2] + "' goes in as " + str(before) + " and comes out as " +
             str(after) + "; values that a loop carries must keep their shape and type";
  }
  for (size_t i = 1 + loop.initial.size(); i < outputs.size(); ++i) {
    Dims dims = shapes.dims(outputs[i]);
    if (!loop.count || !isDerived(loop.count) || !matchPattern(outputs[0], m_One()))
      return "it collects '" + body.outputs[i] + "', but how often it runs depends on data";
    if (!llvm::all_of(dims, isDerived))
      return "the size of '" + body.outputs[i] + "' depends on data";
    dims.insert(dims.begin(), loop.count);
    loop.scans.push_back(
        {RankedTensorType::get(staticShape(dims), getElementTypeOrSelf(outputs[i].getType())), dims});
  }
  return "";
}

LogicalResult GraphBuilder::buildWhile(const FlatNode &node, OpBinder &b, LoopParts &loop) {
  Value zero = b.scalar(builder.getI64Type(), 0);
  SmallVector<Value> carried = {zero};
  llvm::append_range(carried, loop.initial);
  for (auto &[type, dims] : loop.scans) {
    Type element = getElementTypeOrSelf(type);
    carried.push_back(b.create<BroadcastOp>(element, b.scalar(element, 0), Value(),
                                            dimArray(builder.getContext(), dims)));
  }
  Value condition = loopCondition(b, loop.condition, zero, loop.trips);
  if (!condition)
    condition = b.scalar(builder.getI1Type(), 1);
  if (b.failed())
    return failure();
  auto op = WhileOp::create(builder, b.loc, ValueRange(carried).getTypes(), condition, loop.body,
                            carried, loop.passed, dimLists(carried, shapes, builder.getContext()),
                            DenseI64ArrayAttr());
  for (auto [name, value] : llvm::zip(node.outputs, op.getResults().drop_front()))
    if (!name.empty())
      values[name] = value;
  return define(node, /*poisoned=*/false);
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

static const OpRow kRows[] = {
    {"", "If", 1, 25, OpClass::Control, nullptr},
    {"", "Loop", 1, 25, OpClass::Control, nullptr},
};

ArrayRef<OpRow> permalloy::controlRows() { return kRows; }
