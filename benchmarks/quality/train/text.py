#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Text for the language model: the sources of Python's standard library, split into files to train
on and held-out ones.

    benchmarks/quality/train/text.py --library ~/.pyenv/versions/3.11.7/lib/python3.11

writes data/python-heldout.txt.gz and data/python-calibration.npz, which are committed: the library
differs between versions, and a figure must mean the same on every machine. Training reads the
library itself. Needs numpy only.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import sysconfig
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "data"
#: Bytes of the held-out text, and the shape of the calibration windows.
HELD_OUT, WINDOWS, LENGTH = 200_000, 128, 256
# Tests repeat themselves, tables are no prose, and what pip installs differs between machines.
_SKIPPED = {"test", "tests", "site-packages", "dist-packages", "idlelib", "encodings", "pydoc_data"}
_LONGEST = 60_000  # bytes of a held-out file: a few large ones would be all of it


def files(library: Path) -> list[Path]:
    """Sources in a fixed order."""
    found = (path.relative_to(library) for path in library.rglob("*.py"))
    return sorted(path for path in found if not _SKIPPED & set(path.parts))


def is_held_out(name: Path, size: int) -> bool:
    """One file in ten, by its name: the same whatever else the library has."""
    digest = hashlib.sha256(name.as_posix().encode()).digest()
    return digest[0] < 26 and size <= _LONGEST


def split(library: Path) -> tuple[bytes, bytes]:
    """All text to train on, and all that is held out; files end in a zero byte."""
    parts: tuple[list, list] = ([], [])
    for name in files(library):
        text = (library / name).read_bytes()
        parts[is_held_out(name, len(text))].append(text + b"\0")
    return b"".join(parts[0]), b"".join(parts[1])


def write(library: Path):
    training, held_out = split(library)
    DATA.mkdir(exist_ok=True)
    packed = gzip.compress(held_out[:HELD_OUT], mtime=0)
    (DATA / "python-heldout.txt.gz").write_bytes(packed)
    starts = np.random.default_rng(0).integers(0, len(training) - LENGTH, WINDOWS)
    windows = np.stack([np.frombuffer(training, np.uint8, LENGTH, s) for s in starts])
    np.savez_compressed(
        DATA / "python-calibration.npz",
        input_ids=windows.astype(np.int64),
        attention_mask=np.ones((WINDOWS, LENGTH), np.int64),
    )
    print(f"{len(training)} bytes to train on, {len(held_out)} held out, {HELD_OUT} of them kept")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(sysconfig.get_paths()["stdlib"])
    parser.add_argument("--library", type=Path, default=default, help="default: this Python's")
    write(parser.parse_args().library)


if __name__ == "__main__":
    main()
