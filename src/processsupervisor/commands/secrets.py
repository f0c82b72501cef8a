"""The commands on the secret store (`secret.*`). Carried out by the client: psvd opens no store, and no value passes through it."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command

_NAME = Arg("name", "text", None, "Its name: letters, digits, _, . and -", required=True, positional=True)
_NEW_KEY = "For a key that psv does not keep itself (credential, PSV_SECRET_KEY): the file of the new one, made if it is not there"
_SET = 'Keep a secret for bots, encrypted. Its value comes from stdin, or is asked for. Bots use it as "secret:NAME" from their next start'

COMMANDS = (
    Command("secret.set", "Keep a secret for bots, encrypted; its value comes from stdin, or is asked for", (_NAME,), "admin",
            place="client", verbs=("secret set",), json=True, text=_SET),
    Command("secret.list", "List the names of secrets: when each was set, by whom, and which bots use it; never a value", (), "view",
            place="client", verbs=("secret list",), json=True),
    Command("secret.rm", "Remove a secret", (_NAME,), "admin", place="client", verbs=("secret rm",), json=True),
    Command("secret.rotate", "Make a new key and write all secrets anew with it, in one step; running bots go on", (
        Arg("new_key", "text", None, _NEW_KEY),
    ), "admin", place="client", verbs=("secret rotate",), json=True),
)  # fmt: skip
