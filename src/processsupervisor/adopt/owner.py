"""Who a program runs as and with which mask, as other supervisors say it."""

from __future__ import annotations

import os

UMASK = 0o022
"""What systemd and supervisord give a program that names none."""


def own_umask() -> int:
    """Return the mask of this process, which `psv up` of the same person has."""
    mask = os.umask(UMASK)
    os.umask(mask)
    return mask


def user_name(text: str) -> str:
    """Return the name of a user who may be given by number; a number that is nobody's stays."""
    import pwd

    try:
        return pwd.getpwuid(int(text)).pw_name if text.isdigit() else text
    except KeyError:
        return text
