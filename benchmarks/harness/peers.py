# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The committed peer file, and which of them take part in a row with which model file."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import tomllib

from .cases import FORMS, PRECISIONS, CaseError, Row
from .engines import ENGINES

OURS = "permalloy"


@dataclass(frozen=True)
class Peer:
    """An engine with its settings."""

    name: str
    engine: str
    package: str
    precisions: tuple[str, ...]
    forms: tuple[str, ...]
    flavours: tuple[str, ...]
    settings: str
    options: dict = field(default_factory=dict, hash=False)
    cases: tuple[str, ...] = ()  # the only ones; empty: all
    padded: bool = False  # cases with lengths only
    always: bool = False  # also where it cannot win

    def takes(self, row: Row) -> bool:
        return (
            row.precision in self.precisions
            and row.case.form in self.forms
            and (not self.cases or row.case.name in self.cases)
            and (not self.padded or bool(row.case.lengths))
        )


@dataclass(frozen=True)
class Candidate:
    """A peer with one of its model files."""

    peer: Peer
    flavour: str

    @property
    def name(self) -> str:
        return f"{self.peer.name}@{self.flavour}" if self.flavour else self.peer.name


def load(path: Path) -> list[Peer]:
    with path.open("rb") as file:
        entries = tomllib.load(file).get("peer", [])
    peers = []
    for entry in entries:
        lists = {k: tuple(entry.get(k, ())) for k in ("precisions", "forms", "flavours", "cases")}
        try:
            peer = Peer(**{**entry, **lists})
        except TypeError as error:
            raise CaseError(f"peer '{entry.get('name')}': {error}") from error
        if peer.engine not in ENGINES:
            raise CaseError(f"peer '{peer.name}' has engine '{peer.engine}', known: {ENGINES}")
        if not set(peer.precisions) <= set(PRECISIONS) or not set(peer.forms) <= set(FORMS):
            raise CaseError(f"peer '{peer.name}' has an unknown precision or form")
        peers.append(peer)
    if len({peer.name for peer in peers}) != len(peers):
        raise CaseError("two peers have the same name")
    return peers


def python() -> str:
    """The Python that has the peers: $PERMALLOY_PEERS_PYTHON, else this one."""
    return os.environ.get("PERMALLOY_PEERS_PYTHON") or sys.executable


def missing(peers: list[Peer]) -> dict[str, str]:
    """Peers whose package cannot be found, with the reason."""
    packages = sorted({peer.package for peer in peers})
    code = (
        "import importlib.util as u, sys\n"
        "def there(name):\n"
        "    try: return u.find_spec(name) is not None\n"
        "    except ModuleNotFoundError: return False\n"
        "print(*[name for name in sys.argv[1:] if not there(name)])"
    )
    command = [python(), "-c", code, *packages]
    absent = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    reason = f"not installed in {python()}; see benchmarks/README.md"
    return {peer.name: reason for peer in peers if peer.package in absent}


def candidates(peers: list[Peer], row: Row, models: Path) -> list[Candidate]:
    """Every peer of a row with every model file that is there (none for torch, which has its own)."""
    return [
        Candidate(peer, flavour)
        for peer in peers
        if peer.takes(row)
        for flavour in peer.flavours
        if not flavour or model_file(models, row.case.model.name, flavour).exists()
    ]


def model_file(models: Path, model: str, flavour: str) -> Path:
    return models / f"{model}.{flavour}.onnx"


def described(peer: Peer) -> dict:
    """For the results."""
    return {k: v for k, v in dataclasses.asdict(peer).items() if k in ("engine", "settings")}
