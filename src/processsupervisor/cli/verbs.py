"""Where each verb of the command line is carried out: dotted name of the command to module and function.

Imported by name when the verb runs, so that no verb pays for another's imports.
"""

from __future__ import annotations

from importlib import import_module

from processsupervisor.cli.session import Verb

_ROOM = "processsupervisor.cli"

VERBS: dict[str, str] = {
    "bot.list": "bots:list_bots",
    "bot.status": "bots:show",
    "bot.start": "bots:launch",
    "bot.stop": "bots:operate",
    "bot.restart": "bots:launch",
    "bot.pause": "bots:operate",
    "bot.resume": "bots:operate",
    "bot.signal": "bots:signal",
    "bot.dump": "dumps:dump",
    "bot.history": "history:history",
    "bot.logs": "logs:logs",
    "bot.errors": "errors:errors",
    "bot.chat": "chat:chat",
    "bot.db": "data:show",
    "bot.backup": "data:backup",
    "bot.restore": "data:put_back",
    "bot.migrate": "data:migrate",
    "letter.list": "letters:show_all",
    "letter.show": "letters:show",
    "letter.replay": "letters:replay",
    "letter.drop": "letters:drop",
    "send.list": "sends:show_all",
    "send.again": "sends:again",
    "send.drop": "sends:drop",
    "bot.add": "edits:add",
    "bot.rename": "edits:rename",
    "bot.rm": "edits:rm",
    "bot.purge": "edits:purge",
    "notify.test": "notify:test",
    "config.schema": "schema:schema",
    "task.list": "tasks:list_tasks",
    "task.run": "tasks:run",
    "task.history": "tasks:history",
    "fleet.init": "init:init",
    "fleet.adopt": "adopt:adopt",
    "fleet.up": "up:up",
    "fleet.run": "run:run",
    "fleet.dev": "dev:dev",
    "fleet.down": "fleet:down",
    "fleet.status": "fleet:status",
    "fleet.check": "check:check",
    "fleet.events": "events:events",
    "fleet.top": "top.verb:top",
    "fleet.doctor": "doctor:doctor",
    "fleet.list": "fleets:fleets",
    "fleet.upgrade": "upgrade:upgrade",
    "config.plan": "config:plan",
    "config.diff": "config:diff",
    "config.reload": "config:reload",
    "config.history": "versions:history",
    "config.show": "versions:show",
    "config.return": "versions:rollback",
    "config.set": "settings:set_value",
    "config.unset": "settings:unset_value",
    "config.explain": "explain:explain",
    "secret.set": "secrets:set_secret",
    "secret.list": "secrets:list_secrets",
    "secret.rm": "secrets:remove",
    "secret.rotate": "secrets:rotate",
    "release.create": "release:make",
    "release.list": "release:list_releases",
    "release.deploy": "release:deploy",
    "release.rollback": "release:rollback",
    "release.rm": "release:rm",
    "service.install": "service:install",
    "service.remove": "service:remove",
}


def find_verb(name: str) -> Verb:
    """Return the function that carries out the command `name`."""
    module, _, attribute = VERBS[name].partition(":")
    verb: Verb = getattr(import_module(f"{_ROOM}.{module}"), attribute)
    return verb
