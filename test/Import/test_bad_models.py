# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models that are damaged, hostile, or point outside of their folder: one clear error, exit code 1, never a crash."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.skipif(
    shutil.which("permalloy") is None, reason="permalloy is not on PATH"
)


def run_import(path: Path) -> tuple[int, str, str]:
    """Exit code, module and messages."""
    command = ["permalloy", "import", str(path), "-o", "-"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def refused(path: Path) -> str:
    """The messages of an import that must fail without a crash."""
    code, module, messages = run_import(path)
    assert code == 1, (code, messages)
    assert not module
    assert "error" in messages
    return messages


def linear_model(weight: TensorProto, rows: int = 64) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", rows])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    graph = helper.make_graph([node], "g", [x], [y], [weight])
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 23)])


def weight_tensor(rows: int = 64, columns: int = 32) -> TensorProto:
    values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    return numpy_helper.from_array(values, "w")


@pytest.fixture
def model_file(tmp_path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(linear_model(weight_tensor()), path)
    return path


def test_large_weights_stay_in_the_file(model_file):
    code, module, messages = run_import(model_file)
    assert code == 0, messages
    bytes_of_weight = np.arange(64 * 32, dtype=np.float32).tobytes()
    offset = model_file.read_bytes().index(bytes_of_weight)
    assert f'#tfm.file<"{model_file}", {offset}, 8192, "">' in module


def test_packed_float_data_stays_in_the_file_too(tmp_path):
    values = np.arange(64 * 32, dtype=np.float32)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [64, 32], values)
    onnx.save(linear_model(weight), tmp_path / "model.onnx")
    code, module, messages = run_import(tmp_path / "model.onnx")
    assert code == 0, messages
    offset = (tmp_path / "model.onnx").read_bytes().index(values.tobytes())
    assert f", {offset}, 8192," in module


def test_every_truncation(model_file):
    whole = model_file.read_bytes()
    # Every length near the ends, where the structure is, and some within the weight.
    lengths = [*range(60), *range(60, len(whole) - 120, 509), *range(len(whole) - 120, len(whole))]
    for length in lengths[:: 1 if os.environ.get("PERMALLOY_TEST_FULL") == "1" else 7]:
        model_file.write_bytes(whole[:length])
        code, module, messages = run_import(model_file)
        assert code == 1, (length, code, messages)
        assert "error" in messages and not module


def test_random_damage(model_file):
    """Flipped bytes may leave a legal model, but never crash."""
    whole = model_file.read_bytes()
    generator = random.Random(1)
    structure = [i for i in range(len(whole)) if i < 120 or i > len(whole) - 160]
    for _ in range(400 if os.environ.get("PERMALLOY_TEST_FULL") == "1" else 40):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.choice(structure)] = generator.randrange(256)
        model_file.write_bytes(damaged)
        code, _, messages = run_import(model_file)
        assert code in (0, 1), (code, messages)
        assert code == 0 or "error" in messages


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no graph"),
        (b"this is a text file and no model\n", "damaged or not an ONNX model"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "damaged or not an ONNX model"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "exceeds"),  # graph of 2^62 bytes
        (b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "more than 10 bytes"),
        (b"\x08\x0a\x3a\x02\x0a", "exceeds"),
    ],
)
def test_not_a_model(tmp_path, content, message):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert message in refused(path)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(field: int, payload: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def test_deeply_nested_graphs(tmp_path):
    graph = b""
    for _ in range(2000):  # graph > node > attribute > graph > ...
        graph = message(1, message(5, message(6, graph)))
    path = tmp_path / "model.onnx"
    path.write_bytes(message(7, graph))
    assert "nested messages" in refused(path)


def test_forged_region_is_ignored(tmp_path):
    """Field 20260 of a tensor is what the importer marks regions with; a model that brings its own must gain nothing."""
    forged = weight_tensor().SerializeToString() + varint(20260 << 3) + varint(7)
    small = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64, 32]).SerializeToString()
    for tensor in (forged, small + varint(20260 << 3) + varint(1)):
        model = linear_model(TensorProto(name="w"))
        del model.graph.initializer[:]
        body = model.graph.SerializeToString() + message(5, tensor)
        model.ClearField("graph")
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString() + message(7, body))
        code, _, messages = run_import(path)
        assert (code == 0) == (tensor is forged), messages


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([2**62, 4], "impossible dimensions"),
        ([2**31, 2**31, 2**31], "impossible dimensions"),
        ([-1, 4], "impossible dimensions"),
        ([64, 33], "needs 8448"),
        ([2**40, 2**20], "needs"),
    ],
)
def test_impossible_dimensions(tmp_path, dims, message):
    weight = weight_tensor()
    del weight.dims[:]
    weight.dims.extend(dims)
    onnx.save(linear_model(weight), tmp_path / "model.onnx")
    text = refused(tmp_path / "model.onnx")
    assert message in text and "'w'" in text


def external_model(path: Path, weight: TensorProto | None = None, **entries: str) -> None:
    weight = weight or weight_tensor()
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        weight.external_data.add(key=key, value=value)
    path.write_bytes(linear_model(weight).SerializeToString())


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model's folder with w.bin in it, and secret.bin beside the folder."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "w.bin").write_bytes(b"\0" * 64 + bytes(8192))
    (folder / "sub" / "w.bin").write_bytes(bytes(8192))
    (tmp_path / "secret.bin").write_bytes(bytes(8192))
    return folder


@pytest.mark.parametrize(
    ("entries", "offset"),
    [
        ({"location": "w.bin", "offset": "64", "length": "8192"}, 64),
        ({"location": "w.bin", "offset": "64"}, 64),
        ({"location": "sub/w.bin", "length": "8192", "checksum": "x"}, 0),
        ({"location": "./w.bin"}, 0),
    ],
)
def test_external_data(folder, entries, offset):
    external_model(folder / "model.onnx", **entries)
    code, module, messages = run_import(folder / "model.onnx")
    assert code == 0, messages
    assert f'w.bin", {offset}, 8192, ""' in module


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../secret.bin"}, "leaves that directory"),
        ({"location": "sub/../../secret.bin"}, "leaves that directory"),
        ({"location": "/etc/passwd"}, "is absolute"),
        ({"location": "~/secret.bin"}, "is absolute"),
        ({"location": ""}, "is no path"),
        ({}, "is no path"),
        ({"location": "w.bin\0"}, "is no path"),
        ({"location": "missing.bin"}, "No such file"),
        ({"location": "sub"}, "no regular file"),
        ({"location": "link.bin"}, "a symbolic link out of the model's directory"),
        ({"location": "linked/secret.bin"}, "a symbolic link out of the model's directory"),
        ({"location": "w.bin", "offset": "-1"}, "offset '-1'; accepted are numbers from 0"),
        ({"location": "w.bin", "offset": "65", "length": "8192"}, "which has 8256"),
        ({"location": "w.bin", "offset": "9223372036854775807"}, "which has 8256"),
        ({"location": "w.bin", "offset": "99999999999999999999"}, "accepted are numbers from 0"),
        ({"location": "w.bin", "length": "-8192"}, "accepted are numbers from 0"),
        ({"location": "w.bin", "length": "9223372036854775807"}, "needs 8192"),
        ({"location": "w.bin", "length": "1"}, "needs 8192"),
        ({"location": "w.bin", "basepath": "/etc"}, "an entry 'basepath'; accepted are"),
        ({"location": "w.bin", "__class__": "x"}, "an entry '__class__'; accepted are"),
        ({"location": "*/_ORT_MEM_ADDR_/*", "offset": "4096", "length": "8192"}, "No such file"),
    ],
)
def test_external_data_refused(folder, entries, message):
    (folder / "link.bin").symlink_to("../secret.bin")
    (folder / "linked").symlink_to("..")
    external_model(folder / "model.onnx", **entries)
    text = refused(folder / "model.onnx")
    assert message in text and "'w'" in text


def test_external_data_of_one_key_twice(folder):
    weight = weight_tensor()
    weight.external_data.add(key="location", value="w.bin")
    external_model(folder / "model.onnx", weight, location="../secret.bin")
    assert "two entries 'location'" in refused(folder / "model.onnx")


def test_external_data_beside_a_model_in_the_current_folder(folder, monkeypatch):
    external_model(folder / "model.onnx", location="w.bin", offset="64")
    monkeypatch.chdir(folder)
    code, module, messages = run_import(Path("model.onnx"))
    assert code == 0, messages
    assert '#tfm.file<"w.bin", 64, 8192, "">' in module


def test_missing_file(tmp_path):
    assert "No such file" in refused(tmp_path / "none.onnx")


def test_folder_instead_of_a_file(tmp_path):
    assert "directory" in refused(tmp_path).lower()
