# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sizes that depend on data (NonZero, TopK, Range) or must fit while running, against onnxruntime."""

import numpy as np
import onnx.parser
import onnxruntime
import permalloy
import pytest

HEADER = '<ir_version: 10, opset_import: ["" : 21]>\n'
POSITIONS = """g (float[N, 3] x) => (int64[2, K] where, float[K] chosen, int64[1] count) {
  zero = Constant <value = float {0.0}> ()
  positive = Greater(x, zero)
  where = NonZero(positive)
  tuples = Transpose <perm = [1, 0]> (where)
  values = GatherND(x, tuples)
  chosen = Mul(values, values)
  count = Shape <start = 0, end = 1> (chosen)
}"""
BEST = """g (float[N] x, int64[1] k) => (float[K] values, int64[K] indices) {
  values, indices = TopK(x, k)
}"""
RANGE = """g (int64 start, int64 limit, int64 delta) => (int64[K] y) {
  r = Range(start, limit, delta)
  y = Add(r, r)
}"""


def session_of(text):
    model = onnx.parser.parse_model(HEADER + text).SerializeToString()
    peer = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return peer, permalloy.InferenceSession(model)


def compare(sessions, feed):
    expected, got = (session.run(None, feed) for session in sessions)
    for want, have in zip(expected, got, strict=True):
        assert want.shape == have.shape and want.dtype == have.dtype
        np.testing.assert_allclose(have, want, rtol=1e-6, atol=1e-6)


def test_non_zero():
    sessions = session_of(POSITIONS)
    random = np.random.default_rng(0)
    for rows in (1, 7, 1000, 7):
        compare(sessions, {"x": random.standard_normal((rows, 3), np.float32)})
    compare(sessions, {"x": np.full((4, 3), -1, np.float32)})  # none
    compare(sessions, {"x": np.full((4, 3), 2, np.float32)})  # all


def test_top_k():
    sessions = session_of(BEST)
    x = np.random.default_rng(0).permutation(20).astype(np.float32)
    for k in (1, 20, 3):
        compare(sessions, {"x": x, "k": np.array([k])})


@pytest.mark.parametrize("bounds", [(0, 10, 3), (5, -5, -2), (3, 3, 1), (9, 2, 1)])
def test_range(bounds):
    feed = dict(zip(("start", "limit", "delta"), map(np.array, bounds), strict=True))
    compare(session_of(RANGE), feed)


def test_negative_size_is_refused():
    _, session = session_of(BEST)
    with pytest.raises(Exception, match="depends on data, is -1"):
        session.run(None, {"x": np.zeros(4, np.float32), "k": np.array([-1])})
    with pytest.raises(Exception, match="more are wanted than there are; they are 5 and 4"):
        session.run(None, {"x": np.zeros(4, np.float32), "k": np.array([5])})
    np.testing.assert_equal(
        session.run(None, {"x": np.arange(4, dtype=np.float32), "k": np.array([1])})[0], [3]
    )


def test_sizes_in_a_branch():
    text = """g (float[N] x, bool c) => (float[1] y) {
      axes = Constant <value = int64[1] {0}> ()
      y = If (c) <
        then_branch = t () => (float[1] p) { w = NonZero(x)
 f = Squeeze(w, axes)
 v = Gather(x, f)
 p = ReduceSum(v, axes) },
        else_branch = e () => (float[1] q) { q = ReduceSum(x, axes) }>
    }"""
    sessions = session_of(text)
    x = np.array([0, 1, 2, 0, 4], np.float32)
    for c in (True, False, True):
        compare(sessions, {"x": x, "c": np.array(c)})


def test_sizes_that_do_not_broadcast():
    """What no shape rule can refuse before the run is refused in it, not read past its end."""
    _, session = session_of("""g (float[N] x, float[M] y) => (float[K] z) {
      s = Add(x, y)
      z = Relu(s)
    }""")
    x, many = np.arange(3, dtype=np.float32), np.ones(20_000_000, np.float32)
    with pytest.raises(Exception, match="sizes N and M do not broadcast; they are 3 and 20000000"):
        session.run(None, {"x": x, "y": many})
    for a, b in ((x, x), (x, x[:1]), (x[1:2], x)):
        np.testing.assert_array_equal(session.run(None, {"x": a, "y": b})[0], np.maximum(a + b, 0))


def test_a_table_that_is_too_short_in_a_branch():
    sessions = session_of("""g (float[N] x, bool c) => (float[1] y) {
      table = Constant <value = float[4] {1.0, 2.0, 3.0, 4.0}> ()
      zero = Constant <value = int64[1] {0}> ()
      y = If (c) <
        then_branch = t () => (float[1] p) { n = Shape(x)
 s = Slice(table, zero, n)
 a = Add(x, s)
 p = ReduceSum(a, zero) },
        else_branch = e () => (float[1] q) { q = ReduceSum(x, zero) }>
    }""")
    for size in (1, 4):
        for c in (True, False):
            compare(sessions, {"x": np.ones(size, np.float32), "c": np.array(c)})
    x = np.ones(5000, np.float32)
    compare(sessions, {"x": x, "c": np.array(False)})  # the branch that fits is still taken
    with pytest.raises(Exception, match="do not broadcast"):
        sessions[1].run(None, {"x": x, "c": np.array(True)})
