# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Hashes of model files, remembered from process to process in $XDG_CACHE_HOME/permalloy/hashes.

Reading a model of 500 MB to find it in the cache of compiled models takes 0.3 s, most of what
opening it takes. An entry is believed only while the file has the same device, inode, size, and
times of modification and of status change, which no program can set back; and it is written only
for files that had been left alone for a while when they were read, so that a later write cannot
leave the times as they were (git's index knows the problem as "racily clean").
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

#: A file must have been left alone for so long; the coarsest file systems count in 2 s.
_SETTLED_NS = 3_000_000_000
#: Entries (about 300 bytes each) that are kept, half of them when there are more.
_MOST_ENTRIES = 10_000


def of_model(path: Path, index: Path) -> tuple[str, list[str]]:
    """Hash of an ONNX file, and names of the external data files that it may refer to."""
    entry = _remembered(path, index, "model", _read_model)
    return entry["hash"], entry["names"]


def of_file(path: Path, index: Path) -> str:
    """Hash of any other file; "missing" when it cannot be read, which the compiler will say."""
    try:
        return _remembered(path, index, "file", _read_file)["hash"]
    except OSError:
        return "missing"


def _remembered(
    path: Path, index: Path, kind: str, read: Callable[[BinaryIO], dict[str, Any]]
) -> dict[str, Any]:
    name = f"{kind} {os.path.realpath(path)}"
    place = index / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"
    with open(path, "rb") as file:
        identity = _identity(file)
        entry = _load(place)
        if entry.get("identity") == identity and entry.get("name") == name:
            return entry
        entry = {"name": name, "identity": identity, **read(file)}
        settled = time.time_ns() - max(identity[-2:]) > _SETTLED_NS
        if settled and _identity(file) == identity:
            _save(place, entry)
        return entry


def _identity(file: BinaryIO) -> list[int]:
    info = os.fstat(file.fileno())
    return [info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def _load(place: Path) -> dict[str, Any]:
    try:
        entry = json.loads(place.read_text())
        return entry if isinstance(entry, dict) else {}
    except (OSError, ValueError):
        return {}


def _save(place: Path, entry: dict[str, Any]) -> None:
    """Writes an entry. Failing costs time only, later."""
    temporary = place.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}.tmp")
    try:
        temporary.write_text(json.dumps(entry))
        os.replace(temporary, place)
        others = list(place.parent.iterdir())
        if len(others) > _MOST_ENTRIES:
            others.sort(key=lambda other: other.stat().st_mtime_ns)
            for other in others[: len(others) // 2]:
                other.unlink(missing_ok=True)
    except (OSError, UnicodeEncodeError):
        temporary.unlink(missing_ok=True)


def _read_model(file: BinaryIO) -> dict[str, Any]:
    if os.fstat(file.fileno()).st_size == 0:
        return {"hash": "empty", "names": []}
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return {
            "hash": hashlib.sha256(view).hexdigest(),
            "names": sorted(set(_external_names(view))),
        }


def _read_file(file: BinaryIO) -> dict[str, Any]:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return {"hash": digest.hexdigest()}


def _external_names(view) -> Iterator[str]:
    """Values of `location` entries of TensorProto.external_data, as they stand on the wire.

    Key "location" (field 1), then field 2 with a length of one byte or two. Weights may contain
    such bytes by chance: a name too many costs a look at a file that is not there.
    """
    for match in re.finditer(rb"\x0a\x08location\x12", view):
        at = match.end()
        if at + 2 > len(view):  # the file ends here: it is truncated, or no model
            return
        length = view[at]
        at += 1
        if length >= 0x80:
            length = (length & 0x7F) | view[at] << 7
            at += 1
        try:
            name = view[at : at + length].decode()
        except UnicodeDecodeError:
            continue
        outside = os.path.isabs(name) or ".." in Path(name).parts
        if name and "\0" not in name and not outside:
            yield name
