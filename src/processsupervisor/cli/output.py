"""What a person, or a container's log, sees of `psv run main.py`: what the bot writes as it comes, psv's own words on stderr.

Runs beside the keeper in the place of progress.py (`python -m processsupervisor.cli.output FOLDER KEEPER_PID BEGUN`) and ends with it, when
all that the bot wrote is out.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time

from processsupervisor.cli import progress
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.logreader import LogLine
from processsupervisor.process.logview import read

_LAST_LINES_S = 1.0
_QUIET_S = 0.3


class Output:
    """Prints the lines of all bots of a fleet; `finish` waits for the last ones."""

    def __init__(self, paths: FleetPaths, bots: list[str], stdout: int, begun_at: float) -> None:
        self._stdout = stdout
        self._printed_mono = time.monotonic()
        self._lines = read(paths, bots, since_s=max(0.0, time.time() - begun_at), follow=True)  # nothing that an earlier run has written

    def start(self) -> None:
        """Print from now on, on a thread."""
        threading.Thread(target=self._print_all, daemon=True, name="output").start()

    def _print_all(self) -> None:
        for line in self._lines:
            self._printed_mono = time.monotonic()
            self._print(line)

    def _print(self, line: LogLine) -> None:
        text = f"-- {line.text} --\n" if line.is_gap else f"{line.text}\n"
        try:
            os.write(2 if line.stream == "stderr" or line.is_gap else self._stdout, text.encode(errors="backslashreplace"))
        except OSError:
            os._exit(0)  # nobody reads any more

    def finish(self) -> None:
        """Return when nothing has come for a moment."""
        deadline = time.monotonic() + _LAST_LINES_S
        began = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - max(began, self._printed_mono) < _QUIET_S:
            time.sleep(0.02)


def main(argv: list[str]) -> int:
    """Print the output of the fleet in `argv[0]` whose keeper has the pid `argv[1]`, from the time `argv[2]` on."""
    paths = FleetPaths(argv[0])
    stdout = os.dup(1)
    os.dup2(2, 1)  # what progress says is psv's own
    progress.prefix, progress.command = "psv: ", f"psv -C {shlex.quote(argv[0])}"
    output = Output(paths, progress.read_names(paths), stdout, float(argv[2]))
    output.start()
    status = progress.main(argv)
    output.finish()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
