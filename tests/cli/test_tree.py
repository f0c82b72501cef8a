"""Laws of the argument tree: it is the registry, no more and no less."""

from __future__ import annotations

import inspect
import sys

import click
import pytest

from processsupervisor.cli.tree import make_root, verbs
from processsupervisor.cli.verbs import find_verb
from processsupervisor.commands.registry import REGISTRY


def find(verb: str) -> click.Command:
    command: click.Command = make_root()
    context = click.Context(command, info_name="psv")
    for word in verb.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None, verb
        command = found
    return command


@pytest.mark.parametrize("verb", verbs())
def test_parameters_are_the_declared_arguments(verb: str) -> None:
    """Every argument of a command is one parameter of its click command, with --json where the registry says so."""
    command = verbs()[verb]
    found = {parameter.name for parameter in find(verb).params}
    assert found == {arg.name for arg in command.args} | ({"_json"} if command.json else set())


@pytest.mark.parametrize("name", [command.name for command in REGISTRY.values() if command.verbs])
def test_functions_take_the_declared_arguments(name: str) -> None:
    """The function that carries out a verb has the command's arguments as its keywords."""
    function = find_verb(name)
    keywords = {p.name for p in inspect.signature(function).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    if "wish" in inspect.signature(function).parameters:
        keywords |= set(sys.modules[function.__module__].Wish.__annotations__)
    assert keywords == {arg.name for arg in REGISTRY[name].args}


def test_tree_has_nothing_else() -> None:
    """The words of the tree are the verbs of the registry."""
    root = make_root()
    context = click.Context(root, info_name="psv")
    words = set(root.list_commands(context))
    assert words == {verb.split()[0] for verb in verbs()}


def test_short_forms() -> None:
    """`psv ls` and the others stand for their `psv bot` forms."""
    assert verbs()["ls"].name == "bot.list"
    assert all(verbs()[short].name == f"bot.{short}" for short in ("start", "stop", "restart", "logs", "chat"))
