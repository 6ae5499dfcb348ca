# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SessionOptions and RunOptions: what has an effect, what is accepted, what is refused."""

import json
import time
from pathlib import Path

import pytest
from tiny_model import feed

permalloy = pytest.importorskip("permalloy", reason="the Python package is not built")


@pytest.fixture
def options():
    return permalloy.SessionOptions()


def test_habits_are_accepted(options):
    options.graph_optimization_level = permalloy.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.graph_optimization_level = 1
    assert options.graph_optimization_level is permalloy.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.execution_mode = permalloy.ExecutionMode.ORT_PARALLEL
    options.execution_order = permalloy.ExecutionOrder.PRIORITY_BASED
    options.inter_op_num_threads = 4
    options.enable_mem_pattern = options.enable_mem_reuse = options.enable_cpu_mem_arena = False
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    options.logid = "mine"
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    options.add_provider("CPUExecutionProvider", {})
    assert options.has_providers()


def test_takes_members_of_onnxruntimes_enums(options):
    onnxruntime = pytest.importorskip("onnxruntime")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level == 0


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("intra_op_num_threads", -1, "intra_op_num_threads is -1"),
        ("intra_op_num_threads", "two", "intra_op_num_threads is 'two'"),
        ("inter_op_num_threads", True, "inter_op_num_threads is True"),
        ("graph_optimization_level", 7, "is 7, accepted are ORT_DISABLE_ALL, "),
        ("execution_mode", "fast", "is 'fast', accepted are ORT_SEQUENTIAL, "),
        ("enable_profiling", "yes", "is 'yes', accepted are True and False"),
        ("use_per_session_threads", False, "is False, accepted is True"),
        ("optimized_model_filepath", "m.onnx", "accepted is a name that ends in .alloy"),
        ("compile_options", "-O3", "compile_options is '-O3', expected a dict"),
        ("profile_file_prefix", 3, "is 3, expected a str"),
    ],
)
def test_bad_values_name_the_option(options, name, value, message):
    with pytest.raises(permalloy.InvalidArgument, match=message):
        setattr(options, name, value)


def test_unknown_and_unsupported_names_raise(options):
    with pytest.raises(
        AttributeError, match="SessionOptions.threads is unsupported; supported are"
    ):
        options.threads = 2
    with pytest.raises(AttributeError, match="no attribute 'threads'"):
        print(options.threads)
    with pytest.raises(permalloy.NotImplemented, match="SessionOptions.add_initializer is unsupp"):
        options.add_initializer("w", None)
    assert not hasattr(options, "register_custom_ops_library")
    with pytest.raises(permalloy.InvalidArgument, match="load_model_format is 'ORT'"):
        options.add_session_config_entry("session.load_model_format", "ORT")
    with pytest.raises(permalloy.InvalidArgument, match="has no entry 'a'"):
        options.get_session_config_entry("a")
    with pytest.raises(permalloy.InvalidArgument, match="provider 'Mine' is unknown"):
        options.add_provider("Mine", {})
    with pytest.raises(AttributeError, match="permalloy.SparseTensor is unsupported: sparse"):
        print(permalloy.SparseTensor)
    with pytest.raises(TypeError, match="unexpected argument 'speed'"):
        permalloy.InferenceSession("x.alloy", speed=2)


def test_prints_what_was_changed(options):
    assert repr(options) == "SessionOptions()"
    options.intra_op_num_threads = 2
    assert repr(options) == "SessionOptions(intra_op_num_threads=2)"
    assert "logid" in dir(options)


def test_entries_become_compile_options(options):
    options.add_session_config_entry("permalloy.precision", "bf16")
    options.add_session_config_entry("permalloy.pack_padding", "true")
    options.add_session_config_entry("permalloy.no_cache", "False")
    found = permalloy.compiler.flags(options._compile_options())
    assert found == ["--pack-padding", "--precision", "bf16"]


def test_dimensions_become_compile_options(fake_compiler, options, tmp_path, tiny):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"MODEL")
    options.compile_options = {"dims": {"seq": "1..64"}, "threads": 1}
    options.add_free_dimension_override_by_name("batch", 4)
    permalloy.InferenceSession(model, options)
    assert fake_compiler()[0].endswith("--dim batch=4 --dim seq=1..64 --threads 1")
    with pytest.raises(
        permalloy.InvalidArgument, match="override of 'batch': the model is compiled"
    ):
        permalloy.InferenceSession(tiny, options)
    with pytest.raises(permalloy.InvalidArgument, match="batch is -1"):
        options.add_free_dimension_override_by_name("batch", -1)


def test_writes_the_compiled_model(fake_compiler, options, tmp_path, tiny):
    data = Path(tiny).read_bytes()
    for number, model in enumerate((b"MODEL", tiny, data)):
        copy = tmp_path / f"copy{number}.alloy"
        options.optimized_model_filepath = copy
        permalloy.InferenceSession(model, options)
        assert copy.read_bytes() == data
    options.optimized_model_filepath = "/nonexistent/copy.alloy"
    with pytest.raises(permalloy.InvalidArgument, match="cannot write '/nonexistent/copy.alloy'"):
        permalloy.InferenceSession(tiny, options)


def test_profiling_writes_a_trace(tiny, options, tmp_path):
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "trace")
    before = time.monotonic_ns()
    session = permalloy.InferenceSession(tiny, options)
    assert before <= session.get_profiling_start_time_ns() <= time.monotonic_ns()
    for seq in (3, 200):
        session.run(None, feed(4, seq))
    path = session.end_profiling()
    assert path.startswith(str(tmp_path / "trace_")) and path.endswith(".json")
    with open(path) as file:
        events = json.load(file)
    runs = [event for event in events if event.get("cat") == "Session"]
    steps = [event for event in events if event.get("cat") == "Node"]
    assert [event["name"] for event in runs] == ["model_run"] * 2
    assert [event["name"] for event in steps] == ["/affine", "/mask", "/sum", "/identity"] * 2
    assert steps[1]["args"]["kernel"] == "mask_rows"
    for number, run in enumerate(runs):
        inside = steps[4 * number : 4 * number + 4]
        assert run["ph"] == "X" and run["ts"] >= 0
        assert 0 < sum(event["dur"] for event in inside) <= run["dur"]
        assert all(event["ts"] >= run["ts"] for event in inside)
    assert session.end_profiling() == ""
    session.run(None, feed(1, 1))


def test_without_profiling_there_is_no_file(session):
    assert session.end_profiling() == ""
    assert session.get_profiling_start_time_ns() == 0


def test_run_options():
    options = permalloy.RunOptions()
    options.log_severity_level = 1
    options.logid = "mine"
    options.only_execute_path_to_fetches = True
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    assert options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"
    with pytest.raises(AttributeError, match="RunOptions.add_active_adapter is unsupported: adapt"):
        options.add_active_adapter("a")
    with pytest.raises(permalloy.InvalidArgument, match="terminate is 2"):
        options.terminate = 2
    with pytest.raises(AttributeError, match="RunOptions.speed is unsupported"):
        options.speed = 1
