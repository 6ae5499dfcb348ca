# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The machine: its kind, the cores to use, and its peaks, measured by a program of ours."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from .intervals import median

#: Reading from pages of 4 KiB, which is what weights in a mapped file get, and of 2 MiB.
READS = ("read_4k", "read_2m")
SOURCES = Path(__file__).resolve().parents[1] / "peaks"


def cpu_name() -> str:
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else "unknown CPU"


def kind() -> str:
    """Names the results: the CPU and the best instructions that it has, as a file name."""
    flags = re.search(r"^flags\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    flags = set(flags[1].split()) if flags else set()
    units = [
        name
        for name, flag in (("amx", "amx_bf16"), ("avx512", "avx512f"), ("avx2", "avx2"))
        if flag in flags
    ]
    name = re.sub(r"\((r|tm)\)|cpu|processor|@.*", "", cpu_name().lower())
    name = re.sub(r"[^a-z0-9]+", "-", name).strip("-")
    return f"{name}-{units[0] if units else 'x86-64'}"


def cores(threads: int) -> list[int]:
    """The last CPUs that this process may use: the first ones serve most interrupts."""
    mine = sorted(os.sched_getaffinity(0))
    if threads > len(mine):
        raise ValueError(f"{threads} threads on {len(mine)} CPUs")
    return mine[-threads:]


class Peaks:
    """A process that measures peaks when it is asked."""

    def __init__(self, work: Path, threads: int):
        program = _build(work)
        self._process = subprocess.Popen(
            [str(program), str(threads), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, cores(threads))  # before it has other threads
        self._asked = 0
        self._found: dict[str, dict[int, list[float]]] = {}  # name, round: a turn's rates

    def measure(self, names: list[str]):
        """A turn: operations or bytes a second; those that this CPU does not have are left out."""
        self._process.stdin.write(" ".join(names) + "\n")
        self._process.stdin.flush()
        for name, rates in json.loads(self._process.stdout.readline()).items():
            self._found.setdefault(name, {})[self._asked] = rates
        self._asked += 1

    def best(self) -> dict[str, float]:
        """The best that was seen of each."""
        return {name: max(map(max, turns.values())) for name, turns in self._found.items()}

    def rounds(self, name: str) -> dict[int, float]:
        """The median of each turn that measured this peak, by the turn's number."""
        return {n: median(rates) for n, rates in self._found.get(name, {}).items()}

    def medians(self) -> dict[str, float]:
        """The median turn of each."""
        return {name: median(list(self.rounds(name).values())) for name in self._found}

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def compute_peaks(precision: str) -> list[str]:
    """Names of the peaks that a precision's products may be held against, best first."""
    vectors = ["avx512_f32", "avx2_f32"]
    better = {"bf16": ["amx_bf16"], "w8a8": ["amx_int8", "avx512_int8"]}
    return better.get(precision, []) + vectors


def _build(work: Path) -> Path:
    """Compiles the program; once for each state of its sources."""
    files = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    program = work / f"peaks-{digest}"
    if not program.exists():
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang-22", "clang"))), None)
        if not compiler:
            raise RuntimeError("no C compiler on PATH: one is needed to measure this CPU's peaks")
        sources = [str(file) for file in files if file.suffix == ".c"]
        new = program.with_suffix(".new")
        subprocess.run([compiler, "-O2", "-pthread", *sources, "-o", str(new)], check=True)
        new.rename(program)
    return program
