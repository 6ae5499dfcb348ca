# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""If and Loop, compiled, against onnxruntime."""

import numpy as np
import onnx.parser
import onnxruntime
import permalloy
import pytest

HEADER = '<ir_version: 10, opset_import: ["" : 21]>\n'
BRANCHES = """g (float[N, 4] x, bool c) => (float[N, 4] y, float[N, 4] z) {
  two = Constant <value = float {2.0}> ()
  t = Tanh(x)
  y, z = If (c) <
    then_branch = t () => (float[N, 4] p, float[N, 4] p2) { p = Add(x, t)
 p2 = Identity(x) },
    else_branch = e () => (float[N, 4] q, float[N, 4] q2) { q = Mul(x, two)
 q2 = Mul(q, t) }>
}"""
# Both branches name a constant k.
SAME_NAMES = """g (float[N, 4] x, bool c) => (float[N, 4] y) {
  y = If (c) <then_branch = t () => (float[N, 4] p) <float k = {2.0}> { p = Mul(x, k) },
              else_branch = e () => (float[N, 4] p) <float k = {3.0}> { p = Mul(x, k) }>
}"""
# The product shows that K and M are equal; the branches know w as [M, 4].
EQUAL_SIZES = """g (float[N, K] x, float[M, 4] w, bool c) => (float[N, 4] y, float[A, B] z) {
  y = MatMul(x, w)
  z = If (c) <then_branch = t () => (float[A, B] p) { p = Relu(w) },
              else_branch = e () => (float[A, B] q) { q = Neg(w) }>
}"""
SUMS = """g (float[N, 4] x, float[4] start) => (float[4] last, float[N, 4] all) {
  n = Shape <start = 0, end = 1> (x)
  trips = Squeeze(n)
  last, all = Loop (trips, , start) <body = b (int64 i, bool go, float[4] sum) => (bool more, float[4] next, float[4] each) {
    row = Gather <axis = 0> (x, i)
    next = Add(sum, row)
    each = Identity(next)
    more = Identity(go)
  }>
}"""
# Two values that change places, until the sum passes a limit: what a loop carries must not be overwritten early.
SWAPS = """g (float limit, float[3] a, float[3] b, int64 trips) => (float[3] x, float[3] y) {
  go = Constant <value = bool {1}> ()
  x, y = Loop (trips, go, a, b) <body = b (int64 i, bool c, float[3] p, float[3] q) => (bool more, float[3] q2, float[3] s) {
    s = Add(p, q)
    q2 = Identity(q)
    total = ReduceSum <keepdims = 0> (s)
    more = Less(total, limit)
  }>
}"""


def both(text, feed):
    model = onnx.parser.parse_model(HEADER + text).SerializeToString()
    expected = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feed)
    session = permalloy.InferenceSession(model)
    for _ in range(2):  # a second run on the same memory gives the same
        for want, got in zip(expected, session.run(None, feed), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("condition", [True, False])
def test_branches(condition):
    x = np.random.default_rng(0).standard_normal((3, 4), np.float32)
    both(BRANCHES, {"x": x, "c": np.array(condition)})


@pytest.mark.parametrize("condition", [True, False])
def test_names_of_branches(condition):
    x = np.random.default_rng(0).standard_normal((3, 4), np.float32)
    both(SAME_NAMES, {"x": x, "c": np.array(condition)})


@pytest.mark.parametrize("condition", [True, False])
def test_sizes_in_branches(condition):
    x, w = (np.random.default_rng(0).standard_normal(s, np.float32) for s in ((3, 5), (5, 4)))
    both(EQUAL_SIZES, {"x": x, "w": w, "c": np.array(condition)})


@pytest.mark.parametrize("count", [1, 5, 0])
def test_loop_collects(count):
    x = np.random.default_rng(0).standard_normal((count, 4), np.float32)
    both(SUMS, {"x": x, "start": np.ones(4, np.float32)})


@pytest.mark.parametrize("trips", [0, 1, 4, 100])
def test_loop_stops(trips):
    a, b = np.array([1, 2, 3], np.float32), np.array([0.5, 0, -1], np.float32)
    both(SWAPS, {"limit": np.array(50, np.float32), "a": a, "b": b, "trips": np.array(trips)})
