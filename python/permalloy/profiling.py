# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The trace behind SessionOptions.enable_profiling: the runtime's, which ui.perfetto.dev opens."""

from __future__ import annotations

import os
import time

from . import _native


class Trace:
    """Runs of one session, handed to the native layer as `profile`."""

    def __init__(self, prefix: str, session: _native.Session):
        self.start_ns = time.monotonic_ns()
        self.profile = session.create_profile()
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        self._path = f"{prefix}_{stamp}_{os.getpid()}_{id(self):x}.json"

    def write(self) -> str:
        """Writes the file and gives its name."""
        self.profile.write(self._path)
        return self._path
