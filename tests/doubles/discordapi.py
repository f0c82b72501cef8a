"""Has discord.py go where DISCORD_API and DISCORD_GATEWAY point, in every interpreter of the virtual environment it lies in.

The variables are read when they are needed: a zygote imports discord.py long before a bot's environment is there. Imported by a .pth
file at each start, so it imports nothing itself.
"""

import os
import sys


class _Address:
    """A class attribute that is read from the environment."""

    def __init__(self, variable, otherwise, kind):
        self._variable, self._otherwise, self._kind = variable, otherwise, kind

    def __get__(self, instance, owner):
        value = os.environ.get(self._variable)
        return self._kind(value) if value else self._otherwise


class _Finder:
    """Lets the import of discord.http and discord.gateway take its course, then sets the addresses."""

    def find_spec(self, name, path=None, target=None):
        if name not in ("discord.http", "discord.gateway"):
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            if name == "discord.http":
                module.Route.BASE = _Address("DISCORD_API", module.Route.BASE, str)
            else:
                kind = module.DiscordWebSocket
                kind.DEFAULT_GATEWAY = _Address("DISCORD_GATEWAY", kind.DEFAULT_GATEWAY, type(kind.DEFAULT_GATEWAY))

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Finder())
