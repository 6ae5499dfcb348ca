# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The lit suite: .mlir for dialects and passes, .onnxtxt (ONNX's text format) for the importer, .test for the tools."""
import os
import sys

import lit.formats

config.name = "Permalloy"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".onnxtxt", ".test"]
config.excludes = ["Inputs", "Unit", "Runtime", "Python"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.permalloy_build_dir, "test")
tools = os.path.join(config.permalloy_build_dir, "bin")
config.environment["PATH"] = os.pathsep.join([tools, config.llvm_tools_dir, os.environ["PATH"]])
for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "HOME", "XDG_CACHE_HOME"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.substitutions.append(("%python", sys.executable))
config.substitutions.append(("%scripts", os.path.join(config.permalloy_source_dir, "scripts")))
config.substitutions.append(("%src", config.permalloy_source_dir))
with open("/proc/cpuinfo") as info:
    flags = next((line.split() for line in info if line.startswith("flags")), [])
for feature in ("avx2", "avx512f", "amx_tile"):
    if feature in flags:
        config.available_features.add(feature)
