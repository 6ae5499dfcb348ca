//===- WeightStore.h - tensors of the model as values ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_IMPORT_WEIGHTSTORE_H
#define PERMALLOY_LIB_IMPORT_WEIGHTSTORE_H

#include "Tensors.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace permalloy {

/// Turns tensors of the model into tfm.constant, or into tfm.weight before `function` and
/// tfm.get_weight.
class WeightStore {
public:
  WeightStore(TensorReader &reader, mlir::func::FuncOp function)
      : reader(reader), function(function) {
    names.insert(function.getName());
  }

  /// The value of `tensor`; a weight is named `name`, made unique. Integers of 2 and 4 bits are a weight of i8 or ui8, recorded
  /// as a cast of codes `!tfm.q` of their bits.
  llvm::Expected<mlir::Value> materialize(mlir::OpBuilder &builder, llvm::StringRef name,
                                          const onnx::TensorProto &tensor);

  /// A weight whose body computes `build` of copies of `inputs`, each a weight or a constant; named `name`, made unique.
  mlir::Value record(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name, llvm::ArrayRef<mlir::Value> inputs,
                     llvm::function_ref<mlir::Value(mlir::OpBuilder &, llvm::ArrayRef<mlir::Value>)> build);

  /// A name that no symbol of the module has.
  std::string uniqueName(llvm::StringRef name);

  TensorReader &reader;

private:
  mlir::Value unpacked(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name, const TensorData &data);

  mlir::func::FuncOp function;
  llvm::StringSet<> names;
};

} // namespace permalloy

#endif
