//===- Levels.h - how precisely a layer computes, in one word ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A level names what one layer does with its weight and its input:
//
//   f32 bf16 bf16x3 tf32         precisions (Precision.h)
//   w8  w8g64  w4g32  w4g32asym  formats of the weight, registered below; the input stays f32
//   bf16+w4g32                   both: the input is bf16, the weight decodes to bf16
//
// It stands in `tfm.level` of the operation between planning and applying, with `tfm.solver` beside it. A format is one file:
// a WeightFormat and the line that registers it.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TRANSFORMS_LEVELS_H
#define PERMALLOY_TRANSFORMS_LEVELS_H

#include "Tfm/Tfm.h"
#include "permalloy/Transforms/KernelCosts.h"

#include <memory>
#include <string>

namespace permalloy {

/// On operations between planning and applying: a level as text, and the solver of its format.
inline constexpr llvm::StringLiteral kLevelAttr = "tfm.level";
inline constexpr llvm::StringLiteral kSolverAttr = "tfm.solver";
/// The solver that is taken where none is named.
inline constexpr llvm::StringLiteral kDefaultSolver = "rtn";
/// On operations: symbols of weights that hold statistics of the layer's input, `gram` [K, K] and `second` [K], where there was
/// a calibration. Formats hand them to their solver.
inline constexpr llvm::StringLiteral kGramAttr = "tfm.gram";
inline constexpr llvm::StringLiteral kSecondAttr = "tfm.second";

/// An operation whose weight a format may replace: `tfm.linear`, or `tfm.gather` from a table.
struct WeightSite {
  mlir::Operation *op;
  tfm::WeightOp weight;
  bool isHead = false; ///< gives an output of the model: logits
};

/// What is shared while a module is rewritten.
struct EncodeContext {
  mlir::SymbolTable &symbols;
};

/// What a level changes: the layer as it is without one. Formats that are faster for some layers only compare with it.
struct LayerSetting {
  const KernelCosts *costs = nullptr; ///< null: nobody says what kernels take
  std::string precision = "f32";      ///< of Level
  tfm::Dims input = {};               ///< of what the layer reads; empty: unknown
};

class WeightFormat {
public:
  virtual ~WeightFormat() = default;
  /// The names that the format takes, for messages: "w8, w8gG, w4gG, w4gGasym".
  virtual std::string names() const = 0;
  /// Whether `level` is a name of this format, without a precision.
  virtual bool accepts(llvm::StringRef level) const = 0;
  /// Who solves where nobody is named.
  virtual std::string defaultSolver() const { return kDefaultSolver.str(); }
  /// Whether `precision` changes nothing of how a layer of `level` is multiplied (in f32, or in integers), so that they do not join.
  virtual bool ignores(llvm::StringRef level, llvm::StringRef precision) const { return false; }
  /// Bits per element of a weight [k, n] as stored, with scales.
  virtual double bitsPerWeight(llvm::StringRef level, int64_t k, int64_t n) const = 0;
  /// Why the site cannot take the level; empty where it can.
  virtual std::string whyNot(llvm::StringRef level, WeightSite site) const = 0;
  /// Why the level, which the site can take, makes it slower; empty where it does not, or nobody knows.
  virtual std::string whySlower(llvm::StringRef level, WeightSite site, const LayerSetting &setting) const { return ""; }
  /// The level of sites that it makes slower; empty: none.
  virtual std::string instead(llvm::StringRef level) const { return ""; }
  /// The level that a site gets where the format chooses by the weight; `level` itself where there is nothing to choose.
  virtual std::string resolve(llvm::StringRef level, WeightSite) const { return level.str(); }
  /// Rewrites the site: operations that decode in front of it, bodies of weights for what they read. The operation's element
  /// types stay. An error was emitted where it fails.
  virtual llvm::LogicalResult encode(llvm::StringRef level, llvm::StringRef solver, WeightSite site,
                                     EncodeContext &context) const = 0;
};

/// Formats registered last are asked first.
void registerWeightFormat(std::unique_ptr<WeightFormat> format);
/// The format that takes `level`; null where none does.
const WeightFormat *findWeightFormat(llvm::StringRef level);
/// The names of all formats, for messages.
std::string weightFormatNames();

/// A level taken apart.
struct Level {
  std::string precision = "f32"; ///< "f32", "bf16", "bf16x3" or "tf32"
  std::string format;            ///< the format's part of the name; empty: the weight as it is

  /// Fails on a name that neither a precision nor a format takes; the message says what there is.
  static llvm::Expected<Level> parse(llvm::StringRef text);
  std::string str() const;
  bool operator==(const Level &) const = default;
};

} // namespace permalloy

#endif
