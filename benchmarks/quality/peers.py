# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The same models as peers quantize them to 8-bit integers: quality only, benchmarks/run has their times."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harness import peers

from .tasks import Feed, Run

ENGINES = ("onnxruntime int8", "openvino w8a8")
_SERVER = Path(__file__).with_name("peer_server.py")


class Failed(RuntimeError):
    """The peer's words."""


@contextmanager
def runner(engine: str, model: Path, calibration: Path, threads: int) -> Iterator[Run]:
    """A feed to the first output of `model` as `engine` quantizes it; Failed where it does not."""
    command = [peers.python(), _SERVER, engine, model, calibration, threads]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(list(map(str, command)), **pipes) as process,
        _drained(process.stderr) as words,
    ):

        def run(feed: Feed) -> np.ndarray:
            request = io.BytesIO()
            np.savez(request, **feed)
            data = request.getvalue()
            try:
                process.stdin.write(len(data).to_bytes(8, "little") + data)
                process.stdin.flush()
            except BrokenPipeError:
                raise Failed(_last(words)) from None
            length = process.stdout.read(8)
            if not length:
                raise Failed(_last(words))
            answer = process.stdout.read(int.from_bytes(length, "little"))
            with np.load(io.BytesIO(answer)) as file:
                return file["output"]

        yield run
        process.stdin.close()


@contextmanager
def _drained(stream) -> Iterator[list[str]]:
    """The lines of a stream as they come, so that its writer never waits."""
    import threading

    lines: list[str] = []
    reader = threading.Thread(
        target=lambda: lines.extend(line.decode(errors="replace").rstrip() for line in stream),
        daemon=True,
    )
    reader.start()
    yield lines
    reader.join(timeout=10)


def _last(words: list[str]) -> str:
    return next((line for line in reversed(words) if line.strip()), "it said nothing")[:300]
