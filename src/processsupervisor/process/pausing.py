"""Pause and resume of a native bot: asked over its link, said by the bot itself, forced after a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from processsupervisor.kernel.states import Trigger
from processsupervisor.process.hooks import Hooks
from processsupervisor.process.lifecycle import Lifecycle
from processsupervisor.process.patience import Alarm
from processsupervisor.process.stopping import LinkPort

_PAUSE_TIMEOUT_S = 10.0


class _Pausable(Protocol):
    """What of a bot's handle is needed here."""

    name: str
    life: Lifecycle
    generation: int
    link: LinkPort | None

    def stop(self, *, is_restart: bool = False) -> bool:
        """Begin to stop, to rest or to start again."""
        ...


class Pausing:
    """Pauses and resumes one bot; `alarm` is the one deadline that its handle has."""

    def __init__(self, bot: _Pausable, alarm: Alarm, hooks: Hooks) -> None:
        self._bot = bot
        self._alarm = alarm
        self._hooks = hooks

    def pause(self) -> bool:
        """Ask the bot to take nothing new; False when the state does not allow it."""
        return self._ask("pause", Trigger.PAUSE, self._give_up_pause)

    def resume(self) -> bool:
        """Ask a paused bot to go on; False when the state does not allow it."""
        return self._ask("resume", Trigger.RESUME, self._begin_anew)

    def say_turned(self, trigger: Trigger) -> None:
        """Note that the bot has paused or resumed, as it says itself."""
        if self._bot.life.fire(trigger, generation=self._bot.generation):
            self._alarm.clear()

    def _ask(self, op: Literal["pause", "resume"], trigger: Trigger, on_timeout: Callable[[], object]) -> bool:
        link = self._bot.link
        if link is None or not self._bot.life.fire(trigger, generation=self._bot.generation):
            return False
        self._alarm.judge(_PAUSE_TIMEOUT_S, on_timeout)
        state, generation = self._bot.life.state, self._bot.generation

        def send() -> None:
            if (self._bot.life.state, self._bot.generation) == (state, generation) and self._bot.link is not None:
                self._bot.link.send({"op": op})

        self._hooks.turn(self._bot.name, op, send)
        return True

    def _give_up_pause(self) -> None:
        """The bot did not pause in time: let it go on, or begin anew if it cannot even be asked."""
        if not self.resume():
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._bot.stop(is_restart=True)
