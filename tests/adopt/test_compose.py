"""Laws of compose files: stages and variables of a Dockerfile, conditions, paths of the container, and what lies beside the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.adopt.harness import adopt_files, told
from tests.adopt.samples import LOOP

DOCKERFILE = "FROM debian\nWORKDIR /app\nCOPY . .\nCMD [\"python3\", \"main.py\"]\n"
BUILD = "services:\n  bot:\n    build: .\n"


def test_stages_variables_and_heredocs(tmp_path: Path) -> None:
    """A stage has what the one it begins from says; `target` is the one that runs; ENV and ARG fill in; a heredoc is no instruction."""
    docker = (
        "ARG HOME_DIR=/srv\nFROM python:3.12 AS base\nENV APP=$HOME_DIR/app MODE=prod\nWORKDIR ${APP}\nCOPY . $APP\n"
        "RUN <<EOF\npip install x\nCMD nonsense\nEOF\nCMD [\"python3\", \"main.py\", \"--base\"]\n"
        "FROM base AS prod\nUSER app\nCMD [\"python3\", \"main.py\", \"--prod\"]\nFROM base AS test\nCMD [\"pytest\"]\n"
    )
    compose = "services:\n  bot:\n    build: {context: ., target: prod}\n"
    bots, plan = adopt_files(tmp_path, {"compose.yaml": compose, "Dockerfile": docker, "main.py": LOOP})
    assert (bots["bot"]["script"], bots["bot"]["args"]) == ("main.py", ["--prod"]) and "cwd" not in bots["bot"]
    assert bots["bot"]["env"]["MODE"] == "prod" and "USER app of bot" in told(plan)


def test_a_path_of_the_container_in_a_variable(tmp_path: Path) -> None:
    """The data that it worked with are those that it works with here; a mount that the program must know of is told."""
    compose = BUILD + "    environment: {DB: /data/x.db, OTHER: /etc/hosts}\n    volumes: ['./store:/data', './cache:/app/cache']\n"
    bots, plan = adopt_files(tmp_path, {"compose.yaml": compose, "Dockerfile": DOCKERFILE, "main.py": LOOP})
    assert bots["bot"]["env"] == {"DB": str(tmp_path / "store/x.db"), "OTHER": "/etc/hosts"}
    assert "DB of bot" in told(plan) and "volume ./store:/data of bot" in told(plan)
    assert "volume ./cache:/app/cache of bot" not in told(plan)


def test_conditions_and_policies(tmp_path: Path) -> None:
    """A migration must have ended; deploy.restart_policy counts where restart is not said; a count of tries is told."""
    compose = (
        "services:\n  move:\n    build: .\n    command: sleep 1\n    restart: on-failure:3\n  bot:\n    build: .\n"
        "    depends_on: {move: {condition: service_completed_successfully}}\n    deploy: {restart_policy: {condition: any}, placement: {}}\n"
    )
    bots, plan = adopt_files(tmp_path, {"compose.yaml": compose, "Dockerfile": DOCKERFILE, "main.py": LOOP})
    assert bots["bot"]["depends_on"] == [{"bot": "move", "until": "completed"}] and "restart" not in bots["bot"]
    assert bots["move"]["restart"] == {"policy": "on-failure"}
    assert {"restart: on-failure:3 of move", "deploy.placement of bot"} <= set(told(plan))


def test_secret_in_a_command_stays_a_variable(tmp_path: Path) -> None:
    """${BOT_TOKEN} of the .env beside the file does not become an argument in fleet.toml."""
    compose = BUILD + "    command: sleep 60 --token ${BOT_TOKEN}\n"
    bots, _ = adopt_files(tmp_path, {"compose.yaml": compose, ".env": "BOT_TOKEN=plain-secret-1\n", "Dockerfile": DOCKERFILE})
    assert bots["bot"]["command"] == ["sh", "-c", 'exec sleep 60 --token "${BOT_TOKEN}"'] and bots["bot"]["env_file"] == "bot.env"
    assert "plain-secret-1" not in (tmp_path / "fleet.toml").read_text()


@pytest.mark.parametrize("name", ["compose.override.yaml", "docker-compose.override.yml"])
def test_override_beside_is_told(tmp_path: Path, name: str) -> None:
    """docker compose reads it by itself."""
    _, plan = adopt_files(tmp_path, {"compose.yaml": BUILD + "include: [x.yaml]\n", "Dockerfile": DOCKERFILE, "main.py": LOOP, name: "services: {}\n"})
    assert {name, "include", "that it runs in containers"} <= set(told(plan))
