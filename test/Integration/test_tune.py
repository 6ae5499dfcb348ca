# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`permalloy tune`, and what `compile` makes of its database."""

import ctypes
import json
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest
import small_bert
from smallbert import Config, Options
from tuning_files import favour, rows

# Rows end a run, not time, which is another on every machine.
SIZES = ("--minutes", "5", "--dim", "batch=1", "--dim", "sequence=16", "--rows")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("tune") / "model.onnx"
    small_bert.write(path, Config(), Options("dyn18"))
    return path


@pytest.fixture(scope="module")
def tuned(permalloy, model):
    """A database of a few kernels."""
    path = model.with_name("tuning.jsonl")
    result = permalloy("tune", model, *SIZES, 12, "--database", path)
    assert re.search(r"tuning.jsonl: 1\d rows added", result.err), result.err
    return path


def test_rows_are_complete(tuned):
    measured = rows(tuned)
    assert len(measured) > 5
    assert any(row["default"] for row in measured)
    for row in measured:
        assert 0 < row["min_ns"] <= row["median_ns"]
        assert row["repeats"] >= 3 and row["instructions"] > 20 and row["code_bytes"] > 0
        assert row["schedule"] and row["threads"] == 1


def test_resumes(permalloy, model, tuned):
    before = rows(tuned)
    result = permalloy("tune", model, *SIZES, 3, "--database", tuned)
    assert "known before" in result.err
    after = rows(tuned)
    assert after[: len(before)] == before
    keys = [
        json.dumps([r["row"], r["schedule"], r["symbols"], r["code"], "default_ns" in r])
        for r in after
        if not (r["default"] and "default_ns" in r)  # again with each that is measured by turns with it
    ]
    assert len(set(keys)) == len(keys)


def test_compile_takes_what_is_faster(permalloy, model, tuned, tmp_path):
    other = tmp_path / "favours.jsonl"
    best = favour(tuned, other)
    out = tmp_path / "model.alloy"
    result = permalloy("compile", model, "-o", out, "-v", "--database", other)
    assert "10x" in result.err and "measured at d0=1" in result.err
    assert re.search(r"\d+ measured schedules?\n", result.err)
    assert best
    manifest = permalloy("inspect", out, "--json").out
    assert re.search(r"--database [0-9a-f]{16}", manifest)
    permalloy("verify", model, out, "--no-interpreter", "--dim", "batch=2", "--dim", "sequence=5")
    plain = permalloy("compile", model, "-o", out, "-v", "--no-database")
    assert "measured" not in plain.err
    assert "--database" not in permalloy("inspect", out, "--json").out


def test_rows_of_other_code_are_not_used(permalloy, model, tuned, tmp_path):
    other, old = tmp_path / "favours.jsonl", tmp_path / "old.jsonl"
    favour(tuned, other)
    old.write_text(re.sub(r'"code":"[0-9a-f]', '"code":"x', other.read_text()))
    out = ("-o", tmp_path / "model.alloy")
    assert "other code" not in permalloy("compile", model, *out, "-v", "--database", other).err
    result = permalloy("compile", model, *out, "-v", "--database", old)
    assert re.search(r"tuning database: \d+ rows? measured with other code", result.err)
    assert "measured schedule" not in result.err
    before = len(rows(old))
    permalloy("tune", model, *SIZES, 2, "--database", old)  # as if it had none of them
    assert len(rows(old)) >= before + 2
    assert not rows(old)[-1]["code"].startswith("x")


def test_the_default_database_is_used(permalloy, model, tuned, tmp_path):
    env = {"XDG_DATA_HOME": str(tmp_path)}
    permalloy("tune", model, *SIZES, 2, env=env)
    (default,) = (tmp_path / "permalloy/tuning").glob("*.jsonl")
    rates = json.loads(default.with_suffix(".rates.json").read_text())  # what this machine can do, measured once
    assert rates["source"].startswith("measured") and rates["avx2_gflops"] > 0 and rates["memory_gbps"] > 0
    favour(tuned, default)
    out = ("-o", tmp_path / "model.alloy")
    assert "measured schedule" in permalloy("compile", model, *out, env=env).err
    assert "measured" not in permalloy("compile", model, *out, "--no-database", env=env).err
    default.write_text("nonsense\n")
    result = permalloy("compile", model, *out, env=env)  # never in the way
    assert "warning" in result.err and ":1: not a tuning database" in result.err
    assert "kern.kernel" not in result.err  # not the whole module


def test_bad_databases_are_refused(permalloy, model, tuned, tmp_path):
    out = ("-o", tmp_path / "model.alloy")
    missing = permalloy("compile", model, *out, "--database", tmp_path / "none", code=1)
    assert "cannot read the tuning database" in missing.err
    assert "kern.kernel" not in missing.err
    bad = tmp_path / "bad.jsonl"
    bad.write_text(tuned.read_text() + '{"row":\n')
    line = len(bad.read_text().splitlines())
    for command in (("compile", model, *out), ("tune", model)):
        assert f"bad.jsonl:{line}: " in permalloy(*command, "--database", bad, code=1).err


def test_interrupt_leaves_a_whole_database(tool, tmp_path, heed_interrupts):
    path = tmp_path / "corpus.jsonl"
    command = [tool, "tune", "--minutes", "5", "--database", path]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    deadline = time.monotonic() + 240  # on a busy machine the first row takes a while
    while time.monotonic() < deadline and '"row"' not in (
        path.read_text() if path.exists() else ""
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "added" in err
    assert rows(path)


def test_lists_the_space(permalloy, model):
    text = permalloy("tune", model, "--list-space", "--target", "x86-64-v3").out
    assert "contraction, f32, x86-64-v3" in text and "tile_rows: 1 2" in text
    assert re.search(r"\d+ legal schedules", text)


def test_kernels_of_another_precision(permalloy, model):
    space = ("tune", model, "--list-space", "--target", "x86-64-v3")
    assert "bf16" not in permalloy(*space).out
    assert "bf16" in permalloy(*space, "--precision", "bf16").out


def refuse_tiles():
    """In a child process: arch_prctl(ARCH_REQ_XCOMP_PERM) fails from now on, as in some sandboxes."""
    code = [  # load the call's number; of arch_prctl (158) the first argument; EPERM where it is 0x1023
        *((0x20, 0, 0, 0), (0x15, 0, 3, 158), (0x20, 0, 0, 16), (0x15, 0, 1, 0x1023)),
        *((0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    filters = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.create_string_buffer(filters), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def test_tiles_that_linux_refuses(permalloy, model, tmp_path):
    if "amx_bf16" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this machine has no AMX")
    command = ("tune", model, *SIZES, 1, "--precision", "bf16", "--database", tmp_path / "t.jsonl")
    target = ("--target", "sapphirerapids")
    said = permalloy(*command, *target, code=1, preexec_fn=refuse_tiles).err
    assert "Linux refuses the AMX tile state" in said and "x86-64-v4" in said
    out = tmp_path / "m.alloy"
    permalloy("compile", model, "-o", out, "--precision", "bf16", *target)
    said = permalloy("run", out, "--random", preexec_fn=refuse_tiles).err
    assert "target 'sapphirerapids' is not used" in said


def test_refuses_unknown_dimensions(permalloy, model, tmp_path):
    command = ("tune", model, "--dim", "nothing=3", "--database", tmp_path / "t.jsonl")
    assert "no dimension 'nothing'" in permalloy(*command, code=1).err
