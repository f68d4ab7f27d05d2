"""A provider's events as an OpenTelemetry counter, and its runway as a gauge."""

from collections.abc import Iterable
from typing import Any

from multipartner.client import TokenKey, TokenProvider


class Events:
    """Pass it as one of a provider's hooks; `meter` is `opentelemetry.metrics.get_meter("multipartner")`."""

    def __init__(self, meter: Any) -> None:  # noqa: ANN401 - opentelemetry.metrics.Meter
        """Make the counter."""
        self._counter = meter.create_counter("multipartner.client.events", description="What token providers did")

    def __call__(self, event: str, _key: TokenKey | None) -> None:
        """Count one event."""
        self._counter.add(1, {"event": event})


def observe_runway(meter: Any, provider: TokenProvider, observation: Any) -> None:  # noqa: ANN401 - Meter, and its Observation
    """Tell, at each collection, how long the tokens in use would last; nothing when none is in use."""

    def runway(_options: object) -> Iterable[Any]:
        seconds = provider.health().runway_s
        return () if seconds is None else (observation(seconds),)

    meter.create_observable_gauge("multipartner.client.runway", callbacks=[runway], unit="s")
