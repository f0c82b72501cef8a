"""The package's version and the versions of its protocols and records; nothing else lives here."""

__version__ = "0.1.0"

PROTOCOL = 1
"""Version of every JSON-lines protocol (control, bot link, keeper link). A peer reads N and N-1."""

RECORD = 1
"""Version of the per-bot record and of the exit journal."""
