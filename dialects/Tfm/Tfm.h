//===- Tfm.h - the transformer graph dialect ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is computed: see README.md beside this file and the generated reference.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_TFM_TFM_H
#define PERMALLOY_TFM_TFM_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "Tfm/TfmDialect.h.inc"
#include "Tfm/TfmEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "Tfm/TfmAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "Tfm/TfmTypes.h.inc"

namespace permalloy::tfm {

/// One expression per dimension (or element); null means unknown.
using Dims = llvm::SmallVector<DimExprAttr>;

/// Answers questions about operands to the shape rules of operations. `TypeOracle` knows types only;
/// `Analysis/SymbolicShapes` derives expressions through the whole function.
class ShapeOracle {
public:
  virtual ~ShapeOracle() = default;
  /// Dimensions of a ranked tensor; null where unknown.
  virtual Dims dims(mlir::Value value) = 0;
  /// Elements of an integer or bool tensor of rank 0 or 1; nullopt when they depend on data.
  virtual std::optional<Dims> contents(mlir::Value value) = 0;
};

/// Knows static dimensions and constant contents, nothing else.
class TypeOracle : public ShapeOracle {
public:
  Dims dims(mlir::Value value) override;
  std::optional<Dims> contents(mlir::Value value) override;
};

/// Dimensions of a type: constants where static, null where dynamic.
Dims dimsOfType(mlir::RankedTensorType type);
/// Static extents where constant, dynamic elsewhere.
llvm::SmallVector<int64_t> staticShape(llvm::ArrayRef<DimExprAttr> dims);
/// The dimension of two that broadcast together; null and `ok = false` when they cannot.
DimExprAttr broadcastDim(DimExprAttr lhs, DimExprAttr rhs, bool &ok);
/// numpy broadcasting of two shapes; nullopt when they cannot.
std::optional<Dims> broadcastDims(llvm::ArrayRef<DimExprAttr> lhs, llvm::ArrayRef<DimExprAttr> rhs);
/// ONNX clamping of the start or end of a slice with a positive step: negative counts from the end, then into [0, extent].
DimExprAttr clampSliceBound(DimExprAttr bound, DimExprAttr extent);
/// `value` as a dimension array attribute and back.
mlir::ArrayAttr dimArray(mlir::MLIRContext *context, llvm::ArrayRef<DimExprAttr> dims);
Dims dimsOf(mlir::ArrayAttr array);

/// The function that an activation is; nullopt: it is none.
std::optional<UnaryKind> unaryOf(Activation activation);
/// The activation that is this function; nullopt where a linear layer cannot apply it.
std::optional<Activation> activationOf(UnaryKind kind);

/// Prints `[batch, 4, ?]`, for messages.
std::string str(llvm::ArrayRef<DimExprAttr> dims);

} // namespace permalloy::tfm

#include "Tfm/TfmInterfaces.h.inc"

#define GET_OP_CLASSES
#include "Tfm/TfmOps.h.inc"

namespace permalloy::tfm {

/// Sets the result type of `op` from its shape rule, answered by `oracle`; keeps `elementType` when the rule leaves it
/// open. On failure emits an error at the operation and leaves it.
llvm::LogicalResult inferResultType(mlir::Operation *op, ShapeOracle &oracle, mlir::Type elementType = {});

/// Creates `OpTy` with the result type that its shape rule infers. Null when the operands cannot fit (already reported).
template <typename OpTy, typename... Args>
OpTy create(mlir::OpBuilder &builder, mlir::Location loc, ShapeOracle &oracle, mlir::Type elementType, Args &&...args) {
  auto placeholder = mlir::RankedTensorType::get({}, elementType ? elementType : builder.getF32Type());
  auto op = OpTy::create(builder, loc, placeholder, std::forward<Args>(args)...);
  if (llvm::succeeded(inferResultType(op, oracle, elementType)))
    return op;
  op.erase();
  return nullptr;
}

} // namespace permalloy::tfm

#endif
