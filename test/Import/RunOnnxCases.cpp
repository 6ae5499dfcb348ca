//===- RunOnnxCases.cpp - ONNX's node tests through the interpreter -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// permalloy-run-onnx-cases --list-ops: the operators of the importer's table, one a line: domain,
// name, first and reviewed version, what it becomes. permalloy-run-onnx-cases DIR...: each folder
// is a case as onnx_cases.py writes it: model.onnx, input_0.pb, ..., output_0.pb,
// ..., and tolerance.txt (rtol and atol). Prints one line for a case: `pass NAME`, `unsupported
// NAME: why`, `fail NAME: why`.
//
//===----------------------------------------------------------------------===//

#include "Tensors.h"
#include "permalloy/Import/Import.h"
#include "permalloy/Reference/Inputs.h"

#include "llvm/Support/Path.h"

#include <fstream>

using namespace mlir;
using namespace permalloy;

namespace {

struct Case {
  std::string folder;
  reference::Tolerance tolerance;
};

std::string file(const Case &test, const Twine &name) { return (test.folder + "/" + name).str(); }

/// The tensor in `path`; null when there is no such file.
reference::Tensor readTensor(const std::string &path, MLIRContext &context,
                             std::string *name = nullptr) {
  std::ifstream in(path, std::ios::binary);
  onnx::TensorProto proto;
  if (!in || !proto.ParseFromIstream(&in))
    return {};
  TensorReader reader(&context, "", "", {});
  auto data = reader.read(proto);
  if (!data) {
    llvm::consumeError(data.takeError());
    return {};
  }
  if (name)
    *name = proto.name();
  return reference::Tensor::fromAttribute(data->value);
}

/// Empty when all results are as expected.
std::string run(const Case &test, MLIRContext &context) {
  // From memory, so that every weight is inline; test_bad_models.py and the whole models import
  // files.
  auto bytes = llvm::MemoryBuffer::getFile(file(test, "model.onnx"));
  if (!bytes)
    return "cannot read model.onnx";
  OwningOpRef<ModuleOp> module = importOnnx((*bytes)->getMemBufferRef(), "model.onnx", context);
  if (!module)
    return "import";
  auto function = module->lookupSymbol<func::FuncOp>("main");
  llvm::StringMap<reference::Tensor> inputs;
  std::string name;
  for (unsigned i = 0;
       auto tensor = readTensor(file(test, "input_" + Twine(i) + ".pb"), context, &name); ++i)
    inputs[name] = tensor;
  auto results = reference::interpretNamed(function, inputs);
  if (failed(results))
    return "interpreter";
  for (auto [i, result] : llvm::enumerate(*results)) {
    auto expected = readTensor(file(test, "output_" + Twine(i) + ".pb"), context);
    if (!expected)
      return "cannot read output " + std::to_string(i);
    if (auto difference = reference::compare(result, expected, test.tolerance))
      return difference.message;
  }
  return "";
}

} // namespace

static int listOps() {
  for (const OnnxOpInfo &op : supportedOnnxOps())
    llvm::outs() << (op.domain.empty() ? "ai.onnx" : op.domain) << " " << op.op << " " << op.first
                 << " " << op.reviewed << " " << op.kind << "\n";
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && StringRef(argv[1]) == "--list-ops")
    return listOps();
  for (int i = 1; i < argc; ++i) {
    Case test{argv[i], {}};
    std::ifstream(file(test, "tolerance.txt")) >> test.tolerance.rtol >> test.tolerance.atol;
    MLIRContext context(MLIRContext::Threading::DISABLED);
    context.printOpOnDiagnostic(false);
    std::string messages;
    bool unsupported = false;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      messages += diagnostic.str() + "; ";
      unsupported |= StringRef(diagnostic.str()).contains("unsupported");
      for (Diagnostic &note : diagnostic.getNotes())
        messages += note.str() + "; ";
    });
    std::string problem = run(test, context);
    StringRef verdict = problem.empty() ? "pass" : unsupported ? "unsupported" : "fail";
    llvm::outs() << verdict << " " << llvm::sys::path::filename(test.folder);
    if (!problem.empty())
      llvm::outs() << ": " << problem << " " << messages;
    llvm::outs() << "\n";
    llvm::outs().flush();
  }
}
