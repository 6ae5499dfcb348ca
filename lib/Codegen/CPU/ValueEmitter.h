//===- ValueEmitter.h - the value of a tensor at an index --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The body of a kern.kernel is a small graph of tfm operations over its arguments. Instead of computing tensors, an emitter
// asks for the value of a result at one index, and the question is handed down to the operands as index arithmetic:
//
//   at(yield [i, j])                          y = relu(transpose(x) + bias)
//     at(add [i, j])
//       at(transpose [i, j]) = at(x [j, i])   a load of x + 4 * (j * N + i)
//       at(bias [i, j])      = bias [j]       a load of bias + 4 * j
//
// So chains of any length run without intermediate memory, structure costs only index arithmetic, and one function knows
// every operation on every element type. Answers are remembered per index, so shared operands are emitted once.
//
// SITES. An index has one of three forms: one index per dimension; a row (all dimensions but the last, numbered row-major)
// and a column; or one number for all. A site may also stand for a native vector: `lane` is then the component that counts
// up by one per lane. Where an operand does not depend on that component its value stays a scalar; where lanes are not
// neighbours in memory the vector form does not exist, which lostLanes() tells: emitters try on a function that they throw
// away, and take scalars then.
//
// REDUCTIONS. The statistics of a row (sum, maximum, mean; the weights of attention) are computed when they are first
// asked for and kept in the worker's scratch, together with the number of the row they belong to: a walk over the elements
// in any order that keeps to a row computes them once. ScratchLayout gives each such operation its place.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_VALUEEMITTER_H
#define PERMALLOY_LIB_CODEGEN_CPU_VALUEEMITTER_H

#include "ElementOps.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"

#include "llvm/ADT/DenseSet.h"

namespace permalloy::codegen {

/// Where in a tensor: see SITES above.
struct Site {
  enum class Form { Full, Rows, Linear };
  Form form = Form::Full;
  llvm::SmallVector<mlir::Value, 4> indices;
  /// The component of `indices` that lanes count along, or -1: one element.
  int lane = -1;
  /// The lane component is a multiple of the number of lanes.
  bool aligned = false;
  /// The lanes that exist; null: all.
  mlir::Value mask;

  static Site full(llvm::ArrayRef<mlir::Value> indices) { return {Form::Full, llvm::to_vector<4>(indices), -1, false, {}}; }
  static Site rows(mlir::Value row, mlir::Value column) { return {Form::Rows, {row, column}, -1, false, {}}; }
  static Site linear(mlir::Value index) { return {Form::Linear, {index}, -1, false, {}}; }
  bool isVector() const { return lane >= 0; }
  /// The same place with other indices, for one element.
  Site scalar(llvm::ArrayRef<mlir::Value> others) const { return full(others); }
};

/// Scratch of the operations that remember a row: a multiple of 64 bytes each.
struct ScratchLayout {
  ScratchLayout(kern::KernelOp kernel, SymbolicShapes &shapes);

  llvm::DenseMap<mlir::Operation *, tfm::DimExprAttr> offsets;
  tfm::DimExprAttr bytes;
};

class ValueEmitter {
public:
  using Value = mlir::Value;
  using Index = llvm::SmallVector<Value, 4>;

  /// Stands at the entry of the function; sizes and constants are emitted there.
  explicit ValueEmitter(KernelFrame &frame);

  /// The element(s) of `tensor` at `site`, in the register type of its elements: a vector where the site has lanes and the
  /// value depends on them, otherwise a scalar.
  Value at(Value tensor, const Site &site);
  /// As `at`, but a vector wherever the site has lanes.
  Value vectorAt(Value tensor, const Site &site);

  /// Takes `read` as the value of `tensor`; at sites where it gives null, the operation is emitted as ever. Values that
  /// depend on it are forgotten.
  void bind(Value tensor, std::function<Value(const Site &)> read);

  /// Lanes had to be neighbours and were not; what was emitted is meaningless.
  bool lostLanes() const { return lost; }
  /// An operation was unsupported; an error stands at it.
  bool failed() const { return unsupported; }

  /// A dimension expression as i64, emitted once at the entry.
  Value extent(tfm::DimExprAttr expr);
  /// Takes a dimension for a multiple of the lanes.
  void assumeWhole(tfm::DimExprAttr expr) { whole = expr; }
  /// Stores a vector of a row of `width` elements; the column is a multiple of the lanes.
  void storeInRow(Element e, Value value, Value pointer, tfm::DimExprAttr width);
  tfm::Dims dims(Value tensor) { return frame.dims(tensor); }
  /// `site` of a tensor of dimensions `dims`, with one index per dimension.
  Site toFull(const Site &site, llvm::ArrayRef<tfm::DimExprAttr> dims);
  /// The site of `operand`, broadcast as numpy does, at `site` of a value of dimensions `result`.
  Site operandSite(const Site &site, llvm::ArrayRef<tfm::DimExprAttr> result, Value operand);
  /// The number of an element of a dense tensor of these dimensions.
  Value linearize(llvm::ArrayRef<Value> indices, llvm::ArrayRef<tfm::DimExprAttr> dims);
  Index split(Value linear, llvm::ArrayRef<tfm::DimExprAttr> dims);

  KernelBuilder &builder() { return b; }
  ElementOps &elements() { return ops; }
  KernelFrame &kernelFrame() { return frame; }

  /// A loop nest over `dims` that carries `init`; the body gets one index per dimension.
  using Body = llvm::function_ref<llvm::SmallVector<Value>(llvm::ArrayRef<Value> indices, mlir::ValueRange carried)>;
  llvm::SmallVector<Value> nest(llvm::ArrayRef<tfm::DimExprAttr> dims, mlir::ValueRange init, Body body);
  /// Values of one of two branches; only that one runs.
  llvm::SmallVector<Value> choose(Value condition, llvm::function_ref<llvm::SmallVector<Value>()> then,
                                  llvm::function_ref<llvm::SmallVector<Value>()> otherwise);

private:
  Value compute(Value tensor, const Site &site);
  Value load(Value argument, const Site &site);
  Value loadPanels(Value argument, const Site &site);
  Value loadColumn(Value argument, Value index, int64_t pairing);
  Value loadAt(Element e, Value base, Value index, const Site &site, bool contiguous);
  bool isWhole(tfm::DimExprAttr width) const;
  bool isWholeVector(const Site &site, llvm::ArrayRef<tfm::DimExprAttr> dims) const;
  Value lose(Value tensor, const Site &site);
  Value unsupportedHere(mlir::Operation *op, const llvm::Twine &why);

  // ValueStructure.cpp
  Value emit(tfm::ConstantOp op, const Site &site);
  Value emit(tfm::DimValuesOp op, const Site &site);
  Value emit(tfm::ShapeOfOp op, const Site &site);
  Value emit(tfm::RangeOp op, const Site &site);
  Value emit(tfm::ReshapeOp op, const Site &site);
  Value emit(tfm::BroadcastOp op, const Site &site);
  Value emit(tfm::TransposeOp op, const Site &site);
  Value emit(tfm::GatherOp op, const Site &site);
  Value emit(tfm::GatherNDOp op, const Site &site);
  Value emit(tfm::SliceOp op, const Site &site);
  Value emit(tfm::ConcatOp op, const Site &site);
  Value emit(tfm::PackOp op, const Site &site);
  Value emitChoice(llvm::ArrayRef<tfm::DimExprAttr> values, Element e, Value index);
  Value tableOf(mlir::Operation *op, llvm::function_ref<std::string()> contents);
  Value clampedIndex(Value tensor, const Site &site, Value extent);
  Site reshapeSite(const Site &site, llvm::ArrayRef<tfm::DimExprAttr> from, llvm::ArrayRef<tfm::DimExprAttr> to,
                   bool isLeaf);
  std::pair<Value, Value> sliceStep(tfm::SliceOp op, unsigned position, Value size);

  // ValueElementwise.cpp
  Value emit(tfm::CastOp op, const Site &site);
  Value emit(tfm::UnaryOp op, const Site &site);
  Value emit(tfm::BinaryOp op, const Site &site);
  Value emit(tfm::CompareOp op, const Site &site);
  Value emit(tfm::SelectOp op, const Site &site);
  Value emit(tfm::QuantizeOp op, const Site &site);
  Value exactAt(Value tensor, const Site &site);
  Value emitPower(tfm::BinaryOp op, Value x);

  // ValueCodes.cpp
  Value emit(tfm::DequantizeOp op, const Site &site);

  // ValueRotary.cpp
  Value emit(tfm::RotaryOp op, const Site &site);

  // ValueReduce.cpp
  Value emit(tfm::ReduceOp op, const Site &site);
  Value emit(tfm::LayerNormOp op, const Site &site);
  Value emit(tfm::RmsNormOp op, const Site &site);
  Value emit(tfm::SoftmaxOp op, const Site &site);
  Value reduceAll(tfm::ReduceOp op, const Site &site);
  llvm::SmallVector<Value> remembered(mlir::Operation *op, Value row, mlir::TypeRange types,
                                      llvm::function_ref<llvm::SmallVector<Value>()> calculate);
  Value slotOf(mlir::Operation *op);

  // ValueSelection.cpp
  Value emit(tfm::TopKOp op, const Site &site);
  Value emit(tfm::ScatterOp op, const Site &site);

  // ValueOutliers.cpp
  Value emitOutlierLinear(mlir::Operation *op, const Site &site);

  // ValueProduct.cpp
  Value emit(tfm::MatmulOp op, const Site &site);
  Value emit(tfm::LinearOp op, const Site &site);
  Value emit(tfm::AttentionOp op, const Site &site);
  Value dot(Value lhs, Value rhs, Element e, tfm::DimExprAttr depth, llvm::function_ref<std::pair<Site, Site>(Value)> sites);
  void attentionWeights(tfm::AttentionOp op, llvm::ArrayRef<Value> place, Value memory);

  struct Known {
    Value value;
    unsigned generation;
  };
  using Key = std::vector<std::pair<const void *, int64_t>>;
  Key keyOf(Value tensor, const Site &site);
  bool visible(Value value);

  KernelFrame &frame;
  KernelBuilder &b;
  ElementOps ops;
  std::unique_ptr<ScratchLayout> layout;
  SymbolicShapes layoutShapes;
  mlir::Operation *anchor;
  std::map<Key, Known> known;
  std::map<Key, Index> splits;
  llvm::DenseMap<mlir::Attribute, Value> extents;
  tfm::DimExprAttr whole;
  llvm::DenseMap<Value, std::function<Value(const Site &)>> bound;
  llvm::DenseSet<Value> dependsOnBound;
  llvm::DenseMap<mlir::Operation *, Value> slots;
  llvm::DenseMap<mlir::Operation *, Value> tables;
  unsigned generation = 0;
  bool lost = false, unsupported = false;
};

} // namespace permalloy::codegen

#endif
