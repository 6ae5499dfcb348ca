# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""State: the past keys and values of a decoder, kept by its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import InvalidArgument

if TYPE_CHECKING:
    from . import _native
    from .session import InferenceSession


class State:
    """The caches of a batch of sequences, for `InferenceSession.run(..., state=state)`.

    Made by `InferenceSession.create_state`. Empty at first; each run adds its rows, and the memory
    grows as it must: a buffer that has to hold n rows gets 1.5 n, rounded up to 64, at most as many
    as the model takes. One run at a time.
    """

    def __init__(self, session: InferenceSession, batch: int, capacity: int | None):
        if capacity is not None and capacity < 1:
            raise InvalidArgument(f"capacity is {capacity}, expected at least 1")
        self._session = session
        self._native = session._native.create_state(batch, capacity or 0)

    @property
    def length(self) -> int:
        """Rows that it holds: tokens so far."""
        return self._native.length

    @property
    def capacity(self) -> int:
        """Rows that it has room for."""
        return self._native.capacity

    @property
    def batch(self) -> int:
        """Sequences."""
        return self._native.batch

    @property
    def nbytes(self) -> int:
        """Bytes of memory: batch * capacity * bytes of a row of all caches."""
        return self._native.nbytes

    def load(self, past: dict[str, Any]) -> None:
        """Takes past keys and values, by the names of the model's inputs, in place of what it held;
        all of the same length. They are copied, so a prompt may come from another model."""
        self._native.load(self._session._feeds(past))

    def truncate(self, length: int) -> None:
        """Goes back to the first `length` rows."""
        self._native.truncate(length)

    def reset(self) -> None:
        """Forgets all rows; the memory is kept."""
        self._native.truncate(0)

    def __repr__(self):
        return f"State(batch={self.batch}, length={self.length}, capacity={self.capacity})"

    def _of(self, session: InferenceSession) -> _native.State:
        if session is not self._session:
            raise InvalidArgument("the state belongs to another session")
        return self._native
