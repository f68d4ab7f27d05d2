"""A worker's numbers as Prometheus metrics, in files that the parent merges.

Counted in plain integers on the hot path and brought here once a second, because a counter in a shared file costs 2.6 us.
`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported: the library decides then where its values live.
"""

import random
import time
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from multipartner import __version__
from multipartner.web.asgi import Receive, Scope, Send
from multipartner.web.vitals import Check, Counted, Vitals

TIMED_ONE_IN = 128

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Exporter:
    """The metrics of one worker. Labels are closed lists (routes, statuses, reasons): nobody outside adds a value (attack 53)."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "multipartner_requests",
            "Answered requests; `reason` is empty for a success.",
            ["route", "status", "reason"],
            registry=registry,
        )
        self._duration = Histogram(
            "multipartner_request_duration_seconds",
            f"Time to answer, measured for one request in {TIMED_ONE_IN}, chosen at random.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._unlogged = Counter(
            "multipartner_refusals_unlogged", "Refusals above the log's 100 lines a second.", registry=registry
        )
        self._dropped = Counter(
            "multipartner_trail_refusals_dropped", "Refusals that `explain` will not know.", registry=registry
        )
        self._queue = _gauge("multipartner_trail_queue", "Refusals waiting for the trail.", "livesum", registry)
        self._lag = _gauge(
            "multipartner_feed_lag_seconds", "Age of the change feed's confirmation, the worst worker's.", "livemax", registry
        )
        self._revocation_lag = Histogram(
            "multipartner_revocation_lag_seconds",
            "Time from hearing of a change (unheard: from the confirmation before it) to obeying it. PostgreSQL only.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self._cached = _gauge("multipartner_cached_grants", "Grants in memory, all workers' together.", "livesum", registry)
        self._ready = _gauge("multipartner_workers_ready", "Workers that have all they need to serve.", "livesum", registry)
        self._heartbeat = _gauge(
            "multipartner_heartbeat_timestamp_seconds", "When the slowest worker last reported (Unix time).", "livemin", registry
        )
        self._failing = Gauge(
            "multipartner_workers_failing",
            "Workers that lack what `check` names.",
            ["check"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        build = Gauge("multipartner_build_info", "1, with the version.", ["version"], multiprocess_mode="max", registry=registry)
        build.labels(__version__).set(1)
        self._limits_up = _gauge(
            "multipartner_shared_limits_up",
            "1 if all workers reach the shared limits, 0 if one does not or none are shared.",
            "livemin",
            registry,
        )
        self._limits_errors = Counter(
            "multipartner_shared_limits_errors", "Questions that the shared limits did not answer.", registry=registry
        )
        self._told: dict[Counted, int] = {}
        self._told_unlogged = self._told_dropped = self._told_limits_errors = 0

    def __call__(self, vitals: Vitals) -> None:
        """Bring the numbers up to date."""
        for key, count in vitals.counts.items():
            before = self._told.get(key, 0)
            if count != before:
                route, status, reason = key
                self._requests.labels(route, str(status), reason.value if reason else "").inc(count - before)
                self._told[key] = count
        self._unlogged.inc(vitals.unlogged - self._told_unlogged)
        self._dropped.inc(vitals.trail_dropped - self._told_dropped)
        self._told_unlogged, self._told_dropped = vitals.unlogged, vitals.trail_dropped
        self._queue.set(vitals.trail_queue)
        self._lag.set(vitals.feed_lag_s)
        for lag_s in vitals.revocation_lags_s:
            self._revocation_lag.observe(lag_s)
        self._cached.set(vitals.cached_grants)
        self._limits_up.set(bool(vitals.limits_up))
        self._limits_errors.inc(vitals.limits_errors - self._told_limits_errors)
        self._told_limits_errors = vitals.limits_errors
        for check in Check:
            self._failing.labels(check.value).set(check in vitals.failing)
        self._ready.set(not vitals.failing)
        self._heartbeat.set(time.time())

    def timed(self, app: App) -> App:
        """Wrap an application so that a few of its answers are timed; the others cost one random number more."""

        def choose(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == "http" and random.random() < 1 / TIMED_ONE_IN:  # noqa: S311 - which ones are timed is no secret
                return self._time(app, scope, receive, send)
            return app(scope, receive, send)

        return choose

    async def _time(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        with self._duration.time():
            await app(scope, receive, send)


def _gauge(name: str, text: str, mode: str, registry: CollectorRegistry) -> Gauge:
    # "live" modes forget a worker once it is dead; see `operations.Readings`.
    return Gauge(name, text, multiprocess_mode=mode, registry=registry)  # type: ignore[arg-type] # a Literal of the library's
