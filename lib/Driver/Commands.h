//===- Commands.h - the subcommands and their options ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// CommandLine.cpp fills one of these structs and calls the function below it, which reports errors
// itself and returns the exit code.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_COMMANDS_H
#define PERMALLOY_LIB_DRIVER_COMMANDS_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace permalloy {

/// What several commands take to compile a model.
struct CompileSettings {
  std::vector<std::string> targets = {"host"};
  std::vector<std::string> dims; ///< "name=4", "name=1..32"
  unsigned jobs = 0;
  std::string precision = "f32"; ///< f32, bf16, tf32 or auto
  std::string quantize;          ///< format of weights, as QuantizationRequest::parse reads it; empty: as they are
  std::string solver = "rtn";    ///< of --quantize
  std::string plan;              ///< file of a plan instead of both; empty: none
  std::string calibrate;         ///< of auto: .npz of inputs; empty: random ones
  std::string statistics;        ///< file of statistics to keep, or without `calibrate` to read; empty: none
  double maxError = 1e-2;        ///< of auto: of any output, relative to its largest magnitude
  std::string budget;            ///< "latency=0.6x" of f32; empty: none
  std::string maxDrop;           ///< "1%" of the quality, with or without a budget; empty: none
  std::vector<std::string> levels; ///< of the search for either; empty: all there are
  double searchMinutes = 2;      ///< of its refinement
  std::string searchState;       ///< file of its measurements, to go on from; empty: none
  bool packPadding = false;
  std::string mergeTokens;       ///< tokens that each encoder block gives up; empty: none
  std::string tokenScore = "tome";
  int64_t protectTokens = -1;    ///< -1: found from the graph
  bool noTokenSizes = false;
  bool noCache = false;
  std::string database;    ///< tuning database; empty: the default one
  bool noDatabase = false; ///< the compiler's own schedules
  std::string costModel; ///< what passes ask and what chooses schedules that were not measured: prior, trees or none; empty: trees, none
  bool verbose = false;
};

struct CompileCommand {
  CompileSettings settings;
  std::string model;
  std::string
      output; ///< "-": standard output, for text; empty: beside the model or standard output
  std::string emit = "alloy";
  bool fusionReport = false;
  std::string printPlan;  ///< file for the plan of levels; "-": standard output; empty: none
  bool timeReport = false;
  bool printIrAfterAll = false;
  std::vector<std::string> printIrAfter; ///< pass flags
};
int runCompile(const CompileCommand &command);

struct ImportCommand {
  std::string model;
  std::string output = "-";
  std::vector<std::string> dims;
};
int runImport(const ImportCommand &command);

/// Where inputs come from and how large they are.
struct InputSettings {
  std::vector<std::string> files; ///< "name=file.npy"
  std::string npz;
  bool random = false; ///< make up what is not given
  uint64_t seed = 0;
  std::string padding; ///< of random masks: left, right, none; empty: left with a past, else right
  std::vector<std::string> sizes; ///< "name=4" or "name=1,3,8", of dimensions of random inputs
};

struct RunCommand {
  CompileSettings settings;
  InputSettings inputs;
  std::string model;
  std::string outputFolder; ///< one .npy for each output
  std::string outputFile;   ///< one .npz
  std::string device = "cpu";
  int threads = 0;
  bool profile = false;
  std::string trace; ///< file to write; empty: none
};
int runRun(const RunCommand &command);

struct BenchCommand {
  CompileSettings settings;
  InputSettings inputs;
  /// What to time, one after the other; an .alloy behind an .onnx was compiled from it.
  std::vector<std::string> files;
  std::string against;  ///< "onnxruntime" or empty
  std::string device = "cpu";
  int threads = 1;
  double seconds = 3;
  unsigned repeats = 0; ///< 0: as many as fit into `seconds`
  std::optional<double> tolerance; ///< none: defaultTolerance of the output's type
  bool json = false;
};
int runBench(const BenchCommand &command);

struct VerifyCommand {
  CompileSettings settings;
  InputSettings inputs;
  std::string model;
  std::string artifact; ///< already compiled from `model`; empty: compile it
  std::string device = "cpu";
  int threads = 1;
  std::optional<double> tolerance; ///< none: defaultTolerance of the model's type
  bool noInterpreter = false;
  bool json = false; ///< one object a line and combination of sizes
  bool bisect = false;
};
int runVerify(const VerifyCommand &command);

struct TuneCommand {
  CompileSettings settings;         ///< one target; `database` is written to
  std::vector<std::string> models;  ///< none: the built-in corpus
  std::vector<std::string> sizes;   ///< "name=4" or "name=1,3,8"
  std::string device = "cpu";       ///< what measures, "cuda:0"
  double minutes = 10;
  unsigned rows = 0;                ///< stop after so many; 0: no such limit
  uint64_t seed = 0;
  unsigned weightSpan = 0;          ///< MB of the memory that copies of weights take turns in; 0: what those of the models take
  bool listSpace = false;
  bool calibrate = false;   ///< measure the constants of the machine, also where they are known, and nothing else
  std::string features; ///< file for the rows of the database as features; empty: measure
};
int runTune(const TuneCommand &command);
/// `--features`: what the cost model is trained on.
int printFeatures(const TuneCommand &command);

struct ExplainCommand {
  CompileSettings settings; ///< one target
  InputSettings inputs;     ///< `sizes`; what else is given is for --measure
  std::string model;        ///< .onnx, or .alloy
  bool measure = false;
  std::string json, html;   ///< files; "-": standard output; empty: none
};
int runExplain(const ExplainCommand &command);

struct InspectCommand {
  std::string artifact;
  bool kernels = false;
  bool steps = false;
  bool weights = false;
  bool json = false;
  bool verify = false;
  std::string emit;   ///< "elf", "asm", "ptx", "sass" or empty
  std::string target; ///< whose code; empty: the first
  std::string output = "-";
};
int runInspect(const InspectCommand &command);

/// Prints versions of the program, LLVM, the artifact format, and the CPU's features.
int runVersion();

/// Fills the struct that the arguments name and runs it.
int runCommandLine(int argc, char **argv);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_COMMANDS_H
