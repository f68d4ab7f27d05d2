"""The command line: parse, call, print."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code: 0, 1 (a verification failed) or 2 (nothing was done)."""
    try:
        import typer  # noqa: F401, PLC0415 - only a server's installation has it
    except ModuleNotFoundError:
        sys.stderr.write("multipartner: the command line needs the server's parts: pip install 'multipartner[server]'\n")
        raise SystemExit(2) from None
    from multipartner.cli.commands import run  # noqa: PLC0415 - as above

    raise SystemExit(run(sys.argv[1:]))
