//===- CommandLine.cpp - the arguments of `permalloy` ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The only file that sees CLI11, which throws: compiled with exceptions, without the precompiled
// header. Commands run after parsing, outside of anything that throws.
//
//===----------------------------------------------------------------------===//
#include "Commands.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <functional>
#include <iostream>

namespace permalloy {

namespace {
/// All commands with their defaults; the parser writes into these.
struct Parsed {
  CompileCommand compile;
  ImportCommand import;
  RunCommand run;
  BenchCommand bench;
  VerifyCommand verify;
  InspectCommand inspect;
  TuneCommand tune;
  ExplainCommand explain;
};
} // namespace

static constexpr const char *kDimHelp =
    "Fix or narrow a named dimension: batch=4 or batch=1..32 (may be repeated). "
    "`permalloy inspect` and `permalloy import` show the names";
static constexpr const char *kSizeHelp =
    "Size of a named dimension of random inputs: sequence=128, or several: batch=1,3,8 (may be "
    "repeated; every combination is taken). Names are the model's, or batch, sequence, past and "
    "total "
    "for what dimensions of token ids, masks and past keys stand for. Default: 2 for the batch, 16 "
    "for others, past + sequence for total";

/// Options of the search for a plan; returns --budget.
static CLI::Option *addSearch(CLI::App *app, CompileSettings &settings) {
  CLI::Option *budget = app->add_option("--budget", settings.budget,
                  "Choose the level of each operation so that a run takes this share of f32's latency, with the least error on "
                  "the --calibrate inputs: latency=0.6x (docs/precision.md)");
  app->add_option("--max-drop", settings.maxDrop,
                  "With --budget: fail where more of the quality is lost; alone: the fastest plan that loses no more. 1%: of the "
                  "perplexity (logits) or of the cosine (other outputs)");
  app->add_option("--levels", settings.levels, "Of --budget and --max-drop: levels to choose from, comma separated; merge8 and the like are those of --merge-tokens")->delimiter(',');
  app->add_option("--search-minutes", settings.searchMinutes, "Of --budget: how long to improve the plan by measuring whole plans")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_option("--search-state", settings.searchState,
                  "Of --budget and --max-drop: file for all measurements; the same command goes on from it");
  return budget;
}

static void addCompileSettings(CLI::App *app, CompileSettings &settings,
                               const char *jobs = "--jobs") {
  app->add_option("--target", settings.targets,
                  "Instruction sets, comma separated: host, x86-64-v3 (AVX2), alderlake (AVX2 and VNNI), "
                  "x86-64-v4 (AVX-512), icelake-server (AVX-512 and VNNI), sapphirerapids (AVX-512 and AMX); "
                  "the file carries code for each and picks when it is loaded; and GPUs: sm_80, sm_89, sm_90a, sm_100 (PTX, and "
                  "machine code where ptxas is found)")
      ->delimiter(',')
      ->capture_default_str();
  app->add_option(jobs, settings.jobs, "Threads of the compiler; 0: all CPUs")
      ->capture_default_str();
  auto *precision = app->add_option("--precision", settings.precision,
                  "f32: as the model has it; bf16: operands of linear layers, experts and attention rounded to "
                  "bf16, sums, norms and softmax in f32; tf32: GPUs may round those of linear layers and attention to tf32 (10 bits of "
                  "mantissa), CPUs compute f32; auto: bf16 for as many of them as --max-error allows")
      ->check(CLI::IsMember({"f32", "bf16", "tf32", "auto"}))
      ->capture_default_str();
  auto *quantize = app->add_option("--quantize", settings.quantize,
                  "Weights of layers and tables as codes: w8, w4g32, w4g64asym and the like (docs/quantization.md); "
                  "head=LEVEL behind a comma for layers that give logits, which else keep 8 bits");
  auto *sparsify = app->add_option("--sparsify", settings.quantize,
                  "Blocks of the weights of layers left out, where that is faster: block50 keeps 50% of those of 1 x 16 elements, 2:4 two of each four weights of a column "
                  "(docs/sparsity.md); instead of --quantize")
      ->excludes(quantize);
  auto *solver = app->add_option("--solver", settings.solver,
                  "With --quantize: who chooses the codes: rtn, absmax, ...; with --sparsify, what stays: magnitude, obs");
  app->add_flag("--pack-padding", settings.packPadding,
                "Compute only the real tokens of a padded batch, found by the attention mask of "
                "each run; outputs are then 0 at padded positions");
  auto *merge = app->add_option("--merge-tokens", settings.mergeTokens,
                  "Tokens that each block of an encoder merges into others behind its attention: 13 in each, 16,16,8,0 by block, "
                  "26..0 falling; prune13 drops them (docs/token-merging.md)");
  app->add_option("--token-score", settings.tokenScore,
                  "What chooses them: tome (the most similar keys), values (the most similar values), strided or random (random7: another draw)")
      ->needs(merge)
      ->capture_default_str();
  app->add_option("--protect-tokens", settings.protectTokens,
                  "Leading tokens that stay alone, such as a class token; default: those that the model puts in front or reads")
      ->needs(merge)
      ->check(CLI::NonNegativeNumber);
  app->add_flag("--no-token-sizes", settings.noTokenSizes,
                "Attention counts a merged token as one, not as many")
      ->needs(merge);
  auto *maxError = app->add_option("--max-error", settings.maxError,
                  "With --precision auto: largest difference from f32 of any output on the calibration inputs, relative to "
                  "the output's largest magnitude; 0 is f32")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  auto *calibrate = app->add_option("--calibrate", settings.calibrate,
                  "Inputs of the model, an .npz file with their names and samples along the first dimension: what solvers "
                  "calibrate on, and what --precision auto, --budget and --max-drop measure errors on (default with auto: random ones)");
  app->add_option("--statistics", settings.statistics,
                  "Keep the statistics that --calibrate collects for solvers in this file; without --calibrate, read them from it");
  auto *plan = app->add_option("--plan", settings.plan,
                  "Level of each operation from a file, as --print-plan writes it; instead of --precision and --quantize");
  plan->excludes(precision)->excludes(quantize)->excludes(sparsify);
  CLI::Option *search = addSearch(app, settings);
  // Merged tokens are levels of a search (merge8); with --merge-tokens f32 beside it would have them, too.
  for (CLI::Option *option : {search, app->get_option("--max-drop")})
    option->excludes(precision)->excludes(quantize)->excludes(sparsify)->excludes(plan)->excludes(merge);
  app->final_callback([app, &settings, maxError, calibrate, solver] {
    bool searches = !settings.budget.empty() || !settings.maxDrop.empty();
    for (const char *name : {"--levels", "--search-minutes", "--search-state"})
      if (*app->get_option(name) && !searches)
        throw CLI::ValidationError(name, "counts with --budget or --max-drop only, which are not given");
    if (settings.precision == "auto" && !settings.quantize.empty())
      throw CLI::ValidationError("--precision", "auto bounds no error of --quantize and --sparsify; --max-drop does");
    if (*solver && settings.quantize.empty() && !searches)
      throw CLI::ValidationError("--solver", "counts with --quantize, --sparsify, --budget or --max-drop only, which are not given");
    if (*maxError && settings.precision != "auto")
      throw CLI::ValidationError(maxError->get_name(), "counts with --precision auto only, which is not given");
    bool solves = !settings.quantize.empty() || !settings.plan.empty() || !settings.statistics.empty();
    if (*calibrate && settings.precision != "auto" && !solves && !searches)
      throw CLI::ValidationError(calibrate->get_name(), "counts with --precision auto, --quantize, --sparsify, --plan, --statistics, --budget "
                                                        "or --max-drop, none of which is given");
    if (std::isnan(settings.maxError))
      throw CLI::ValidationError(maxError->get_name(), "is not a number");
  });
  app->add_flag("--no-cache", settings.noCache, "Neither read nor write the kernel cache");
  auto *database = app->add_option("--database", settings.database,
                                   "Tuning database of measured schedules; default: that of this "
                                   "kind of CPU which `permalloy tune` writes");
  app->add_flag("--no-database", settings.noDatabase,
                "Take the compiler's own schedules, whatever was measured")
      ->excludes(database);
  app->add_option("--cost-model", settings.costModel,
                  "What passes ask whether to fuse, and whether blocks are worth leaving out, and what looks for faster schedules where none were measured: "
                  "trees (trained on measured kernels; FILE.trees: on others), prior (a roofline), or none. Default: trees for passes, none for schedules; of GPUs, prior unless it is none");
}

static void addVerbose(CLI::App *app, bool &verbose) {
  app->add_flag("-v,--verbose", verbose, "Print the time of each stage");
}

static void addDims(CLI::App *app, std::vector<std::string> &dims) {
  app->add_option("--dim", dims, kDimHelp)->allow_extra_args(false);
}

static void addInputs(CLI::App *app, InputSettings &inputs) {
  app->add_option("--input", inputs.files, "An input: name=file.npy (may be repeated)")
      ->allow_extra_args(false);
  app->add_option("--inputs", inputs.npz, "All inputs: an .npz file with their names");
  app->add_option("--dim", inputs.sizes, kSizeHelp)->allow_extra_args(false);
  app->add_option(
         "--seed", inputs.seed,
         "Seed of random inputs: small token ids, masks with some padding, floats in [-1, 1)")
      ->capture_default_str();
  app->add_option(
         "--padding", inputs.padding,
         "Where random masks hide places (row r hides r / 8 of them): left, right or none. "
         "Default: left with a past, else right")
      ->check(CLI::IsMember({"left", "right", "none"}));
}

static CLI::App *addCompile(CLI::App &app, CompileCommand &command) {
  CLI::App *sub =
      app.add_subcommand("compile", "Compile an ONNX model into one file of native code");
  sub->add_option("model", command.model, "The model, .onnx")->required();
  sub->add_option("-o,--output", command.output,
                  "File to write; default: the model's name with .alloy, in the current folder; "
                  "text goes to the standard output");
  addCompileSettings(sub, command.settings, "--threads,--jobs");
  addDims(sub, command.settings.dims);
  addVerbose(sub, command.settings.verbose);
  sub->add_option("--emit", command.emit,
                  "What to write: alloy, or the text of a stage: tfm (graph after fusion), kern "
                  "(kernels, launches, slots), llvm or asm (of the most demanding target)")
      ->check(CLI::IsMember({"alloy", "tfm", "kern", "llvm", "asm"}))
      ->capture_default_str();
  sub->add_option("--print-plan", command.printPlan,
                  "Write the level of each operation to this file, as JSON for --plan; -: standard output");
  sub->add_flag("--time-report", command.timeReport, "Print the time of each phase, and of each pass in them");
  sub->add_flag("--fusion-report", command.fusionReport,
                "Print what fusion raised and what stopped what it did not");
  sub->add_flag("--print-ir-after-all", command.printIrAfterAll,
                "Print the IR after each pass to stderr");
  sub->add_option("--print-ir-after", command.printIrAfter,
                  "Print the IR after this pass, such as raise-attention, to stderr")
      ->allow_extra_args(false);
  return sub;
}

static CLI::App *addImport(CLI::App &app, ImportCommand &command) {
  CLI::App *sub =
      app.add_subcommand("import", "Translate an ONNX model into MLIR, the tfm dialect");
  sub->add_option("model", command.model, "The model, .onnx")->required();
  sub->add_option("-o,--output", command.output, "File to write; -: standard output")
      ->capture_default_str();
  addDims(sub, command.dims);
  return sub;
}

static void addDevice(CLI::App *sub, std::string &device) {
  sub->add_option("--device", device, "Where the compiled model runs: cpu, or a GPU, cuda:0. An .onnx is then compiled for it, too")
      ->capture_default_str();
}

static CLI::App *addRun(CLI::App &app, RunCommand &command) {
  CLI::App *sub = app.add_subcommand("run", "Run a model on arrays in numpy's files");
  sub->add_option("model", command.model, "A compiled .alloy, or an .onnx to be compiled first")
      ->required();
  addInputs(sub, command.inputs);
  sub->add_flag("--random", command.inputs.random, "Make up inputs that are not given");
  sub->add_option("--output-dir", command.outputFolder, "Write each output to DIR/<name>.npy");
  sub->add_option("--outputs", command.outputFile, "Write all outputs to one .npz file");
  addDevice(sub, command.device);
  sub->add_option("--threads", command.threads,
                  "Threads; 0: as many as the cpuset and cgroup allow")
      ->capture_default_str();
  sub->add_flag("--profile", command.profile, "Print the time of each step and kernel");
  sub->add_option(
      "--trace", command.trace,
      "Write when each step of a few more runs happened, with node names, operations and "
      "bytes, as a Chrome trace for ui.perfetto.dev");
  addCompileSettings(sub, command.settings);
  addVerbose(sub, command.settings.verbose);
  return sub;
}

static CLI::App *addBench(CLI::App &app, BenchCommand &command) {
  CLI::App *sub = app.add_subcommand(
      "bench", "Time a model, if wanted turn by turn with onnxruntime on the same inputs");
  sub->add_option(
         "models", command.files,
         "One or more: .onnx models, each with the .alloy compiled from it behind it (default: "
         "compile now), or compiled .alloy files without --against")
      ->required();
  sub->add_option("--against", command.against,
                  "Peer: onnxruntime, of the Python that PERMALLOY_PYTHON names or of python3")
      ->check(CLI::IsMember({"onnxruntime"}));
  addInputs(sub, command.inputs);
  addDevice(sub, command.device);
  sub->add_option("--threads", command.threads, "Threads of both")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--seconds", command.seconds, "How long to measure, without warm-up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--repeats", command.repeats, "Number of runs, instead of --seconds");
  sub->add_option("--tolerance", command.tolerance,
                  "Largest difference of the outputs, relative to the output's largest magnitude; "
                  "default: 2e-4, in f16 or with --precision tf32 on a GPU 7.8e-3, and in bf16 or with --precision bf16 6.3e-2");
  sub->add_flag("--json", command.json, "Print the result as JSON");
  addCompileSettings(sub, command.settings);
  addVerbose(sub, command.settings.verbose);
  return sub;
}

static CLI::App *addVerify(CLI::App &app, VerifyCommand &command) {
  CLI::App *sub = app.add_subcommand(
      "verify", "Compare a compiled model with onnxruntime and with the reference interpreter");
  sub->add_option("model", command.model, "The model, .onnx")->required();
  sub->add_option("artifact", command.artifact,
                  "The .alloy compiled from it; default: compile now");
  addInputs(sub, command.inputs);
  addDevice(sub, command.device);
  sub->add_option("--threads", command.threads, "Threads of the compiled model")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--tolerance", command.tolerance,
                  "Largest difference, relative to the output's largest magnitude; default: 2e-4, in "
                  "f16 or with --precision tf32 on a GPU 7.8e-3, and in bf16 or with --precision bf16 6.3e-2");
  sub->add_flag("--no-interpreter", command.noInterpreter,
                "Leave out the interpreter, which is slow on large models");
  sub->add_flag(
      "--json", command.json,
      "Print one JSON object a line for each combination of sizes, as soon as it is known");
  sub->add_flag("--bisect", command.bisect,
                "Where outputs differ from onnxruntime's, name the first node that does");
  addCompileSettings(sub, command.settings);
  addVerbose(sub, command.settings.verbose);
  return sub;
}

static CLI::App *addTune(CLI::App &app, TuneCommand &command) {
  CLI::App *sub = app.add_subcommand(
      "tune", "Measure schedules of kernels on this machine, for `compile` to take the best of. May "
              "be interrupted and resumed: what is in the database is not measured again");
  sub->add_option("models", command.models,
                  "Models, .onnx, whose kernels to measure; without any, kernels of transformers of "
                  "the usual sizes");
  sub->add_option("--target", command.settings.targets, "Instruction set: host, or a target that `compile --target` takes; of a GPU, with --device or --list-space")
      ->capture_default_str();
  sub->add_option("--device", command.device, "What measures: cpu, or a GPU, cuda:0, whose schedules `compile` then takes for its target")
      ->capture_default_str();
  sub->add_option("--precision", command.settings.precision, "Whose kernels of the models: f32, bf16 or, on a GPU, tf32, as `compile` takes it")
      ->check(CLI::IsMember({"f32", "bf16", "tf32"}))
      ->capture_default_str();
  sub->add_option("--quantize", command.settings.quantize, "And of which level, as `compile` takes it: w4g32, w8a8, ...");
  sub->add_option("--minutes", command.minutes, "How long to measure")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--rows", command.rows, "Stop after so many new measurements");
  sub->add_option("--dim", command.sizes, kSizeHelp)->allow_extra_args(false);
  sub->add_option("--database", command.settings.database,
                  "File to append to; default: $XDG_DATA_HOME/permalloy/tuning/<kind of CPU>.jsonl, "
                  "below ~/.local/share where that is not set");
  sub->add_option("--seed", command.seed, "Which schedules, and kernels of the corpus, come first")
      ->capture_default_str();
  sub->add_option("--weight-span", command.weightSpan, "MB that the copies of the weights take turns in, at most 256; default: what the weights of the models take");
  sub->add_flag("--list-space", command.listSpace,
                "Print the parameters of each kernel's schedules with their values, and measure nothing");
  sub->add_flag("--calibrate", command.calibrate,
                "Measure what this CPU can do (peaks and bandwidths, a few seconds) for the cost model, and nothing else");
  sub->add_option("--features", command.features,
                  "Write the rows of --database as features of the cost model (CSV; -: standard output), and measure nothing");
  return sub;
}

static CLI::App *addExplain(CLI::App &app, ExplainCommand &command) {
  CLI::App *sub = app.add_subcommand("explain", "Say where a model's time goes and why: per kernel what binds it, what the cost model "
                                                "predicts, its schedule and what was rejected");
  sub->add_option("model", command.model, "The model, .onnx; of a compiled one, .alloy, a roofline only")->required();
  addCompileSettings(sub, command.settings);
  sub->add_option("--dim", command.inputs.sizes, kSizeHelp)->allow_extra_args(false);
  sub->add_flag("--measure", command.measure, "Compile and run the model too, on random inputs and one thread, and show measured times");
  sub->add_option("--json", command.json, "Write everything as JSON to this file; -: standard output, instead of the text");
  sub->add_option("--html", command.html, "Write a page with charts to this file: one file that needs no network");
  return sub;
}

static CLI::App *addInspect(CLI::App &app, InspectCommand &command) {
  CLI::App *sub = app.add_subcommand("inspect", "Print what stands in a compiled model");
  sub->add_option("artifact", command.artifact, "The compiled model, .alloy")->required();
  sub->add_flag("--kernels", command.kernels, "List the kernels");
  sub->add_flag("--steps", command.steps, "List the steps with kernel and node names");
  sub->add_flag("--weights", command.weights, "List the weights");
  sub->add_flag("--json", command.json, "Print everything as JSON");
  sub->add_flag("--verify", command.verify, "Read all weights and compare their checksums");
  sub->add_option("--emit", command.emit,
                  "Write the code instead: elf (for objdump, perf, gdb) or asm; of GPUs ptx, or sass (needs nvdisasm)")
      ->check(CLI::IsMember({"elf", "asm", "ptx", "sass"}));
  sub->add_option("--target", command.target, "Whose code; default: the most demanding one");
  sub->add_option("-o,--output", command.output, "File for the code; -: standard output")
      ->capture_default_str();
  return sub;
}

/// Declares all commands and what each runs.
static std::vector<std::pair<CLI::App *, std::function<int()>>> declare(CLI::App &app,
                                                                        Parsed &parsed) {
  return {{addCompile(app, parsed.compile), [&] { return runCompile(parsed.compile); }},
          {addRun(app, parsed.run), [&] { return runRun(parsed.run); }},
          {addVerify(app, parsed.verify), [&] { return runVerify(parsed.verify); }},
          {addBench(app, parsed.bench), [&] { return runBench(parsed.bench); }},
          {addTune(app, parsed.tune), [&] { return runTune(parsed.tune); }},
          {addExplain(app, parsed.explain), [&] { return runExplain(parsed.explain); }},
          {addInspect(app, parsed.inspect), [&] { return runInspect(parsed.inspect); }},
          {addImport(app, parsed.import), [&] { return runImport(parsed.import); }}};
}

/// Like CLI11's own report, but an error is one line in the voice of all others.
static int reportParse(const CLI::App &app, const CLI::ParseError &error) {
  if (error.get_exit_code() == 0)
    return app.exit(error);
  std::string message = error.what();
  for (char &c : message)
    if (c == '\n')
      c = ' ';
  const CLI::App *used = &app;
  for (const CLI::App *sub : app.get_subcommands())
    used = sub;
  std::string command = used == &app ? "permalloy" : "permalloy " + used->get_name();
  std::cerr << "permalloy: error: " << message << " (see " << command << " --help)\n";
  return 2;
}

int runCommandLine(int argc, char **argv) {
  Parsed parsed;
  CLI::App app("Compiles transformer models: ONNX in, one file of native code out.", "permalloy");
  app.require_subcommand(0, 1);
  bool version = false;
  app.add_flag("--version", version, "Print versions and what this machine offers");
  auto commands = declare(app, parsed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return reportParse(app, error);
  }
  if (version)
    return runVersion();
  for (auto &[sub, run] : commands)
    if (sub->parsed())
      return run();
  std::cout << app.help();
  return 2;
}

} // namespace permalloy
