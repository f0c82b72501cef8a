"""`psv secret`: the secret store of a fleet. Works without psvd; a value comes from stdin or a prompt and is never printed."""

from __future__ import annotations

import os
import sys

from processsupervisor.cli.bots import when
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.config.load import load_fleet
from processsupervisor.config.secretkey import key_environment
from processsupervisor.config.secretstore import SecretStore, check_name
from processsupervisor.kernel.errors import EXIT_OK, PsvError, Refused, UsageError
from processsupervisor.launch.references import secret_names
from processsupervisor.launch.values import MOST_BYTES

_SHOWN_BOTS = 5


def set_secret(session: Session, command: Command, *, name: str) -> int:
    """Set one secret; says who will have it."""
    check_name(name)
    store = _store(session)
    value = _value(name)
    is_new = store.set(name, value, _author())
    if lines := value.count("\n"):
        session.note(f"the value has {lines + 1} lines, which is right for a key, and wrong for a token")
    bots = _users(session).get(name, [])
    done = "set" if is_new else "changed"
    _say(session, {"name": name, "is_new": is_new, "bots": bots}, f"secret {name} is {done}{_at_next_start(bots)}")
    return EXIT_OK


def list_secrets(session: Session, command: Command) -> int:
    """Print a table of names; what bots refer to and nobody has set is among them."""
    known, users = _store(session).read(), _users(session)
    rows: list[dict[str, object]] = []
    for name in sorted({*known, *users}):
        secret = known.get(name)
        rows.append({"name": name, "set_at": secret and secret.at, "by": secret and secret.by, "bots": users.get(name, [])})
    if session.as_json:
        session.print_json(rows)
    elif rows:
        cells = [[str(row["name"]), _moment(row["set_at"]), str(row["by"] or "-"), _shown(users.get(str(row["name"]), []))] for row in rows]
        print_table(("NAME", "SET", "BY", "BOTS"), cells)
    else:
        session.note("there is no secret; psv secret set NAME makes one")
    return EXIT_OK


def remove(session: Session, command: Command, *, name: str) -> int:
    """Remove one secret; says which bots will not start without it."""
    store = _store(session)
    store.remove(name, _author())
    bots = _users(session).get(name, [])
    left = f"; {_shown(bots)} cannot start without it" if bots else ""
    _say(session, {"name": name, "bots": bots}, f"secret {name} is removed{left}")
    return EXIT_OK


def rotate(session: Session, command: Command, *, new_key: str | None) -> int:
    """Write all secrets with a new key; says where that is."""
    count, key = _store(session).rotate(_author(), session.beside(new_key) if new_key else None)
    more = "; put its content where the old key came from" if new_key else ""
    what = f"{count} secret{'' if count == 1 else 's'}"
    _say(session, {"secrets": count, "key": key.source}, f"{what} written with a new key, in {key.source}{more}")
    return EXIT_OK


def _store(session: Session) -> SecretStore:
    """Return the store; raises Refused for the fleet of another user, who could not read what we write."""
    paths = session.paths
    owner = (paths.psv if paths.psv.exists() else paths.folder).stat().st_uid
    if owner != os.geteuid():
        raise Refused(f"{paths.folder} belongs to another user", hint="run psv as that user")
    return SecretStore(paths, key_environment(paths))


def _value(name: str) -> str:
    if sys.stdin.isatty():
        import getpass

        value = getpass.getpass(f"Value of {name} (not shown): ")
        if getpass.getpass("The same again: ") != value:
            raise UsageError("the two values differ", hint="nothing was changed; try again")
        return value
    content = sys.stdin.buffer.read(MOST_BYTES + 3)
    try:
        return content.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError as err:
        raise UsageError("found bytes on stdin that are not UTF-8", hint="a secret is a text; encode others, say as base64") from err


def _author() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _users(session: Session) -> dict[str, list[str]]:
    """Return which bots of fleet.toml refer to each secret; none when the file cannot be read."""
    try:
        applied = load_fleet(session.paths.folder).applied
    except PsvError:
        applied = None
    users: dict[str, list[str]] = {}
    for spec in applied["bots"] if applied is not None else []:
        for name in secret_names(spec):
            users.setdefault(name, []).append(spec["name"])
    return users


def _at_next_start(bots: list[str]) -> str:
    return f"; {_shown(bots)} {'has' if len(bots) == 1 else 'have'} it from the next start (psv restart)" if bots else ""


def _shown(bots: list[str]) -> str:
    more = len(bots) - _SHOWN_BOTS
    return ", ".join(bots[:_SHOWN_BOTS]) + (f" and {more} more" if more > 0 else "") or "-"


def _moment(at: object) -> str:
    return when(at) if isinstance(at, float) else "not set"


def _say(session: Session, facts: dict[str, object], line: str) -> None:
    if session.as_json:
        session.print_json(facts)
    else:
        session.say(line)
