# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a row needs before it can be timed: our compiled model, and the reference's outputs. Both
are kept in the work folder and made anew when what they came from has changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import peers
from .cases import Case, Row
from .process import Worker, WorkerError

_REFERENCE = "onnxruntime"
# What `permalloy compile` is told, beside the case's own options. The peers' quantizers take the head, too. w8a8: the rest in bf16 where
# that gains.
_COMPILE = {
    "f32": {"precision": "f32"},
    "bf16": {"precision": "bf16"},
    "int8": {"quantize": "w8"},
    "int4": {"quantize": "w4g32,head=w4g32"},
    "w8a8": {"quantize": "w8a8", "precision": "bf16"},
}


@dataclass
class Workplace:
    """Where things are."""

    models: Path
    work: Path

    def file(self, case: Case, flavour: str = "") -> Path:
        return peers.model_file(self.models, case.model.name, flavour or case.flavour)


def compile_ours(place: Workplace, row: Row, log=print) -> Path:
    """The .alloy of a row, compiled when it is not there; WorkerError with the compiler's words."""
    from permalloy import compiler

    model = place.file(row.case)
    options = {**_COMPILE[row.precision], **row.case.compile}
    binary = Path(compiler.find_compiler())
    key = _key(_stamp(model), _stamp(binary), options)
    alloy = place.work / f"{model.stem}-{row.precision}-{key}.alloy"
    if alloy.exists():
        return alloy
    for old in place.work.glob(f"{model.stem}-{row.precision}-*.alloy"):
        if _options_of(old) == options:
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)
    log(f"compiling {model.name} {' '.join(compiler.flags(options))}")
    try:
        compiler.compile(model, alloy, **options)
    except Exception as error:
        raise WorkerError(f"does not compile: {error}") from error
    alloy.with_suffix(".json").write_text(json.dumps(options))
    return alloy


def reference(place: Workplace, case: Case, cores: list[int], log=print) -> Path:
    """Folder of the reference's outputs: onnxruntime's in f32, of the case's own model file, which
    does not depend on precision, threads or form."""
    model = place.file(case)
    inputs = {**case.plain(), "name": "", "why": "", "group": "", "form": "plain", "compile": {}}
    path = place.work / f"reference-{model.stem}-{_key(_stamp(model), inputs)}"
    if path.exists():
        return path
    log(f"reference outputs of {case.name}")
    plain = {**case.plain(), "form": "plain"}
    job = {
        **job_of(place, Row(case, "f32", len(cores)), cores, path),
        "engine": _REFERENCE,
        "model": str(model),
        "case": plain,
        "make_reference": True,
    }
    worker = Worker(_REFERENCE, peers.python(), job, place.work / "reference.log")
    try:
        worker.wait_until_loaded()
    finally:
        worker.close()
    return path


def job_of(place: Workplace, row: Row, cores: list[int], reference_path: Path) -> dict:
    """What every worker of a row is told; engine, model and options are added."""
    return {
        "case": row.case.plain(),
        "precision": row.precision,
        "threads": row.threads,
        "cores": cores,
        "options": {},
        "reference": str(reference_path),
        "work": str(place.work),
    }


def own_worker(place: Workplace, row: Row, cores: list[int], reference_path: Path) -> Worker:
    """Ours, loading; under this Python, which has the package."""
    job = {
        **job_of(place, row, cores, reference_path),
        "engine": peers.OURS,
        "model": str(compile_ours(place, row)),
    }
    return Worker(peers.OURS, sys.executable, job, place.work / "permalloy.log")


def peer_worker(
    place: Workplace, row: Row, cores: list[int], reference_path: Path, who: peers.Candidate
) -> Worker:
    """A peer, loading."""
    job = {
        **job_of(place, row, cores, reference_path),
        "engine": who.peer.engine,
        "model": str(place.file(row.case, who.flavour)),
        "options": who.peer.options,
    }
    return Worker(who.name, peers.python(), job, place.work / f"{who.name.replace(' ', '-')}.log")


def version() -> str:
    """The last commit that changed more than results and documents, so that committing results does
    not make them old; "+" when there are other changes."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments):
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    written = (":!benchmarks/results", ":!docs", ":!*.md")
    commit = git("log", "-1", "--format=%h", "--abbrev=10", "--", ".", *written)
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    return (commit or "unknown") + ("+" if changed else "")


def _stamp(path: Path) -> list:
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def _options_of(alloy: Path) -> dict | None:
    try:
        return json.loads(alloy.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None


def _key(*parts) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
