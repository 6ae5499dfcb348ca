//===- OutlineKernels.cpp - planned groups into kernels ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tfm/Outliers.h"
#include "Tfm/Panels.h"
#include "permalloy/Analysis/SharedNumbers.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Conversion/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace permalloy {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "permalloy/Conversion/Passes.h.inc"
} // namespace permalloy

namespace {

/// Constants up to this many elements, and splats, are part of the kernel that uses them.
constexpr int64_t kMaxInlineElements = 16;

bool isInlineConstant(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  if (!constant)
    return false;
  auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
  return dense && (dense.isSplat() || dense.getNumElements() <= kMaxInlineElements);
}

/// One group, in program order.
struct Group {
  SmallVector<Operation *> ops;
  SetVector<Value> inputs;
  SetVector<Operation *> constants;
  SmallVector<Value> outputs;
};

Group collect(ArrayRef<Operation *> ops) {
  Group group;
  group.ops.assign(ops.begin(), ops.end());
  SmallPtrSet<Operation *, 8> inside(ops.begin(), ops.end());
  for (Operation *op : ops) {
    for (Value operand : op->getOperands()) {
      if (isInlineConstant(operand))
        group.constants.insert(operand.getDefiningOp());
      else if (!inside.contains(operand.getDefiningOp()))
        group.inputs.insert(operand);
    }
    bool escapes = llvm::any_of(op->getUsers(), [&](Operation *user) { return !inside.contains(user); });
    if (escapes)
      group.outputs.push_back(op->getResult(0));
  }
  return group;
}

/// The symbols of a kernel: each symbol of the program that it mentions, renamed d0, d1, ... in order of appearance.
class SymbolMap {
public:
  SymbolMap(MLIRContext *context) : context(context) {}

  DimExprAttr toLocal(DimExprAttr expr) {
    return expr.substitute([&](StringRef name) {
      auto it = locals.insert({name.str(), unsigned(locals.size())}).first;
      return DimExprAttr::symbol(context, "d" + std::to_string(it->second));
    });
  }
  ArrayAttr toLocal(ArrayRef<DimExprAttr> dims) {
    Dims local;
    for (DimExprAttr dim : dims)
      local.push_back(toLocal(dim));
    return dimArray(context, local);
  }
  ArrayAttr names() const {
    SmallVector<Attribute> result;
    for (size_t i = 0; i < locals.size(); ++i)
      result.push_back(StringAttr::get(context, "d" + std::to_string(i)));
    return ArrayAttr::get(context, result);
  }
  ArrayAttr scalars() const {
    Dims result;
    for (auto &entry : locals)
      result.push_back(resolveSharedNumbers(DimExprAttr::symbol(context, entry.first)));
    return dimArray(context, result);
  }

private:
  MLIRContext *context;
  llvm::MapVector<std::string, unsigned, std::map<std::string, unsigned>> locals;
};

/// Rewrites every dimension expression in the attributes of an operation.
void localizeAttributes(Operation *op, SymbolMap &symbols) {
  for (NamedAttribute attribute : op->getAttrs()) {
    if (auto expr = dyn_cast<DimExprAttr>(attribute.getValue()))
      op->setAttr(attribute.getName(), symbols.toLocal(expr));
    auto array = dyn_cast<ArrayAttr>(attribute.getValue());
    if (array && !array.empty() && llvm::all_of(array, llvm::IsaPred<DimExprAttr>))
      op->setAttr(attribute.getName(), symbols.toLocal(dimsOf(array)));
  }
}

/// Whether products decode the weight on their way: whole rows of panels lie in a group, and a codebook fits registers.
bool decodesInProduct(Value weight) {
  if (!isDecodedWeight(weight) || cast<RankedTensorType>(weight.getType()).getRank() != 2)
    return false;
  auto decode = weight.getDefiningOp<DequantizeOp>();
  auto code = cast<QuantType>(getElementTypeOrSelf(decode.getCodes().getType()));
  Value zeros = decode.getZeroPoints(), codebook = decode.getCodebook();
  bool wholeRows = code.getGroup() % panelPairing(code) == 0 || code.getGroup() >= cast<RankedTensorType>(weight.getType()).getDimSize(0);
  bool oneType = !zeros || getElementTypeOrSelf(zeros.getType()) == getElementTypeOrSelf(decode.getScales().getType());
  return wholeRows && oneType && (!codebook || (code.getBits() <= 4 && getElementTypeOrSelf(codebook.getType()).isF32()));
}

/// The largest magnitude of each row, kept as a column: what the codes of the row are relative to.
bool isRowMagnitude(Operation *op) {
  auto reduce = dyn_cast<ReduceOp>(op);
  return isa<OutlierLimitOp>(op) || (reduce && reduce.getKind() == ReduceKind::AbsMax && reduce.getKeepDims() &&
         reduce.getAxes() == ArrayRef<int64_t>{cast<RankedTensorType>(reduce.getInput().getType()).getRank() - 1});
}

kern::Emitter emitterOf(const Group &group) {
  // Stored as f32, f16 or bf16, computed in f32.
  auto isFloat = [](Value value) {
    Type element = getElementTypeOrSelf(value.getType());
    return element.isF32() || element.isF16() || element.isBF16();
  };
  for (Operation *op : group.ops) {
    if (auto linear = dyn_cast<LinearOp>(op)) {
      Operation *weight = linear.getWeight().getDefiningOp();
      bool packed = (isFloat(linear.getResult()) || linear.isIntegral()) &&
                    (isa_and_nonnull<GetWeightOp, ExpandBlocksOp, ExpandQuadsOp>(weight) || decodesInProduct(linear.getWeight()));
      return packed ? kern::Emitter::Contraction : kern::Emitter::Generic;
    }
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      // The emitter has one size of heads, for keys and values.
      bool oneSize = attention.getType().getShape().back() == attention.getQuery().getType().getShape().back();
      return isFloat(attention.getResult()) && oneSize ? kern::Emitter::Attention : kern::Emitter::Generic;
    }
    if (isa<GroupByOp, PrefixCountOp>(op))
      return kern::Emitter::Route;
    if (isa<TokenScoreOp, TokenMergeOp, TokenUnmergeOp>(op))
      return kern::Emitter::Tokens;
    if (isa<GroupedLinearOp>(op))
      return kern::Emitter::Contraction;
    if (isa<MatmulOp, ScatterOp, KvAppendOp>(op) || (isa<ReduceOp>(op) && !isRowMagnitude(op)))
      return kern::Emitter::Generic;
  }
  // Codes of 8 bits, and where they leave elements out, are a result of the row whose magnitude they are relative to.
  auto isCode = [](Value value) { return isa<QuantizeOp, OutlierPositionsOp>(value.getDefiningOp()); };
  bool rows = !group.outputs.empty() && llvm::all_of(group.outputs, [&](Value value) {
    return (isFloat(value) || isCode(value)) && cast<RankedTensorType>(value.getType()).getRank() > 0;
  });
  return rows ? kern::Emitter::Row : kern::Emitter::Generic;
}

/// What names the kernel: its root, or its last operation. Products of halves, or with codes, say so, for profiles and `inspect`.
std::string rootName(const Group &group) {
  for (Operation *op : group.ops) {
    std::string name = op->getName().stripDialect().str();
    if (isa<LinearOp, MatmulOp, AttentionOp, GroupedLinearOp>(op)) {
      Type element = getElementTypeOrSelf(op->getOperand(0).getType());
      name += element.isBF16() ? "_bf16" : element.isF16() ? "_f16" : element.isInteger(8) ? "_i8" : "";
      if (auto decode = op->getOperand(1).getDefiningOp<DequantizeOp>())
        name += "_w" + std::to_string(cast<QuantType>(getElementTypeOrSelf(decode.getCodes().getType())).getBits());
      return name;
    }
    if (isRowMagnitude(op))
      return "quantize";
    if (isa<LayerNormOp, RmsNormOp, RotaryOp, SoftmaxOp, ReduceOp, KvAppendOp, GroupByOp, PrefixCountOp, TokenScoreOp, TokenMergeOp, TokenUnmergeOp>(op))
      return name;
  }
  return group.ops.back()->getName().stripDialect().str();
}

class Outliner {
public:
  Outliner(ModuleOp module) : module(module), builder(module.getContext()) {}

  LogicalResult run(func::FuncOp function);
  std::vector<std::string> texts(ArrayRef<ArrayRef<Operation *>> groups);

  unsigned kernels = 0, launches = 0;

private:
  LogicalResult outline(const Group &group);
  kern::KernelOp buildKernel(const Group &group, SymbolMap &symbols);
  /// The kernel that stands for `kernel`: itself, now named, or an equal one made before.
  kern::KernelOp unique(kern::KernelOp kernel, StringRef name);
  LogicalResult checkDerived(const Group &group);
  void makeViews(func::FuncOp function);

  ModuleOp module;
  OpBuilder builder;
  std::unique_ptr<SymbolicShapes> shapes;
  std::map<std::string, kern::KernelOp> known;
};

LogicalResult Outliner::run(func::FuncOp function) {
  shapes = std::make_unique<SymbolicShapes>();
  std::map<int64_t, SmallVector<Operation *>> groups;
  for (Operation &op : function.getBody().front())
    if (auto number = op.getAttrOfType<IntegerAttr>(kGroupAttr))
      groups[number.getInt()].push_back(&op);
  SmallVector<ArrayRef<Operation *>> ordered;
  for (auto &[number, ops] : groups)
    ordered.push_back(ops);
  llvm::sort(ordered, [](auto a, auto b) { return a.back()->isBeforeInBlock(b.back()); });
  for (ArrayRef<Operation *> ops : ordered)
    if (failed(outline(collect(ops))))
      return failure();
  makeViews(function);
  return success();
}

LogicalResult Outliner::checkDerived(const Group &group) {
  auto check = [&](Value value) -> LogicalResult {
    for (auto [i, dim] : llvm::enumerate(shapes->dims(value)))
      if (!isDerived(dim))
        return emitError(value.getLoc()) << "dimension " << i << " of this value of type " << value.getType()
                                         << " depends on data; sizes that no input dimension gives are unsupported";
    return success();
  };
  for (Value value : group.inputs)
    if (failed(check(value)))
      return failure();
  for (Operation *op : group.ops)
    if (failed(check(op->getResult(0))))
      return failure();
  return success();
}

kern::KernelOp Outliner::buildKernel(const Group &group, SymbolMap &symbols) {
  SmallVector<Attribute> argDims;
  for (Value input : group.inputs)
    argDims.push_back(symbols.toLocal(shapes->dims(input)));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(module.getBody());
  auto kernel = kern::KernelOp::create(builder, builder.getUnknownLoc(), "kernel", emitterOf(group), builder.getArrayAttr({}),
                                       builder.getArrayAttr(argDims), DictionaryAttr(), DimExprAttr(), DimExprAttr());
  Block *block = builder.createBlock(&kernel.getBody());
  IRMapping mapping;
  for (Value input : group.inputs)
    mapping.map(input, block->addArgument(input.getType(), builder.getUnknownLoc()));
  auto cloneIn = [&](Operation *op) {
    Operation *copy = builder.clone(*op, mapping);
    copy->removeAttr(kGroupAttr);
    copy->setLoc(builder.getUnknownLoc()); // equal kernels of different layers are one
    localizeAttributes(copy, symbols);
  };
  llvm::for_each(group.constants, cloneIn);
  llvm::for_each(group.ops, cloneIn);
  SmallVector<Value> results;
  for (Value output : group.outputs)
    results.push_back(mapping.lookup(output));
  kern::YieldOp::create(builder, builder.getUnknownLoc(), results);
  kernel.setSymbolsAttr(symbols.names());
  return kernel;
}

kern::KernelOp Outliner::unique(kern::KernelOp kernel, StringRef name) {
  std::string text;
  llvm::raw_string_ostream os(text);
  kernel->print(os, OpPrintingFlags().printGenericOpForm().useLocalScope());
  auto [it, isNew] = known.try_emplace(text, kernel);
  if (!isNew) {
    kernel.erase();
    return it->second;
  }
  kernel.setSymName((name + "_" + Twine(kernels++)).str());
  return kernel;
}

LogicalResult Outliner::outline(const Group &group) {
  if (failed(checkDerived(group)))
    return failure();
  SymbolMap symbols(module.getContext());
  kern::KernelOp kernel = unique(buildKernel(group, symbols), rootName(group));
  SmallVector<Location> locations;
  SmallVector<Type> types;
  for (Operation *op : group.ops)
    locations.push_back(op->getLoc());
  for (Value output : group.outputs)
    types.push_back(output.getType());
  builder.setInsertionPointAfter(group.ops.back());
  auto launch = kern::LaunchOp::create(builder, builder.getFusedLoc(locations), types, kernel.getSymName(),
                                       group.inputs.getArrayRef(), symbols.scalars(), DenseI64ArrayAttr());
  for (auto [index, result] : llvm::enumerate(launch.getOutputs())) {
    Value output = group.outputs[index];
    shapes->setDims(result, shapes->dims(output));
    output.replaceUsesWithIf(result, [&](OpOperand &use) { return !llvm::is_contained(group.ops, use.getOwner()); });
  }
  for (Operation *op : llvm::reverse(group.ops))
    op->erase();
  ++launches;
  return success();
}

std::vector<std::string> Outliner::texts(ArrayRef<ArrayRef<Operation *>> groups) {
  shapes = std::make_unique<SymbolicShapes>();
  SymbolMap symbols(module.getContext());
  SmallVector<kern::KernelOp> built;
  for (ArrayRef<Operation *> ops : groups)
    built.push_back(buildKernel(collect(ops), symbols));
  std::vector<std::string> texts;
  for (kern::KernelOp kernel : built) {
    kernel.setSymbolsAttr(symbols.names());
    llvm::raw_string_ostream os(texts.emplace_back());
    kernel->print(os, OpPrintingFlags().useLocalScope());
  }
  return texts;
}

/// Reshapes that no kernel took in, and constants that none needs any more.
void Outliner::makeViews(func::FuncOp function) {
  for (Operation &op : llvm::make_early_inc_range(function.getBody().front())) {
    if (auto reshape = dyn_cast<ReshapeOp>(op)) {
      builder.setInsertionPoint(reshape);
      Dims resolved = llvm::map_to_vector(shapes->dims(reshape), resolveSharedNumbers);
      ArrayAttr dims = dimArray(builder.getContext(), resolved);
      auto view = kern::ViewOp::create(builder, reshape.getLoc(), reshape.getType(), reshape.getInput(), dims);
      reshape.replaceAllUsesWith(view.getOutput());
      reshape.erase();
    }
  }
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

struct OutlineKernels : permalloy::impl::OutlineKernelsBase<OutlineKernels> {
  void runOnOperation() override {
    Outliner outliner(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal() && failed(outliner.run(function)))
        return signalPassFailure();
    numKernels += outliner.kernels;
    numLaunches += outliner.launches;
  }
};

} // namespace

std::vector<std::string> permalloy::textOfGroups(ArrayRef<ArrayRef<Operation *>> groups) {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(UnknownLoc::get(groups.front().front()->getContext()));
  return Outliner(*scratch).texts(groups);
}
