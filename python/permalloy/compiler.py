# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the compiler as a child process and keeps what it made in a cache."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import _native, cache
from .errors import (
    CompileError,
    InvalidArgument,
    InvalidModel,
    InvalidProtobuf,
    NoSuchFile,
    UnsupportedModel,
    UnusableGpu,
)

#: First bytes of a .alloy file.
ALLOY_MAGIC = b"\x89ALY\r\n\x1a\n"
# Exit code of the driver for options that it does not have or whose values make no sense.
_BAD_COMMAND_LINE = 2
# Flags that name a file which the compiler reads.
_FILE_FLAGS = ("--plan", "--calibrate")
# Flags that name a file which the compiler writes beside the artifact (--statistics does with --calibrate).
_WRITTEN_FLAGS = ("--print-plan", "--search-state")
# What the compiler says of a target "cuda:0" that is not to be had.
_NO_GPU = r"older than what models are compiled for|there is no cuda:\d|there is no NVIDIA driver"
# Start of the name of the file that a model given as bytes is written to.
_TEMPORARY = "permalloy-bytes-"


def compile(model: Any, output: str | os.PathLike | None = None, **options) -> str:
    """Compiles an ONNX model and returns the path of the .alloy file.

    model    a path, the file's bytes, or an onnx.ModelProto
    output   where to write; None: into the cache, from which it may be evicted later
    options  flags of `permalloy compile`: target="x86-64-v3" or a list, dims={"batch": "1..32"}
             (also 4 or (1, 32)), a GPU's target ("sm_80", or "cuda:0" for the one of this machine),
             threads=2, and any other by its name with underscores; True
             gives a flag without a value. precision="bf16" rounds the operands of products,
             precision="tf32" lets GPUs among the targets round those of f32,
             precision="auto" with max_error=1e-3 and calibrate="inputs.npz" those that this allows;
             quantize="w4g32" stores weights as codes, chosen by solver="rtn", or by solver="gptq"
             with calibrate="inputs.npz"

    Raises CompileError with the compiler's message when the model is refused, InvalidArgument when
    an option is.
    """
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    data = bytes(model) if isinstance(model, (bytes, bytearray, memoryview)) else None
    path = None if data is not None else os.fspath(model)
    if output is None:
        return compile_cached(path, data, options, lambda alloy: alloy)
    with _model_file(path, data) as source:
        _run_compiler(source, os.fspath(output), flags(options))
    return os.fspath(output)


def compile_cached(path, data: bytes | None, options: dict[str, Any], use):
    """`use(alloy)` of the compiled model's path, compiled now or earlier."""
    arguments = flags(options)
    for attempt in (1, 2):
        alloy = _ensure_compiled(path, data, arguments)
        try:
            return use(alloy)
        except (NoSuchFile, InvalidModel):
            # Evicted or damaged since: compile again, once.
            if attempt == 2:
                raise
            Path(alloy).unlink(missing_ok=True)
    raise AssertionError("unreachable")


def flags(options: dict[str, Any]) -> list[str]:
    """Command line of `permalloy compile` for keyword arguments, in a canonical order."""
    arguments = []
    for name in sorted(options):
        value = options[name]
        if name == "dims":
            arguments += _dim_flags(value)
            continue
        flag = "--" + name.replace("_", "-")
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is True:
                arguments.append(flag)
            elif item is not False and item is not None:
                arguments += [flag, str(item)]
    return arguments


def find_compiler() -> str:
    """Path of the `permalloy` binary: $PERMALLOY_COMPILER, beside this package, or on PATH."""
    named = os.environ.get("PERMALLOY_COMPILER")
    if named:
        if not os.access(named, os.X_OK):
            raise CompileError(f"PERMALLOY_COMPILER is '{named}', which is no executable file")
        return named
    package = Path(__file__).resolve().parent
    # Installed, and in a build tree.
    for place in (package / "bin" / "permalloy", package.parent.parent / "bin" / "permalloy"):
        if os.access(place, os.X_OK):
            return str(place)
    found = shutil.which("permalloy")
    if found:
        return found
    raise CompileError(
        "the compiler is not installed: an ONNX model needs it (`pip install permalloy`, or set "
        "PERMALLOY_COMPILER to the 'permalloy' binary); .alloy files open without it"
    )


def main():
    """The command `permalloy`: becomes the compiler's process."""
    try:
        compiler = find_compiler()
    except CompileError as error:
        sys.exit(f"error: {error}")
    os.execv(compiler, ["permalloy", *sys.argv[1:]])


def _dim_flags(dims) -> list[str]:
    if not hasattr(dims, "items"):
        raise InvalidArgument(
            f"dims is {dims!r}, expected a dict such as {{'batch': '1..32', 'seq': 128}}"
        )
    arguments = []
    for name, value in sorted(dims.items()):
        if isinstance(value, (tuple, list)):
            value = "..".join(map(str, value))
        arguments += ["--dim", f"{name}={value}"]
    return arguments


def _ensure_compiled(path, data, arguments) -> str:
    """The cached .alloy of a model, compiled when it is not there."""
    compiler = find_compiler()
    alloy = cache.directory() / f"{_key(path, data, compiler, arguments)}.alloy"
    if not _writes_files(arguments) and cache.touch(alloy):
        return str(alloy)
    with _model_file(path, data) as source:
        _run_compiler(source, str(alloy), arguments)
    cache.evict(keep=alloy)
    return str(alloy)


def _key(path, data, compiler, arguments) -> str:
    """Content of the model, compiler, options and CPU features, as one hash."""
    digest = hashlib.sha256()

    def add(text: str | bytes):
        text = text.encode() if isinstance(text, str) else text
        digest.update(len(text).to_bytes(8, "little"))
        digest.update(text)

    binary = os.stat(compiler)
    add(_native.version())
    add(f"{binary.st_size} {binary.st_mtime_ns}")
    add(_native.cpu_features())
    targets = [b for a, b in zip(arguments, arguments[1:]) if a == "--target"]
    if any(name.strip().startswith("cuda") for named in targets for name in named.split(",")):
        add(repr(_native.gpus()))  # what such a target is
    for flag, argument in zip(["", *arguments], arguments, strict=False):
        add(argument)
        reads = flag == "--statistics" and "--calibrate" not in arguments  # else it is written
        trees = flag == "--cost-model" and argument.endswith(".trees")
        if flag in _FILE_FLAGS or reads or trees:  # what it says counts, not only its name
            add(cache.file_hash(argument))
    for path_read in [*_tuning_databases(arguments), *_machine_rates(arguments)]:
        stat = os.stat(path_read)
        add(f"{path_read} {stat.st_size} {stat.st_mtime_ns}")
    for content in cache.model_hashes(path, data):
        add(content)
    return digest.hexdigest()


def _tuning_databases(arguments) -> list[str]:
    """The files of measured schedules that the compiler may read (docs/tuning.md)."""
    if "--database" in arguments:
        named = arguments[arguments.index("--database") + 1]
        return [named] if os.path.exists(named) else []  # else the compiler says so
    if "--no-database" in arguments:
        return []
    return _tuning_files("*.jsonl")


def _machine_rates(arguments) -> list[str]:
    """The constants of machines that the cost model may read (docs/cost-model.md); passes ask it."""
    named = arguments[arguments.index("--cost-model") + 1] if "--cost-model" in arguments else ""
    searches = any(flag in arguments for flag in ("--budget", "--max-drop"))
    return [] if named == "none" and not searches else _tuning_files("*.rates.json")


def _tuning_files(pattern: str) -> list[str]:
    base = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(base):  # as the compiler takes it
        base = os.path.join(os.path.expanduser("~"), ".local/share")
    return sorted(glob.glob(os.path.join(glob.escape(base), "permalloy", "tuning", pattern)))


def _writes_files(arguments) -> bool:
    """Whether a compilation leaves more than the artifact, so that an earlier one does not stand for it."""
    keeps = "--statistics" in arguments and "--calibrate" in arguments
    return keeps or any(flag in arguments for flag in _WRITTEN_FLAGS)


class _model_file:
    """A path that the compiler can read; for bytes, a temporary file."""

    def __init__(self, path, data: bytes | None):
        self._path, self._data, self._temporary = path, data, None

    def __enter__(self) -> str:
        if self._data is None:
            return os.fsdecode(self._path)
        self._temporary = tempfile.NamedTemporaryFile(suffix=".onnx", prefix=_TEMPORARY)
        self._temporary.write(self._data)
        self._temporary.flush()
        return self._temporary.name

    def __exit__(self, *_):
        if self._temporary:
            self._temporary.close()


def _run_compiler(source: str, output: str, arguments: list[str]):
    command = [find_compiler(), "compile", source, "-o", output, *arguments]
    result = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode == 0:
        return
    said = result.stderr.decode(errors="replace").strip()
    if os.path.basename(source).startswith(_TEMPORARY):
        said = said.replace(source, "<bytes>")
    if result.returncode < 0:
        name = signal.Signals(-result.returncode).name
        raise CompileError(f"the compiler was ended by {name}\n{said}".rstrip())
    if result.returncode == _BAD_COMMAND_LINE:
        raise InvalidArgument(said)
    raise _refusal(said)(said or f"the compiler failed with exit code {result.returncode}")


def _refusal(said: str) -> type[CompileError]:
    """onnxruntime's name for what the compiler says of a model, or CompileError."""
    if "not an ONNX model" in said:
        return InvalidProtobuf
    if re.search(_NO_GPU, said):
        return UnusableGpu
    if re.search(r"\bunsupported\b|; supported are ", said):
        return UnsupportedModel
    return CompileError
