# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""IREE: compiled for the shapes of the case and for this CPU, with data tiling where that compiles.

Behind a hypervisor IREE's "host" is an older CPU than the one at hand, so the features that it
needs are named. A compiled case is kept in the work folder.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from . import Job, Runner

_FLAGS = [
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    "--iree-llvmcpu-stack-allocation-limit=1048576",  # the default refuses MiniLM's layer norms
]
# Best first; the last ones are for what the first ones fail on.
_VARIANTS = [
    ["--iree-opt-data-tiling"],
    ["--iree-opt-data-tiling", "--iree-llvmcpu-fail-on-large-vector=false"],
    [],
]


def load(job: Job) -> Runner:
    import onnx
    from iree import runtime

    stem = _compiled(job)
    if job.threads > 1:
        runtime.flags.parse_flags(f"--task_topology_group_count={job.threads}")
    config = runtime.Config("local-sync" if job.threads == 1 else "local-task")
    modules = [runtime.create_hal_module(config.vm_instance, config.device)]
    parameters = stem.with_suffix(".irpa")
    if parameters.exists():
        index = runtime.ParameterIndex()
        index.load(str(parameters))
        provider = index.create_provider(scope="model")
        modules.insert(0, runtime.create_io_parameters_module(config.vm_instance, provider))
    modules.append(runtime.VmModule.mmap(config.vm_instance, str(stem.with_suffix(".vmfb"))))
    module = runtime.SystemContext(vm_modules=modules, config=config).modules[modules[-1].name]
    function = next(
        module[name]
        for name in modules[-1].function_names
        if not name.startswith("__") and not name.endswith("$async")
    )
    graph = onnx.load(stem.with_suffix(".onnx"), load_external_data=False).graph
    arguments = [runtime.asdevicearray(config.device, job.feeds[i.name]) for i in graph.input]
    names = [output.name for output in graph.output]

    def call():
        results = function(*arguments)
        results = results if isinstance(results, (tuple, list)) else (results,)
        results[0].to_host()
        return results

    return Runner(
        call=call,
        outputs=lambda results: {name: r.to_host() for name, r in zip(names, results)},
        info=json.loads(stem.with_suffix(".json").read_text()),
    )


def _compiled(job: Job) -> Path:
    """The name, less its ending, of the case's compiled module."""
    status = job.model.stat()
    shapes = sorted((name, array.shape) for name, array in job.feeds.items())
    key = hashlib.sha256(repr((status.st_size, status.st_mtime_ns, shapes)).encode()).hexdigest()
    stem = job.work / f"iree-{job.model.stem}-{key[:12]}".replace(".", "-")
    if not stem.with_suffix(".json").exists():
        _fix_shapes(job, stem.with_suffix(".onnx"))
        stem.with_suffix(".json").write_text(json.dumps(_compile(stem)))
    return stem


def _compile(stem: Path) -> dict:
    tools = Path(sys.executable).parent
    source, module = stem.with_suffix(".mlir"), stem.with_suffix(".vmfb")
    subprocess.run(
        [tools / "iree-import-onnx", stem.with_suffix(".onnx"), "--externalize-params"]
        + ["--save-params-to", stem.with_suffix(".irpa"), "-o", source],
        check=True,
        stdout=sys.stderr,
    )
    said = ""
    for variant in _VARIANTS:
        command = [tools / "iree-compile", source, *_FLAGS, *variant, "-o", module]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if result.returncode == 0:
            from iree.compiler import version

            return {"version": version.VERSION, "flags": " ".join(variant) or "no data tiling"}
        said = result.stderr.strip()
    raise RuntimeError(f"iree-compile: {said[:300]}")


def _fix_shapes(job: Job, path: Path):
    """Writes the model with the shapes of this case; onnxruntime folds the shape arithmetic away,
    keeping standard operators."""
    import onnx
    import onnxruntime

    model = onnx.load(job.model)
    for value in model.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, job.feeds[value.name].shape):
            dim.ClearField("dim_param")
            dim.dim_value = size
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    fixed = path.with_suffix(".fixed")
    onnx.save(model, fixed)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(str(fixed), options, providers=["CPUExecutionProvider"])
    fixed.unlink()
