"""What an operation is: its name, where it is found, the parameters it knows, and who does its work."""

from collections.abc import Awaitable, Callable

import msgspec

from multipartner.domain.graph import Presented, Viewer
from multipartner.domain.reasons import Refusal
from multipartner.partnering.acting import Act
from multipartner.wire.graph_ask import Parameters


class Work(msgspec.Struct, frozen=True):
    """One request that was let in."""

    presented: Presented
    viewer: Viewer
    parameters: Parameters

    @property
    def act(self) -> Act:
        """The change that it makes, in the trail's words."""
        return Act(self.viewer.actor, self.presented.now.wall_s, self.presented.trace_id)


class Operation(msgspec.Struct, frozen=True):
    """An operation of the contract, or one that guides or RFCs have beside it.

    `run` returns the body of the 200 or a refusal; it may raise ParameterRefused, ChangeRefused and StorageUnavailable.
    """

    id: str
    parameters: frozenset[str]
    run: Callable[[Work], Awaitable[bytes | Refusal]]


Operations = dict[str, dict[str, Operation]]
"""By the path's edge, then by method."""


def together(*parts: Operations) -> Operations:
    """Put operations together; raises ValueError when two have one place."""
    whole: Operations = {}
    for part in parts:
        for edge, methods in part.items():
            there = whole.setdefault(edge, {})
            if there.keys() & methods.keys():
                raise ValueError(f"two operations at {edge!r}")
            there.update(methods)
    return whole
