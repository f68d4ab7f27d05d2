"""Ports and sockets, taken before anything is started."""

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path


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


def listen_on_loopback(port: int, *, in_worker: bool = False) -> socket.socket:
    """Bind the operators' port on 127.0.0.1 and listen; a worker keeps it only if it is to answer. Raises PortTaken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise _taken("127.0.0.1", port, "operations_port", error) from error
    if not in_worker:
        os.register_at_fork(after_in_child=listener.close)
    return listener


class SocketTaken(Exception):  # noqa: N818 - a verdict
    """The path of a unix socket cannot be served on; the text is one line."""


def claim_socket(path: Path) -> int:
    """Take a unix socket's path: what a dead process left there is removed. Returns the lock's descriptor, to be kept open.

    The lock, a file beside the socket, tells the living from the dead and ends with the process. Raises SocketTaken.
    """
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SocketTaken(f"unix:{path}: cannot be served on: {path}.lock: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_dead(path)
    except BlockingIOError:
        os.close(lock)
        raise SocketTaken(f"unix:{path}: another broker serves on it; stop that one, or name another path") from None
    except SocketTaken:
        os.close(lock)
        raise
    return lock


def _remove_dead(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketTaken(f"unix:{path}: there is a file that is no socket; remove it, or name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        code = trial.connect_ex(str(path))
    if code != errno.ECONNREFUSED:
        raise SocketTaken(f"unix:{path}: another process serves on it; stop that one, or name another path")
    path.unlink()


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _taken(host: str, port: int, setting: str, error: OSError) -> PortTaken:
    option = setting.replace("_", "-")
    return PortTaken(
        f"{host}:{port} cannot be served on ({error.strerror}); stop what uses it, or choose another with --{option}"
    )
