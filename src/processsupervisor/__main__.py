"""`python -m processsupervisor` is `psv`. The syntax is that of Python 3.6, so that an old one gets a sentence."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - reached from a source tree
    sys.stderr.write(
        "psv: this is Python %d.%d, psv needs 3.11 or newer; install python3.11 and make a new virtual environment\n"  # noqa: UP031
        % sys.version_info[:2]
    )
    sys.exit(2)

from processsupervisor.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
