"""The command line: parse, call, print."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code: 0, 1 (a verification failed) or 2 (nothing was done)."""
    try:
        import typer  # noqa: F401, PLC0415 - only an installation with the command line's parts has it
    except ModuleNotFoundError:
        needs = "pip install 'multipartner[server]', or 'multipartner[broker]' for `broker` and `token get` alone"
        sys.stderr.write(f"multipartner: the command line needs more parts: {needs}\n")
        raise SystemExit(2) from None
    from multipartner.cli.commands import run  # noqa: PLC0415 - as above

    raise SystemExit(run(sys.argv[1:]))
