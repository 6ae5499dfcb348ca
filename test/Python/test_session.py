# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""InferenceSession on a .alloy file: no compiler needed."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from tiny_model import expected, feed

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")


def test_runs_dynamic_shapes(session):
    for batch, seq in [(1, 1), (8, 512), (3, 7), (0, 5), (2, 100)]:
        inputs = feed(batch, seq, seed=seq)
        for got, want in zip(session.run(None, inputs), expected(inputs)):
            assert got.dtype == want.dtype and got.shape == want.shape
            np.testing.assert_array_equal(got, want)


def test_gives_the_outputs_asked_for(session):
    inputs = feed(2, 3)
    y, s, _ = expected(inputs)
    got = session.run(["s", "y"], inputs)
    np.testing.assert_array_equal(got[0], s)
    np.testing.assert_array_equal(got[1], y)
    assert len(session.run([], inputs)) == 3


def test_outputs_own_their_memory(tiny):
    session = permalloy.InferenceSession(tiny)
    inputs = feed(4, 50)
    y = session.run(["y"], inputs)[0]
    assert y.flags.writeable
    want = expected(inputs)[0]
    del session
    gc.collect()
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(">f4"),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.tolist() and np.array(a.tolist(), np.float32),
        lambda a: (
            np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(a.shape)
        ),
    ],
    ids=["fortran", "big-endian", "strided", "copy", "unaligned-read-only"],
)
def test_takes_any_layout(session, change):
    inputs = feed(2, 3)
    y = session.run(["y"], dict(inputs, x=change(inputs["x"])))[0]
    np.testing.assert_array_equal(y, expected(inputs)[0])


def test_reads_contiguous_inputs_in_place(session):
    inputs = feed(2, 3)
    from permalloy.tensors import from_any

    assert from_any("x", inputs["x"]).address == inputs["x"].ctypes.data
    assert from_any("x", np.float32(3)).shape == ()


def test_describes_inputs_and_outputs(session):
    x, m = session.get_inputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["batch", "seq", 8])
    assert m.shape == ["batch", "seq"]
    assert [arg.name for arg in session.get_outputs()] == ["y", "s", "c"]
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.threads == 2
    meta = session.get_modelmeta()
    assert (meta.producer_name, meta.graph_name, meta.version) == ("by hand", "tiny", 7)
    assert meta.custom_metadata_map == {"author": "nobody"}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": np.zeros((2, 3, 8))}, "input 'x' has dtype float64, expected float32"),
        ({"x": np.zeros((2, 600, 8), "f4")}, "axis 1 is 600, but 'seq' accepts 1..512"),
        ({"m": np.zeros((2, 4), "f4")}, "axis 1 is 4, expected seq = 3"),
        ({"m": np.zeros(3, "f4")}, "of rank 1, expected rank 2 as in"),
        ({"z": np.zeros(3, "f4")}, "the model has no input 'z'; its inputs are 'x', 'm'"),
        ({"x": np.array(["a"])}, "input 'x' has dtype <U1, which no model takes"),
        ({"x": np.zeros((1,) * 9, "f4")}, "input 'x' has rank 9, accepted are 0..8"),
    ],
)
def test_bad_inputs_name_the_culprit(session, change, message):
    with pytest.raises(permalloy.InvalidArgument) as error:
        session.run(None, dict(feed(2, 3), **change))
    assert message in str(error.value)
    assert isinstance(error.value, ValueError)


def test_missing_input_and_unknown_output(session):
    with pytest.raises(permalloy.InvalidArgument, match="input 'm' is missing"):
        session.run(None, {"x": feed(1, 1)["x"]})
    with pytest.raises(permalloy.InvalidArgument, match="no output 'q'; its outputs are 'y'"):
        session.run(["q"], feed(1, 1))
    with pytest.raises(permalloy.InvalidArgument, match="input_feed is a list"):
        session.run(None, [1])


def test_providers(tiny):
    session = permalloy.InferenceSession(tiny, providers=["CPUExecutionProvider"])
    permalloy.InferenceSession(tiny, providers=[("CPUExecutionProvider", {})])
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_provider_options() == {"CPUExecutionProvider": {}}
    with pytest.warns(UserWarning, match="'DmlExecutionProvider' is not in available"):
        session.set_providers(["DmlExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(permalloy.InvalidArgument, match="provider 'GPU' is unknown"):
        permalloy.InferenceSession(tiny, providers=["GPU"])
    with pytest.raises(permalloy.InvalidArgument, match="expected a sequence of names"):
        permalloy.InferenceSession(tiny, providers="CPUExecutionProvider")
    with pytest.raises(permalloy.InvalidArgument, match="2 provider_options given for 1"):
        permalloy.InferenceSession(tiny, None, ["CPUExecutionProvider"], [{}, {}])


def test_opens_bytes(tiny):
    with open(tiny, "rb") as file:
        session = permalloy.InferenceSession(file.read())
    inputs = feed(1, 4)
    np.testing.assert_array_equal(session.run(["y"], inputs)[0], expected(inputs)[0])


def test_damaged_and_missing_files(tiny, tmp_path):
    with open(tiny, "rb") as file:
        data = file.read()
    short = tmp_path / "short.alloy"
    short.write_bytes(data[:-1])
    with pytest.raises(permalloy.InvalidModel, match="short.alloy' is truncated or altered"):
        permalloy.InferenceSession(short)
    with pytest.raises(permalloy.NoSuchFile, match="No such file"):
        permalloy.InferenceSession(str(tmp_path / "none.onnx"))
    with pytest.raises(FileNotFoundError):
        permalloy.InferenceSession(str(tmp_path / "none.alloy"))


def test_threads_share_a_session(session):
    failures = []

    def use(seed):
        for i in range(20):
            inputs = feed(1 + i % 8, 1 + (seed * 37 + i * 11) % 300, seed)
            y = session.run(["y"], inputs)[0]
            if not np.array_equal(y, expected(inputs)[0]):
                failures.append((seed, i))

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_forked_child_runs(session):
    inputs = feed(4, 50)
    session.run(None, inputs)
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = np.array_equal(session.run(["y"], inputs)[0], expected(inputs)[0])
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_profile_names_each_step(session):
    steps = session.profile(feed(2, 3))
    assert [step[:2] for step in steps] == [
        ("/affine", "affine"),
        ("/mask", "mask_rows"),
        ("/sum", "row_sum"),
        ("/identity", "copy"),
    ]
    assert all(step[2] >= 0 for step in steps)


SHARE = """
import sys, permalloy, numpy as np
session = permalloy.InferenceSession(sys.argv[1])
session.run(None, {"x": np.ones((1, 1, 8), "f4"), "m": np.ones((1, 1), "f4")})
print("ready", flush=True)
sys.stdin.read()
"""


def pages(path):
    """Sums of /proc/self/smaps over the mappings of a file, in kB."""
    sums = {}
    inside = False
    with open("/proc/self/smaps") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                inside = words[-1] == path
            elif inside and words[-1] == "kB":
                sums[words[0]] = sums.get(words[0], 0) + int(words[1])
    return sums


def test_two_processes_share_the_pages_of_the_file(tiny):
    session = permalloy.InferenceSession(tiny)
    session.run(None, feed(1, 1))
    command = [sys.executable, "-c", SHARE, tiny]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"ready\n"
        sums = pages(tiny)
        other.communicate()
    assert sums["Private_Dirty:"] == 0
    # The page of weights and the header at least; the rest was read at open by both as well.
    assert sums["Shared_Clean:"] >= 8
    assert sums["Pss:"] < sums["Rss:"]
