//===- Encode.cpp - weights of sites as codes --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/EncodeAsCodes.h"
#include "../Rewriting.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Makes the weights that hold the results of one quantize_weight.
class Encoder {
public:
  Encoder(WeightSite site, StringRef solver, bool isTransposed, const CodeTypes &types, EncodeContext &context)
      : site(site), solver(solver), isTransposed(isTransposed), types(types), context(context), builder(site.op->getContext()) {
    auto type = cast<RankedTensorType>(site.weight.getType());
    shape.assign(type.getShape().begin(), type.getShape().end());
    if (isTransposed)
      std::swap(shape[0], shape[1]);
  }

  /// The dequantized weight, [K, N], in front of the site.
  Value decode(StringRef name) {
    SmallVector<Type> results = resultTypes();
    SmallVector<WeightOp> parts;
    constexpr const char *suffixes[] = {".codes", ".scales", ".zeros"};
    for (unsigned index = 0; index < results.size(); ++index)
      parts.push_back(part((name + suffixes[index]).str(), index, results));
    builder.setInsertionPoint(site.op);
    Value codes = get(parts[0]), scales = get(parts[1]), zeros = types.hasZeroPoints ? get(parts[2]) : Value();
    auto type = RankedTensorType::get(shape, getElementTypeOrSelf(site.weight.getType()));
    return DequantizeOp::create(builder, site.op->getLoc(), type, codes, scales, zeros, codebook());
  }

private:
  SmallVector<Type> resultTypes() {
    Type scales = RankedTensorType::get({types.code.groups(shape[0]), shape[1]}, types.scale);
    SmallVector<Type> results = {RankedTensorType::get(shape, types.code), scales};
    if (types.hasZeroPoints)
      results.push_back(scales);
    return results;
  }

  Value get(WeightOp weight) {
    auto symbol = FlatSymbolRefAttr::get(weight.getSymNameAttr());
    return GetWeightOp::create(builder, site.op->getLoc(), weight.getType(), symbol);
  }
  Value codebook() { return types.codebook ? ConstantOp::create(builder, site.op->getLoc(), types.codebook).getResult() : Value(); }
  /// A weight that the operation names in an attribute, or null.
  Value statistics(StringRef attribute) {
    auto symbol = site.op->getAttrOfType<FlatSymbolRefAttr>(attribute);
    auto weight = symbol ? context.symbols.lookup<WeightOp>(symbol.getValue()) : WeightOp();
    return weight ? get(weight) : Value();
  }

  /// The weight that holds result `index` of the quantization.
  WeightOp part(const std::string &name, unsigned index, ArrayRef<Type> results) {
    if (auto existing = context.symbols.lookup<WeightOp>(name))
      return existing;
    Location loc = site.op->getLoc();
    builder.setInsertionPointAfter(site.weight);
    auto weight = WeightOp::create(builder, loc, name, cast<RankedTensorType>(results[index]), Attribute());
    context.symbols.insert(weight, std::next(Block::iterator(site.weight)));
    builder.createBlock(&weight.getBody());
    Value original = get(site.weight);
    if (isTransposed)
      original = createTranspose(builder, loc, original, {1, 0});
    Value gram = statistics(kGramAttr), second = statistics(kSecondAttr);
    auto quantize = QuantizeWeightOp::create(builder, loc, TypeRange(results), original, gram, second, codebook(), solver);
    YieldOp::create(builder, loc, quantize->getResult(index));
    return weight;
  }

  WeightSite site;
  StringRef solver;
  bool isTransposed;
  const CodeTypes &types;
  EncodeContext &context;
  OpBuilder builder;
  SmallVector<int64_t> shape; ///< [K, N]
};

/// gather(table, ids) as transpose(gather(columns, ids, axis = 1)) of the transposed table.
void takeColumns(GatherOp gather, Value columns) {
  OpBuilder builder(gather);
  auto type = cast<RankedTensorType>(gather.getType());
  SmallVector<int64_t> shape = {type.getShape().back()}, perm;
  llvm::append_range(shape, type.getShape().drop_back());
  for (int64_t i = 1; i < type.getRank(); ++i)
    perm.push_back(i);
  perm.push_back(0);
  Value taken = GatherOp::create(builder, gather.getLoc(), RankedTensorType::get(shape, type.getElementType()), columns,
                                 gather.getIndices(), builder.getI64IntegerAttr(1));
  gather.getResult().replaceAllUsesWith(TransposeOp::create(builder, gather.getLoc(), type, taken, perm).getResult());
  gather.erase();
}

} // namespace

LogicalResult permalloy::encodeAsCodes(StringRef level, StringRef solver, WeightSite site, EncodeContext &context,
                                       function_ref<CodeTypes(int64_t k)> types) {
  auto gather = dyn_cast<GatherOp>(site.op);
  int64_t k = cast<RankedTensorType>(site.weight.getType()).getDimSize(gather ? 1 : 0);
  CodeTypes chosen = types(k);
  std::string name = (site.weight.getSymName() + (gather ? ".rows." : ".") + level + (solver == kDefaultSolver ? "" : "." + solver)).str();
  Value decoded = Encoder(site, solver, bool(gather), chosen, context).decode(name);
  if (gather)
    takeColumns(gather, decoded);
  else
    cast<LinearOp>(site.op).getWeightMutable().assign(decoded);
  return success();
}
