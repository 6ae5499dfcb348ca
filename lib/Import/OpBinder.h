//===- OpBinder.h - one ONNX node while it becomes tfm -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The function of a row of the operator table gets an OpBinder and reads from it like from the ONNX
// page of the operator:
//
//   LogicalResult importLeakyRelu(OpBinder &b) {
//     Value x = b.input(0);
//     Value slope = b.scalar(x, b.floatAttr("alpha", 0.01));
//     return b.yield(b.select(b.compare(CompareKind::Lt, x, b.scalar(x, 0)), b.mul(x, slope), x));
//   }
//
// Nothing has to be checked on the way: the first failure (a missing input, an attribute of the
// wrong type, shapes that do not fit) is reported once, makes every later value null, and `yield`
// of null is failure. Result types are inferred by the shape rules of tfm, asked through the
// symbolic shapes of the whole graph.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_IMPORT_OPBINDER_H
#define PERMALLOY_LIB_IMPORT_OPBINDER_H

#include "Flatten.h"
#include "WeightStore.h"
#include "permalloy/Analysis/SymbolicShapes.h"

#include "mlir/IR/Builders.h"

namespace permalloy {

/// One dimension to be: a constant times the product of dimensions [begin, end) of a value, if
/// there is one.
struct Extent {
  int64_t constant = 1;
  mlir::Value of;
  int64_t begin = 0, end = 0;

  Extent(int64_t constant) : constant(constant) {}
  Extent(mlir::Value of, int64_t axis) : of(of), begin(axis), end(axis + 1) {}
  Extent(mlir::Value of, int64_t begin, int64_t end) : of(of), begin(begin), end(end) {}
};

/// A list of static integers.
using Ints = llvm::SmallVector<int64_t>;

class OpBinder {
public:
  OpBinder(const FlatNode &node, mlir::OpBuilder &builder, SymbolicShapes &shapes,
           WeightStore &weights, llvm::StringMap<mlir::Value> &values);

  const FlatNode &node;
  mlir::OpBuilder &builder;
  mlir::Location loc;

  //===--- The node ---===//
  int64_t opset() const { return node.opset; }
  size_t numInputs() const { return node.inputs.size(); }
  bool hasInput(size_t i) const { return i < node.inputs.size() && !node.inputs[i].empty(); }
  bool hasOutput(size_t i) const { return i < node.outputs.size() && !node.outputs[i].empty(); }
  /// Input i; an absent one is an error.
  mlir::Value input(size_t i);
  /// Input i, or null.
  mlir::Value optionalInput(size_t i) { return hasInput(i) ? input(i) : mlir::Value(); }

  bool hasAttr(llvm::StringRef name) const { return node.attributes.contains(name); }
  int64_t intAttr(llvm::StringRef name, int64_t otherwise);
  double floatAttr(llvm::StringRef name, double otherwise);
  std::string stringAttr(llvm::StringRef name, llvm::StringRef otherwise);
  std::optional<Ints> intsAttr(llvm::StringRef name);
  std::optional<llvm::SmallVector<float>> floatsAttr(llvm::StringRef name);
  /// Null when absent.
  const onnx::TensorProto *tensorAttr(llvm::StringRef name);

  //===--- Facts about values ---===//
  mlir::Type elementType(mlir::Value value) const {
    return mlir::getElementTypeOrSelf(value.getType());
  }
  bool isFloat(mlir::Value value) const { return llvm::isa<mlir::FloatType>(elementType(value)); }
  bool isBool(mlir::Value value) const { return elementType(value).isInteger(1); }
  int64_t rank(mlir::Value value) const {
    return llvm::cast<mlir::RankedTensorType>(value.getType()).getRank();
  }
  tfm::DimExprAttr dim(mlir::Value value, int64_t axis) { return shapes.dim(value, axis); }
  /// The extent, when it is static.
  std::optional<int64_t> staticDim(mlir::Value value, int64_t axis);
  /// Elements of an integer tensor of rank 0 or 1 as expressions; null ones, or none, depend on data.
  std::optional<tfm::Dims> contents(mlir::Value value) { return shapes.contents(value); }
  /// Elements of a small integer tensor that are known while importing.
  std::optional<Ints> constantInts(mlir::Value value);
  /// The same for input i; that they depend on data is reported as unsupported. Use after checking
  /// hasInput.
  std::optional<Ints> constantInput(size_t i, llvm::StringRef what);
  /// `axis` counted from the front; an error when it is outside of [-rank, rank).
  int64_t normalizeAxis(int64_t axis, int64_t rank);
  /// Sorted and distinct; an error when not.
  Ints normalizeAxes(Ints axes, int64_t rank);

  //===--- Building ---===//
  template <typename OpTy, typename... Args>
  mlir::Value create(mlir::Type elementType, Args &&...args) {
    if (hasFailed)
      return {};
    auto placeholder =
        mlir::RankedTensorType::get({}, elementType ? elementType : builder.getF32Type());
    return infer(OpTy::create(builder, loc, placeholder, std::forward<Args>(args)...), elementType);
  }
  mlir::Value constant(mlir::ElementsAttr value);
  /// A tensor of an attribute: inline, or a weight when it is large.
  mlir::Value tensor(const onnx::TensorProto &tensor);
  /// A tensor of an attribute, inline in any case; null after an error.
  mlir::DenseElementsAttr readTensor(const onnx::TensorProto &tensor);
  /// 1-D, i64.
  mlir::Value ints(llvm::ArrayRef<int64_t> values);
  /// Rank 0, of the element type given or that of `like`.
  mlir::Value scalar(mlir::Type elementType, double value);
  mlir::Value scalar(mlir::Value like, double value) {
    return like ? scalar(elementType(like), value) : mlir::Value();
  }

  mlir::Value unary(tfm::UnaryKind kind, mlir::Value x);
  mlir::Value binary(tfm::BinaryKind kind, mlir::Value x, mlir::Value y);
  mlir::Value add(mlir::Value x, mlir::Value y) { return binary(tfm::BinaryKind::Add, x, y); }
  mlir::Value sub(mlir::Value x, mlir::Value y) { return binary(tfm::BinaryKind::Sub, x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return binary(tfm::BinaryKind::Mul, x, y); }
  mlir::Value div(mlir::Value x, mlir::Value y) { return binary(tfm::BinaryKind::Div, x, y); }
  mlir::Value compare(tfm::CompareKind kind, mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  mlir::Value cast(mlir::Value x, mlir::Type elementType);
  mlir::Value reduce(tfm::ReduceKind kind, mlir::Value x, llvm::ArrayRef<int64_t> axes,
                     bool keepDims);
  mlir::Value matmul(mlir::Value x, mlir::Value y, bool transposeX = false,
                     bool transposeY = false);
  mlir::Value transpose(mlir::Value x, llvm::ArrayRef<int64_t> perm);
  mlir::Value gather(mlir::Value x, mlir::Value indices, int64_t axis);
  /// Element [..., i, ...] is x[..., indices[..., i, ...], ...], the index standing on `axis`.
  mlir::Value gatherElements(mlir::Value x, mlir::Value indices, int64_t axis);
  mlir::Value concat(mlir::ValueRange values, int64_t axis);
  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<Extent> extents);
  mlir::Value broadcast(mlir::Value x, llvm::ArrayRef<Extent> extents);
  /// 0, 1, ..., count - 1 as i64.
  mlir::Value iota(const Extent &count);
  /// A 1-D i64 tensor with the extents.
  mlir::Value shapeTensor(llvm::ArrayRef<Extent> extents);
  /// Elements [start, end) of axis 0 of a 1-D value, step 1.
  mlir::Value slice1D(mlir::Value x, int64_t start, int64_t end);
  /// [1, ..., n, ..., 1]: `x` of rank 1 along `axis` of `rank` dimensions.
  mlir::Value alongAxis(mlir::Value x, int64_t axis, int64_t rank);

  /// A weight that is computed from `inputs`, each a weight or a constant, when the artifact is written; null and an error
  /// that it is unsupported where one is computed while running. Named by the last of them and `suffix`.
  mlir::Value record(llvm::StringRef suffix, llvm::ArrayRef<mlir::Value> inputs,
                     llvm::function_ref<mlir::Value(mlir::OpBuilder &, llvm::ArrayRef<mlir::Value>)> build);

  //===--- The end ---===//
  llvm::LogicalResult yield(mlir::Value value) { return yield(0, value); }
  llvm::LogicalResult yield(size_t output, mlir::Value value);
  /// The node is legal ONNX but not supported: `reason` says what is.
  llvm::LogicalResult unsupported(const llvm::Twine &reason);
  /// The node is wrong.
  llvm::LogicalResult error(const llvm::Twine &message);

  bool failed() const { return hasFailed; }
  /// Set by `unsupported`.
  std::string unsupportedReason;

private:
  mlir::Value infer(mlir::Operation *op, mlir::Type elementType);
  const onnx::AttributeProto *attribute(llvm::StringRef name,
                                        onnx::AttributeProto::AttributeType type);
  tfm::DimExprAttr expression(const Extent &extent);
  std::optional<tfm::Dims> expressions(llvm::ArrayRef<Extent> extents);

  SymbolicShapes &shapes;
  WeightStore &weights;
  llvm::StringMap<mlir::Value> &values;
  bool hasFailed = false;
};

} // namespace permalloy

#endif
