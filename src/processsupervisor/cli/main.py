"""Entry point of `psv`: run the verb, turn every failure into one line on stderr and an exit status.

Statuses: 0 ok, 1 failed, 2 usage or bad configuration, 3 no supervisor, 4 no such bot, 5 refused. A traceback is shown only
with PSV_TRACEBACK=1. A reader that closes the pipe (`psv ls | head -1`) is no failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from processsupervisor.kernel.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, PsvError

EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run `psv` with `argv` (default: the process's) and return the exit status; never raises."""
    try:
        _prepare_output()
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        return EXIT_OK
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except PsvError as error:
        return _fail(str(error), error.exit_status)
    except OSError as error:
        _drop_stdout()  # what cannot be written now cannot be written by the interpreter's last flush either
        return _fail(_describe(error), EXIT_FAILED)
    except Exception as error:  # the outermost place of the process: one line instead of a traceback
        if os.environ.get("PSV_TRACEBACK"):
            raise
        return _fail(f"internal error: {type(error).__name__}: {error}; set PSV_TRACEBACK=1 to see where, and report it", EXIT_FAILED)
    return status


def _run(argv: list[str]) -> int:
    import click

    from processsupervisor.cli.tree import make_root

    try:
        # Not through click's own main(): it turns a closed pipe into status 1 and eats interrupts.
        root = make_root()
        with root.make_context("psv", argv) as context:
            status = root.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _fail(_usage(error, argv), EXIT_USAGE)
    return status if isinstance(status, int) else EXIT_OK


def _usage(error: object, argv: list[str]) -> str:
    """Return click's complaint as `message; hint` in our voice."""
    message = str(getattr(error, "format_message", lambda: error)()).replace("\n", " ").rstrip(".")
    message = message[:1].lower() + message[1:]
    if "-C" in argv and "'-C'" in message:
        return f"{message}; -C DIR stands before the command: psv -C DIR …"
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path if context is not None else 'psv'} --help"


def _fail(line: str, status: int) -> int:
    from processsupervisor.cli.session import safe

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    try:
        sys.stderr.write(f"psv: {safe(' '.join(line.split()))}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody is there to be told
    return status


def _describe(error: OSError) -> str:
    place = f"{error.filename}: " if isinstance(error.filename, str) else ""
    return f"{place}{error.strerror or error}"


def _prepare_output() -> None:
    """Make printing unable to fail on a character: names and paths may hold any byte, the locale may be C."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _drop_stdout() -> None:
    """Point stdout at the null device, so that the interpreter's last flush does not complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    finally:
        os.close(null)


if __name__ == "__main__":
    sys.exit(main())
