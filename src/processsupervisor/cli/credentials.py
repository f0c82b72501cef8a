"""The network tokens and model keys of a fleet's bots, found in what each bot would have as its environment.

Found by the form of the value where a network has one, else by the name of the variable. Values go to the server that they are
for and nowhere else: `Credential` hides its own in every text. Nothing is asked here.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.errors import PsvError, UsageError
from processsupervisor.launch.envfile import parse_env_file
from processsupervisor.launch.references import has_references, leaves
from processsupervisor.launch.values import readable

BASES = {
    "telegram": "https://api.telegram.org", "discord": "https://discord.com/api/v10", "slack": "https://slack.com/api", "matrix": "",
    "openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1", "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1", "deepseek": "https://api.deepseek.com", "xai": "https://api.x.ai/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
}  # fmt: skip
"""Where each is asked when neither the option nor the bot's environment says otherwise."""

NETWORKS = ("telegram", "discord", "slack", "matrix")
_FORMS = (
    ("telegram", re.compile(r"\d{6,12}:[A-Za-z0-9_-]{30,64}")),
    ("slack", re.compile(r"xox[bp]-[A-Za-z0-9-]{8,}")),
    ("discord", re.compile(r"(?:Bot )?[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,40}")),
    ("matrix", re.compile(r"syt_[A-Za-z0-9_]{8,}")),
)
_KEY_NAME = re.compile(r"(?P<maker>[A-Z0-9_]+?)_(?:API_)?(?:KEY|TOKEN)")
_NETWORK_TOKEN = re.compile(r"(?:[A-Z0-9_]+_)?(?P<network>TELEGRAM|DISCORD|MATRIX)(?:_BOT|_ACCESS|_API)*_TOKEN")
_BASE_NAMES = ("BASE_URL", "API_BASE")
_NETWORK_BASE_NAMES = (*_BASE_NAMES, "API_URL", "HOMESERVER", "HOMESERVER_URL")


@dataclass(frozen=True)
class Credential:
    """One token or key, with the bots that have it. `base_url` empty = it is not known where to ask; `model` as the bots name it."""

    kind: str
    variable: str
    value: str = field(repr=False)
    base_url: str
    bots: tuple[str, ...]
    model: str = ""

    @property
    def check(self) -> str:
        """Return how a finding names it."""
        shown = ", ".join(self.bots[:3]) + (f" and {len(self.bots) - 3} more" if len(self.bots) > 3 else "")
        return f"{self.kind}: {shown} ({self.variable})"


def parse_bases(text: str | None) -> dict[str, str]:
    """Return the addresses of `telegram=URL,openai=URL`; raises UsageError."""
    bases: dict[str, str] = {}
    for part in (text or "").split(","):
        name, _, url = part.strip().partition("=")
        if not part.strip():
            continue
        if not re.fullmatch(r"[a-z0-9_]+", name) or not url.startswith(("http://", "https://")):
            raise UsageError(f'found "{name}=…" in --base-url, expected NAME=URL, as in telegram=http://127.0.0.1:8081',
                             hint=f"names are {', '.join(BASES)}, or those of variables NAME_API_KEY")
        bases[name] = url
    return bases


def environment_of(spec: BotSpec, folder: Path) -> dict[str, str]:
    """Return the variables that the bot would have, as far as they can be read; what it inherits is taken from this process.

    References are followed, which may run the commands of `cmd:`.
    """
    found = {name: os.environ[name] for name in spec["inherit"] if name in os.environ}
    for path in spec["env_files"]:
        with contextlib.suppress(PsvError):  # psv check names it
            found |= parse_env_file(Path(path))
    values = readable({"folder": str(folder), **spec}, leaves(spec["env"], ("env",)))
    return found | {name: values.get(text, text) for name, text in spec["env"].items() if text in values or not has_references(text)}


def find(specs: Iterable[BotSpec], bases: Mapping[str, str], folder: Path) -> tuple[list[Credential], list[tuple[str, str]]]:
    """Return all credentials, each once with all its bots, and (bot, variable) of locked tokens that belong to nothing known."""
    found: dict[tuple[str, str, str], Credential] = {}
    unknown: list[tuple[str, str]] = []
    for spec in specs:
        environment = environment_of(spec, folder)
        known = set()
        for name, value in environment.items():
            kind = kind_of(name, value, environment, bases)
            if kind is None:
                continue
            known.add(name)
            base = _base_of(kind, environment, bases)
            model = environment.get(f"{kind.upper()}_MODEL", "") if kind not in NETWORKS else ""
            credential = found.setdefault((kind, value, base), Credential(kind, name, value, base, (), model))
            if spec["name"] not in credential.bots:
                found[kind, value, base] = replace(credential, bots=(*credential.bots, spec["name"]))
        locked = [entry["env"] for entry in spec["lock"] if "env" in entry]
        unknown += [(spec["name"], name) for name in locked if name not in known]
    return list(found.values()), unknown


def kind_of(name: str, value: str, environment: Mapping[str, str], bases: Mapping[str, str]) -> str | None:
    """Return what a variable holds the token or key of, None when that is neither or unknown."""
    for kind, form in _FORMS:
        if form.fullmatch(value):
            return kind
    if not value:
        return None
    if (token := _NETWORK_TOKEN.fullmatch(name.upper())) is not None:
        return token["network"].lower()
    key = _KEY_NAME.fullmatch(name.upper())
    if key is None:
        return None
    maker = key["maker"].lower()
    has_base = any(f"{key['maker']}_{word}" in environment for word in _BASE_NAMES)
    return maker if maker not in NETWORKS and (maker in BASES or maker in bases or has_base) else None


def _base_of(kind: str, environment: Mapping[str, str], bases: Mapping[str, str]) -> str:
    words = _NETWORK_BASE_NAMES if kind in NETWORKS else _BASE_NAMES
    own = next((url for word in words if (url := environment.get(f"{kind.upper()}_{word}"))), None)
    base = bases.get(kind) or own or BASES.get(kind, "")
    return base.rstrip("/") if base.startswith(("http://", "https://")) else ""
