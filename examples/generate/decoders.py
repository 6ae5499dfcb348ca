# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One step of a decoder, in each of the three forms that keep its past keys and values."""

from __future__ import annotations

import numpy as np


class Decoder:
    """What the forms share: the names of a model's inputs and outputs, and the small inputs."""

    def __init__(self, session, batch: int):
        self.session, self.batch, self.length = session, batch, 0
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self.names = {arg.name for arg in inputs}
        pasts = [arg for arg in inputs if len(arg.shape) == 4]
        self.presents = [arg.name for arg in outputs if len(arg.shape) == 4]
        if "input_ids" not in self.names or not pasts or len(pasts) != len(self.presents):
            raise ValueError(
                "the model is no decoder with past keys and values: it takes "
                f"{', '.join(sorted(self.names))}"
            )
        self.pasts = [arg.name for arg in pasts]
        # Heads and their size are fixed; batch and length are not.
        self.empty = {
            arg.name: np.zeros((batch, arg.shape[1], 0, arg.shape[3]), _dtype(arg.type))
            for arg in pasts
        }

    def small_inputs(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """All inputs of a step but the past."""
        count = ids.shape[1]
        positions = np.arange(self.length, self.length + count, dtype=np.int64)
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones((self.batch, self.length + count), np.int64),
            "position_ids": np.ascontiguousarray(np.broadcast_to(positions, ids.shape)),
        }
        return {name: value for name, value in feed.items() if name in self.names}

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Logits [batch, vocabulary] after the last of `ids` [batch, count], which join it."""
        logits = self.run(self.small_inputs(ids))
        self.length += ids.shape[1]
        return logits[:, -1]


class DropIn(Decoder):
    """onnxruntime's code: what came out as present goes in as past."""

    def __init__(self, session, batch: int):
        super().__init__(session, batch)
        self.past = self.empty

    def run(self, feed):
        logits, *present = self.session.run(["logits", *self.presents], {**feed, **self.past})
        self.past = dict(zip(self.pasts, present))
        return logits


class WithState(Decoder):
    """The session keeps the past."""

    def __init__(self, session, batch: int, capacity: int | None = None):
        super().__init__(session, batch)
        self.state = session.create_state(batch=batch, capacity=capacity)

    def run(self, feed):
        return self.session.run(["logits"], feed, state=self.state)[0]


class Bound(Decoder):
    """An IOBinding whose outputs are bound again as inputs."""

    def __init__(self, session, batch: int):
        super().__init__(session, batch)
        self.binding = session.io_binding()
        for name, array in self.empty.items():
            self.binding.bind_cpu_input(name, array)
        for name in ["logits", *self.presents]:
            self.binding.bind_output(name)

    def run(self, feed):
        for name, array in feed.items():
            self.binding.bind_cpu_input(name, array)
        self.session.run_with_iobinding(self.binding)
        logits, *present = self.binding.get_outputs()
        for name, value in zip(self.pasts, present):
            self.binding.bind_ortvalue_input(name, value)
        return logits.numpy()


FORMS = {"drop-in": DropIn, "state": WithState, "iobinding": Bound}


def _dtype(type_text: str):
    """numpy's type of "tensor(float)"."""
    names = {"float": "float32", "float16": "float16", "double": "float64", "bfloat16": "uint16"}
    return np.dtype(names[type_text[len("tensor(") : -1]])
