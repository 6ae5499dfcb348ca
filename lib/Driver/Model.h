//===- Model.h - a compiled model, from either kind of file ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_MODEL_H
#define PERMALLOY_LIB_DRIVER_MODEL_H

#include "Commands.h"

#include "permalloy/Runtime/Session.h"
#include "permalloy/Support/Files.h"
#include "permalloy/Support/Npy.h"

#include <optional>

namespace permalloy {

/// Whether the file begins like a model.alloy; false when it cannot be read, too.
bool isArtifact(const std::string &path);

/// A session, and the temporary artifact below it where the model had to be compiled first.
struct OpenModel {
  std::optional<TempFolder> folder;
  std::string path; ///< of the artifact
  std::unique_ptr<Session> session;
  double compileSeconds = 0; ///< 0 when it was compiled before

  const Artifact &artifact() const { return session->artifact(); }
  /// Outputs may differ from the model's at padded positions (--pack-padding).
  bool packsPadding() const {
    return artifact().manifest().options.find("--pack-padding") != std::string::npos;
  }

  /// Runs once; the outputs in the manifest's order. `stepNanoseconds` may be empty, `record` null.
  Result<std::vector<NamedArray>> run(std::span<const NamedArray> inputs,
                                      std::span<int64_t> stepNanoseconds = {},
                                      RunRecord *record = nullptr);
};

/// Opens `path`, an artifact, or an ONNX model that is compiled into a temporary folder. Nothing
/// when the compiler failed, which it has reported itself.
/// `device` "cuda:0": there, and an ONNX model is compiled for that GPU as well as for what `settings` says.
Result<std::optional<OpenModel>> openModel(const std::string &path, const CompileSettings &settings,
                                           int threads, const std::string &device = "cpu");

/// Whether the artifact was compiled with another level than f32 for some of its products: `--precision bf16` or auto,
/// `--quantize`, or a plan, as the manifest says.
bool hasNarrowProducts(const Artifact &artifact);
/// The tolerance of outputs that the products of the model call for on the device that it is open on: that of f32, of f16 for tf32, which
/// has its mantissa (on GPUs; CPUs compute f32), or of bf16.
double productTolerance(const OpenModel &model);

/// Inputs as a session takes them; they refer to `arrays`.
std::vector<InputTensor> inputTensors(std::span<const NamedArray> arrays);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_MODEL_H
