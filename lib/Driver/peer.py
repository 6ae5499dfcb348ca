# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""onnxruntime as a child process of `permalloy verify` and `permalloy bench`.

Reads one JSON object a line from stdin ({"command": "load", ...}) and answers with one on stdout
({"error": ...} when it failed). Embedded in the driver; arrays travel in .npz files.
"""

import json
import os
import shutil
import sys
import tempfile
import time

channel = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what libraries print is not an answer
state = {}


def hello():
    import numpy
    import onnxruntime

    versions = {"python": sys.version.split()[0], "numpy": numpy.__version__}
    return {"version": onnxruntime.__version__, **versions}


HALVES = {10: "f16", 16: "bf16"}  # TensorProto.FLOAT16, BFLOAT16


def messages(message):
    """`message` and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from messages(part)


def widen(proto):
    """Turns all f16 and bf16 of a model into f32, values unchanged; returns what it had."""
    from onnx import numpy_helper

    found = set()
    for message in messages(proto):
        kind = type(message).__name__
        if kind == "TensorProto" and message.data_type in HALVES:
            found.add(HALVES[message.data_type])
            array = numpy_helper.to_array(message).astype("float32")
            message.CopyFrom(numpy_helper.from_array(array, message.name))
        elif kind == "Tensor" and message.elem_type in HALVES:
            found.add(HALVES[message.elem_type])
            message.elem_type = 1
        elif kind == "AttributeProto" and message.name in ("to", "dtype") and message.i in HALVES:
            found.add(HALVES[message.i])
            message.i = 1
    return found


def load_widened(model):
    """The model in f32 with the narrowest type that it had, or as it is.

    onnxruntime has few bf16 kernels, and a result in f16 or bf16 is best compared with one that was
    computed in more precision from the same weights.
    """
    import onnx

    proto = onnx.load(model, load_external_data=False)
    if not widen(proto):
        return model, "f32"
    proto = onnx.load(model)
    found = widen(proto)
    state["folder"] = tempfile.TemporaryDirectory()
    path = os.path.join(state["folder"].name, "widened.onnx")
    large = proto.ByteSize() > 1 << 30
    onnx.save(proto, path, save_as_external_data=large)
    return path, "bf16" if "bf16" in found else "f16"


def load(model, threads, widened=False):
    """Opens a model, in f32 if `widened`; the session stays until the next load."""
    import onnxruntime

    precision = "as it is"
    if widened:
        model, precision = load_widened(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    begin = time.perf_counter()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    state["session"] = session
    return {"seconds": time.perf_counter() - begin, "precision": precision}


def as_declared(array, declared):
    """f16, and bf16 as its bits, for an input that was widened."""
    if declared != "tensor(float)" or array.itemsize != 2:
        return array
    if array.dtype == "uint16":
        return (array.astype("uint32") << 16).view("float32")
    return array.astype("float32")


def feed(inputs):
    """Takes the arrays of an .npz file as the inputs of the runs to come."""
    import numpy

    wanted = {item.name: item.type for item in state["session"].get_inputs()}
    with numpy.load(inputs) as file:
        arrays = {name: file[name] for name in file.files}
    state["feed"] = {
        name: as_declared(array, wanted[name]) for name, array in arrays.items() if name in wanted
    }
    return {}


def run(outputs):
    """Runs once and writes all outputs to an .npz file."""
    import numpy

    session = state["session"]
    values = session.run(None, state["feed"])
    names = [item.name for item in session.get_outputs()]
    numpy.savez(outputs, **dict(zip(names, values)))
    return {"outputs": names}


def measure(repeats):
    """Nanoseconds of each of `repeats` runs."""
    session, arrays, times = state["session"], state["feed"], []
    for _ in range(repeats):
        begin = time.perf_counter_ns()
        session.run(None, arrays)
        times.append(time.perf_counter_ns() - begin)
    return {"nanoseconds": times}


def nodes(model):
    """The candidates of a bisection: [node name, op type, first output] in the graph's order."""
    import onnx

    graph = onnx.load(model, load_external_data=False).graph
    rows = []
    for index, node in enumerate(graph.node):
        outputs = [name for name in node.output if name]
        if outputs:
            rows.append([node.name or f"#{index}", node.op_type, outputs[0]])
    return {"nodes": rows}


def needed_nodes(graph, value):
    """The nodes that `value` depends on, in the graph's order."""
    makers = {name: node for node in graph.node for name in node.output}
    needed, pending = set(), [value]
    while pending:
        node = makers.get(pending.pop())
        if node is None or id(node) in needed:
            continue
        needed.add(id(node))
        pending.extend(node.input)
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                pending.extend(name for inner in body.node for name in inner.input)
    return [node for node in graph.node if id(node) in needed]


def replace(graph, field, items):
    """Makes `items`, some of the messages of a repeated field, all that it holds."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del getattr(graph, field)[:]
    getattr(graph, field).extend(copies)


def copy_external_data(graph, source, target):
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            copy = os.path.join(target, entry.value)
            if entry.key == "location" and not os.path.exists(copy):
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copyfile(os.path.join(source, entry.value), copy)


def prefix(model, value, output):
    """Writes the part of the model that computes `value`, as its only output."""
    import onnx

    proto = onnx.load(model, load_external_data=False)
    graph = proto.graph
    nodes = needed_nodes(graph, value)
    used = {name for node in nodes for name in node.input} | {value}
    known = {item.name: item for item in (*graph.value_info, *graph.output)}
    result = onnx.ValueInfoProto(name=value)
    if value in known:
        result.CopyFrom(known[value])
    replace(graph, "initializer", [item for item in graph.initializer if item.name in used])
    replace(graph, "node", nodes)
    del graph.output[:], graph.value_info[:]
    graph.output.append(result)
    if not result.type.HasField("tensor_type"):
        # Nobody takes an output without a type.
        proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    folder = os.path.dirname(os.path.abspath(model))
    copy_external_data(graph, folder, os.path.dirname(output))
    onnx.save(proto, output)
    return {}


COMMANDS = {
    function.__name__: function for function in (hello, load, feed, run, measure, nodes, prefix)
}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = COMMANDS[request.pop("command")](**request)
        except Exception as error:  # noqa: BLE001 - every failure is an answer
            text = " ".join(str(error).split()) or "no message"
            reply = {"error": f"{type(error).__name__}: {text}"}
        channel.write(json.dumps(reply) + "\n")


main()
