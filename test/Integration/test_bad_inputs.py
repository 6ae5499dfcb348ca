# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bad input of every kind: one clear error that names the culprit, no crash, nothing left behind."""

import resource
import signal
import subprocess

import numpy as np
import onnx
import pytest
import small_bert
from onnx import TensorProto, helper
from smallbert import Config, Options


@pytest.fixture(scope="module")
def files(tmp_path_factory, tool):
    """(model.onnx, model.alloy)"""
    folder = tmp_path_factory.mktemp("files")
    small_bert.write(folder / "model.onnx", Config())
    subprocess.run(
        [tool, "compile", folder / "model.onnx", "-o", folder / "model.alloy"],
        check=True,
        capture_output=True,
    )
    return folder / "model.onnx", folder / "model.alloy"


def crashed(result):
    return result.returncode < 0 or result.returncode == 70


# -- models ----------------------------------------------------------------------------------------


def test_no_such_model(refused, tmp_path):
    refused("compile", tmp_path / "none.onnx", words=["none.onnx", "No such file"])


def test_wrong_file(refused, tmp_path):
    for name, content in (("text.onnx", b"hello, this is no model\n"), ("empty.onnx", b"")):
        (tmp_path / name).write_bytes(content)
        refused("compile", tmp_path / name, words=[name])
    refused("compile", tmp_path, words=[tmp_path])


def test_artifact_where_a_model_is_wanted(refused, files):
    refused("compile", files[1], words=["model.alloy"])
    refused("verify", files[1], words=["compiled already"])


def test_truncated_model(permalloy, files, tmp_path):
    content, path = files[0].read_bytes(), tmp_path / "cut.onnx"
    for part in (1, 2, 10, 100, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:part])
        result = permalloy("compile", path, "-o", tmp_path / "cut.alloy", code=None)
        assert result.returncode == 1, f"{part} bytes: {result.err}"
        assert "cut.onnx" in result.err
        assert not (tmp_path / "cut.alloy").exists()


def test_altered_model_never_crashes(permalloy, files, tmp_path):
    """What a flipped byte makes may be a model; it must not be a crash or a broken file."""
    content, path = bytearray(files[0].read_bytes()), tmp_path / "bad.onnx"
    structure = [i for i in range(0, 3000, 97)] + [len(content) - i for i in range(1, 600, 41)]
    for position in structure:
        altered = bytearray(content)
        altered[position] ^= 0x55
        path.write_bytes(altered)
        result = permalloy("compile", path, "-o", tmp_path / "bad.alloy", code=None)
        assert not crashed(result), f"byte {position}: {result.err}"
        assert result.returncode == 0 or "permalloy: error: " in result.err


def write_model(path, nodes, opset=17):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), path)


def test_all_unsupported_operators_at_once(refused, tmp_path):
    path = tmp_path / "odd.onnx"
    nodes = [
        helper.make_node("NonMaxSuppression", ["x", "x"], ["a"], name="first"),
        helper.make_node("Det", ["x"], ["b"], name="second"),
        helper.make_node("Det", ["b"], ["y"], name="third"),
    ]
    write_model(path, nodes)
    refused("compile", path, words=["NonMaxSuppression", "first", "Det", "second"])


def test_too_new_opset(refused, tmp_path):
    write_model(tmp_path / "new.onnx", [helper.make_node("Relu", ["x"], ["y"])], opset=99)
    refused("compile", tmp_path / "new.onnx", words=["99"])


def test_wrong_graph_names_the_node(refused, tmp_path):
    write_model(tmp_path / "loose.onnx", [helper.make_node("Relu", ["nothing"], ["y"], name="r")])
    refused("compile", tmp_path / "loose.onnx", words=["nothing", "r"])


def test_missing_external_data(refused, tmp_path):
    small_bert.write(tmp_path / "ext.onnx", Config(), Options(), external_data=True)
    (data,) = tmp_path.glob("ext.onnx.*")
    content = data.read_bytes()
    data.write_bytes(content[: len(content) // 2])
    refused("compile", tmp_path / "ext.onnx", words=[data.name])
    data.unlink()
    refused("compile", tmp_path / "ext.onnx", words=[data.name])


def test_external_data_outside_the_folder(refused, tmp_path):
    small_bert.write(tmp_path / "ext.onnx", Config(), Options(), external_data=True)
    model = onnx.load(tmp_path / "ext.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../../../etc/passwd"
    onnx.save(model, tmp_path / "ext.onnx")
    refused("compile", tmp_path / "ext.onnx", words=["etc/passwd"])


# -- options ---------------------------------------------------------------------------------------


def test_options(refused, files):
    refused("compile", files[0], "--target", "x86-64-v9", words=["x86-64-v9", "x86-64-v3"])
    refused("compile", files[0], "--dim", "bach=4", words=["bach", "batch"])
    refused("compile", files[0], "--dim", "batch", words=["batch"])
    refused("compile", files[0], "--dim", "batch=8..2", words=["8..2"])
    refused("compile", files[0], "--precision", "f7", code=2, words=["f32"])
    refused("compile", files[0], "--emit", "jpeg", code=2, words=["alloy"])
    refused("compress", files[0], code=2, words=["compress"])
    refused("run", files[1], "--threads", "many", code=2, words=["many"])


def test_output_that_cannot_be_written(refused, files, tmp_path):
    refused("compile", files[0], "-o", tmp_path, words=[tmp_path])
    refused("compile", files[0], "-o", tmp_path / "no/such/out.alloy", words=["no/such"])
    refused("import", files[0], "-o", "/dev/full", words=["/dev/full"])


# -- artifacts -------------------------------------------------------------------------------------


def test_wrong_artifact(refused, tmp_path):
    (tmp_path / "x.alloy").write_bytes(b"no artifact")
    refused("inspect", tmp_path / "x.alloy", words=["x.alloy"])
    refused("inspect", tmp_path / "none.alloy", words=["none.alloy", "No such file"])


def test_truncated_artifact(permalloy, files, tmp_path):
    content, path = files[1].read_bytes(), tmp_path / "cut.alloy"
    for part in (8, 40, 4096, 5000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:part])
        result = permalloy("inspect", path, code=1)
        assert "cut.alloy" in result.err and not crashed(result)


def test_altered_artifact(permalloy, files, tmp_path):
    """Every checksummed byte; of the weights, with --verify."""
    content, path = bytearray(files[1].read_bytes()), tmp_path / "bad.alloy"
    for position in [*range(0, 300, 13), *range(4096, len(content), len(content) // 60)]:
        altered = bytearray(content)
        altered[position] ^= 0x55
        path.write_bytes(altered)
        result = permalloy("inspect", "--verify", path, code=None)
        assert not crashed(result), f"byte {position}"
        if result.returncode == 0:
            assert content[position] == 0, f"byte {position} was altered unnoticed"  # padding


# -- inputs ----------------------------------------------------------------------------------------


def test_inputs(refused, files, tmp_path):
    good = np.ones((2, 5), np.int64)
    names = ("input_ids", "attention_mask", "token_type_ids")

    def given(**changes):
        arrays = dict.fromkeys(names, good) | changes
        np.savez(tmp_path / "in.npz", **arrays)
        return "run", files[1], "--inputs", tmp_path / "in.npz"

    refused(*given(extra=good), words=["extra", "input_ids"])
    refused(*given(input_ids=good.astype(np.float32)), words=["input_ids", "float32", "int64"])
    refused(*given(input_ids=good[0]), words=["input_ids", "rank"])
    refused(*given(attention_mask=good[:, :3]), words=["attention_mask", "3", "5"])
    refused(*given(**dict.fromkeys(names, np.ones((1, 49), np.int64))), words=["49", "48"])
    np.savez(tmp_path / "in.npz", input_ids=good)
    refused("run", files[1], "--inputs", tmp_path / "in.npz", words=["attention_mask", "missing"])
    refused("run", files[1], "--inputs", tmp_path / "none.npz", words=["none.npz"])
    (tmp_path / "x.npy").write_bytes(b"no array")
    refused("run", files[1], "--input", f"input_ids={tmp_path}/x.npy", words=["x.npy"])
    refused("run", files[1], "--input", f"{tmp_path}/x.npy", words=["name"])
    np.save(tmp_path / "o.npy", np.array([None]), allow_pickle=True)
    refused("run", files[1], "--input", f"input_ids={tmp_path}/o.npy", words=["o.npy", "'|O'"])
    refused("run", files[1], "--random", "--dim", "width=3", words=["width", "sequence"])


# -- the machine -----------------------------------------------------------------------------------


def limited(size):
    """Files of this process may not become larger: what a full disk is like."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_full_disk(refused, files, tmp_path):
    out = ("-o", "out.alloy")
    refused(
        "compile", files[0], *out, "--no-cache", preexec_fn=limited(100000), words=["out.alloy"]
    )
    refused("import", files[0], "-o", "out.mlir", preexec_fn=limited(2000), words=["out.mlir"])
    run = ("run", files[1], "--random", "--outputs", "out.npz")
    refused(*run, preexec_fn=limited(500), words=["out.npz"])


def test_full_disk_keeps_the_old_file(permalloy, files, tmp_path):
    path = tmp_path / "old.alloy"
    path.write_bytes(b"old")
    permalloy("compile", files[0], "-o", path, code=1, preexec_fn=limited(100000))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["old.alloy"]


def start_compile(tool, tmp_path, heed_interrupts):
    """A compilation that has imported its model and waits for us to read what it prints."""
    small_bert.write(tmp_path / "long.onnx", Config(num_hidden_layers=24), Options("ts17"))
    work = tmp_path / "work"
    work.mkdir()
    command = [tool, "compile", "../long.onnx", "-o", "long.alloy", "--print-ir-after-all"]
    process = subprocess.Popen(
        command, cwd=work, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    process.stderr.readline()
    return process, work


@pytest.mark.parametrize("which", (signal.SIGINT, signal.SIGTERM))
def test_interruption(tool, tmp_path, which, heed_interrupts):
    process, work = start_compile(tool, tmp_path, heed_interrupts)
    process.send_signal(which)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + which, errors
    assert "interrupted" in errors
    assert list(work.iterdir()) == []


def test_crash_leaves_a_reproducer(tool, permalloy, tmp_path, heed_interrupts):
    """A fault of the compiler says so and names a file that shows it again."""
    process, work = start_compile(tool, tmp_path, heed_interrupts)
    process.send_signal(signal.SIGSEGV)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 70, errors
    assert "internal error" in errors
    (reproducer,) = work.iterdir()
    assert reproducer.name in errors
    again = permalloy("compile", reproducer, "--emit", "tfm", cwd=work)
    assert "tfm.attention" in again.out


# -- assumptions between dimensions ----------------------------------------------------------------

CORNER = """<ir_version: 8, opset_import: ["" : 17]>
corner (int64[batch, total] mask, float[past] p, float[sequence] s) => (int64[batch, keys] out) {
  zero = Constant <value_int = 0> ()
  one = Constant <value_int = 1> ()
  axis1 = Constant <value_ints = [1]> ()
  flat_shape = Constant <value_ints = [-1]> ()
  past_length = Shape (p)
  new_length = Shape (s)
  length = Add (past_length, new_length)
  keys_end = Squeeze (length)
  keys_at = Range (zero, keys_end, one)
  mask_shape = Shape (mask)
  batch_size = Gather <axis = 0> (mask_shape, zero)
  total_size = Gather <axis = 0> (mask_shape, one)
  rows = Range (zero, batch_size, one)
  column = Unsqueeze (rows, axis1)
  starts = Mul (column, total_size)
  at = Add (starts, keys_at)
  flat = Reshape (mask, flat_shape)
  out = Gather <axis = 0> (flat, at)
}"""


def test_mask_that_is_too_short(permalloy, tmp_path):
    """What the graph reads of the mask is checked against its size, by name and with both values."""
    onnx.save(onnx.parser.parse_model(CORNER), tmp_path / "corner.onnx")
    permalloy("compile", tmp_path / "corner.onnx", "-o", tmp_path / "corner.alloy")

    def run(total, code):
        arrays = {
            "mask": np.arange(2 * total, dtype=np.int64).reshape(2, total),
            "p": np.zeros(3, np.float32),
            "s": np.zeros(2, np.float32),
        }
        np.savez(tmp_path / "in.npz", **arrays)
        out = tmp_path / f"out{total}"
        inputs = ("--inputs", tmp_path / "in.npz", "--output-dir", out)
        result = permalloy("run", tmp_path / "corner.alloy", *inputs, code=code)
        return arrays["mask"], out / "out.npy", result

    for total in (5, 8):
        mask, path, _ = run(total, 0)
        assert (np.load(path) == mask[:, :5]).all()
    assert "past + sequence must be at most total" in (error := run(4, 1)[2].err)
    assert "they are 5 and 4" in error
