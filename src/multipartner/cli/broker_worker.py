"""What runs in the broker's one worker process: its providers, its application, and the operators' listener."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from multipartner.broker.configuration import Configuration, account_of, read
from multipartner.broker.credentials import Credentials
from multipartner.broker.keeping import provider_of
from multipartner.broker.readings import Readings
from multipartner.broker.service import Broker, Surroundings
from multipartner.broker.upstreams import Hook, Upstreams
from multipartner.cli.leaving import App, Worker, die_with
from multipartner.client import Account, TokenProvider
from multipartner.client.clocks import SystemClock
from multipartner.web.asgi import Receive, Send
from multipartner.web.logs import RequestLog, logger
from multipartner.web.observing import Observer
from multipartner.web.operations import Operations

CLOSE_S: Final = 2.0
"""How long closing may take: a fetch that hangs is not waited for."""


def load(file: Path, listener: socket.socket, parent: int) -> App:
    """Make the application; the server calls it in the new process. `parent` is the id of the process that began it."""
    die_with(parent)
    running = Running(read(file, os.environ), listener)
    return Worker(running.close, running.broker, parent)


class Running:
    """One broker. `listener` is the operators' port, listening already."""

    def __init__(self, configuration: Configuration, listener: socket.socket) -> None:
        self._configuration = configuration
        self._log = logger(configuration.log_level, configuration.log_format)
        request_log = RequestLog(self._log)
        accounts = {name: account_of(configuration, name, os.environ) for name in configuration.upstreams}
        self._upstreams = Upstreams(accounts, self._provider, self._tell, SystemClock.boot)
        credentials = Credentials(configuration.credentials_file)
        surroundings = Surroundings(self._live, request_log.error, configuration.wait_s, configuration.accept_query_token)
        observer = Observer(request_log.seen, configuration.log_successes_per_s)
        versions = tuple(account.id.version for account in accounts.values())
        self.broker = Broker(self._upstreams, credentials, observer, surroundings, versions)
        self._operations = Operations(listener, Readings(self.broker, self._upstreams, credentials))

    async def close(self) -> None:
        """Stop telling and let go of the providers, within `CLOSE_S`."""
        self._operations.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.to_thread(self._upstreams.close)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the server's start and stop (ASGI lifespan)."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                begun = self._upstreams.prefetch(self._configuration.upstreams)
                self._operations.start()
                self._log.info("started", accounts=sorted(self._configuration.upstreams), prefetching=begun)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                self._log.info("stopped")
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _provider(self, account: Account, hook: Hook) -> TokenProvider:
        return provider_of(account, self._configuration.store, hook)

    def _tell(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        getattr(self._log, level)(event, **fields)
