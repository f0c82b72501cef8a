"""What the double of the Bot API needs is said where it is missing."""

from __future__ import annotations

import subprocess
import sys


def test_without_aiohttp_one_line_says_how_to_get_it():
    """Instead of a traceback through our modules: the author's line, and the command."""
    program = "import sys; sys.modules['aiohttp'] = None\nfrom processsupervisor.testing.botapi.server import BotApi"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = "ModuleNotFoundError: the double of the Bot API needs aiohttp: pip install 'processsupervisor[telegram]'"
    assert done.stderr.splitlines()[-1] == said and "endpoint.py" not in done.stderr, done.stderr
