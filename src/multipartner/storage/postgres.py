"""Connections to PostgreSQL: one way to make them, and one way to tell what went wrong without telling a password."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
import msgspec

from multipartner.storage.ports import StorageUnavailable

CONNECT_S: Final = 5.0
"""Patience with a server that does not answer at all."""

STATEMENT_S: Final = 10.0
LOCK_S: Final = 5.0
IDLE_IN_TRANSACTION_S: Final = 60.0

WRITERS_LOCK: Final = 0x6D705F77
"""Advisory lock of whoever changes facts: taken first, so that revisions are committed in their order."""

TRAIL_LOCK: Final = 0x6D705F74
"""Advisory lock of whoever appends to the trail's shared chain; taken after WRITERS_LOCK, if both."""

MIGRATION_LOCK: Final = 0x6D705F6D
"""Advisory lock of whoever migrates; taken before the others."""


Connection: TypeAlias = Any
"""`asyncpg.Connection`: the driver's types are not published."""


class Postgres(msgspec.Struct, frozen=True):
    """A database by its URL (libpq's form: several hosts, `sslmode`, `sslrootcert`, ... are passed on). Prints no password."""

    url: str

    def __repr__(self) -> str:
        return f"<Postgres {self.name}>"

    @property
    def name(self) -> str:
        """`postgresql://host:port/database` (a socket's folder as `?host=`), without user, password and other parameters."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        folder = parse_qs(parts.query).get("host", [""])[0]
        return f"postgresql://{host}{parts.path}" + ("" if host or not folder else f"?host={folder}")

    @property
    def hosts(self) -> int:
        """How many hosts it names."""
        parts = urlsplit(self.url)
        return 1 + max(parts.netloc.count(","), parse_qs(parts.query).get("host", [""])[0].count(","))

    async def connect(
        self, *, application: str = "multipartner", statement_s: float | None = None, patience_s: float = CONNECT_S
    ) -> Connection:
        """Connect, with time-outs for statements and locks. Raises StorageUnavailable.

        `statement_s` None: as everywhere; 0: none, as a migration wants. `patience_s` is shared out among the hosts, so that a
        silent one does not keep us from the next. The server ends a transaction that was left open and forgotten.
        """
        statement_s = STATEMENT_S if statement_s is None else statement_s
        place = self
        with unavailable(self):
            for left in reversed(range(self.hosts)):
                try:
                    return await asyncpg.connect(
                        place.url,
                        timeout=patience_s / self.hosts,
                        command_timeout=statement_s + 5 if statement_s else None,
                        server_settings=session_settings(application, statement_s),
                    )
                except (TimeoutError, asyncpg.PostgresConnectionError):
                    # The second: a balancer before a dead server takes the connection and drops it, which the driver does not
                    # take for a reason to try the next host.
                    if not left:
                        raise
                    place = rotated(place)
                except (IndexError, OverflowError):  # of hosts and ports in the query
                    raise ValueError from None
        raise AssertionError


def session_settings(application: str, statement_s: float) -> dict[str, str]:
    """Settings that every connection of ours asks for; times in the server's milliseconds."""
    return {
        "application_name": application,
        "statement_timeout": str(int(statement_s * 1000)),
        "lock_timeout": str(int(LOCK_S * 1000)),
        # Whoever reads a whole trail through a pipe may pause for as long as the reader does.
        "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_S * 1000) if statement_s else 0),
        # What we acknowledge is durable, whatever the server's default is. A standby, if one is named, has it too.
        "synchronous_commit": "on",
        # Whoever waited for a lock must see what was committed meanwhile, whatever the server's default is.
        "default_transaction_isolation": "read committed",
        "timezone": "UTC",
    }


@contextlib.contextmanager
def unavailable(place: Postgres) -> Iterator[None]:
    """Tell a driver's or server's inability as StorageUnavailable in one line, without address of a socket's peer or password."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        raise StorageUnavailable(f"{place.name}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """Say what an error of the driver means, in one line and without anything that was sent."""
    if isinstance(error, asyncpg.PostgresError):
        # The first line is the server's message; parameters and rows stand in DETAIL, which is not told.
        return str(error).partition("\n")[0]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'see sslmode and sslrootcert'}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, FileNotFoundError):
        return "a file that the URL names is not there (sslrootcert, sslcert, sslkey, passfile, or the socket's folder as host)"
    if isinstance(error, ConnectionRefusedError):
        return "refused: nothing listens there"
    if isinstance(error, socket.gaierror):
        return "the host's name is not known"
    if isinstance(error, OSError):
        return error.strerror or "cannot be reached"
    if isinstance(error, asyncpg.InterfaceError):
        text = str(error).partition("\n")[0]
        # There the driver quotes the value itself.
        return "a value does not fit its column" if text.startswith("invalid input for query argument") else text
    # Parsing the URL: the driver's text may quote a part of it.
    return "the URL cannot be read; its form is postgresql://user:password@host:5432/database"


def rotated(place: Postgres) -> Postgres:
    """The same with the first of its hosts behind the others, wherever the URL names them."""
    parts = urlsplit(place.url)
    user, at, hosts = parts.netloc.rpartition("@")
    named = (option.partition("=") for option in parts.query.split("&"))
    query = "&".join(f"{name}{is_}{_turned(value) if name in {'host', 'port'} else value}" for name, is_, value in named)
    return Postgres(urlunsplit(parts._replace(netloc=f"{user}{at}{_turned(hosts)}", query=query)))


def _turned(listed: str) -> str:
    first, comma, others = listed.partition(",")
    return f"{others},{first}" if comma else listed
