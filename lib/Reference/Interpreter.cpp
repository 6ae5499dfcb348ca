//===- Interpreter.cpp - runs functions, kernels and weights -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Reference/Interpreter.h"
#include "Check/Check.h"
#include "Evaluate.h"
#include "Kern/Kern.h"
#include "Outliers.h"
#include "permalloy/Analysis/SharedNumbers.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

std::optional<int64_t> reference::evaluate(tfm::DimExprAttr expr, const Symbols &symbols,
                                           std::string &error) {
  tfm::DimExprAttr result = expr.substitute([&](StringRef name) -> tfm::DimExprAttr {
    auto it = symbols.find(name);
    if (it != symbols.end())
      return tfm::DimExprAttr::constant(expr.getContext(), it->second);
    if (auto value = valueOfSharedNumber(name))
      return tfm::DimExprAttr::constant(expr.getContext(), *value);
    error = ("dimension '" + name + "' of " + expr.str() + " has no value here").str();
    return {};
  });
  std::optional<int64_t> value = result ? result.asConstant() : std::nullopt;
  if (!value && error.empty())
    error = "dimension " + expr.str() + " has no value: a divisor is 0";
  return value;
}

/// Binds `dims` to `shape`: names first, then every expression must have its value.
static LogicalResult bindDims(ArrayRef<tfm::DimExprAttr> dims, ArrayRef<int64_t> shape,
                              Symbols &symbols, std::string &error, bool onlyNames) {
  for (auto [dim, extent] : llvm::zip(dims, shape)) {
    if (dim.getKind() == tfm::DimKind::Symbol)
      symbols.try_emplace(dim.getName().getValue(), extent);
    else if (onlyNames)
      continue;
    std::optional<int64_t> value = reference::evaluate(dim, symbols, error);
    if (!value)
      return failure();
    if (*value != extent) {
      error = "dimension " + dim.str() + " is " + std::to_string(*value) +
              " but the input of shape " + str(shape) + " has " + std::to_string(extent);
      return failure();
    }
  }
  return success();
}

static bool fitsType(RankedTensorType type, ArrayRef<int64_t> shape) {
  return type.getRank() == int64_t(shape.size()) &&
         llvm::all_of(llvm::zip(type.getShape(), shape), [](auto pair) {
           return ShapedType::isDynamic(std::get<0>(pair)) ||
                  std::get<0>(pair) == std::get<1>(pair);
         });
}

FailureOr<Symbols> reference::bindSymbols(func::FuncOp function,
                                          ArrayRef<ArrayRef<int64_t>> shapes,
                                          const Symbols &outer) {
  Symbols symbols = outer;
  std::string error;
  for (bool onlyNames : {true, false})
    for (auto [i, shape] : llvm::enumerate(shapes)) {
      if (!fitsType(cast<RankedTensorType>(function.getArgumentTypes()[i]), shape))
        return mlir::emitError(function.getLoc(), "argument ")
               << i << " has type " << function.getArgumentTypes()[i] << " but the input has shape "
               << str(shape);
      auto dims = function.getArgAttrOfType<ArrayAttr>(i, tfm::TfmDialect::kDimsAttr);
      if (dims && failed(bindDims(tfm::dimsOf(dims), shape, symbols, error, onlyNames)))
        return mlir::emitError(function.getLoc(), "argument ") << i << ": " << error;
    }
  return symbols;
}

//===----------------------------------------------------------------------===//
// Single operations
//===----------------------------------------------------------------------===//

template <typename OpTy> static Result evaluateAs(Operation *op, Operands in, Scope &scope) {
  return reference::evaluate(cast<OpTy>(op), in, scope);
}

static FailureOr<SmallVector<Tensor>> evaluateTfm(Operation *op, Operands in, Scope &scope) {
  using Function = Result (*)(Operation *, Operands, Scope &);
  if (auto quantize = dyn_cast<tfm::QuantizeWeightOp>(op))
    return reference::evaluate(quantize, in, scope);
  Function evaluator = nullptr;
  auto tryAs = [&]<typename... OpTy>() {
    ((isa<OpTy>(op) ? void(evaluator = &evaluateAs<OpTy>) : void()), ...);
  };
  tryAs.operator()<tfm::ConstantOp, tfm::DimValuesOp, tfm::ShapeOfOp, tfm::RangeOp, tfm::ReshapeOp,
                   tfm::BroadcastOp, tfm::TransposeOp, tfm::GatherOp, tfm::GatherNDOp, tfm::SliceOp,
                   tfm::ConcatOp, tfm::PackOp, tfm::PrefixCountOp, tfm::CastOp, tfm::UnaryOp, tfm::BinaryOp,
                   tfm::CompareOp, tfm::SelectOp, tfm::ReduceOp, tfm::MatmulOp, tfm::LinearOp, tfm::QuantizeOp,
                   tfm::OutlierLimitOp, tfm::OutlierPositionsOp, tfm::OutlierValuesOp, tfm::OutlierLinearOp,
                   tfm::LayerNormOp, tfm::RmsNormOp, tfm::RotaryOp, tfm::SoftmaxOp, tfm::AttentionOp,
                   tfm::TopKOp, tfm::NonZeroOp, tfm::ScatterOp, tfm::MoeOp, tfm::MoeWeightsOp,
                   tfm::GroupByOp, tfm::GroupedLinearOp, tfm::KvAppendOp, tfm::TokenScoreOp,
                   tfm::TokenMergeOp, tfm::TokenUnmergeOp, tfm::DequantizeOp, tfm::UnpackBitsOp,
                   tfm::PruneWeightOp, tfm::BlockRowsOp, tfm::CompactBlocksOp, tfm::ExpandBlocksOp, tfm::QuadStepsOp, tfm::CompactQuadsOp, tfm::ExpandQuadsOp>();
  if (!evaluator)
    return scope.fail("the interpreter does not know " + op->getName().getStringRef());
  Result result = evaluator(op, in, scope);
  if (failed(result))
    return failure();
  return SmallVector<Tensor>{*result};
}

/// What an operation gave must have its declared types.
static LogicalResult checkTypes(Operation *op, ArrayRef<Tensor> results, Scope &scope) {
  for (auto [value, tensor] : llvm::zip(op->getResults(), results)) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (type && type.getElementType() == tensor.elementType() && fitsType(type, tensor.shape()))
      continue;
    std::string declared;
    llvm::raw_string_ostream(declared) << value.getType();
    return scope.fail("gives shape " + str(tensor.shape()) + ", which is not the declared " +
                      declared);
  }
  return success();
}

FailureOr<SmallVector<Tensor>> reference::interpretOp(Operation *op, ArrayRef<Tensor> operands,
                                                      const Symbols &symbols, std::string &error) {
  Scope scope{symbols, {}};
  auto results = evaluateTfm(op, operands, scope);
  if (succeeded(results) && failed(checkTypes(op, *results, scope)))
    results = failure();
  error = scope.error;
  return results;
}

/// Bytes that the results will take, or nullopt when a shape is not static.
static std::optional<int64_t> resultBytes(Operation *op) {
  int64_t bytes = 0;
  for (Type type : op->getResultTypes()) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.hasStaticShape())
      return std::nullopt;
    bytes += storageBytes(tensor);
  }
  return bytes;
}

/// Codes are weights, never constants.
static bool givesCodes(Operation *op) {
  return llvm::any_of(op->getResultTypes(), [](Type type) { return isa<tfm::QuantType>(getElementTypeOrSelf(type)); });
}

LogicalResult reference::foldWithInterpreter(Operation *op, ArrayRef<Attribute> constants,
                                             SmallVectorImpl<Attribute> &results,
                                             int64_t maxBytes) {
  std::optional<int64_t> bytes = resultBytes(op);
  if (!bytes || *bytes > maxBytes || op->getNumRegions() || isa<tfm::PackOp>(op) || givesCodes(op))
    return failure();
  SmallVector<Tensor> operands;
  for (Attribute constant : constants) {
    auto elements = dyn_cast_or_null<ElementsAttr>(constant);
    operands.push_back(elements ? Tensor::fromAttribute(elements) : Tensor());
    if (!operands.back())
      return failure();
  }
  std::string error;
  auto tensors = interpretOp(op, operands, {}, error);
  if (failed(tensors))
    return failure();
  for (const Tensor &tensor : *tensors)
    results.push_back(tensor.toAttribute());
  return success();
}

//===----------------------------------------------------------------------===//
// Functions, kernels and weights
//===----------------------------------------------------------------------===//

namespace {

using Values = llvm::DenseMap<Value, Tensor>;

/// Runs blocks; owns what functions, kernels and weight bodies share.
class Interpreter {
public:
  explicit Interpreter(const InterpreterOptions &options) : options(options) {}

  /// `outer` are the symbols of the caller, which mean the same in branches and bodies of loops.
  FailureOr<SmallVector<Tensor>> runFunction(func::FuncOp function, Operands inputs,
                                             const Symbols &outer = {});
  FailureOr<Tensor> runWeight(tfm::WeightOp weight);

private:
  /// Runs `block` to its terminator and gives the terminator's operands.
  FailureOr<SmallVector<Tensor>> runBlock(Block &block, Operands inputs, const Symbols &symbols);
  FailureOr<SmallVector<Tensor>> runOp(Operation *op, Operands in, const Symbols &symbols);
  FailureOr<SmallVector<Tensor>> runLaunch(kern::LaunchOp launch, Operands in, Scope &scope);
  FailureOr<SmallVector<Tensor>> runIf(tfm::IfOp op, Operands in, Scope &scope);
  FailureOr<SmallVector<Tensor>> runWhile(tfm::WhileOp op, Operands in, Scope &scope);

  const InterpreterOptions &options;
  llvm::DenseMap<Operation *, Tensor> weights;
  llvm::SmallVector<tfm::WeightOp> open; // being computed: a weight may not refer to itself
  FileCache files;
  SymbolTableCollection symbolTables;
};

} // namespace

static Result evaluateView(kern::ViewOp op, Operands in, Scope &scope) {
  FailureOr<Shape> shape = scope.values(op.getDims());
  if (failed(shape))
    return failure();
  if (product(*shape) != in[0].size())
    return scope.fail("cannot view " + str(in[0].shape()) + " as " + str(*shape));
  return in[0].reshaped(*shape);
}

/// Assertions give nothing; one that does not hold is an error.
static LogicalResult checkAssertion(Operation *op, Operands in) {
  Tolerance tolerance;
  if (auto close = dyn_cast<check::ExpectCloseOp>(op))
    tolerance = {close.getRtol().convertToDouble(), close.getAtol().convertToDouble()};
  if (Difference difference = compare(in[0], in[1], tolerance))
    return op->emitError(difference.message);
  return success();
}

FailureOr<SmallVector<Tensor>> Interpreter::runLaunch(kern::LaunchOp launch, Operands in,
                                                      Scope &scope) {
  auto kernel =
      symbolTables.lookupNearestSymbolFrom<kern::KernelOp>(launch, launch.getKernelAttr());
  if (!kernel)
    return scope.fail("no kernel " + launch.getKernel());
  Symbols symbols;
  for (auto [name, scalar] : llvm::zip(kernel.getSymbols(), launch.getScalars())) {
    FailureOr<int64_t> value = scope.value(cast<tfm::DimExprAttr>(scalar));
    if (failed(value))
      return failure();
    symbols[cast<StringAttr>(name).getValue()] = *value;
  }
  for (auto [i, tensor] : llvm::enumerate(in))
    if (failed(bindDims(kern::argDims(kernel, i), tensor.shape(), symbols, scope.error, false)))
      return scope.fail("argument " + Twine(i) + " of kernel " + launch.getKernel() + ": " +
                        scope.error);
  return runBlock(kernel.getBlock(), in, symbols);
}

FailureOr<SmallVector<Tensor>> Interpreter::runIf(tfm::IfOp op, Operands in, Scope &scope) {
  auto branch = in[0].integer(0) != 0 ? op.getThenFunctionAttr() : op.getElseFunctionAttr();
  auto function = symbolTables.lookupNearestSymbolFrom<func::FuncOp>(op, branch);
  if (!function)
    return scope.fail("no function " + branch.getValue());
  return runFunction(function, in.drop_front(), scope.symbols);
}

FailureOr<SmallVector<Tensor>> Interpreter::runWhile(tfm::WhileOp op, Operands in, Scope &scope) {
  auto body = symbolTables.lookupNearestSymbolFrom<func::FuncOp>(op, op.getBodyAttr());
  if (!body)
    return scope.fail("no function " + op.getBody());
  SmallVector<Tensor> carried(in.drop_front().take_front(op.getCarried().size()));
  Operands captures = in.take_back(op.getCaptures().size());
  for (Tensor condition = in[0]; condition.integer(0) != 0;) {
    llvm::append_range(carried, captures);
    auto results = runFunction(body, carried, scope.symbols);
    if (failed(results))
      return failure();
    condition = results->front();
    carried.assign(results->begin() + 1, results->end());
  }
  return carried;
}

FailureOr<SmallVector<Tensor>> Interpreter::runOp(Operation *op, Operands in,
                                                  const Symbols &symbols) {
  Scope scope{symbols, {}};
  FailureOr<SmallVector<Tensor>> results = failure();
  auto single = [&](Result result) {
    if (succeeded(result))
      results = SmallVector<Tensor>{*result};
  };
  if (isa<check::ExpectCloseOp, check::ExpectEqualOp>(op)) {
    if (succeeded(checkAssertion(op, in)))
      results = SmallVector<Tensor>{};
  } else if (auto get = dyn_cast<tfm::GetWeightOp>(op)) {
    auto weight = symbolTables.lookupNearestSymbolFrom<tfm::WeightOp>(op, get.getWeightAttr());
    single(weight ? runWeight(weight) : Result(scope.fail("no weight " + get.getWeight())));
  } else if (auto launch = dyn_cast<kern::LaunchOp>(op)) {
    results = runLaunch(launch, in, scope);
  } else if (auto view = dyn_cast<kern::ViewOp>(op)) {
    single(evaluateView(view, in, scope));
  } else if (auto branch = dyn_cast<tfm::IfOp>(op)) {
    results = runIf(branch, in, scope);
  } else if (auto loop = dyn_cast<tfm::WhileOp>(op)) {
    results = runWhile(loop, in, scope);
  } else if (auto cache = dyn_cast<kern::CacheOp>(op)) {
    single(reference::evaluate(cache, in, scope));
  } else if (auto live = dyn_cast<kern::CacheViewOp>(op)) {
    single(reference::evaluate(live, in, scope));
  } else if (auto call = dyn_cast<func::CallOp>(op)) {
    auto callee = symbolTables.lookupNearestSymbolFrom<func::FuncOp>(op, call.getCalleeAttr());
    results = callee
                  ? runFunction(callee, in)
                  : FailureOr<SmallVector<Tensor>>(scope.fail("no function " + call.getCallee()));
  } else {
    results = evaluateTfm(op, in, scope);
  }
  if (succeeded(results) && failed(checkTypes(op, *results, scope)))
    results = failure();
  if (failed(results) && !scope.error.empty()) // otherwise reported inside
    op->emitError(scope.error);
  return results;
}

FailureOr<SmallVector<Tensor>> Interpreter::runBlock(Block &block, Operands inputs,
                                                     const Symbols &outer) {
  Symbols symbols = outer; // tfm.bind_size adds to them
  Values values;
  llvm::DenseMap<Value, int64_t> uses; // left in this block; a tensor goes with its last one
  for (auto [argument, tensor] : llvm::zip(block.getArguments(), inputs))
    values[argument] = tensor;
  for (Operation &op : block) {
    SmallVector<Tensor> in;
    for (Value operand : op.getOperands()) {
      in.push_back(values.lookup(operand));
      auto [it, isFirst] = uses.try_emplace(operand, 0);
      if (isFirst)
        it->second = std::distance(operand.use_begin(), operand.use_end());
      if (--it->second == 0)
        values.erase(operand);
    }
    if (op.hasTrait<OpTrait::IsTerminator>())
      return in;
    if (auto bind = dyn_cast<tfm::BindSizeOp>(op)) {
      symbols[bind.getSymbol()] = in[0].integer(0);
      continue;
    }
    FailureOr<SmallVector<Tensor>> results = runOp(&op, in, symbols);
    if (failed(results) || (options.afterOp && failed(options.afterOp(&op, *results))))
      return failure();
    for (auto [value, tensor] : llvm::zip(op.getResults(), *results))
      if (!value.use_empty())
        values[value] = tensor;
  }
  return mlir::emitError(block.getParentOp()->getLoc(), "has no terminator");
}

FailureOr<SmallVector<Tensor>> Interpreter::runFunction(func::FuncOp function, Operands inputs,
                                                        const Symbols &outer) {
  if (!function.getBody().hasOneBlock())
    return mlir::emitError(function.getLoc(), "only functions of one block can be interpreted");
  if (inputs.size() != function.getNumArguments())
    return mlir::emitError(function.getLoc(), "takes ")
           << function.getNumArguments() << " inputs, not " << inputs.size();
  for (auto [i, pair] : llvm::enumerate(llvm::zip(inputs, function.getArgumentTypes())))
    if (std::get<0>(pair).elementType() != getElementTypeOrSelf(std::get<1>(pair)))
      return mlir::emitError(function.getLoc(), "argument ")
             << i << " has type " << std::get<1>(pair) << " but the input has elements "
             << std::get<0>(pair).elementType();
  auto shapes = llvm::map_to_vector(inputs, [](const Tensor &t) { return t.shape(); });
  FailureOr<Symbols> symbols = bindSymbols(function, shapes, outer);
  if (failed(symbols))
    return failure();
  std::string error;
  if (failed(chooseCapacity(function, *symbols, error)))
    return function.emitError(error);
  return runBlock(function.getBody().front(), inputs, *symbols);
}

FailureOr<Tensor> reference::readWeightFile(tfm::WeightOp weight, FileCache &files) {
  auto file = cast<tfm::FileAttr>(*weight.getSource());
  auto type = cast<RankedTensorType>(weight.getType());
  std::shared_ptr<llvm::MemoryBuffer> &buffer = files[file.getPath()];
  if (!buffer) {
    auto opened = llvm::MemoryBuffer::getFile(file.getPath().getValue(), /*IsText=*/false,
                                              /*RequiresNullTerminator=*/false);
    if (!opened)
      return weight.emitError("cannot read ")
             << file.getPath() << ": " << opened.getError().message();
    buffer = std::move(*opened);
  }
  if (file.getBytes() != storageBytes(type))
    return weight.emitError("of type ")
           << type << " needs " << storageBytes(type) << " bytes, not " << file.getBytes();
  if (file.getOffset() < 0 || file.getOffset() > int64_t(buffer->getBufferSize()) - file.getBytes())
    return weight.emitError("ends at byte ")
           << file.getOffset() + file.getBytes() << " but " << file.getPath() << " has "
           << buffer->getBufferSize();
  return Tensor::view(type, ArrayRef(buffer->getBufferStart() + file.getOffset(), file.getBytes()),
                      buffer);
}

FailureOr<Tensor> Interpreter::runWeight(tfm::WeightOp weight) {
  if (auto it = weights.find(weight); it != weights.end())
    return it->second;
  FailureOr<Tensor> result = failure();
  if (llvm::is_contained(open, weight))
    return weight.emitError("refers to itself");
  if (!weight.getBody().empty()) {
    open.push_back(weight);
    auto yielded = runBlock(weight.getBody().front(), {}, {});
    open.pop_back();
    if (succeeded(yielded))
      result = yielded->front();
  } else if (isa<tfm::FileAttr>(*weight.getSource())) {
    result = readWeightFile(weight, files);
  } else {
    auto seeded = cast<tfm::SeededAttr>(*weight.getSource());
    Tensor tensor(cast<RankedTensorType>(weight.getType()));
    for (int64_t i = 0; i < tensor.size(); ++i)
      tensor.setNumber(i, seededElement(seeded.getSeed(), i, seeded.getScale().getValueAsDouble()));
    result = tensor;
  }
  if (succeeded(result))
    weights[weight] = *result;
  return result;
}

FailureOr<SmallVector<Tensor>> reference::interpret(func::FuncOp function, ArrayRef<Tensor> inputs,
                                                    const InterpreterOptions &options) {
  return Interpreter(options).runFunction(function, inputs);
}

FailureOr<Tensor> reference::weightValue(tfm::WeightOp weight) {
  return Interpreter({}).runWeight(weight);
}
