"""Laws of `psv top` as a person has it: a real process in a real terminal, which it leaves as it found it."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, environment
from tests.commands.fakefleet import FakeFleet
from tests.supervisor.live import LiveFleet, eventually

pytestmark = pytest.mark.slow


class Tmux:
    """A tmux server of its own with `psv top` in a shell."""

    def __init__(self, folder: Path, runtime: str) -> None:
        self._base = ["tmux", "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        env = environment(PSV_RUNTIME_DIR=runtime, TERM="xterm-256color", LANG="C.UTF-8")
        shell = ["bash", "--norc", "--noprofile"]
        subprocess.run([*self._base, "new-session", "-d", "-x", "110", "-y", "30", "-c", str(folder), *shell], env=env, check=True)
        self.type(f"{' '.join(PSV)} top", "Enter")

    def type(self, *keys: str) -> None:
        subprocess.run([*self._base, "send-keys", *keys], check=True)

    def shows(self, words: str) -> None:
        eventually(lambda: words in self.picture(), f"{words} in the terminal")

    def picture(self) -> str:
        return subprocess.run([*self._base, "capture-pane", "-p"], check=True, capture_output=True, text=True).stdout

    def close(self) -> None:
        subprocess.run([*self._base, "kill-server"], check=False, capture_output=True)


def test_in_a_real_terminal(live: LiveFleet) -> None:
    """It shows the bots and their logs, stops one by a key, follows a psvd that is killed, is suspended and goes on, and gives the shell's screen back."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    live.configure("""
        [bots.loud]
        command = ["sh", "-c", "while :; do echo a line of loud; sleep 0.2; done"]
        ready = { after = "0s" }
        [bots.still]
        command = ["sleep", "1000"]
        ready = { after = "0s" }
    """)
    live.up()
    terminal = Tmux(live.folder, os.environ["PSV_RUNTIME_DIR"])
    try:
        terminal.shows("2 RUNNING")
        terminal.shows("| a line of loud")
        terminal.type("j", "x")
        terminal.shows("1 STOPPED")
        live.kill_role("psvd")
        eventually(live.answers, "another psvd")
        live.call("bot.start", names=["still"])
        terminal.shows("2 RUNNING")
        terminal.type("C-z")
        terminal.shows("Stopped")
        assert "NAME" not in terminal.picture()
        terminal.type("fg", "Enter")
        eventually(lambda: all(words in terminal.picture() for words in ("NAME", "Quit", "logs of still", "2 RUNNING")), "the whole screen again")
        terminal.type("q")
        eventually(lambda: "Quit" not in terminal.picture(), "the shell's screen")
        assert "NAME" not in terminal.picture()
    finally:
        terminal.close()


class Pty:
    """`psv top` on a pseudo terminal, with every byte that it drew."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.drawn = b""
        self.ours, self._its = pty.openpty()
        self.before = termios.tcgetattr(self._its)
        termios.tcsetwinsize(self._its, (30, 100))
        full = environment(TERM="xterm-256color", COLORTERM="truecolor", **env)
        self.process = subprocess.Popen([*PSV, "top"], cwd=folder, stdin=self._its, stdout=self._its, stderr=self._its, env=full, start_new_session=True)
        os.set_blocking(self.ours, False)

    def draws(self, condition: Callable[[str], object], what: str) -> None:
        eventually(lambda: self._read() or condition(self.drawn.decode(errors="replace")), what)

    def _read(self) -> None:
        try:
            self.drawn += os.read(self.ours, 1 << 16)
        except (BlockingIOError, OSError):
            time.sleep(0.01)

    def attributes(self) -> list[object]:
        return list(termios.tcgetattr(self._its))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self._its)


@pytest.mark.parametrize("is_plain", [False, True])
def test_no_color_sends_no_colour(folder: Path, fleet: FakeFleet, is_plain: bool) -> None:
    """With NO_COLOR not one sequence sets a colour, greys included, and the cursor is still seen; without it there are colours."""
    terminal = Pty(folder, **({"NO_COLOR": "1"} if is_plain else {}))
    try:
        terminal.draws(lambda text: "legacy" in text and "RUNNING" in text and "Quit" in text, "the screen")
        text = terminal.drawn.decode(errors="replace")
        parameters = {number for sequence in re.findall(r"\x1b\[([0-9;]*)m", text) for number in sequence.split(";") if number}
        colours = {n for n in parameters if int(n) in (38, 48) or 30 <= int(n) <= 37 or 40 <= int(n) <= 47 or 90 <= int(n) <= 107}
        assert bool(colours) is not is_plain, colours
        assert "7" in parameters or not is_plain
    finally:
        terminal.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, None])
def test_the_terminal_is_left_as_it_was(folder: Path, fleet: FakeFleet, number: int | None) -> None:
    """Ended by a signal or by Ctrl-C, it leaves the other screen and gives the terminal its settings back."""
    terminal = Pty(folder)
    try:
        terminal.draws(lambda text: "legacy" in text, "the screen")
        if number is None:
            os.write(terminal.ours, b"\x03")
        else:
            terminal.process.send_signal(number)
        terminal.draws(lambda text: terminal.process.poll() is not None and "\x1b[?1049l" in text, "its end")
        assert terminal.process.returncode == 0
        assert terminal.attributes() == terminal.before
    finally:
        terminal.close()


def test_a_psvd_that_hangs_holds_nothing_up(live: LiveFleet) -> None:
    """A key and a dialog wait for its answer; the logs go on meanwhile, and the end of the screen is at once."""
    live.configure('[bots.loud]\ncommand = ["sh", "-c", "for n in $(seq 9999); do echo line-$n; sleep 0.2; done"]\nready = { after = "0s" }\n')
    live.up()
    terminal = Pty(live.folder, PSV_RUNTIME_DIR=os.environ["PSV_RUNTIME_DIR"])
    stopped = [live.role_pid("keeper"), live.role_pid("psvd")]  # the keeper too: it would kill the other soon
    try:
        terminal.draws(lambda text: "loud" in text and "line-" in text, "the bot and its log")
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        for key in b"rsui":
            os.write(terminal.ours, bytes([key]))
        terminal.draws(lambda text: "escape closes" in text, "the dialog")
        os.write(terminal.ours, b"q")  # which closes that; an escape before another key would be alt and that key
        seen = len(terminal.drawn)
        terminal.draws(lambda _: b"line-" in terminal.drawn[seen:] and b"Quit" in terminal.drawn[seen:], "the table again, and more of the log")
        began = time.monotonic()
        os.write(terminal.ours, b"q")
        terminal.draws(lambda _: terminal.process.poll() is not None, "its end")
        assert terminal.process.returncode == 0 and time.monotonic() - began < 5.0
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        terminal.close()
