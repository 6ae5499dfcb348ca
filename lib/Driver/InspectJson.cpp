//===- InspectJson.cpp - a compiled model as JSON ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "InspectJson.h"

#include "InspectDevices.h"

#include "InputRoles.h"

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Artifact/Expressions.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"

namespace permalloy {

using namespace artifact;
using llvm::json::OStream;

static void printTensors(OStream &json, const char *name, const std::vector<TensorInfo> &tensors) {
  json.attributeArray(name, [&] {
    for (const TensorInfo &tensor : tensors)
      json.object([&] {
        json.attribute("name", tensor.name);
        json.attribute("dtype", dtypeName(tensor.dtype));
        json.attributeArray("dims", [&] {
          for (const Dim &dim : tensor.dims)
            json.value(dim.text);
        });
      });
  });
}

static void printModel(OStream &json, const ModelInfo &model) {
  json.attributeObject("model", [&] {
    json.attribute("graph_name", model.graphName);
    json.attribute("producer_name", model.producerName);
    json.attribute("producer_version", model.producerVersion);
    json.attribute("domain", model.domain);
    json.attribute("version", model.version);
    json.attribute("ir_version", model.irVersion);
    json.attributeObject("opsets", [&] {
      for (const Property &opset : model.opsets)
        json.attribute(opset.key, opset.value);
    });
    json.attributeObject("custom", [&] {
      for (const Property &custom : model.custom)
        json.attribute(custom.key, custom.value);
    });
  });
}

static void printManifest(OStream &json, const Manifest &manifest) {
  json.attribute("compiler", manifest.producer);
  json.attribute("compiler_version", manifest.producerVersion);
  json.attribute("options", manifest.options);
  printModel(json, manifest.model);
  printTensors(json, "inputs", manifest.inputs);
  printTensors(json, "outputs", manifest.outputs);
  json.attributeArray("dimensions", [&] {
    std::vector<Role> roles = symbolRoles(manifest);
    for (const auto &[symbol, role] : llvm::zip(manifest.inputSymbols(), roles))
      json.object([&] {
        json.attribute("name", symbol.name);
        json.attribute("role", roleName(role));
        json.attribute("min", symbol.min);
        json.attribute("max", symbol.max == INT64_MAX ? llvm::json::Value(nullptr)
                                                      : llvm::json::Value(symbol.max));
      });
  });
  json.attributeArray("caches", [&] {
    for (const Cache &cache : manifest.caches)
      json.object([&] {
        json.attribute("input", manifest.inputs[cache.input].name);
        json.attribute("output", manifest.outputs[cache.output].name);
        json.attribute("axis", kCacheAxis);
      });
  });
}

static void printStep(OStream &json, const Artifact &artifact, const Step &step) {
  static constexpr const char *kinds[] = {"input", "output", "slot", "weight", "cache"};
  const Program &program = artifact.program();
  auto text = [&](uint32_t expr) {
    return exprText(program.expressions, artifact.manifest().symbols, expr);
  };
  bool launch = step.kind == StepKind::launch;
  json.attribute("name", step.name);
  if (step.flops != kNone)
    json.attribute("flops", text(step.flops));
  if (step.bytes != kNone)
    json.attribute("bytes", text(step.bytes));
  json.attribute("kernel", stepText(program, step));
  if (step.target != kNone)
    json.attribute("target", step.target);
  json.attributeArray("operands", [&] {
    for (const Operand &operand : step.operands)
      json.object([&] {
        json.attribute("kind", kinds[static_cast<int>(operand.kind)]);
        json.attribute("index", operand.index);
        json.attribute("offset", text(operand.offset));
      });
  });
  json.attributeArray("scalars", [&] {
    for (uint32_t scalar : step.scalars)
      json.value(text(scalar));
  });
  if (launch) {
    json.attributeArray("grids", [&] { // one per target
      for (const Grid &grid : step.grids)
        json.object([&] {
          json.attribute("tiles", text(grid.tiles));
          json.attribute("scratch_bytes", text(grid.scratchBytes));
        });
    });
  } else {
    json.attribute("copy_bytes", text(step.copyBytes));
  }
}

static void printProgram(OStream &json, const Artifact &artifact) {
  const Program &program = artifact.program();
  auto text = [&](uint32_t expr) {
    return exprText(program.expressions, artifact.manifest().symbols, expr);
  };
  json.attributeArray("slots", [&] {
    for (const Slot &slot : program.slots)
      json.value(text(slot.size));
  });
  json.attributeArray("assumptions", [&] {
    for (const Assumption &assumption : program.assumptions)
      json.object([&] {
        json.attribute("condition", text(assumption.condition));
        json.attribute("message", assumption.message);
      });
  });
  json.attributeArray("kernels", [&] {
    for (const Kernel &kernel : program.kernels)
      json.object([&] {
        json.attribute("name", kernel.name);
        json.attribute("buffers", kernel.bufferCount);
        json.attribute("scalars", kernel.scalarCount);
      });
  });
  json.attributeArray("steps", [&] {
    for (const Step &step : program.steps)
      json.object([&] { printStep(json, artifact, step); });
  });
  json.attributeArray("weights", [&] {
    for (const Weight &weight : program.weights)
      json.object([&] {
        json.attribute("name", weight.name);
        json.attribute("bytes", weight.size);
        json.attribute("offset", weight.offset);
      });
  });
}

static void printTargets(OStream &json, const Artifact &artifact) {
  const std::vector<Target> &targets = artifact.program().targets;
  json.attributeArray("targets", [&] {
    for (size_t i = 0; i < targets.size(); ++i)
      json.object([&] {
        json.attribute("name", targets[i].name);
        json.attribute("code_bytes", artifact.image(i).size());
        json.attributeArray("features", [&] {
          for (const std::string &name : cpuFeatureNames(targets[i].features))
            json.value(name);
        });
      });
  });
}

static void printDevices(OStream &json, const Artifact &artifact) {
  const DeviceTables &devices = artifact.devices();
  json.attributeArray("gpu_targets", [&] {
    for (size_t i = 0; i < devices.targets.size(); ++i)
      json.object([&] {
        json.attribute("name", devices.targets[i].name);
        json.attribute("code_bytes", artifact.deviceCode(i).size());
        json.attributeArray("kernels", [&] {
          for (size_t k = 0; k < devices.targets[i].kernels.size(); ++k)
            json.object([&, &kernel = devices.targets[i].kernels[k]] {
              json.attribute("form", formText(artifact, i, k));
              json.attribute("threads", kernel.threads);
              json.attribute("registers", kernel.registers);
              json.attribute("ptx_bytes", kernel.ptx.size);
              json.attribute("cubin_bytes", kernel.cubin.size);
            });
        });
      });
  });
}

void printJson(const Artifact &artifact, llvm::raw_ostream &os) {
  OStream json(os, 2);
  json.object([&] {
    json.attribute("file", artifact.name());
    json.attribute("file_bytes", artifact.fileSize());
    json.attribute("format", kFormatVersion);
    printManifest(json, artifact.manifest());
    printTargets(json, artifact);
    if (!artifact.devices().targets.empty())
      printDevices(json, artifact);
    printProgram(json, artifact);
  });
  os << "\n";
}

} // namespace permalloy
