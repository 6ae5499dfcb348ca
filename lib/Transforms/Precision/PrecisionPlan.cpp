//===- PrecisionPlan.cpp - which products run in bf16 ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/Precision.h"
#include "../Cleanup/Assumptions.h"
#include "Routers.h"
#include "permalloy/Support/Text.h"
#include "permalloy/Transforms/Quantization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

static constexpr llvm::StringLiteral kShape =
    R"({"plan": [{"op": NODE, "kind": "linear", "level": "f32", "bf16", "w4g32", ...}, ...]})";

//===----------------------------------------------------------------------===//
// As text
//===----------------------------------------------------------------------===//

static llvm::Error badPlan(const Twine &what) {
  return llvm::createStringError(what + "; a plan looks like " + kShape);
}

static llvm::Expected<PrecisionChoice> parseChoice(const llvm::json::Value &value, size_t index) {
  const llvm::json::Object *object = value.getAsObject();
  auto text = [&](StringRef key) { return object ? object->getString(key).value_or("").str() : std::string(); };
  PrecisionChoice choice;
  choice.op = text("op");
  choice.kind = text("kind");
  choice.solver = text("solver");
  choice.reason = text("reason");
  if (choice.op.empty() || choice.kind.empty())
    return badPlan("entry " + Twine(index) + " of the plan has no op or no kind");
  llvm::Expected<Level> level = Level::parse(text("level"));
  if (!level)
    return badPlan("the plan gives \"" + choice.op + "\" the level \"" + text("level") + "\": " + llvm::toString(level.takeError()));
  choice.precision = level->precision;
  choice.format = level->format;
  if (auto error = object->getNumber("error"))
    choice.error = *error;
  if (auto saved = object->getNumber("saved_us"))
    choice.saved = *saved;
  return choice;
}

llvm::Expected<PrecisionPlan> PrecisionPlan::parse(StringRef text) {
  if (nestsTooDeeply(text))
    return badPlan("the plan nests too deeply");
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(text);
  if (!value)
    return badPlan("the plan is no JSON: " + llvm::toString(value.takeError()));
  const llvm::json::Object *object = value->getAsObject();
  const llvm::json::Array *array = object ? object->getArray("plan") : nullptr;
  if (!array)
    return badPlan("the plan has no list \"plan\"");
  PrecisionPlan plan;
  auto tokens = parseTokenPlan(text);
  if (!tokens)
    return badPlan(llvm::toString(tokens.takeError()));
  plan.tokens = *tokens;
  for (auto [index, entry] : llvm::enumerate(*array)) {
    const llvm::json::Object *line = entry.getAsObject();
    if (line && line->getString("kind") == "tokens")
      continue;
    llvm::Expected<PrecisionChoice> choice = parseChoice(entry, index);
    if (!choice)
      return choice.takeError();
    if (plan.find(choice->op, choice->kind))
      return badPlan("the plan has two entries for " + choice->kind + " \"" + choice->op + "\"");
    plan.choices.push_back(*choice);
  }
  return plan;
}

std::string PrecisionPlan::toJson() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os, 1);
  json.object([&] {
    if (maxError)
      json.attribute("max_error", *maxError);
    if (error)
      json.attribute("error", *error);
    json.attributeArray("plan", [&] {
      for (const PrecisionChoice &choice : choices)
        json.object([&] {
          json.attribute("op", choice.op);
          json.attribute("kind", choice.kind);
          json.attribute("level", choice.level());
          if (!choice.solver.empty())
            json.attribute("solver", choice.solver);
          if (choice.error)
            json.attribute("error", *choice.error);
          if (choice.saved)
            json.attribute("saved_us", *choice.saved);
          if (!choice.reason.empty())
            json.attribute("reason", choice.reason);
        });
      for (const TokenChoice &choice : tokens)
        json.object([&] {
          json.attribute("op", choice.op);
          json.attribute("kind", "tokens");
          json.attribute("level", choice.level.str());
          if (!choice.score.empty())
            json.attribute("score", choice.score);
          if (!choice.reason.empty())
            json.attribute("reason", choice.reason);
        });
    });
  });
  return text + "\n";
}

std::string PrecisionChoice::level() const { return Level{precision, format}.str(); }

const PrecisionChoice *PrecisionPlan::find(StringRef op, StringRef kind) const {
  for (const PrecisionChoice &choice : choices)
    if (choice.op == op && choice.kind == kind)
      return &choice;
  return nullptr;
}

namespace {

/// What has one level: operations by kind, and their weights.
struct LevelTotal {
  std::map<std::string, unsigned> kinds;
  double elements = 0, bits = 0;
};

} // namespace

/// What a plan is asked for; bf16x3 is what becomes of some of that.
static bool isNarrow(StringRef precision) { return precision == "bf16" || precision == kTf32Precision; }

static void printTotal(raw_ostream &os, StringRef level, const LevelTotal &total) {
  os << level << ": ";
  llvm::interleaveComma(total.kinds, os, [&](auto &entry) { os << entry.second << ' ' << entry.first; });
  if (total.kinds.empty())
    os << "nothing";
  if (total.elements > 0)
    os << llvm::format("; %.1f M weights in %.1f MB, %.2f bits each", total.elements / 1e6, total.bits / 8e6, total.bits / total.elements);
  os << '\n';
}

void PrecisionPlan::print(raw_ostream &os) const {
  std::map<std::string, LevelTotal> totals;
  using Key = std::pair<std::string, std::string>; // "linear in f32", why
  llvm::MapVector<Key, SmallVector<const PrecisionChoice *>, std::map<Key, unsigned>> reasons;
  auto runsIn = [&](const PrecisionChoice &choice) -> std::string {
    return splits || choice.precision != kSplitPrecision ? choice.level() : "f32 (bf16x3 on AMX)";
  };
  // CPUs have code for the same launches, and none of them rounds to tf32.
  auto named = [](const std::string &level) { return StringRef(level).starts_with(kTf32Precision) ? level + " (GPUs; CPUs f32)" : level; };
  bool anyFormat = llvm::any_of(choices, [](auto &choice) { return !choice.format.empty(); });
  if (!anyFormat && llvm::none_of(choices, [&](auto &choice) { return isNarrow(choice.precision); }))
    totals[named(asked)];
  for (const PrecisionChoice &choice : choices) {
    if (isNarrow(choice.precision) || !choice.format.empty()) {
      LevelTotal &total = totals[named(choice.level())];
      total.kinds[choice.kind] += choice.count;
      total.elements += choice.elements;
      total.bits += choice.bits;
    }
    if (!choice.reason.empty() && !isNarrow(choice.precision))
      reasons[{choice.reason, choice.kind + " in " + runsIn(choice)}].push_back(&choice);
  }
  for (auto &[level, total] : totals)
    printTotal(os, level, total);
  for (auto &[group, kept] : reasons) {
    unsigned count = 0;
    for (const PrecisionChoice *choice : kept)
      count += choice->count;
    os << "  " << count << ' ' << group.second << ", first \"" << kept.front()->op << "\": " << group.first << '\n';
  }
}

//===----------------------------------------------------------------------===//
// Of a module
//===----------------------------------------------------------------------===//

static Type elementOf(Value value) { return getElementTypeOrSelf(value.getType()); }

bool permalloy::hasProducts(Operation *op) {
  if (auto matmul = dyn_cast<MatmulOp>(op))
    return isa<FloatType>(elementOf(matmul.getLhs()));
  return isa<LinearOp, AttentionOp, MoeOp>(op);
}

std::string permalloy::precisionName(Operation *op) { return nodeName(op->getLoc()); }

/// Whether `value` is a graph input, moved or with rows appended: a cache.
static bool isFromInput(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return true;
  return isa<ReshapeOp, TransposeOp, ConcatOp, KvAppendOp, BroadcastOp, SliceOp, GatherOp>(op) &&
         llvm::any_of(op->getOperands(), [](Value operand) { return isa<FloatType>(elementOf(operand)) && isFromInput(operand); });
}

std::string permalloy::whyNotBf16(Operation *op) {
  Type element = elementOf(op->getOperand(0));
  if (!element.isF32()) {
    std::string text;
    llvm::raw_string_ostream(text) << "the model computes it in " << element;
    return text;
  }
  if (isa<MatmulOp>(op))
    return "products of two activations outside of attention run in f32";
  if (auto linear = dyn_cast<LinearOp>(op)) {
    if (!isa_and_nonnull<GetWeightOp, DequantizeOp>(linear.getWeight().getDefiningOp()))
      return "its weight is no stored tensor of over 1 KB";
  }
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    if (attention.getKvLength() || isFromInput(attention.getKey()) || isFromInput(attention.getValue()))
      return "its keys and values stand in a cache of f32";
  }
  if (auto moe = dyn_cast<MoeOp>(op))
    if (!moe.getUp().getDefiningOp<GetWeightOp>() || !moe.getDown().getDefiningOp<GetWeightOp>())
      return "its experts are no stored tensors of over 1 KB";
  return "";
}

/// What tensor cores of GPUs take (AttentionForms.cpp): heads of whole 16 bytes, up to 256 elements.
static std::string whyNotHeads(AttentionOp op) {
  auto sizeOf = [](Value value, int64_t heads) {
    auto type = cast<RankedTensorType>(value.getType());
    int64_t width = type.getShape().back();
    return type.getRank() == 4 || ShapedType::isDynamic(width) ? width : width / heads;
  };
  int64_t size = sizeOf(op.getQuery(), op.getNumHeads());
  if (ShapedType::isDynamic(size))
    return "the size of its heads is not known";
  if (sizeOf(op.getValue(), op.getNumKvHeads()) != size)
    return "heads of its values have another size than those of its queries";
  std::string text = "its heads have " + std::to_string(size) + " elements, ";
  return size % 4 ? text + "no multiple of 4" : size > 256 ? text + "more than 256" : "";
}

/// The same of a layer (TensorKernel.cpp): rows of whole 16 bytes, and groups of codes that fit tiles of 16 or 32 steps.
static std::string whyNotDepth(LinearOp op) {
  int64_t depth = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(0);
  if (depth % 4)
    return "it sums " + std::to_string(depth) + " products, no multiple of 4";
  auto decode = op.getWeight().getDefiningOp<DequantizeOp>();
  auto code = decode ? dyn_cast<QuantType>(elementOf(decode.getCodes())) : QuantType();
  bool fits = !code || code.getGroup() >= depth || code.getGroup() == 8 || code.getGroup() % 16 == 0;
  return fits ? "" : "its codes have groups of " + std::to_string(code.getGroup()) + ", neither 8 nor a multiple of 16";
}

std::string permalloy::whyNotTf32(Operation *op) {
  if (isa<MoeOp>(op) && elementOf(op->getOperand(0)).isF32())
    return "experts have no kernels of tf32";
  if (auto attention = dyn_cast<AttentionOp>(op); attention && elementOf(attention.getQuery()).isF32())
    return whyNotHeads(attention); // caches are of f32, too
  std::string why = whyNotBf16(op);
  auto linear = dyn_cast<LinearOp>(op);
  return why.empty() && linear ? whyNotDepth(linear) : why;
}

/// Why a target may not multiply it as sums of two numbers of bf16; empty where it may.
static std::string whyNotSplit(Operation *op) {
  auto linear = dyn_cast<LinearOp>(op);
  if (!linear)
    return "that is for linear layers";
  if (std::string why = whyNotBf16(op); !why.empty())
    return why;
  int64_t depth = cast<RankedTensorType>(linear.getWeight().getType()).getDimSize(0);
  if (depth % kSplitDepth != 0)
    return "it sums " + std::to_string(depth) + " products, no multiple of " + std::to_string(kSplitDepth);
  return "";
}

/// Why an operation cannot have a precision; empty where it can.
static std::string whyNot(Operation *op, StringRef precision) {
  if (precision == "f32")
    return "";
  return precision == kTf32Precision ? whyNotTf32(op) : precision == kSplitPrecision ? whyNotSplit(op) : whyNotBf16(op);
}

static constexpr StringLiteral kReadByRouter =
    "a layer that chooses experts reads what it makes, and a rounded near-tie would choose others";

/// Why one that can be bf16 is not unless a plan names it: empty for experts, and for all that no router reads.
static std::string whyBetterF32(Operation *op, const RouterInputs &read) {
  if (auto linear = dyn_cast<LinearOp>(op); linear && isRouter(linear.getResult()))
    return "it chooses experts, and a rounded near-tie would choose others";
  if (isa<LinearOp, AttentionOp>(op) && read.contains(op->getResult(0)))
    return kReadByRouter.str();
  return "";
}

/// Calls `body` for operations with products, in program order.
static void forEachProduct(ModuleOp module, function_ref<void(Operation *)> body) {
  for (auto function : module.getOps<func::FuncOp>())
    function.walk([&](Operation *op) {
      if (isa<TfmDialect>(op->getDialect()) && hasProducts(op))
        body(op);
    });
}

static std::string kindOf(Operation *op) { return op->getName().stripDialect().str(); }

/// `precision` but where `whyF32` has a reason. Of several for one node kReadByRouter counts least: the others rule out more.
static PrecisionPlan planWith(ModuleOp module, StringRef precision, function_ref<std::string(Operation *)> whyF32) {
  PrecisionPlan plan;
  forEachProduct(module, [&](Operation *op) {
    std::string why = precision == "f32" ? "" : whyF32(op), name = precisionName(op);
    for (PrecisionChoice &choice : plan.choices)
      if (choice.op == name && choice.kind == kindOf(op)) {
        ++choice.count;
        if (!why.empty() && (choice.reason.empty() || why != kReadByRouter))
          choice.precision = "f32", choice.reason = why;
        return;
      }
    plan.choices.push_back({name, kindOf(op), why.empty() ? precision.str() : "f32", why});
  });
  return plan;
}

PrecisionPlan permalloy::uniformPlan(ModuleOp module, StringRef precision) {
  RouterInputs read(module);
  PrecisionPlan plan = planWith(module, precision, [&](Operation *op) {
    std::string why = whyNot(op, precision);
    return why.empty() ? whyBetterF32(op, read) : why;
  });
  if (precision != "bf16")
    return plan;
  // A layer that could be bf16 but for what reads it can be split.
  PrecisionPlan split = planWith(module, kSplitPrecision, whyNotSplit);
  for (auto [choice, other] : llvm::zip_equal(plan.choices, split.choices))
    if (choice.precision == "f32" && choice.reason == kReadByRouter && other.precision == kSplitPrecision)
      choice.precision = kSplitPrecision;
  return plan;
}

/// What stands in the attributes of an operation.
static PrecisionChoice readChoice(Operation *op) {
  auto text = [&](StringRef name) {
    auto attribute = op->getAttrOfType<StringAttr>(name);
    return attribute ? attribute.str() : std::string();
  };
  PrecisionChoice choice{precisionName(op), kindOf(op), text(kPrecisionAttr), text(kPrecisionReasonAttr)};
  if (choice.precision.empty())
    choice.precision = "f32";
  choice.format = text(kLevelAttr);
  choice.solver = text(kSolverAttr);
  return choice;
}

PrecisionPlan permalloy::readPrecision(ModuleOp module) {
  PrecisionPlan plan;
  auto add = [&](Operation *op) -> PrecisionChoice & {
    for (PrecisionChoice &choice : plan.choices)
      if (choice.op == precisionName(op) && choice.kind == kindOf(op))
        return ++choice.count, choice;
    return plan.choices.emplace_back(readChoice(op));
  };
  forEachProduct(module, [&](Operation *op) { add(op); });
  llvm::DenseSet<Operation *> counted; // weights, which several may read
  forEachSite(module, [&](WeightSite site) {
    auto level = site.op->getAttrOfType<StringAttr>(kLevelAttr);
    bool isTable = isa<GatherOp>(site.op);
    if (!level && !(isTable && site.op->hasAttr(kPrecisionReasonAttr)))
      return;
    PrecisionChoice *choice = const_cast<PrecisionChoice *>(plan.find(precisionName(site.op), kindOf(site.op)));
    if (isTable)
      choice = &add(site.op);
    auto type = cast<RankedTensorType>(site.weight.getType());
    const WeightFormat *format = level ? findWeightFormat(level.getValue()) : nullptr;
    if (!format || !counted.insert(site.weight).second)
      return;
    int64_t k = type.getDimSize(isTable ? 1 : 0), n = type.getDimSize(isTable ? 0 : 1);
    choice->elements += double(type.getNumElements());
    choice->bits += double(type.getNumElements()) * format->bitsPerWeight(level.getValue(), k, n);
  });
  return plan;
}

/// "bf16 and f32": what all operations of one line of a plan can have.
static std::string accepted(ArrayRef<PrecisionPlan> plans, const PrecisionChoice &choice) {
  std::string text;
  for (const PrecisionPlan &plan : plans)
    if (const PrecisionChoice *own = plan.find(choice.op, choice.kind); own && own->precision != "f32")
      text += (text.empty() ? "" : ", ") + own->precision;
  return text.empty() ? "f32" : text + " and f32";
}

static InFlightDiagnostic refuseName(ModuleOp module, const PrecisionChoice &choice, const PrecisionPlan &known) {
  InFlightDiagnostic diagnostic = emitError(module.getLoc());
  diagnostic << "the plan names " << choice.kind << " \"" << choice.op << "\", which the model has not; it has ";
  for (size_t i = 0; i < std::min<size_t>(known.choices.size(), 3); ++i)
    diagnostic << (i ? ", " : "") << known.choices[i].kind << " \"" << known.choices[i].op << "\"";
  diagnostic << (known.choices.size() > 3 ? " ... (--print-plan lists them)" : "");
  return diagnostic;
}

/// Refuses names that the module has not, and levels that an operation cannot have.
static LogicalResult checkPlan(ModuleOp module, const PrecisionPlan &plan) {
  auto allWith = [&](StringRef precision) { return planWith(module, precision, [=](Operation *op) { return whyNot(op, precision); }); };
  PrecisionPlan plans[] = {allWith("bf16"), allWith(kTf32Precision)}, split = allWith(kSplitPrecision);
  forEachSite(module, [&](WeightSite site) {
    for (PrecisionPlan &known : plans)
      if (isa<GatherOp>(site.op) && !known.find(precisionName(site.op), kindOf(site.op)))
        known.choices.push_back({precisionName(site.op), kindOf(site.op), "f32", "a table is rounded where it is a layer's weight only"});
  });
  for (const PrecisionChoice &choice : plan.choices) {
    const PrecisionChoice *own = plans[choice.precision == kTf32Precision].find(choice.op, choice.kind);
    if (!own)
      return refuseName(module, choice, plans[0]);
    if (choice.precision == kSplitPrecision && own->precision != "f32")
      own = split.find(choice.op, choice.kind);
    if (choice.precision != "f32" && own->precision == "f32")
      return emitError(module.getLoc()) << "the plan wants " << choice.kind << " \"" << choice.op << "\" in " << choice.precision << ", but "
                                        << own->reason << "; it accepts " << accepted(plans, choice);
    if (std::string why = choice.format.empty() ? "" : whyNotFormat(module, choice); !why.empty())
      return emitError(module.getLoc()) << "the plan wants " << choice.kind << " \"" << choice.op << "\" in "
                                        << choice.format << ", but " << why;
  }
  return success();
}

LogicalResult permalloy::annotatePrecision(ModuleOp module, const PrecisionPlan &plan) {
  if (failed(checkPlan(module, plan)))
    return failure();
  Builder builder(module.getContext());
  forEachProduct(module, [&](Operation *op) {
    const PrecisionChoice *choice = plan.find(precisionName(op), kindOf(op));
    bool narrow = choice && isNarrow(choice->precision);
    op->setAttr(kPrecisionAttr, builder.getStringAttr(choice ? choice->precision : "f32"));
    if (choice && !narrow && !choice->reason.empty())
      op->setAttr(kPrecisionReasonAttr, builder.getStringAttr(choice->reason));
  });
  forEachSite(module, [&](WeightSite site) {
    const PrecisionChoice *choice = plan.find(precisionName(site.op), kindOf(site.op));
    if (!choice)
      return;
    if (!choice->reason.empty() && isa<GatherOp>(site.op))
      site.op->setAttr(kPrecisionReasonAttr, builder.getStringAttr(choice->reason));
    if (choice->format.empty())
      return;
    site.op->setAttr(kLevelAttr, builder.getStringAttr(choice->format));
    site.op->setAttr(kSolverAttr, builder.getStringAttr(choice->solver.empty() ? kDefaultSolver.str() : choice->solver));
  });
  return success();
}
