//===- TfmDialect.td - the transformer graph dialect -------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_TFM_DIALECT_TD
#define PERMALLOY_TFM_DIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Tfm_Dialect : Dialect {
  let name = "tfm";
  let summary = "What a transformer computes: a graph of tensor operations";
  let description = [{
    Values are plain ranked tensors. Symbolic dimensions are written beside the types: a function argument
    carries `tfm.dims`, an array with one `#tfm.dim` expression per dimension, and `Analysis/SymbolicShapes`
    derives the expressions of every other value. Argument and result names of the model stand in `tfm.name`.
    See dialects/Tfm/README.md for what the dialect refuses and why.
  }];
  let cppNamespace = "::permalloy::tfm";
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let extraClassDeclaration = [{
    /// Name of a graph input or output: a string, on arguments and results of `func.func`.
    static constexpr llvm::StringLiteral kNameAttr = "tfm.name";
    /// Symbolic dimensions of a graph input or output: an array of `#tfm.dim`.
    static constexpr llvm::StringLiteral kDimsAttr = "tfm.dims";
    /// What symbols may be, ends included, on `func.func`: `{seq = [1, 512]}`. The runtime refuses other values.
    static constexpr llvm::StringLiteral kDimRangesAttr = "tfm.dim_ranges";
    /// What must hold between dimensions for the graph to be right, on `func.func`: an array of `#tfm.at_most`. The
    /// runtime refuses shapes for which one does not hold.
    static constexpr llvm::StringLiteral kAssumptionsAttr = "tfm.assume";
  }];
}

//===----------------------------------------------------------------------===//
// Codes of quantized weights
//===----------------------------------------------------------------------===//

def Tfm_QuantType : TypeDef<Tfm_Dialect, "Quant"> {
  let mnemonic = "q";
  let summary = "an element of a quantized weight: a code";
  let description = [{
    Structure only: a sign (`s` or `u`), 2 to 8 bits, and how many steps of K, the last axis but one of a weight [K, N], share a
    scale; the last group may be shorter, and a group of K steps or more is one scale per column. Scales, zero points and
    codebooks are operands of `tfm.dequantize`. A code takes one byte, with the encoding `#tfm.panels` 4 or 8 bits (Panels.h).

    Example: `tensor<4096x4096x!tfm.q<s4, group 32>>`
  }];
  let parameters = (ins "bool":$isSigned, "unsigned":$bits, "int64_t":$group);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The smallest and the largest code.
    int64_t minimum() const { return getIsSigned() ? -(int64_t(1) << (getBits() - 1)) : 0; }
    int64_t maximum() const { return (int64_t(1) << (getBits() - (getIsSigned() ? 1 : 0))) - 1; }
    /// Scales along K of a weight of `k` steps.
    int64_t groups(int64_t k) const { return (k + getGroup() - 1) / getGroup(); }
  }];
}

class Tfm_Attr<string name, string attrMnemonic> : AttrDef<Tfm_Dialect, name> {
  let mnemonic = attrMnemonic;
}

//===----------------------------------------------------------------------===//
// Symbolic dimensions
//===----------------------------------------------------------------------===//

def Tfm_DimExprAttr : Tfm_Attr<"DimExpr", "dim"> {
  let summary = "an integer expression over named dimensions";
  let description = [{
    Constants, symbols, `+`, `*`, `floordiv`, `mod`, `max(a, b)`, `min(a, b)`. Always in canonical form (a sorted
    sum of sorted products), so equal polynomials are the same attribute and compare as pointers.

    Example: `#tfm.dim<batch * seq + 1>`, `#tfm.dim<"odd name" floordiv 2>`
  }];
  let parameters = (ins "::permalloy::tfm::DimKind":$kind, "int64_t":$value,
                        "::mlir::StringAttr":$name,
                        ArrayRefParameter<"::mlir::Attribute">:$operands);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static DimExprAttr constant(::mlir::MLIRContext *context, int64_t value);
    static DimExprAttr symbol(::mlir::MLIRContext *context, ::llvm::StringRef name);
    /// Null operands mean "unknown" and give null.
    static DimExprAttr add(DimExprAttr lhs, DimExprAttr rhs);
    static DimExprAttr sub(DimExprAttr lhs, DimExprAttr rhs);
    static DimExprAttr mul(DimExprAttr lhs, DimExprAttr rhs);
    /// Of all: the elements of a tensor of these dimensions.
    static DimExprAttr product(::mlir::MLIRContext *context, ::llvm::ArrayRef<DimExprAttr> dims);
    /// Rounds towards minus infinity; a zero divisor gives null.
    static DimExprAttr floorDiv(DimExprAttr lhs, DimExprAttr rhs);
    static DimExprAttr ceilDiv(DimExprAttr lhs, DimExprAttr rhs);
    static DimExprAttr mod(DimExprAttr lhs, DimExprAttr rhs);
    static DimExprAttr max(DimExprAttr lhs, DimExprAttr rhs);
    static DimExprAttr min(DimExprAttr lhs, DimExprAttr rhs);

    /// Holds for every size that symbols may have: a sum of products of sizes and numbers that are not negative.
    bool isNotNegative() const;
    /// The value, when the expression is a constant.
    ::std::optional<int64_t> asConstant() const;
    bool isConstant(int64_t value) const { return asConstant() == value; }
    DimExprAttr operand(unsigned i) const {
      return ::mlir::cast<DimExprAttr>(getOperands()[i]);
    }
    /// The expression with each symbol replaced by `map(name)`; a null result keeps the symbol.
    DimExprAttr substitute(::llvm::function_ref<DimExprAttr(::llvm::StringRef)> map) const;
    /// Calls `visit` on each symbol name, in printing order, with repetitions.
    void walkSymbols(::llvm::function_ref<void(::llvm::StringRef)> visit) const;
    /// The expression as text, e.g. `batch * seq + 1`.
    ::std::string str() const;
  }];
}

def Tfm_AtMostAttr : Tfm_Attr<"AtMost", "at_most"> {
  let summary = "an assumption between dimensions: one is at most the other";
  let description = [{
    Something that a pass relied on and that every run without an error fulfils: where it does not hold, `user` (the name of an
    ONNX node) would index outside of its input. An element of `tfm.assume`.

    Example: `#tfm.at_most<<past + seq>, <total>, "Gather_12">`
  }];
  let parameters = (ins "::permalloy::tfm::DimExprAttr":$smaller, "::permalloy::tfm::DimExprAttr":$larger,
                        "::mlir::StringAttr":$user);
  let assemblyFormat = "`<` $smaller `,` $larger `,` $user `>`";
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

def Tfm_FileAttr : Tfm_Attr<"File", "file"> {
  let summary = "bytes of a file: little-endian elements of a weight";
  let description = "Example: `#tfm.file<\"model.onnx\", 1024, 589824, \"c0ffee\">`: path, offset, size in bytes, hash of the content (may be empty).";
  let parameters = (ins "::mlir::StringAttr":$path, "int64_t":$offset, "int64_t":$bytes, "::mlir::StringAttr":$hash);
  let assemblyFormat = "`<` $path `,` $offset `,` $bytes `,` $hash `>`";
}

def Tfm_SeededAttr : Tfm_Attr<"Seeded", "seeded"> {
  let summary = "pseudo-random elements in [-scale, scale), for tests";
  let description = [{
    Element i is `scale * (2 * u - 1)` with u = the top 24 bits of splitmix64(seed + i) / 2^24. Floating-point types only.
    Example: `#tfm.seeded<7, 0.02>`.
  }];
  let parameters = (ins "int64_t":$seed, "::mlir::FloatAttr":$scale);
  let hasCustomAssemblyFormat = 1;
}

def Tfm_PanelsAttr : Tfm_Attr<"Panels", "panels"> {
  let summary = "packed layout of a weight [K, N]: panels of 64 bytes x K";
  let description = [{
    Tensor encoding. f32: `[ceil(N/16)][K][16]`, zeros past N; bf16: `[ceil(N/16)][ceil(K/2)][16][2]`, two steps of K side by
    side, zeros past K; i8 and ui8: `[ceil(N/16)][ceil(K/4)][16][4]`; a stack [E, K, N] is one such after the other. Such a panel row of 64 bytes is two AVX2 registers, one
    AVX-512 register or one AMX tile row, so every schedule reads the same stored weight. f16: `[ceil(N/16)][K][16]`, since it
    widens 16 elements at a time. i8 and ui8: `[ceil(N/16)][ceil(K/4)][16][4]`; codes `!tfm.q`: so, too, or 8 steps of K in the 4
    bytes where 4 bits hold a code (Panels.h).
    Example: `tensor<768x3072xf32, #tfm.panels>`.
  }];
  let parameters = (ins);
}

//===----------------------------------------------------------------------===//
// Kinds
//===----------------------------------------------------------------------===//

class Tfm_Enum<string name, string summary, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::permalloy::tfm";
  let genSpecializedAttr = 0;
}
class Tfm_EnumAttr<EnumAttrInfo info, string mnemonic> : EnumAttr<Tfm_Dialect, info, mnemonic> {
  let assemblyFormat = "$value";
}
class C<string symbol, int value, string text> : I32EnumAttrCase<symbol, value, text>;

def Tfm_DimKind : Tfm_Enum<"DimKind", "node of a dimension expression", [
  C<"Constant", 0, "constant">, C<"Symbol", 1, "symbol">, C<"Add", 2, "add">, C<"Mul", 3, "mul">,
  C<"FloorDiv", 4, "floordiv">, C<"Mod", 5, "mod">, C<"Max", 6, "max">, C<"Min", 7, "min">]>;

def Tfm_UnaryKind : Tfm_Enum<"UnaryKind", "elementwise function of one value", [
  C<"Neg", 0, "neg">, C<"Abs", 1, "abs">, C<"Sqrt", 2, "sqrt">, C<"Reciprocal", 3, "reciprocal">,
  C<"Exp", 4, "exp">, C<"Log", 5, "log">, C<"Erf", 6, "erf">, C<"Tanh", 7, "tanh">,
  C<"Sigmoid", 8, "sigmoid">, C<"Relu", 9, "relu">, C<"GeluErf", 10, "gelu_erf">,
  C<"GeluTanh", 11, "gelu_tanh">, C<"Silu", 12, "silu">, C<"Not", 13, "not">,
  C<"IsNaN", 14, "isnan">, C<"IsInf", 15, "isinf">, C<"Floor", 16, "floor">, C<"Ceil", 17, "ceil">,
  C<"Round", 18, "round">, C<"Sign", 19, "sign">, C<"Sin", 20, "sin">, C<"Cos", 21, "cos">]>;
def Tfm_UnaryKindAttr : Tfm_EnumAttr<Tfm_UnaryKind, "unary_kind">;

def Tfm_BinaryKind : Tfm_Enum<"BinaryKind", "elementwise function of two values", [
  C<"Add", 0, "add">, C<"Sub", 1, "sub">, C<"Mul", 2, "mul">, C<"Div", 3, "div">, C<"Pow", 4, "pow">,
  C<"Max", 5, "max">, C<"Min", 6, "min">, C<"Mod", 7, "mod">, C<"And", 8, "and">, C<"Or", 9, "or">,
  C<"Xor", 10, "xor">]>;
def Tfm_BinaryKindAttr : Tfm_EnumAttr<Tfm_BinaryKind, "binary_kind">;

def Tfm_CompareKind : Tfm_Enum<"CompareKind", "comparison", [
  C<"Eq", 0, "eq">, C<"Ne", 1, "ne">, C<"Lt", 2, "lt">, C<"Le", 3, "le">, C<"Gt", 4, "gt">, C<"Ge", 5, "ge">]>;
def Tfm_CompareKindAttr : Tfm_EnumAttr<Tfm_CompareKind, "compare_kind">;

def Tfm_ReduceKind : Tfm_Enum<"ReduceKind", "reduction", [
  C<"Sum", 0, "sum">, C<"Mean", 1, "mean">, C<"Max", 2, "max">, C<"Min", 3, "min">, C<"Prod", 4, "prod">,
  C<"All", 5, "all">, C<"Any", 6, "any">, C<"AbsMax", 7, "absmax">]>;
def Tfm_ReduceKindAttr : Tfm_EnumAttr<Tfm_ReduceKind, "reduce_kind">;

def Tfm_Activation : Tfm_Enum<"Activation", "activation of a linear layer", [
  C<"None", 0, "none">, C<"Relu", 1, "relu">, C<"GeluErf", 2, "gelu_erf">, C<"GeluTanh", 3, "gelu_tanh">,
  C<"Silu", 4, "silu">, C<"Tanh", 5, "tanh">, C<"Sigmoid", 6, "sigmoid">]>;
def Tfm_ActivationAttr : Tfm_EnumAttr<Tfm_Activation, "activation">;

def Tfm_EmptyRows : Tfm_Enum<"EmptyRows", "what a query gives whose every key is masked by -inf or false", [
  C<"NaN", 0, "nan">, C<"Zero", 1, "zero">, C<"Uniform", 2, "uniform">]>;
def Tfm_EmptyRowsAttr : Tfm_EnumAttr<Tfm_EmptyRows, "empty_rows">;

def Tfm_ScatterReduction : Tfm_Enum<"ScatterReduction", "how an update joins what is there", [
  C<"None", 0, "none">, C<"Add", 1, "add">, C<"Mul", 2, "mul">, C<"Max", 3, "max">, C<"Min", 4, "min">]>;
def Tfm_ScatterReductionAttr : Tfm_EnumAttr<Tfm_ScatterReduction, "scatter_reduction">;

def Tfm_MoeScore : Tfm_Enum<"MoeScore", "what the router's logits become", [
  C<"Softmax", 0, "softmax">, C<"TopSoftmax", 1, "top_softmax">]>;
def Tfm_MoeScoreAttr : Tfm_EnumAttr<Tfm_MoeScore, "moe_score">;

#endif
