//===- QuantizationPlan.cpp - which weights stand as codes -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/Quantization.h"
#include "../Precision/Routers.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Solvers/WeightSolver.h"

#include <set>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

//===----------------------------------------------------------------------===//
// What is asked for
//===----------------------------------------------------------------------===//

static llvm::Error checkFormat(StringRef level) {
  if (findWeightFormat(level))
    return llvm::Error::success();
  return llvm::createStringError("'" + level + "' names no format of weights; there are " + weightFormatNames());
}

static llvm::Error checkSolver(StringRef solver) {
  if (solvers::findSolver(solver.str()))
    return llvm::Error::success();
  return llvm::createStringError("there is no solver '" + solver + "'; there are " + llvm::join(solvers::solverNames(), ", "));
}

llvm::Expected<QuantizationRequest> QuantizationRequest::parse(StringRef text, StringRef solver) {
  QuantizationRequest request;
  auto [level, rest] = text.split(',');
  request.level = level.str();
  request.solver = solver.str();
  if (llvm::Error error = checkFormat(level))
    return std::move(error);
  if (llvm::Error error = checkSolver(solver))
    return std::move(error);
  if (rest.empty())
    return request;
  if (!rest.consume_front("head="))
    return llvm::createStringError("'" + rest + "' is not understood; behind a format may stand head=LEVEL");
  request.head = rest.str();
  if (llvm::Error error = rest == "f32" ? llvm::Error::success() : checkFormat(rest))
    return std::move(error);
  return request;
}

std::string QuantizationRequest::str() const { return head.empty() ? level : level + ",head=" + head; }

//===----------------------------------------------------------------------===//
// Sites
//===----------------------------------------------------------------------===//

/// Whether all that becomes of `value`, moved or converted, is to be returned: logits.
static bool isReturned(Value value) {
  return !value.use_empty() && llvm::all_of(value.getUsers(), [](Operation *user) {
    if (isa<func::ReturnOp>(user))
      return true;
    return isa<ReshapeOp, TransposeOp, SliceOp, CastOp, UnaryOp>(user) && isReturned(user->getResult(0));
  });
}

static WeightOp storedWeight(Value value, SymbolTable &symbols) {
  auto use = value.getDefiningOp<GetWeightOp>();
  auto type = cast<RankedTensorType>(value.getType());
  bool isMatrix = use && type.getRank() == 2 && !type.getEncoding() && isa<FloatType>(type.getElementType());
  return isMatrix ? symbols.lookup<WeightOp>(use.getWeight()) : WeightOp();
}

void permalloy::forEachSite(ModuleOp module, function_ref<void(WeightSite )> body) {
  SymbolTable symbols(module);
  for (auto function : module.getOps<func::FuncOp>())
    function.walk([&](Operation *op) {
      auto linear = dyn_cast<LinearOp>(op);
      auto gather = dyn_cast<GatherOp>(op);
      if (!linear && !(gather && gather.getAxis() == 0))
        return;
      if (WeightOp weight = storedWeight(linear ? linear.getWeight() : gather.getInput(), symbols))
        body({op, weight, linear && isReturned(linear.getResult())});
    });
}

//===----------------------------------------------------------------------===//
// Plans
//===----------------------------------------------------------------------===//

/// Whether the rows of a table are taken by a graph input that holds tokens.
static bool isByToken(Value indices) {
  if (auto argument = dyn_cast<BlockArgument>(indices)) {
    auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
    auto name = function ? function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), TfmDialect::kNameAttr) : StringAttr();
    return !name || !name.getValue().contains("position");
  }
  Operation *op = indices.getDefiningOp();
  return isa<ReshapeOp, CastOp, TransposeOp, GatherOp, SliceOp>(op) && isByToken(op->getOperand(isa<GatherOp>(op) ? 0 : 0));
}

static bool isKeptSite(WeightSite site, const QuantizationRequest &request, std::string &why) {
  auto type = cast<RankedTensorType>(site.weight.getType());
  if (type.getNumElements() < request.minElements)
    why = "its weight has fewer than " + std::to_string(request.minElements) + " elements";
  else if (auto linear = dyn_cast<LinearOp>(site.op); linear && isRouter(linear.getResult()))
    why = "it chooses experts, and an error would choose others";
  else if (auto gather = dyn_cast<GatherOp>(site.op); gather && !isByToken(gather.getIndices()))
    why = "its table is of positions";
  else if (site.isHead && request.head == "f32")
    why = "the head stays f32";
  return !why.empty();
}

static std::string formatOf(WeightSite site, const QuantizationRequest &request) {
  if (!site.isHead)
    return request.level;
  if (!request.head.empty())
    return request.head;
  auto type = cast<RankedTensorType>(site.weight.getType());
  const WeightFormat *format = findWeightFormat(request.level);
  double bits = format->bitsPerWeight(request.level, type.getDimSize(0), type.getDimSize(1));
  std::string instead = format->instead(request.level);
  return bits >= 8 ? request.level : instead.empty() ? "w8" : instead;
}

static PrecisionChoice &choiceOf(PrecisionPlan &plan, WeightSite site) {
  std::string name = precisionName(site.op), kind = site.op->getName().stripDialect().str();
  for (PrecisionChoice &choice : plan.choices)
    if (choice.op == name && choice.kind == kind)
      return choice;
  plan.choices.push_back({name, kind, "f32", ""});
  return plan.choices.back();
}

/// Whether the solver reads a gram that the site has not: one of a table, or of a layer that no calibration saw.
static bool lacksGram(WeightSite site, StringRef solver) {
  const solvers::WeightSolver *found = solvers::findSolver(solver.str());
  return found && found->needs() == solvers::Statistics::gram && !site.op->hasAttr(kGramAttr);
}

static void addReason(PrecisionChoice &choice, StringRef why) {
  if (!StringRef(choice.reason).contains(why))
    choice.reason += (choice.reason.empty() ? "" : "; ") + why.str();
}

/// The level of a site, or none, and the reason where it is not what was asked for.
static std::string levelOf(WeightSite site, const QuantizationRequest &request, StringRef precision, SymbolicShapes &shapes, std::string &why) {
  std::string level = formatOf(site, request);
  const WeightFormat *format = findWeightFormat(level);
  if (!isKeptSite(site, request, why))
    why = format->whyNot(level, site);
  if (!why.empty())
    return "";
  why = format->whySlower(level, site, {request.costs, precision.str(), isa<LinearOp>(site.op) ? shapes.dims(site.op->getOperand(0)) : Dims()});
  return why.empty() ? format->resolve(level, site) : format->instead(level);
}

void permalloy::addFormats(ModuleOp module, const QuantizationRequest &request, PrecisionPlan &plan) {
  std::set<std::string> seen, kept; // "kind op"
  SymbolicShapes shapes;
  forEachSite(module, [&](WeightSite site) {
    PrecisionChoice &choice = choiceOf(plan, site);
    std::string why, key = choice.kind + " " + choice.op, level = levelOf(site, request, choice.precision, shapes, why);
    seen.insert(key);
    if (!why.empty())
      addReason(choice, why);
    if (level.empty()) { // of several for one node, all stay
      kept.insert(key);
      choice.format = choice.solver = "";
    } else if (!kept.contains(key)) {
      const WeightFormat *format = findWeightFormat(level);
      choice.format = level;
      if (choice.precision != "f32" && format->ignores(level, choice.precision)) {
        addReason(choice, "layers of '" + level + "' multiply in their own way, not in " + choice.precision);
        choice.precision = "f32";
      }
      std::string plain = format->defaultSolver();
      bool lacks = lacksGram(site, request.solver), isAsked = format == findWeightFormat(formatOf(site, request));
      choice.solver = lacks || !isAsked || request.solver == kDefaultSolver ? plain : request.solver;
      if (lacks)
        addReason(choice, choice.kind == "gather" ? "tables have no inputs to calibrate on, so " + plain + " solves it"
                                                  : "it is not calibrated, so " + plain + " solves it");
    }
  });
  for (PrecisionChoice &choice : plan.choices)
    if (!seen.contains(choice.kind + " " + choice.op) && choice.kind != "attention")
      addReason(choice, choice.kind == "moe" ? "stacks of experts as codes are unsupported" : "its weight is no stored matrix");
}

std::string permalloy::whyNotFormat(ModuleOp module, const PrecisionChoice &choice) {
  if (llvm::Error error = checkSolver(choice.solver.empty() ? StringRef(kDefaultSolver) : StringRef(choice.solver)))
    return llvm::toString(std::move(error));
  bool found = false;
  std::string why, solver = choice.solver.empty() ? kDefaultSolver.str() : choice.solver;
  forEachSite(module, [&](WeightSite site) {
    if (precisionName(site.op) != choice.op || site.op->getName().stripDialect() != choice.kind)
      return;
    found = true;
    if (why.empty())
      why = findWeightFormat(choice.format)->whyNot(choice.format, site);
    if (why.empty() && lacksGram(site, solver))
      why = "solver '" + solver + "' needs a calibration of what the layer reads (--calibrate, --statistics)";
  });
  return found ? why : "its weight is no stored matrix";
}
