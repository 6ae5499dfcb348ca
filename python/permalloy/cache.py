# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The folder of compiled models: $XDG_CACHE_HOME/permalloy/models, readable by its owner only.

Files are named by the hash of everything that went into them and appear complete (the compiler
renames them into place), so processes need no lock: two that compile the same model at once write
the same bytes. A use refreshes a file's time; when the folder grows past its limit
($PERMALLOY_CACHE_LIMIT bytes, 8 GiB), the files that were not used for longest go. A session that
has one of them mapped keeps it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import Fail, InvalidArgument, NoSuchFile

_DEFAULT_LIMIT = 8 << 30


def directory() -> Path:
    """The folder, made when it is not there, with mode 0700."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(base) / "permalloy" / "models"
    try:
        path.mkdir(parents=True, exist_ok=True)
        info = path.stat()
        if info.st_uid != os.getuid():
            raise Fail(f"the cache '{path}' belongs to another user; set XDG_CACHE_HOME")
        if stat.S_IMODE(info.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise Fail(
            f"cannot make the cache '{path}': {error.strerror}; set XDG_CACHE_HOME, or compile "
            "with an output"
        ) from error
    return path


def limit() -> int:
    """Bytes that the cache may hold."""
    text = os.environ.get("PERMALLOY_CACHE_LIMIT")
    if not text:
        return _DEFAULT_LIMIT
    if not text.isdecimal():
        raise InvalidArgument(f"PERMALLOY_CACHE_LIMIT is '{text}', expected a number of bytes")
    return int(text)


def touch(path: Path) -> bool:
    """Whether the file is there; marks it as used now."""
    try:
        os.utime(path)
        return True
    except OSError:
        return False


def evict(keep: Path):
    """Removes files that were not used for longest until the cache is within its limit."""
    files = []
    for path in keep.parent.glob("*.alloy"):
        try:
            info = path.stat()
        except OSError:
            continue  # another process was faster
        files.append((info.st_mtime_ns, info.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit():
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size


def model_hashes(path, data: bytes | None) -> list[str]:
    """Hashes of a model's bytes and of the external data files it names."""
    if data is not None:
        return [hashlib.sha256(data).hexdigest()]
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return ["empty"]
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                names = sorted(set(_external_names(view)))
                hashes = [hashlib.sha256(view).hexdigest()]
    except FileNotFoundError as error:
        raise NoSuchFile(f"cannot open '{os.fsdecode(path)}': no such file") from error
    except OSError as error:
        raise Fail(f"cannot read '{os.fsdecode(path)}': {error.strerror}") from error
    for name in names:
        hashes += [name, _file_hash(Path(os.fsdecode(path)).parent / name)]
    return hashes


def _file_hash(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    except OSError:
        return "missing"  # the compiler says so


def _external_names(view) -> Iterator[str]:
    """Values of `location` entries of TensorProto.external_data, as they stand on the wire.

    Key "location" (field 1), then field 2 with a length of one byte or two. Weights may contain
    such bytes by chance: a name too many costs a look at a file that is not there.
    """
    for match in re.finditer(rb"\x0a\x08location\x12", view):
        at = match.end()
        length = view[at]
        at += 1
        if length >= 0x80:
            length = (length & 0x7F) | view[at] << 7
            at += 1
        try:
            name = view[at : at + length].decode()
        except UnicodeDecodeError:
            continue
        if name and "\0" not in name and not os.path.isabs(name) and ".." not in name:
            yield name
