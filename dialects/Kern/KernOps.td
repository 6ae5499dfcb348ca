//===- KernOps.td - how it runs: kernels and launches ------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_KERN_OPS_TD
#define PERMALLOY_KERN_OPS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Kern_Dialect : Dialect {
  let name = "kern";
  let summary = "How a transformer runs: kernels, schedules, slots, launches";
  let description = [{
    A `kern.kernel` holds `tfm` operations that become one native function; a `kern.launch` runs it. Kernels carry no
    layer-specific value, so equal layers share one. See dialects/Kern/README.md.
  }];
  let cppNamespace = "::permalloy::kern";
  let dependentDialects = ["::permalloy::tfm::TfmDialect"];
  let useDefaultAttributePrinterParser = 1;
}

def Kern_Emitter : I32EnumAttr<"Emitter", "which code generator writes a kernel", [
  I32EnumAttrCase<"Contraction", 0, "contraction">, I32EnumAttrCase<"Attention", 1, "attention">,
  I32EnumAttrCase<"Row", 2, "row">, I32EnumAttrCase<"Generic", 3, "generic">,
  I32EnumAttrCase<"Route", 4, "route">, I32EnumAttrCase<"Tokens", 5, "tokens">]> {
  let cppNamespace = "::permalloy::kern";
  let genSpecializedAttr = 0;
}
def Kern_EmitterAttr : EnumAttr<Kern_Dialect, Kern_Emitter, "emitter"> { let assemblyFormat = "$value"; }
def Kern_DimAttr : Attr<CPred<"::mlir::isa<::permalloy::tfm::DimExprAttr>($_self)">, "symbolic dimension"> {
  let storageType = "::permalloy::tfm::DimExprAttr";
  let returnType = "::permalloy::tfm::DimExprAttr";
  let convertFromStorage = "$_self";
}
def Kern_DimArrayAttr : TypedArrayAttrBase<Kern_DimAttr, "symbolic dimensions">;

class Kern_Op<string mnemonic, list<Trait> traits = []> : Op<Kern_Dialect, mnemonic, traits>;

def Kern_KernelOp : Kern_Op<"kernel", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "tfm operations that become one native function";
  let description = [{
    Block arguments are the buffers that it reads, yielded values those that it writes; all dense and row-major, or packed
    where the type says so. `symbols` names the scalars that it takes at run time; `arg_dims` gives each argument's dimensions
    over these names. `select-schedules` adds `schedule` (what the emitter's inner loops look like), `tiles` (the size of the
    grid, over the symbols; tiles are independent) and `scratch_bytes` (per worker).

    Constraints: (kernel_c1) one `arg_dims` entry per argument, of its rank; (kernel_c2) it ends in kern.yield with at least one
    value.

    Example:
    ```mlir
    kern.kernel @relu_0 row attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
    ^bb0(%x: tensor<?x64xf32>):
      %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
      kern.yield %0 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Kern_EmitterAttr:$emitter, StrArrayAttr:$symbols, ArrayAttr:$arg_dims,
                       OptionalAttr<DictionaryAttr>:$schedule, OptionalAttr<Kern_DimAttr>:$tiles,
                       OptionalAttr<Kern_DimAttr>:$scratch_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `` $emitter attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block &getBlock() { return getBody().front(); }
    /// The values that the kernel writes, in buffer order.
    ::mlir::ValueRange yielded() { return getBlock().getTerminator()->getOperands(); }
  }];
}

def Kern_YieldOp : Kern_Op<"yield", [Pure, Terminator, HasParent<"KernelOp">]> {
  let summary = "the results of a kernel";
  let description = "Example: `kern.yield %0 : tensor<?x64xf32>`";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "$values attr-dict `:` type($values)";
}

def Kern_LaunchOp : Kern_Op<"launch", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run a kernel";
  let description = [{
    `scalars` gives the kernel's symbols as expressions over the program's. After `plan-slots`, `slots` says for each result
    which slot holds it, or -1 when it is written straight into a program output.

    Constraints: (launch_c1) the symbol is a kern.kernel with these argument and result types; (launch_c2) one scalar per
    symbol.

    Example: `%0 = kern.launch @relu_0(%x) scalars [#tfm.dim<batch * seq>] : (tensor<?x64xf32>) -> tensor<?x64xf32>`
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyRankedTensor>:$inputs, Kern_DimArrayAttr:$scalars,
                       OptionalAttr<DenseI64ArrayAttr>:$slots);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let assemblyFormat = "$kernel `(` $inputs `)` `scalars` $scalars (`slots` $slots^)? attr-dict `:` functional-type($inputs, $outputs)";
}

def Kern_ViewOp : Kern_Op<"view", [Pure]> {
  let summary = "the same bytes with other dimensions";
  let description = [{
    A reshape that costs nothing; `dims` are the result's dimensions.

    Example: `%0 = kern.view %x dims [#tfm.dim<batch * seq>, #tfm.dim<64>] : tensor<?x?x64xf32> to tensor<?x64xf32>`
  }];
  let arguments = (ins AnyRankedTensor:$input, Kern_DimArrayAttr:$dims);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input `dims` $dims attr-dict `:` type($input) `to` type($output)";
}

def Kern_CacheOp : Kern_Op<"cache", [Pure]> {
  let summary = "the whole buffer of a key or value cache";
  let description = [{
    `past`, an argument of the function, is [batch, heads, length, size] and lies in the first rows of cache number `index`, whose
    buffer is `dims`: [batch, heads, capacity, size]. `capacity` is a symbol that no input dimension gives: the runtime chooses
    it, at least `least` (the length after this run), the same for all caches of a function. The interpreter takes a few rows more
    and fills what lies behind `past` with NaN.

    Constraints: (cache_c1) input and result have rank 4 and one element type; (cache_c2) `dims` has four entries, the third a
    symbol.

    Example: `%c = kern.cache 0 %past least #tfm.dim<past + seq> dims [#tfm.dim<batch>, #tfm.dim<12>, #tfm.dim<capacity>, #tfm.dim<64>] : tensor<?x12x?x64xf32> to tensor<?x12x?x64xf32>`
  }];
  let arguments = (ins I64Attr:$index, AnyRankedTensor:$past, Kern_DimAttr:$least, Kern_DimArrayAttr:$dims);
  let results = (outs AnyRankedTensor:$cache);
  let assemblyFormat = "$index $past `least` $least `dims` $dims attr-dict `:` type($past) `to` type($cache)";
  let hasVerifier = 1;
}

def Kern_CacheViewOp : Kern_Op<"cache_view", [Pure]> {
  let summary = "the live rows of a cache";
  let description = [{
    The first rows of cache number `index` after its append, as the function returns them; `dims` are the result's dimensions. It
    costs nothing: the caller gets a view with the buffer's strides. Constraint (cache_view_c1): input and result have rank 4 and
    one element type, and `dims` four entries.

    Example: `%p = kern.cache_view 0 %c dims [#tfm.dim<batch>, #tfm.dim<12>, #tfm.dim<past + seq>, #tfm.dim<64>] : tensor<?x12x?x64xf32> to tensor<?x12x?x64xf32>`
  }];
  let arguments = (ins I64Attr:$index, AnyRankedTensor:$cache, Kern_DimArrayAttr:$dims);
  let results = (outs AnyRankedTensor:$present);
  let assemblyFormat = "$index $cache `dims` $dims attr-dict `:` type($cache) `to` type($present)";
  let hasVerifier = 1;
}

#endif
