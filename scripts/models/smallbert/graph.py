# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A thin builder of ONNX graphs: one call per node, values are names."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Collects nodes and initializers in order.

    `constant_nodes` says where small constants go: Constant nodes, a new one for each use (the
    TorchScript exporter), or initializers shared by content (torch.export).
    """

    def __init__(self, options):
        self.options = options
        self.constant_nodes = options.spelling == "ts17"
        self.nodes, self.initializers, self.functions = [], {}, {}
        self._taken = set()
        self._shared = {}

    def _fresh(self, stem):
        name, number = stem, 0
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name

    def op(self, op_type, *inputs, result=None, domain="", **attributes):
        """Appends a node of one result and returns the result's name."""
        result = result or self._fresh(f"{op_type.lower()}_out")
        node = helper.make_node(
            op_type,
            list(inputs),
            [result],
            name=f"node_{result}",
            domain=domain,
            **attributes,
        )
        self.nodes.append(node)
        return result

    def ints(self, *values):
        """A 1-D int64 constant."""
        return self.constant(np.array(values, np.int64))

    def int(self, value):
        """A 0-D int64 constant."""
        return self.constant(np.array(value, np.int64))

    def float(self, value):
        """A 0-D f32 constant."""
        return self.constant(np.array(value, np.float32))

    def constant(self, array):
        if self.constant_nodes:
            return self.op("Constant", value=numpy_helper.from_array(array))
        content = (array.dtype.str, array.shape, array.tobytes())
        if content not in self._shared:
            self._shared[content] = self.weight(self._fresh("const"), array)
        return self._shared[content]

    def weight(self, name, array):
        """An initializer, once per name."""
        if name not in self.initializers:
            array = np.array(array, order="C")  # unlike ascontiguousarray keeps rank 0
            self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def model(self, output, hidden_size):
        """The finished, checked model. `output` is the value that becomes last_hidden_state."""
        for node in self.nodes:
            for values in (node.input, node.output):
                values[:] = ["last_hidden_state" if v == output else v for v in values]
        dims = ["batch", "sequence"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, dims)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ]
        result = helper.make_tensor_value_info(
            "last_hidden_state", TensorProto.FLOAT, [*dims, hidden_size]
        )
        graph = helper.make_graph(
            self.nodes, "encoder", inputs, [result], list(self.initializers.values())
        )
        opsets = [helper.make_opsetid("", self.options.opset)]
        opsets += [helper.make_opsetid(d, 1) for d in sorted({d for d, _ in self.functions})]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            functions=list(self.functions.values()),
            ir_version=10 if self.options.opset > 17 else 8,
            producer_name="permalloy-test-models",
        )
        onnx.checker.check_model(model)
        return model


def save(model, path, external_data=False):
    """Writes `model`; `external_data` puts tensors of 1 KB and more into PATH's name + .data."""
    path = str(path)
    if not external_data:
        onnx.save(model, path)
        return
    data = Path(path + ".data")
    data.unlink(missing_ok=True)  # onnx appends to a file that exists
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=1024)
