"""What runs in a worker process: the service with its exporters."""

import gc

from multipartner.cli.leaving import Worker, die_with
from multipartner.settings import Settings
from multipartner.web.logs import RequestLog, logger
from multipartner.web.metrics import App, Exporter
from multipartner.wiring import Watchers, build_service


def load(settings: Settings, parent: int) -> App:
    """Make a worker's application; the server calls it in the new process. `parent` is the id of the process that began it."""
    die_with(parent)
    log = RequestLog(logger(settings.log_level, settings.log_format))
    exporter = Exporter()
    watchers = Watchers(log=log.seen, log_error=log.error, report=exporter)
    service = build_service(settings, workers=settings.workers, watchers=watchers)
    _spare_the_collector()
    return Worker(service.close, exporter.timed(service.app), parent)


def _spare_the_collector() -> None:
    """Set what was made at start aside, and look for cycles seldom: with 100,000 cached grants each look costs much, and a
    request makes no cycles of its own.
    """  # noqa: D205 - one thought
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
