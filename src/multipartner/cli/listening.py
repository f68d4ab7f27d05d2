"""Ports of the service, taken before anything is started."""

import os
import socket


class PortTaken(Exception):  # noqa: N818 - a verdict
    """Another process has the port; the text is one line."""


def hold(host: str, port: int) -> socket.socket:
    """Bind a port (0: a free one) for the server's workers and keep it for them; the socket itself never listens.

    The server's own sockets share a port (SO_REUSEPORT), so two services could share one unknowingly and each get half of the
    requests. This socket is bound without sharing, which fails beside anybody, and shares only afterwards: the workers join
    it, and a second service cannot. Raises PortTaken.
    """
    holder = _socket(host)
    try:
        # Connections of a service that stopped a moment ago are no hindrance.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        holder.close()
        raise _taken(host, port, "port", error) from error
    return holder


def listen_on_loopback(port: int) -> socket.socket:
    """Bind the operators' port on 127.0.0.1 and listen. A worker does not keep it. Raises PortTaken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise _taken("127.0.0.1", port, "operations_port", error) from error
    os.register_at_fork(after_in_child=listener.close)
    return listener


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _taken(host: str, port: int, setting: str, error: OSError) -> PortTaken:
    option = setting.replace("_", "-")
    return PortTaken(
        f"{host}:{port} cannot be served on ({error.strerror}); stop what uses it, or choose another with --{option}"
    )
