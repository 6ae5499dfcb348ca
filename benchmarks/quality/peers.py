# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The same models as peers quantize them to 8-bit integers: quality only, benchmarks/run has their times."""

from __future__ import annotations

import io
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    with subprocess.Popen(list(map(str, command)), **pipes) as process:
        words = _Words(process.stderr)

        def run(feed: Feed) -> np.ndarray:
            request = io.BytesIO()
            np.savez(request, **feed)
            data = request.getvalue()
            try:
                process.stdin.write(len(data).to_bytes(8, "little") + data)
                process.stdin.flush()
            except BrokenPipeError:
                raise Failed(words.last()) from None
            length = process.stdout.read(8)
            if not length:
                raise Failed(words.last())
            answer = process.stdout.read(int.from_bytes(length, "little"))
            with np.load(io.BytesIO(answer)) as file:
                return file["output"]

        try:
            yield run
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()


class _Words:
    """The lines of a stream, read as they come, so that its writer never waits."""

    def __init__(self, stream):
        self._lines: list[str] = []
        self._reader = threading.Thread(
            target=lambda: self._lines.extend(line.decode(errors="replace") for line in stream),
            daemon=True,
        )
        self._reader.start()

    def last(self) -> str:
        """The last line, when the stream has ended."""
        self._reader.join(timeout=60)
        lines = [line.strip() for line in self._lines if line.strip()]
        return (lines or ["it said nothing"])[-1][:300]
