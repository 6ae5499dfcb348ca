# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`benchmarks/startup`: sessions in fresh processes, compile times, sizes of artifacts."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import machine, peers, prepare
from .intervals import interval, median
from .results import Results

HERE = Path(__file__).resolve().parents[1]
TARGETS = ("x86-64-v3", "x86-64-v4", "sapphirerapids")
# Prints the seconds of the import, those of the session, and the peak memory in MB.
_OPEN = """
import resource, sys, time
start = time.perf_counter()
import {package}
imported = time.perf_counter()
session = {package}.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
done = time.perf_counter()
print(imported - start, done - imported, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main(description: str) -> int:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=["minilm", "bert", "gpt2_prefill"])
    parser.add_argument("--flavour", default="dyn18")
    parser.add_argument("--pairs", type=int, default=20, help="processes of each (default: 20)")
    parser.add_argument("--repeats", type=int, default=3, help="of each compilation (default: 3)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = options.out or HERE / "results" / machine.kind() / "startup.json"
    results = Results(path)
    results.data |= {"machine": machine.cpu_name(), "permalloy": prepare.version()}
    for name in options.names:
        model = peers.model_file(options.models.resolve(), name, options.flavour)
        if not model.exists():
            print(f"left out: {name}: no {model}")
            continue
        row = {"model": model.name, "megabytes": model.stat().st_size / 1e6}
        with tempfile.TemporaryDirectory() as folder:
            row["sessions"] = sessions(model, options.pairs, Path(folder))
            row["compile"] = compiling(model, options.repeats, Path(folder))
            row["artifacts"] = artifacts(model, Path(folder))
        results.add(name, row)
        print(described(row))
    return 0


def sessions(model: Path, pairs: int, folder: Path) -> dict:
    """Times of both in fresh processes, ours with its compiled model in a cache of this run's."""
    environment = dict(os.environ, XDG_CACHE_HOME=str(folder))
    ours = (sys.executable, "permalloy", environment)
    theirs = (peers.python(), "onnxruntime", dict(os.environ))
    _open(model, *ours)  # compiles
    samples = {"permalloy": [], "onnxruntime": []}
    for number in range(pairs):
        for who in (ours, theirs) if number % 2 else (theirs, ours):
            samples[who[1]].append(_open(model, *who))
    found = {}
    for name, rows in samples.items():
        columns = list(zip(*rows))
        keys = ("import_s", "session_s", "rss_mb", "process_s")
        found[name] = {key: median(column) for key, column in zip(keys, columns)}
    for key, at in (("session_ratio", 1), ("process_ratio", 3)):
        pairs_of = zip(samples["permalloy"], samples["onnxruntime"])
        found[key] = interval([their[at] / our[at] for our, their in pairs_of]).plain()
    return found


def _open(model: Path, python: str, package: str, environment: dict) -> tuple[float, ...]:
    start = time.perf_counter()
    result = subprocess.run(
        [python, "-c", _OPEN.format(package=package), str(model)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{package} cannot open {model}: {result.stderr.strip()[-300:]}")
    return (*map(float, result.stdout.split()), time.perf_counter() - start)


def compiling(model: Path, repeats: int, folder: Path) -> dict:
    """Seconds and peak memory of `permalloy compile`: without a kernel cache, and with one."""
    environment = dict(os.environ, XDG_CACHE_HOME=str(folder / "kernels"))
    found = {}
    for name, flags in (("cold", ["--no-cache"]), ("warm", [])):
        if name == "warm":
            _compile(model, folder / "m.alloy", flags, environment)  # fills the cache
        runs = [_compile(model, folder / "m.alloy", flags, environment) for _ in range(repeats)]
        seconds, memory = zip(*runs)
        found[name] = {"seconds": median(seconds), "rss_mb": max(memory)}
    return found


def _compile(model: Path, output: Path, flags, environment) -> tuple[float, float]:
    from permalloy import compiler

    command = [compiler.find_compiler(), "compile", str(model), "-o", str(output), *flags]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def artifacts(model: Path, folder: Path) -> list[dict]:
    """Sizes with code for one, two and three targets, by the bytes of the weights in them."""
    from permalloy import compiler

    found = []
    for count in range(1, len(TARGETS) + 1):
        path = folder / "targets.alloy"
        targets = ",".join(TARGETS[:count])
        _compile(model, path, ["--target", targets], dict(os.environ))
        inspect = [compiler.find_compiler(), "inspect", str(path), "--weights", "--json"]
        text = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
        weights = sum(weight["bytes"] for weight in json.loads(text)["weights"])
        size = path.stat().st_size
        found.append(
            {"targets": targets, "bytes": size, "weights": weights, "ratio": size / weights}
        )
    return found


def described(row: dict) -> str:
    both, compile_times = row["sessions"], row["compile"]
    ratio = both["session_ratio"]
    lines = [
        (
            f"{row['model']}: session {both['permalloy']['session_s'] * 1e3:.1f} ms, onnxruntime "
            f"{both['onnxruntime']['session_s'] * 1e3:.1f} ms, {ratio['median']:.2f}x "
            f"({ratio['low']:.2f} to {ratio['high']:.2f})"
        ),
        (
            f"  compiled in {compile_times['cold']['seconds']:.2f} s cold, "
            f"{compile_times['warm']['seconds']:.2f} s warm, {compile_times['cold']['rss_mb']:.0f} MB"
        ),
    ]
    lines += [
        f"  {a['targets']}: {a['bytes'] / 1e6:.1f} MB, {a['ratio']:.4f} of the weights"
        for a in row["artifacts"]
    ]
    return "\n".join(lines)
