# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The parent's side of a worker: start it, wait for its model, give it turns."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
# A process that used less than this over one look is idle: its workers no longer spin.
_IDLE_SECONDS, _LOOK_SECONDS, _LONGEST_SETTLING = 0.001, 0.005, 1.0
# A worker that is silent for longer hangs. Loading may compile for minutes.
_LONGEST_LOADING, _LONGEST_TURN = 400.0, 120.0


class WorkerError(RuntimeError):
    """A peer that cannot take part, with the reason it gave."""


class Worker:
    """A process that has one model loaded."""

    def __init__(self, name: str, python: str, job: dict, log: Path):
        self.name, self.info = name, {}
        self.seconds: dict[int, float] = {}  # of each round's turn, by the round's number
        self._log = log
        environment = dict(
            os.environ,
            OMP_NUM_THREADS=str(job["threads"]),
            MKL_NUM_THREADS=str(job["threads"]),
            HF_HUB_OFFLINE="1",
            TORCHINDUCTOR_CACHE_DIR=str(Path(job["work"]) / "inductor"),
            TORCHINDUCTOR_COMPILE_THREADS="1",  # in the process: helpers would still be there when it is timed
            PYTHONWARNINGS="ignore",
            PYTHONDONTWRITEBYTECODE="1",
        )
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [python, str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )
        self._send(job)

    def wait_until_loaded(self) -> dict:
        """What loading gave; raises WorkerError when the model cannot run."""
        self.info = self._receive(_LONGEST_LOADING)
        if "error" in self.info:
            raise WorkerError(self.info["error"])
        return self.info

    def turn(self, warm: int, runs: int) -> list[float]:
        """Seconds of each of `runs` runs, after `warm` that are not timed."""
        self._send({"warm": warm, "runs": runs})
        return self._receive(_LONGEST_TURN)["seconds"]

    def settle(self):
        """Waits until the process uses no CPU: thread pools spin for a while after a run and would
        take cores from whoever is next."""
        end = time.perf_counter() + _LONGEST_SETTLING
        used = self._cpu_seconds()
        while time.perf_counter() < end:
            time.sleep(_LOOK_SECONDS)
            now = self._cpu_seconds()
            if now - used < _IDLE_SECONDS:
                return
            used = now

    def close(self):
        """Ends it at once: freeing a model politely takes seconds, and there is nothing to keep."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def _send(self, message: dict):
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._ending()) from None

    def _receive(self, longest: float) -> dict:
        """Its next answer; WorkerError when it died, or when it says nothing for that many seconds."""
        # Answers are lines, written whole, each after a question: none waits in the file's buffer.
        if not select.select([self._process.stdout], [], [], longest)[0]:
            self._process.kill()
            raise WorkerError(f"no answer for {longest:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(self._ending())
        try:
            return json.loads(line)
        except ValueError:
            raise WorkerError(f"answered '{line.strip()[:100]}'") from None

    def _ending(self) -> str:
        code = self._process.wait()
        said = self._log.read_text(errors="replace").strip().splitlines()
        return f"its process ended with {code}: {said[-1][:300] if said else 'it said nothing'}"

    def _cpu_seconds(self) -> float:
        """Of all threads so far; schedstat counts nanoseconds."""
        total = 0
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{self._process.pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total * 1e-9
