"""Make the pictures of README.md: a real terminal and the real page, of the real demo in a copy of its own.

Run `python docs/pictures.py [FOLDER]` in the checkout; needs tmux, Chromium (CHROMIUM, default /usr/bin/chromium) and the development
set of libraries. Writes terminal.svg and page.png into FOLDER (docs/pictures), and leaves nothing running.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parents[1]
PICTURES = PROJECT / "docs" / "pictures"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
COLUMNS, LINES = 112, 60
PATIENCE_S = 60.0
PROMPT = "$ "

TYPED = (
    "psv -C examples/demo up --detach --wait",
    "psv -C examples/demo ls",
    'psv -C examples/demo chat guide "What happens when psvd is killed?"',
    "psv -C examples/demo chat notes /add buy milk",
    "kill -9 $(cut -d' ' -f3 examples/demo/.psv/run/psvd.lock)",
    "psv -C examples/demo chat notes /list",
    "psv -C examples/demo ls",
)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; ends the script with `what` after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.05)


class Terminal:
    """A shell in a tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self._prompts = 0
        self._counter = folder / "prompts"
        self._base = ["tmux", "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8", "USER": "you"}
        environment |= {"PROMPT_COMMAND": f"printf x >> {self._counter}", "HISTFILE": "/dev/null", "PS1": PROMPT}
        environment |= {"TERM": "xterm-256color", "PSV_RUNTIME_DIR": str(folder / "runtime")}
        shell = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "bash", "--norc", "--noprofile"]
        self._tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", str(folder), *shell)
        self._wait_for_prompt()

    def type(self, command: str) -> None:
        """Type a command and wait until it has ended."""
        self._tmux("send-keys", "-l", command)
        self._tmux("send-keys", "Enter")
        self._wait_for_prompt()

    def screen(self) -> str:
        """Return what stands on the screen, with its colours."""
        return self._tmux("capture-pane", "-e", "-p").rstrip()

    def close(self) -> None:
        """End the shell and its server."""
        self._tmux("kill-server")

    def _wait_for_prompt(self) -> None:
        # The shell counts its prompts in a file: what stands on the screen cannot tell an old prompt from a new one.
        self._prompts += 1
        until(lambda: self._counter.is_file() and len(self._counter.read_bytes()) >= self._prompts, "the shell's prompt")

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run([*self._base, *arguments], check=True, capture_output=True, text=True).stdout


def copy_demo(folder: Path) -> None:
    """Lay out a checkout in which the demo has no past."""
    shutil.copytree(PROJECT / "examples" / "demo", folder / "examples" / "demo", ignore=shutil.ignore_patterns(".psv", "__pycache__"))
    shutil.copytree(PROJECT / "docs", folder / "docs")
    shutil.copy(PROJECT / "README.md", folder)


def draw(screen: str) -> str:
    """Return a terminal's screen as SVG that loads nothing from elsewhere."""
    lines = screen.splitlines()
    while lines and lines[-1].strip() in ("", PROMPT.strip()):
        lines.pop()
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True, color_system="truecolor")  # noqa: SIM115
    console.print(Text.from_ansi("\n".join(lines)))
    svg = console.export_svg(title="psv", code_format=re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL))
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def photograph(url: str, target: Path) -> None:
    """Ask the guide on the page and take a picture of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 720})
        page.goto(url)
        ask(page, "notes", "/add buy milk", "Kept as note")
        ask(page, "guide", "Where are the logs of a bot kept?", "read-logs.md")
        page.locator("#summary").get_by_text("3 running").wait_for(timeout=PATIENCE_S * 1000)
        page.screenshot(path=target)
        browser.close()


def ask(page: Page, bot: str, text: str, expected: str) -> None:
    """Say something to a bot and wait for a word of its answer."""
    page.locator("#bots").get_by_text(bot, exact=True).first.click()
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    page.locator("#messages").get_by_text(expected).last.wait_for(timeout=PATIENCE_S * 1000)
    page.locator("#messages .dots").wait_for(state="detached", timeout=PATIENCE_S * 1000)


def main(pictures: Path) -> int:
    """Make both pictures."""
    pictures.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="psv-pictures-") as name:
        folder = Path(name)
        (folder / "runtime").mkdir(mode=0o700)
        copy_demo(folder)
        terminal = Terminal(folder)
        try:
            for command in TYPED:
                terminal.type(command)
            (pictures / "terminal.svg").write_text(draw(terminal.screen()), encoding="utf-8")
            address = json.loads((folder / "examples/demo/.psv/run/web.json").read_text())
            photograph(address["url"], pictures / "page.png")
        finally:
            terminal.type("clear; psv -C examples/demo down")
            terminal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES))
