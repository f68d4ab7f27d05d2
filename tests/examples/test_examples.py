"""The programs of `examples/`, run as a reader would."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from client.driving import ACCOUNT, KEY, Api, FakeTransport, TurnedClock
from examples import opentelemetry_metrics, prometheus_metrics
from multipartner.client import TokenProvider
from running import Running, running

__all__ = ["running"]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_fresh_token_prints_when_it_ends_and_why_there_is_none(running: Running, tmp_path: Path) -> None:
    """The first example gets a token from a running service without printing it, and says what a refusal was."""
    app = running.partner
    secret = tmp_path / "caller"
    secret.write_text(app.caller_token + "\n")
    settings = {
        "PARTNER_ORIGIN": running.url,
        "PARTNER_APP_ID": app.id,
        "PARTNER_CALLER_TOKEN_FILE": str(secret),
        "SOLUTION_ID": running.solution_id,
    }

    def run(business_id: str) -> str:
        command = [sys.executable, "-W", "error", str(EXAMPLES / "fresh_token.py")]
        environment = {**os.environ, **settings, "BUSINESS_ID": business_id}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    told = run(running.business[200])
    assert "ends at" in told
    assert "eyJ" not in told
    assert run(running.business[422]).startswith("no token: not_shared")


def _provider(hook: Any) -> TokenProvider:
    clock = TurnedClock()
    provider = TokenProvider(ACCOUNT, transport=FakeTransport(Api(), clock), clock=clock, hooks=[hook])
    provider.get(KEY)
    return provider


def test_prometheus_metrics_tell_events_and_runway() -> None:
    """The Prometheus example counts events by name and tells the runway, without an id in any label."""
    registry = CollectorRegistry()
    with _provider(prometheus_metrics.Events(registry)) as provider:
        registry.register(prometheus_metrics.Health(provider))
        told = generate_latest(registry).decode()

    assert 'multipartner_client_events_total{event="refresh_ok"} 1.0' in told
    assert "multipartner_client_runway_seconds 3585.0" in told
    assert KEY.business_id not in told


@dataclass
class Meter:
    """As much of `opentelemetry.metrics.Meter` as the example uses."""

    added: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    callbacks: list[Any] = field(default_factory=list)

    def create_counter(self, _name: str, *, description: str) -> "Meter":
        assert description
        return self

    def add(self, amount: int, attributes: dict[str, str]) -> None:
        self.added.append((amount, attributes))

    def create_observable_gauge(self, _name: str, *, callbacks: list[Any], unit: str) -> None:
        assert unit == "s"
        self.callbacks = callbacks


def test_opentelemetry_metrics_tell_events_and_runway() -> None:
    """The OpenTelemetry example counts events by name and observes the runway."""
    meter = Meter()
    with _provider(opentelemetry_metrics.Events(meter)) as provider:
        opentelemetry_metrics.observe_runway(meter, provider, float)
        assert list(meter.callbacks[0](None)) == [pytest.approx(3585)]

    assert (1, {"event": "refresh_ok"}) in meter.added
