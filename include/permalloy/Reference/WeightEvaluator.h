//===- WeightEvaluator.h - recorded transformations, streamed ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A weight is a region of a file, a seeded generator, or a body of operations over other weights.
// Its bytes are made piece by piece, in storage order, bit for bit as the interpreter makes them,
// without holding the weight or its inputs in memory:
//
//   @w.panels = pack(transpose(@w))      a panel row of 16 floats is read from 16 places of the
//   mapped file
//
// get_weight, cast, transpose, reshape, slice, concat, pack, unpack_bits and sums of bytes with a
// scalar stream. A transpose or
// strided slice of something that is itself computed (a cast, say) first writes its input into
// memory, once; so do quantize_weight, prune_weight and what reads a pruned weight, whatever the size, and the
// last solves are kept for their other results. Any other operation is interpreted when its operands and result take less than
// 64 MB, and is an error otherwise.
//
// This lives in Reference rather than Artifact, which knows no IR.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_REFERENCE_WEIGHTEVALUATOR_H
#define PERMALLOY_REFERENCE_WEIGHTEVALUATOR_H

#include "permalloy/Artifact/Hash.h"
#include "permalloy/Reference/Interpreter.h"

#include <deque>

namespace permalloy::reference {

/// Takes the next bytes of a weight; failure stops the evaluation.
using ByteSink = std::function<llvm::LogicalResult(llvm::ArrayRef<char>)>;

/// Elements in storage order, computed when read. Internal to the evaluator.
class WeightStream;

/// What a solver made of a weight whose layer's inputs it knew.
struct SolvedWeight {
  mlir::Operation *op = nullptr; ///< the quantize_weight or prune_weight
  double relativeError = 0;      ///< |X (W - W')| / |X W|, X the inputs of the calibration
};

/// Evaluates the weights of one module; keeps their files mapped while it lives. Not thread-safe.
class WeightEvaluator {
public:
  WeightEvaluator();
  ~WeightEvaluator();

  /// Hands the bytes of `weight` to `sink`, `storageBytes(type)` in all. On failure an error was
  /// emitted, unless the sink failed.
  llvm::LogicalResult evaluate(tfm::WeightOp weight, const ByteSink &sink);
  /// The content hash of a weight: xxh3-128 of its bytes.
  llvm::FailureOr<Hash128> hash(tfm::WeightOp weight);

  /// Where to list weights that are solved with a gram; null: nowhere, which saves a product of the size of a solve's.
  std::vector<SolvedWeight> *report = nullptr;

private:
  std::shared_ptr<WeightStream> streamOf(tfm::WeightOp weight);
  std::shared_ptr<WeightStream> streamOf(mlir::Value value);
  std::shared_ptr<WeightStream> solved(mlir::OpResult result);
  void addToReport(mlir::Operation *op, llvm::ArrayRef<Tensor> operands, llvm::ArrayRef<Tensor> results);
  std::shared_ptr<WeightStream> interpreted(mlir::Operation *op,
                                            llvm::ArrayRef<std::shared_ptr<WeightStream>> inputs);

  /// The results of one solve, under the text of what was solved.
  struct Solve {
    std::string problem;
    llvm::SmallVector<Tensor> results;
  };

  FileCache files;
  std::deque<Solve> solves; // the last ones: codes and scales of a weight are asked for one after the other
  llvm::SmallVector<tfm::WeightOp> open; // being built: a weight may not refer to itself
};

} // namespace permalloy::reference

#endif
