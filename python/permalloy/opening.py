# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From what InferenceSession is given to a native session, through the compiler where needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from typing import Any

from . import _native
from .compiler import ALLOY_MAGIC, compile_cached
from .errors import EPFail, InvalidArgument, OutOfMemory, UnsupportedModel
from .options import SessionOptions
from .providers import CUDA, Provider


def open_model(
    model: Any, options: SessionOptions, providers: list[Provider]
) -> tuple[_native.Session, Provider]:
    """A session on a path, a file's bytes, or an onnx.ModelProto; compiled models are cached.

    The first of `providers` that can run the model does; which one that is comes along.
    """
    for i, provider in enumerate(providers):
        try:
            return _open_on(model, options, provider, providers[i:]), provider
        except (EPFail, OutOfMemory, UnsupportedModel) as error:
            if provider.name != CUDA or i + 1 == len(providers):
                raise
            warnings.warn(
                f"{provider.name} ({provider.device}) is not used: {error}; falling back to "
                f"{providers[i + 1].name}",
                stacklevel=5,
            )
    raise AssertionError("unreachable")


def _targets(options: dict[str, Any], provider: Provider, rest: list[Provider]) -> dict[str, Any]:
    """The compile options with the targets that the providers need, where the user names none."""
    if "target" in options or provider.name != CUDA:
        return options
    host = ["host"] if any(other.name != CUDA for other in rest) else []
    return {**options, "target": [*host, provider.device]}


def _open_on(model, options: SessionOptions, provider: Provider, rest) -> _native.Session:
    if provider.name == CUDA:
        _native.gpus()  # what is wrong with it is said before anything is compiled
    threads = options.intra_op_num_threads
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if isinstance(model, (bytes, bytearray, memoryview)):
        data, path = bytes(model), None
        if data.startswith(ALLOY_MAGIC):
            _check_compiled(options)
            _write_copy(data, options)
            return _native.Session(data, threads, provider.device, provider.stream)
    else:
        data, path = None, os.fspath(model)
        if not os.path.exists(path) or _is_alloy(path):
            _check_compiled(options)
            session = _native.Session(os.fsdecode(path), threads, provider.device, provider.stream)
            _write_copy(path, options)
            return session

    def use(alloy):
        session = _native.Session(alloy, threads, provider.device, provider.stream)
        _write_copy(alloy, options)
        return session

    return compile_cached(path, data, _targets(options._compile_options(), provider, rest), use)


def _check_compiled(options: SessionOptions):
    """Options that need the compiler are refused for a model that is compiled already."""
    if options._dims:
        raise InvalidArgument(
            f"free dimension override of {', '.join(map(repr, options._dims))}: the model is "
            "compiled already; compile it with permalloy.compile(model, dims={...})"
        )


def _write_copy(alloy, options: SessionOptions):
    """The compiled model, given as path or bytes, to optimized_model_filepath."""
    target = options.optimized_model_filepath
    if not target:
        return
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        if isinstance(alloy, bytes):
            with open(temporary, "wb") as file:
                file.write(alloy)
        else:
            shutil.copyfile(alloy, temporary)
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise InvalidArgument(f"cannot write '{target}': {error.strerror}") from error


def _is_alloy(path) -> bool:
    if os.fsdecode(path).endswith(".alloy") or os.path.isdir(path):
        return True  # opening says what is wrong with it
    with open(path, "rb") as file:
        return file.read(len(ALLOY_MAGIC)) == ALLOY_MAGIC
