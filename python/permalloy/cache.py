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
import os
import stat
from pathlib import Path

from . import hashes
from .errors import Fail, InvalidArgument, NoSuchFile

_DEFAULT_LIMIT = 8 << 30


def directory(kind: str = "models") -> Path:
    """The folder of compiled models, or another beside it; made when missing, with mode 0700."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(base) / "permalloy" / kind
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


def file_hash(path: str) -> str:
    """Hash of a file's content; of nothing where it cannot be read, which the compiler will say."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def model_hashes(path, data: bytes | None) -> list[str]:
    """Hashes of a model's bytes and of the external data files it names."""
    if data is not None:
        return [hashlib.sha256(data).hexdigest()]
    model, index = Path(os.fsdecode(path)), directory("hashes")
    try:
        content, names = hashes.of_model(model, index)
    except FileNotFoundError as error:
        raise NoSuchFile(f"cannot open '{model}': no such file") from error
    except OSError as error:
        raise Fail(f"cannot read '{model}': {error.strerror}") from error
    parts = [content]
    for name in names:
        parts += [name, hashes.of_file(model.parent / name, index)]
    return parts
