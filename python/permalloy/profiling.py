# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The trace behind SessionOptions.enable_profiling, in Chrome's format (Perfetto opens it).

The layout is onnxruntime's: an array of complete events, category "Session" for each run and "Node"
for each step of it, times in microseconds since profiling began. Steps are measured one by one and
drawn end to end from the start of their run.
"""

from __future__ import annotations

import json
import os
import threading
import time

#: Steps that a trace holds; onnxruntime's limit.
_MOST_STEPS = 1_000_000


class Trace:
    """Runs of one session. `add` may be called by several threads at once."""

    def __init__(self, prefix: str, steps: list[tuple[str, str]]):
        self.start_ns = time.monotonic_ns()
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        self._path = f"{prefix}_{stamp}_{os.getpid()}_{id(self):x}.json"
        self._steps = steps
        self._runs: list[tuple[int, int, int, list[int]]] = []
        self._dropped = 0
        self._lock = threading.Lock()

    def add(self, begin_ns: int, end_ns: int, step_ns: list[int]) -> None:
        with self._lock:
            if (len(self._runs) + 1) * len(self._steps) > _MOST_STEPS:
                self._dropped += 1
            else:
                self._runs.append((begin_ns, end_ns, threading.get_native_id(), step_ns))

    def write(self) -> str:
        """Writes the file and gives its name."""
        with self._lock:
            events = [event for run in self._runs for event in self._events(*run)]
            if self._dropped:
                events.append(
                    {
                        "ph": "M",
                        "pid": os.getpid(),
                        "name": "dropped",
                        "args": {"runs": self._dropped},
                    }
                )
        with open(self._path, "w") as file:
            file.write("[\n" + ",\n".join(map(json.dumps, events)) + "\n]\n")
        return self._path

    def _events(self, begin, end, thread, step_ns):
        def event(category, name, at, duration, **arguments):
            return {
                "cat": category,
                "pid": os.getpid(),
                "tid": thread,
                "ts": (at - self.start_ns) / 1000,
                "dur": duration / 1000,
                "ph": "X",
                "name": name,
                "args": arguments,
            }

        yield event("Session", "model_run", begin, end - begin)
        for (name, kernel), duration in zip(self._steps, step_ns):
            yield event(
                "Node", name, begin, duration, kernel=kernel, provider="CPUExecutionProvider"
            )
            begin += duration
