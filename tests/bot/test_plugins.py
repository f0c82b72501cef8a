"""Connectors, responders and stores of installed packages: found, made, and told of when they cannot be."""

from __future__ import annotations

import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from processsupervisor import Bot, Refused
from processsupervisor.bot import plugins
from processsupervisor.kernel.errors import ConfigError
from processsupervisor.testing import Lab

ROOT = Path(__file__).parents[2]
SECRET = "t0k3n"

SOURCE = """
    class Responder:
        def __init__(self, settings, name, folder):
            self.settings, self.name, self.folder = settings, name, folder

        async def __call__(self, message):
            return f"{self.settings['tone']} {self.name}: {message.text} ({self.folder.is_dir()})"

    class Store:
        def __init__(self, settings, name, folder):
            self.values, self.log = {}, settings["log"]
            self.log.append("made")

        async def open(self): self.log.append("open")
        async def close(self): self.log.append("close")
        async def read(self, key): return self.values.get(key)
        async def keys(self): return self.values.keys()

        async def write(self, key, text):
            self.values.pop(key, None) if text is None else self.values.update({key: text})

    class Pigeon:
        network = "pigeon"
        has_network = is_pulled = True
        capabilities = identify = open = publish = send = typing = fetch = close = None

        def __init__(self, settings, name, folder):
            if settings.get("raises"):
                raise KeyError(settings["token"])
            self.network = settings.get("network", "pigeon")

    def half(settings, name, folder):
        return object()
"""
POINTS = """
    [processsupervisor.responders]
    parrot = plug_{name}:Responder
    half = plug_{name}:half

    [processsupervisor.stores]
    drawer = plug_{name}:Store
    half = plug_{name}:half

    [processsupervisor.connectors]
    pigeon = plug_{name}:Pigeon
    half = plug_{name}:half
    missing = plug_{name}:nothing
    lost = no_such_module:make
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package into a folder of installed packages, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name: str) -> None:
        (tmp_path / f"plug_{name}.py").write_text(textwrap.dedent(SOURCE))
        info = tmp_path / f"plug_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plug-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(textwrap.dedent(POINTS).format(name=name))

    yield put
    for name in [name for name in sys.modules if name.startswith("plug_")]:
        del sys.modules[name]


def test_a_responder_answers_what_no_handler_is_for(install):
    """With its settings, the bot's name and the folder of its data."""
    install("one")
    bot = Bot()
    bot.use_responder("parrot", tone="loud")

    @bot.command("add")
    async def add(message):
        return "added"

    with Lab(bot, name="polly") as lab:
        lab.say("hi")
        lab.sees("loud polly: hi (True)")
        lab.say("/add")
        lab.sees("added")


def test_a_store_is_open_while_the_bot_lives(install):
    """From its start hooks to its stop hooks; outside of that it says so."""
    install("one")
    bot, log = Bot(), []
    drawer = bot.use_store("drawer", log=log)

    @bot.on_start
    async def begin():
        await drawer.set("begun", True)

    @bot.on_stop
    async def end():
        log.append(await drawer.get("begun"))

    @bot.on_message
    async def handler(message):
        await drawer.set(message.text, {"n": 1})
        await drawer.delete("nothing")
        return f"{await drawer.keys()} {await drawer.get('hi')} {await drawer.get('x', 5)}"

    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees("['begun', 'hi'] {'n': 1} 5")
        lab.restart()
    assert log == ["made", "open", True, "close"] * 2
    with pytest.raises(Refused, match="does not run"):
        drawer.get("x").send(None)


def test_a_responder_takes_the_place_of_on_message():
    """Two of them would be one too many."""
    bot = Bot()

    @bot.on_message
    async def handler(message): ...

    with pytest.raises(ConfigError, match="defined already"):
        bot.use_responder("parrot")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"pigeon": {}}, None),
        ({"dove": {}}, 'there is no connector "dove", there is: half, lost, missing, pigeon, telegram; install the package'),
        ({"pigeon": 7}, "networks.pigeon is not a table"),
        ({"half": {}}, 'the connector "half" of plug-one is a object without capabilities, close'),
        ({"missing": {}}, 'the connector "missing" of plug-one cannot be made: AttributeError'),
        ({"lost": {}}, 'the connector "lost" of plug-one cannot be made: ModuleNotFoundError'),
        ({"pigeon": {"raises": True, "token": SECRET}}, 'the connector "pigeon" of plug-one cannot be made: KeyError at'),
        ({"pigeon": {"network": "dove"}}, 'the connector "pigeon" says that its network is "dove"'),
    ],
)
def test_a_connector_is_made_or_the_reason_is_told(install, tmp_path, table, said):
    """In one line, with the package's name and no value of the settings."""
    install("one")
    if said is None:
        [made] = plugins.make_connectors(table, "anna", tmp_path)
        assert type(made).__name__ == "Pigeon"
        return
    with pytest.raises(ConfigError) as caught:
        plugins.make_connectors(table, "anna", tmp_path)
    assert said in str(caught.value) and SECRET not in str(caught.value) and "\n" not in str(caught.value)


def test_one_name_in_two_packages_is_nobodys(install, tmp_path):
    """Which one it is must not be a matter of luck."""
    install("one")
    install("two")
    with pytest.raises(ConfigError, match='more than one package has a store "drawer": plug-one, plug-two'):
        plugins.make_store("drawer", {}, "anna", tmp_path)


def test_what_we_find_without_a_search_is_registered_like_anybodys():
    """So that config and others find our connectors as they find those of packages."""
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert {(group, name): f"{module}:make" for (group, name), module in plugins._OWN.items()} == {
        (group, name): target for group in written if group.startswith("processsupervisor.") for name, target in written[group].items()
    }
