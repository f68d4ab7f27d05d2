"""What the operators' listener tells of a broker: whether it lives, whether it can serve, and its numbers."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from multipartner import __version__
from multipartner.broker.credentials import Credentials
from multipartner.broker.service import Broker
from multipartner.broker.upstreams import Upstreams, Vitals

_GAUGES = {
    "runway_seconds": "Were upstream down from now on: seconds until the first token in use is gone; absent when none is in use.",
    "runway_p5_seconds": "The same until one in twenty is gone.",
    "tokens": "Tokens in memory.",
    "tokens_in_use": "Tokens that were asked for and live.",
    "tokens_expired": "Tokens in memory that are handed out no more.",
    "fetches_queued": "Fetches that wait for their turn.",
    "fetches_under_way": "Customers for whom a fetch is queued or under way.",
    "refused_customers": "Customers for whom upstream refused, so that nobody asks for a while.",
    "gate_closed_seconds": "Seconds until the app's quota is tried again; 0 when it is not used up.",
    "usage_percent": "The app's usage as upstream last told it.",
    "credential_rejected": "1 while upstream does not take the account's caller token.",
    "upstream_failing": "1 while the last call of upstream had no answer, or a fault for one.",
    "retry_budget": "What is left to spend on retries.",
}


class Readings:
    """Answers for `/healthz`, `/readyz` and `/metrics`; labels are closed lists or names of the configuration (attack 53)."""

    def __init__(self, broker: Broker, upstreams: Upstreams, credentials: Credentials) -> None:
        self._broker = broker
        self._upstreams = upstreams
        self._credentials = credentials
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def health(self) -> tuple[bool, Mapping[str, object]]:
        """Who can answer lives."""
        return True, {"alive": True}

    def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Say whether callers can be answered. An account that serves what it has while upstream fails is ready, and says so."""
        vitals = self._upstreams.vitals()
        lacking = [f"{one.account}:{lack}" for one in vitals if not one.serves for lack in one.lacks]
        if self._credentials.look():
            lacking.append("credentials_file")
        failing = [f"{one.account}:{lack}" for one in vitals for lack in one.lacks]
        runways = {one.account: one.health.runway_s for one in vitals}
        return not lacking, {"ready": not lacking, "lacking": lacking, "failing": failing, "runway_s": runways}

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: called for each scrape, and once without effect when registered."""
        vitals = self._upstreams.vitals()
        for name, text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"multipartner_broker_{name}", text, labels=["account"])
            for one in vitals:
                value = _values(one)[name]
                if value is not None:
                    gauge.add_metric([one.account], value)
            yield gauge
        events = CounterMetricFamily("multipartner_broker_events", "What happened to tokens.", labels=["account", "event"])
        for one in vitals:
            for event, count in sorted(one.events.items()):
                events.add_metric([one.account, event], count)
        yield events
        text = "Answered requests; `cause` is empty for a success."
        requests = CounterMetricFamily("multipartner_broker_requests", text, labels=["status", "cause"])
        for (status, cause), count in sorted(self._broker.counts.copy().items()):
            requests.add_metric([str(status), cause], count)
        yield requests
        yield GaugeMetricFamily("multipartner_broker_credentials", "Caller tokens that are not revoked.", len(self._credentials))
        build = GaugeMetricFamily("multipartner_broker_build_info", "1, with the version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def _values(vitals: Vitals) -> Mapping[str, float | None]:
    health = vitals.health
    return {
        "runway_seconds": health.runway_s,
        "runway_p5_seconds": health.runway_p5_s,
        "tokens": health.tokens,
        "tokens_in_use": health.in_use,
        "tokens_expired": health.expired,
        "fetches_queued": health.queued,
        "fetches_under_way": health.under_way,
        "refused_customers": health.refused,
        "gate_closed_seconds": health.gate_closed_s,
        "usage_percent": health.usage_percent,
        "credential_rejected": health.credential_rejected,
        "upstream_failing": "upstream" in vitals.lacks,
        "retry_budget": health.retry_budget,
    }
