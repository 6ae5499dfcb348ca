# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Past keys and values kept in place: drop-in, with a state, with an IOBinding."""

import gc
import threading

import numpy as np
import pytest

permalloy = pytest.importorskip("permalloy")

PASTS, PRESENTS = ["past.k", "past.v"], ["present.k", "present.v"]


@pytest.fixture(scope="module")
def session(tiny_cache):
    options = permalloy.SessionOptions()
    options.intra_op_num_threads = 2
    return permalloy.InferenceSession(tiny_cache, options)


def rows(count, batch=1, seed=0):
    """Small integers, so that sums are exact in any order."""
    random = np.random.default_rng(seed)
    return random.integers(-9, 9, (batch, 2, count, 4)).astype(np.float32)


def expected(all_rows):
    weights = np.arange(2, all_rows.shape[2] + 2, dtype=np.float32)
    return (all_rows * weights[:, None]).sum(axis=2)


def empty(batch=1):
    return {name: rows(0, batch) for name in PASTS}


def step(session, x, past):
    """y, and the present as the past of the next step."""
    y, k, v = session.run(["y", *PRESENTS], {"x": x, **past})
    return y, dict(zip(PASTS, (k, v)))


def address(array):
    return array.__array_interface__["data"][0]


def test_names_the_caches_and_not_their_capacity(session):
    assert session.caches == [("past.k", "present.k"), ("past.v", "present.v")]
    assert session.get_inputs()[1].shape == ["batch", 2, "past", 4]


def test_drop_in_equals_copying_and_grows(session):
    past, dense, moves, last = empty(), rows(0), 0, None
    for i in range(200):
        x = rows(1, seed=i)
        dense = np.concatenate([dense, x], axis=2)
        y, past = step(session, x, past)
        assert np.array_equal(past["past.k"], dense)
        copied, _ = step(session, x, {name: dense[:, :, :-1].copy() for name in PASTS})
        assert np.array_equal(y, expected(dense)) and np.array_equal(y, copied)
        moves += address(past["past.k"]) != last
        last = address(past["past.k"])
    assert moves == 3  # buffers of 64, 128 (for 65 rows) and 256 (for 129)
    assert past["past.v"].strides[1] == 256 * 4 * 4
    assert past["past.v"].base is not None


def test_batch(session):
    past, dense = empty(4), rows(0, 4)
    for i in range(5):
        x = rows(3, 4, seed=i)
        dense = np.concatenate([dense, x], axis=2)
        y, past = step(session, x, past)
        assert np.array_equal(y, expected(dense))


def test_two_continuations_are_independent(session):
    root = rows(5)
    _, past = step(session, root, empty())
    first = [np.concatenate([root, rows(1, seed=s)], axis=2) for s in (1, 2)]
    results = [step(session, f[:, :, 5:], past) for f in first]
    places = [address(p["past.k"]) for _, p in results]
    assert places[0] == address(past["past.k"]) and places[1] != places[0]
    for (y, present), whole in zip(results, first):
        assert np.array_equal(y, expected(whole))
        assert np.array_equal(present["past.v"], whole)
    assert np.array_equal(past["past.k"], root)


def test_parts_and_reordered_views_are_copied(session):
    both = np.concatenate([rows(5, seed=1), rows(5, seed=2)])
    _, past = step(session, both, empty(2))
    # What beam search does, and a caller who drops the first row.
    swapped = {name: view[::-1] for name, view in past.items()}
    y, _ = step(session, rows(1, 2), swapped)
    assert np.array_equal(y, expected(np.concatenate([both[::-1], rows(1, 2)], axis=2)))
    part = {name: view[:, :, 1:] for name, view in past.items()}
    y, _ = step(session, rows(1, 2), part)
    assert np.array_equal(y, expected(np.concatenate([both[:, :, 1:], rows(1, 2)], axis=2)))


def test_views_outlive_the_session(tiny_cache):
    session = permalloy.InferenceSession(tiny_cache)
    _, past = step(session, rows(5), empty())
    del session
    gc.collect()
    assert np.array_equal(past["past.k"], rows(5))


def test_state(session):
    state = session.create_state(batch=2, capacity=10)
    assert (state.length, state.capacity, state.batch) == (0, 10, 2)
    assert state.nbytes == 2 * 10 * (2 * 2 * 4 * 4)  # two caches of 2 heads of 4 floats
    dense = rows(0, 2)
    for i in range(12):
        x = rows(1, 2, seed=i)
        dense = np.concatenate([dense, x], axis=2)
        (y,) = session.run(None, {"x": x}, state=state)
        assert np.array_equal(y, expected(dense)) and state.length == i + 1
    assert state.nbytes == 2 * 64 * (2 * 2 * 4 * 4)
    state.truncate(4)
    (y,) = session.run(["y"], {"x": rows(2, 2)}, state=state)
    assert np.array_equal(y, expected(np.concatenate([dense[:, :, :4], rows(2, 2)], axis=2)))
    state.reset()
    (y,) = session.run(["y"], {"x": rows(2, 2)}, state=state)
    assert np.array_equal(y, expected(rows(2, 2)))


def test_a_state_takes_a_past(session):
    state = session.create_state(batch=2, capacity=4)
    for length in (3, 9):  # 9 rows need a larger buffer
        past = rows(length, 2, seed=length)
        state.load({"past.k": past, "past.v": past})
        assert state.length == length and state.capacity >= length
        (y,) = session.run(None, {"x": rows(1, 2)}, state=state)
        assert np.array_equal(y, expected(np.concatenate([past, rows(1, 2)], axis=2)))
    for feed, message in (
        ({"past.k": rows(3, 2)}, "'past.v' is missing"),
        ({"past.k": rows(3, 2), "past.v": rows(4, 2)}, "does not fit a state of batch 2"),
        ({"past.k": rows(3), "past.v": rows(3)}, "does not fit a state of batch 2"),
        ({"x": rows(1, 2), "past.k": rows(3, 2), "past.v": rows(3, 2)}, "'x' is not a cache"),
    ):
        with pytest.raises(permalloy.InvalidArgument, match=message):
            state.load(feed)
    assert state.length == 10


def test_state_errors(session, tiny, tiny_cache):
    state = session.create_state()
    with pytest.raises(permalloy.InvalidArgument, match="'past.k' is a cache, which the state"):
        session.run(["y"], {"x": rows(1), **empty()}, state=state)
    with pytest.raises(permalloy.InvalidArgument, match="'present.k' is a cache, which stays"):
        session.run(["present.k"], {"x": rows(1)}, state=state)
    with pytest.raises(permalloy.InvalidArgument, match="axis 0 is 1, expected batch = 2"):
        session.run(["y"], {"x": rows(1, 2)}, state=state)
    with pytest.raises(permalloy.InvalidArgument, match="length 0 to 3"):
        state.truncate(3)
    with pytest.raises(permalloy.InvalidArgument, match="capacity is 0"):
        session.create_state(capacity=0)
    with pytest.raises(permalloy.InvalidArgument, match="batch 9: the model takes 0 to 8"):
        session.create_state(batch=9)
    with pytest.raises(permalloy.InvalidArgument, match="another session"):
        permalloy.InferenceSession(tiny_cache).run(["y"], {"x": rows(1)}, state=state)
    with pytest.raises(permalloy.InvalidArgument, match="no caches"):
        permalloy.InferenceSession(tiny).create_state()


def test_iobinding_continues_in_place(session):
    binding = session.io_binding()
    dense = rows(0)
    for name, array in empty().items():
        binding.bind_cpu_input(name, array)
    for name in ["y", *PRESENTS]:
        binding.bind_output(name)
    places = set()
    for i in range(6):
        x = rows(1, seed=i)
        dense = np.concatenate([dense, x], axis=2)
        binding.bind_cpu_input("x", x)
        session.run_with_iobinding(binding)
        y, *present = binding.get_outputs()
        assert np.array_equal(y.numpy(), expected(dense))
        for name, value in zip(PASTS, present):
            binding.bind_ortvalue_input(name, value)
        places.add(present[0].data_ptr())
    assert len(places) == 1
    assert np.array_equal(present[1].numpy(), dense)


def test_present_in_the_callers_memory_is_dense(session):
    _, past = step(session, rows(3), empty())
    binding = session.io_binding()
    for name, array in {"x": rows(1, seed=1), **past}.items():
        binding.bind_cpu_input(name, array)
    mine = permalloy.OrtValue.ortvalue_from_numpy(np.zeros((1, 2, 4, 4), np.float32))
    binding.bind_ortvalue_output("present.k", mine)
    session.run_with_iobinding(binding)
    assert np.array_equal(mine.numpy(), np.concatenate([rows(3), rows(1, seed=1)], axis=2))


def test_strided_inputs(session):
    x = rows(2, seed=3)
    for given in (x.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2), x[:, ::-1].copy()[:, ::-1]):
        y, past = step(session, given, empty())
        assert np.array_equal(y, expected(x)) and np.array_equal(past["past.k"], x)


def test_threads_on_states_and_on_one_past(session):
    root = rows(3)
    _, past = step(session, root, empty())
    failures = []

    def work(seed):
        own, dense, state = past, root, session.create_state()
        session.run(["y"], {"x": root}, state=state)
        for i in range(20):
            x = rows(1, seed=100 * seed + i)
            dense = np.concatenate([dense, x], axis=2)
            y, own = step(session, x, own)
            (z,) = session.run(["y"], {"x": x}, state=state)
            if not (np.array_equal(y, expected(dense)) and np.array_equal(z, y)):
                failures.append((seed, i))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_nothing_leaks(session):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    def sequence():
        past = {name: rows(0, 8) for name in PASTS}
        for _ in range(20):
            _, past = step(session, rows(9, 8), past)

    for _ in range(5):
        sequence()
    before = resident()
    for _ in range(60):
        sequence()
    assert resident() - before < 4 << 20
