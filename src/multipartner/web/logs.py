"""Logs: one JSON object a line on stderr (or text for people), with nothing in it that opens anything.

Every text passes the redaction, whichever way it came: our credentials, JWTs, `Bearer` and `Basic` values, and secret query or
form parameters (attack 57). Nothing can begin a line or colour a terminal: what does not print is escaped (attack 51).
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from multipartner.web.observing import Seen

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_LONGEST_TEXT = 2000
_HIDDEN = "[redacted]"
_SECRET_NAMES = r"access_token|appsecret_proof|client_secret|app_secret|input_token|token"  # noqa: S105 - names of parameters
_SECRETS = re.compile(
    r"mp(?:b|c|rs)_[0-9A-Za-z_]{8,}"
    r"|eyJ[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*){0,4}"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[0-9A-Za-z._~+/=|%-]+"
    rf"|(?P<name>\b(?:{_SECRET_NAMES})(?:=|%3[Dd]|[\"']?:\s*[\"']?))[^\s&\"',;)}}]+",
    re.IGNORECASE,
)

Fields = MutableMapping[str, Any]


def redact(text: str) -> str:
    """Hide what looks like a credential, wherever in `text` it stands."""
    return _SECRETS.sub(lambda found: (found["scheme"] or found["name"] or "") + _HIDDEN, text)


def printable(text: str) -> str:
    """Escape control characters, line ends of every kind, direction marks and lone surrogates."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return printable(redact(value[:_LONGEST_TEXT]))
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return printable(redact(repr(value)[:_LONGEST_TEXT]))


def _clean_fields(_logger: object, _method: str, fields: Fields) -> Fields:
    """Last before printing: whatever another processor added is cleaned as well."""
    return {name: _clean(value) for name, value in fields.items()}


def _exception(_logger: object, _method: str, fields: Fields) -> Fields:
    """Turn exc_info into type, text and places. No locals: they hold what we hide everywhere else."""
    error = fields.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        fields["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
        fields["error_text"] = str(error)
        fields["stack"] = _places(error.__traceback__)
    return fields


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace, limit=-20)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _processors(form: str) -> list[Processor]:
    last: Processor = structlog.dev.ConsoleRenderer(colors=False) if form == "console" else structlog.processors.JSONRenderer()
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    return [structlog.processors.add_log_level, stamp, _exception, _clean_fields, last]


def logger(level: str, form: str) -> FilteringBoundLogger:
    """Make a logger to stderr; `level` and `form` as the settings name them."""
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=_processors(form),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return made


class RequestLog:
    """The lines of requests; `trace_id` is the answer's `fbtrace_id` and `x-fb-request-id`."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def seen(self, seen: Seen) -> None:
        """One refusal, or one of the sampled successes. What is unknown is left out."""
        fields: dict[str, object] = {
            name: value for name in Seen.__struct_fields__ if (value := getattr(seen, name)) not in ("", None)
        }
        if seen.reason is None:
            self._log.info("served", **fields)
            return
        fields["reason"] = seen.reason.value
        if seen.status >= 500:
            self._log.error("refused", **fields)
        else:
            self._log.info("refused", **fields)

    def error(self, trace_id: str) -> None:
        """An unexpected error, from within its handler."""
        self._log.error("unexpected", trace_id=trace_id, exc_info=True)


class StandardHandler(logging.Handler):
    """Brings records of the standard library's loggers (the server's, asyncio's) through the same cleaning and form."""

    def __init__(self, threshold: str, form: str) -> None:
        super().__init__()
        self._log = logger(threshold, form)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        try:
            level = max(logging.DEBUG, min(record.levelno, logging.CRITICAL))
            fields: dict[str, object] = {"logger": record.name}
            if record.exc_info and record.exc_info[1] is not None:
                fields["exc_info"] = record.exc_info[1]
            self._log.log(level, record.getMessage(), **fields)
        except Exception:  # noqa: BLE001 - as logging.Handler asks; the default would print the record's arguments
            print('{"event": "a log record could not be printed", "level": "error"}', file=sys.stderr)  # noqa: T201 - the log


def standard_config(level: str, form: str) -> dict[str, Any]:
    """Configuration for `logging.config.dictConfig`: everything that does not come from us comes out like ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {},
        "handlers": {"ours": {"()": "multipartner.web.logs.StandardHandler", "threshold": level, "form": form}},
        "loggers": {"_granian": {"handlers": ["ours"], "propagate": False}},
        "root": {"handlers": ["ours"], "level": "WARNING"},
    }
