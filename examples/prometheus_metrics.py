"""A provider's events and health as Prometheus metrics. No label holds an id: there are as many series as events."""

from collections.abc import Iterator

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from multipartner.client import TokenKey, TokenProvider


class Events:
    """Pass `events` as one of a provider's hooks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the counter."""
        self._counter = Counter("multipartner_client_events", "What token providers did", ["event"], registry=registry)

    def __call__(self, event: str, _key: TokenKey | None) -> None:
        """Count one event."""
        self._counter.labels(event).inc()


class Health(Collector):
    """Reads a provider's health whenever it is scraped: `registry.register(Health(provider))`."""

    def __init__(self, provider: TokenProvider) -> None:
        """Remember the provider."""
        self._provider = provider

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Tell runway, tokens in use, and what holds calls back."""
        health = self._provider.health()
        told = {
            "runway_seconds": -1.0 if health.runway_s is None else health.runway_s,
            "tokens": health.tokens,
            "tokens_in_use": health.in_use,
            "gate_closed_seconds": health.gate_closed_s,
            "credential_rejected": health.credential_rejected,
        }
        for name, value in told.items():
            yield GaugeMetricFamily(f"multipartner_client_{name}", name.replace("_", " "), value=float(value))
