# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiling by child process, and the cache. A stand-in takes the compiler's place."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"MODEL 1")
    return path


def test_compiles_once(fake_compiler, model, own_cache):
    for _ in range(3):
        permalloy.InferenceSession(model)
    assert len(fake_compiler()) == 1
    assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700
    assert len(list(own_cache.iterdir())) == 1


def test_key_has_content_options_and_features(fake_compiler, model, monkeypatch):
    first = permalloy.compile(model)
    assert permalloy.compile(model, target="x86-64-v3") != first
    model.write_bytes(b"MODEL 2")
    assert permalloy.compile(model) != first
    copy = model.with_name("copy.onnx")
    copy.write_bytes(b"MODEL 1")
    assert permalloy.compile(copy) == first
    assert permalloy.compile(b"MODEL 1") == first
    monkeypatch.setattr("permalloy._native.cpu_features", lambda: "avx2")
    assert permalloy.compile(model) != first


def test_key_has_the_tuning_database(fake_compiler, model, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    first, without = permalloy.compile(model), permalloy.compile(model, no_database=True)
    folder = tmp_path / "data/permalloy/tuning"
    folder.mkdir(parents=True)
    (folder / "cpu.jsonl").write_text("measured\n")
    assert permalloy.compile(model) != first
    assert permalloy.compile(model, no_database=True) == without
    named = tmp_path / "named.jsonl"
    named.write_text("one\n")
    second = permalloy.compile(model, database=named)
    named.write_text("one more\n")
    assert permalloy.compile(model, database=named) != second


def test_key_has_what_the_cost_model_reads(fake_compiler, model, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    trees = tmp_path / "own.trees"
    trees.write_text("one\n")
    first, plain = permalloy.compile(model, cost_model=trees), permalloy.compile(model)
    trees.write_text("another\n")
    second = permalloy.compile(model, cost_model=trees)
    assert second != first
    folder = tmp_path / "data/permalloy/tuning"
    folder.mkdir(parents=True)
    (folder / "cpu.rates.json").write_text("{}")
    assert permalloy.compile(model, cost_model=trees) != second
    assert permalloy.compile(model) != plain
    without = permalloy.compile(model, cost_model="none")
    (folder / "cpu.rates.json").write_text('{"more": 1}')
    assert permalloy.compile(model, cost_model="none") == without


def test_what_writes_other_files_is_done_again(fake_compiler, model, tmp_path):
    for options in (
        {"print_plan": tmp_path / "plan.json"},
        {"calibrate": tmp_path / "in.npz", "statistics": tmp_path / "kept"},
    ):
        before = len(fake_compiler())
        assert permalloy.compile(model, **options) == permalloy.compile(model, **options)
        assert len(fake_compiler()) == before + 2


def test_key_has_external_data(fake_compiler, tmp_path):
    model, weights = tmp_path / "external.onnx", tmp_path / "weights.bin"
    # TensorProto.external_data { key: "location" value: "weights.bin" } on the wire.
    model.write_bytes(b"...\x0a\x08location\x12\x0bweights.bin...")
    weights.write_bytes(b"1")
    first = permalloy.compile(model)
    assert permalloy.compile(model) == first
    weights.write_bytes(b"2")
    assert permalloy.compile(model) != first


def test_key_has_external_data_with_dots(fake_compiler, tmp_path):
    model, weights = tmp_path / "external.onnx", tmp_path / "weights..b"
    model.write_bytes(b"...\x0a\x08location\x12\x0aweights..b...")
    weights.write_bytes(b"1")
    first = permalloy.compile(model)
    weights.write_bytes(b"2")
    assert permalloy.compile(model) != first


@pytest.mark.parametrize("end", [b"", b"\x0b", b"\x8b", b"\x0bweig"])
def test_a_truncated_name_of_external_data_is_the_compilers_to_refuse(fake_compiler, tmp_path, end):
    model = tmp_path / "truncated.onnx"
    model.write_bytes(b"...\x0a\x08location\x12" + end)
    assert permalloy.compile(model)


@pytest.fixture
def reads(monkeypatch):
    """Counts the files that are hashed; files count as settled at once."""
    from permalloy import hashes

    monkeypatch.setattr(hashes, "_SETTLED_NS", -1)
    count = []
    for name in ("_read_model", "_read_file"):
        read = getattr(hashes, name)
        monkeypatch.setattr(hashes, name, lambda file, read=read: count.append(1) or read(file))
    return count


def test_a_model_is_read_once(fake_compiler, model, own_cache, reads):
    first = permalloy.compile(model)
    assert permalloy.compile(model) == first
    assert len(reads) == 1
    index = own_cache.parent / "hashes"
    assert stat.S_IMODE(index.stat().st_mode) == 0o700
    (entry,) = index.iterdir()
    entry.write_text("{")  # damaged
    assert permalloy.compile(model) == first
    assert len(reads) == 2


def test_a_changed_model_is_read_again(fake_compiler, model, reads):
    first = permalloy.compile(model)
    info = model.stat()
    model.write_bytes(b"MODEL 2")  # the same size
    os.utime(model, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert permalloy.compile(model) != first
    other = model.with_name("other.onnx")
    other.write_bytes(b"MODEL 1")
    other.rename(model)
    assert permalloy.compile(model) == first
    assert len(reads) == 3


def test_external_data_is_remembered_by_itself(fake_compiler, tmp_path, reads):
    model, weights = tmp_path / "external.onnx", tmp_path / "weights.bin"
    model.write_bytes(b"...\x0a\x08location\x12\x0bweights.bin...")
    weights.write_bytes(b"1")
    first = permalloy.compile(model)
    assert permalloy.compile(model) == first and len(reads) == 2
    weights.write_bytes(b"2")
    assert permalloy.compile(model) != first and len(reads) == 3


def test_a_model_just_written_is_not_remembered(fake_compiler, model, own_cache):
    permalloy.compile(model)
    assert not list((own_cache.parent / "hashes").iterdir())


def test_options_become_flags(fake_compiler, model, tmp_path):
    out = tmp_path / "out.alloy"
    got = permalloy.compile(
        model,
        out,
        target=["x86-64-v3", "x86-64-v4"],
        dims={"seq": 128, "batch": (1, 8)},
        threads=2,
        fusion_report=True,
        unused=None,
    )
    assert got == str(out) and out.exists()
    assert fake_compiler() == [
        (
            f"compile {model} -o {out} --dim batch=1..8 --dim seq=128 --fusion-report "
            "--target x86-64-v3 --target x86-64-v4 --threads 2"
        )
    ]


def test_session_options_hand_options_on(fake_compiler, model):
    options = permalloy.SessionOptions()
    options.compile_options = {"target": "x86-64-v3"}
    permalloy.InferenceSession(model, options)
    assert fake_compiler()[0].endswith("--target x86-64-v3")


def test_bytes_leave_no_file_behind(fake_compiler):
    permalloy.InferenceSession(b"MODEL 3")
    assert not os.path.exists(fake_compiler()[0].split()[1])


def test_refusals_and_crashes_are_exceptions(fake_compiler, own_cache):
    with pytest.raises(permalloy.CompileError, match="^error: <bytes>: not an ONNX model$"):
        permalloy.InferenceSession(b"BAD")
    with pytest.raises(permalloy.CompileError, match="the compiler was ended by SIGSEGV"):
        permalloy.InferenceSession(b"CRASH")
    assert not list(own_cache.iterdir())


def test_a_damaged_cache_file_is_made_again(fake_compiler, model, own_cache):
    permalloy.InferenceSession(model)
    (file,) = own_cache.iterdir()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    permalloy.InferenceSession(model)
    assert len(fake_compiler()) == 2


def test_least_recently_used_goes_first(fake_compiler, own_cache, monkeypatch, tiny):
    size = os.path.getsize(tiny)
    monkeypatch.setenv("PERMALLOY_CACHE_LIMIT", str(2 * size))
    first, second = permalloy.compile(b"MODEL 1"), permalloy.compile(b"MODEL 2")
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    permalloy.compile(b"MODEL 1")  # a use
    third = permalloy.compile(b"MODEL 3")
    assert sorted(map(str, own_cache.iterdir())) == sorted([first, third])


def test_compiling_at_once_is_safe(fake_compiler, own_cache):
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: permalloy.InferenceSession(b"MODEL 4"), range(4)))
    assert len(sessions) == 4
    assert len(list(own_cache.iterdir())) == 1


def test_missing_compiler_says_what_to_do(model, own_cache, monkeypatch):
    monkeypatch.setenv("PERMALLOY_COMPILER", "/nonexistent/permalloy")
    with pytest.raises(permalloy.CompileError, match="PERMALLOY_COMPILER is '/nonexistent"):
        permalloy.InferenceSession(model)


def test_dims_must_be_a_dict(fake_compiler, model):
    with pytest.raises(permalloy.InvalidArgument, match="dims is 'batch=3', expected a dict"):
        permalloy.compile(model, dims="batch=3")


def test_the_real_compiler(compiler, tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    w = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16])],
        [onnx.numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = permalloy.InferenceSession(model)
    for batch in (1, 5):
        x = np.random.default_rng(batch).standard_normal((batch, 8)).astype(np.float32)
        y = session.run(["y"], {"x": x})[0]
        np.testing.assert_allclose(y, np.maximum(x @ w, 0), rtol=1e-5, atol=1e-5)


def test_the_real_compilers_options(compiler, model):
    with pytest.raises(permalloy.InvalidArgument, match="not expected: .*--precison"):
        permalloy.compile(model, precison="f32")
    with pytest.raises(permalloy.InvalidArgument, match="f64 not in"):
        permalloy.compile(model, precision="f64")


def test_the_real_compilers_refusals(compiler):
    pytest.importorskip("onnx")
    from onnx import parser

    with pytest.raises(permalloy.InvalidProtobuf, match="not an ONNX model"):
        permalloy.InferenceSession(b"this is no model")
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[N] y) '
    with pytest.raises(permalloy.UnsupportedModel, match="the operator is not supported") as error:
        permalloy.InferenceSession(parser.parse_model(head + "{ y = Unique(x) }"))
    assert isinstance(error.value, permalloy.NotImplemented)
    with pytest.raises(permalloy.CompileError, match="'z', which no earlier node writes"):
        permalloy.InferenceSession(parser.parse_model(head + "{ y = Relu(z) }"))
