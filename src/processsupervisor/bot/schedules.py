"""`Schedule`: what the bot does later, once or again and again, whatever dies meanwhile; and the clock that sees to it.

A schedule belongs to a conversation, or to the bot as a whole. When it is due its handler (`@bot.scheduled`) runs like one for a message:
in the order of its conversation, at least once, and what it answers is said there once. Set in a handler, it is committed with the
reply. What was missed while the bot was away is done once, not as often as it was missed.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from processsupervisor.bot.work import open_work, told
from processsupervisor.bot.written import json_of, seconds_of
from processsupervisor.chat.timers import DueClock
from processsupervisor.config.occurrences import due_after
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Changes, Consent, InboxRow, Kind, Place, Timer
from processsupervisor.storage.timers import MAX_PER_CONVERSATION

BOT_NETWORK = "bot"
"""Stands in Place for schedules of the bot as a whole; each name is a conversation of its own there, so that none waits for another."""
MAX_NAME_CHARS = 100
MAX_PAYLOAD_CHARS = 64 * 1024
LEAST_EVERY_S = 1.0

When = datetime | timedelta | float | str
_Timers = list[Timer]
_Rows = list[list[Any]]
_log = logging.getLogger("processsupervisor.bot")


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule that is to come: `at` is the next time (UTC), `rule` how it goes on ("" = it does not)."""

    name: str
    handler: str
    at: datetime
    payload: Any
    rule: str = ""


class Schedule:
    """The schedules of one conversation, or of the bot. `handler` is the name of a handler that @bot.scheduled has defined.

    A name is unique here: setting it again replaces what it was, and the same again (in `@bot.on_start`) changes nothing. Every method
    raises UsageError for what cannot be.
    """

    __slots__ = ("_clock", "_database", "_handlers", "_place")

    def __init__(self, database: BotDatabase, place: Place | None, handlers: Callable[[], Iterable[str]], clock: DueClock) -> None:
        self._database = database
        self._place = place
        self._handlers = handlers
        self._clock = clock

    async def once(self, when: When, handler: str, payload: Any = None, *, name: str = "") -> Planned:
        """Run the handler at a time (an aware datetime), or after a while (seconds, timedelta or "10m"). Without a name it gets its own."""
        due_at = await told("now", "", lambda: _due(when))
        return await self._set(name or await told("name", "", lambda: _new_name(handler)), handler, due_at, payload, "")

    async def every(self, interval: float | timedelta | str, handler: str, payload: Any = None, *, name: str = "") -> Planned:
        """Run the handler again and again, first after one interval of at least 1 s. Without a name it is called like the handler."""
        every_s = seconds_of(interval)
        if every_s < LEAST_EVERY_S:
            raise UsageError(f"an interval is at least {LEAST_EVERY_S:g} s")
        due_at = await told("now", "", lambda: _due(every_s))
        return await self._set(name or handler, handler, due_at, payload, f"every {every_s!r}")

    async def cron(self, fields: str, handler: str, payload: Any = None, *, zone: str = "", name: str = "") -> Planned:
        """Run the handler by the clock: "0 9 * * 1-5" is 09:00 from Monday to Friday, in `zone` ("Europe/Berlin"), else the machine's.

        Without a name it is called like the handler.
        """
        rule = _cron_rule(fields, zone)
        due_at = await told("now", "", lambda: _following(rule))
        return await self._set(name or handler, handler, due_at, payload, rule)

    async def cancel(self, name: str) -> bool:
        """Forget a schedule; False when there was none of that name."""
        return await told("cancel", name, lambda: self._cancel(name))

    async def list(self) -> list[Planned]:
        """Return what is to come, earliest first."""
        found = await told("list", "", self._read)
        return [_planned(Timer(Place(*place), *rest)) for place, *rest in found]

    # --- what is done --------------------------------------------------------------------------------------------

    async def _set(self, name: str, handler: str, due_at: float, payload: Any, rule: str) -> Planned:
        known = tuple(self._handlers())
        if handler not in known:
            offered = ", ".join(known) or "none"
            text = f'no handler is called "{handler}", there is: {offered}'
            raise UsageError(text, hint="write @bot.scheduled(NAME) above one", found=(f'"{handler}"',))
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS or name.startswith(":"):
            raise UsageError(f"the name of a schedule is a text of 1 to {MAX_NAME_CHARS} characters without a colon in front")
        text = json_of(payload, "the payload of a schedule")
        if len(text) > MAX_PAYLOAD_CHARS:
            raise UsageError(f"a payload has at most {MAX_PAYLOAD_CHARS} characters as JSON", hint="keep it in a store")
        timer = Timer(self._place or Place(BOT_NETWORK, name), name, handler, due_at, text, rule)
        return _planned(replace(timer, due_at=await told("schedule", name, lambda: self._put(timer))))

    async def _put(self, timer: Timer) -> float:
        """Set a timer and return when it is due: one that comes again and again and is the same already keeps its time."""
        others = await self._timers()
        same = next((one for one in others if one.place == timer.place and one.name == timer.name), None)
        if same is not None and timer.rule and replace(same, due_at=timer.due_at) == timer:
            return same.due_at
        if same is None and len(others) >= MAX_PER_CONVERSATION:
            raise UsageError(f"there are at most {MAX_PER_CONVERSATION} schedules to come here")
        work = open_work()
        if work is None:
            await self._database.set_timer(timer)
            self._clock.expect(timer.due_at)
        else:
            _drop(work.changes, timer.place, timer.name)
            work.changes.timers.append(timer)
        return timer.due_at

    async def _cancel(self, name: str) -> bool:
        place = self._place or Place(BOT_NETWORK, name)
        work = open_work()
        if work is None:
            return await self._database.cancel_timer(place, name)
        was_there = any(timer.name == name for timer in await self._timers())
        _drop(work.changes, place, name)
        work.changes.cancelled_timers.append((place, name))
        return was_there

    async def _read(self) -> _Rows:
        return [[[*one.place], one.name, one.handler, one.due_at, one.payload, one.rule] for one in await self._timers()]

    async def _timers(self) -> _Timers:
        """Return what is committed, as the handler that runs here has changed it."""
        found = {(one.place, one.name): one for one in await self._database.timers(self._place or BOT_NETWORK) if self._is_ours(one)}
        work = open_work()
        if work is not None:
            for cancelled in work.changes.cancelled_timers:
                found.pop(cancelled, None)
            found.update({(one.place, one.name): one for one in work.changes.timers if self._is_ours(one)})
        return sorted(found.values(), key=lambda one: (one.due_at, one.name))

    def _is_ours(self, timer: Timer) -> bool:
        in_place = timer.place == self._place if self._place is not None else timer.place.network == BOT_NETWORK
        return in_place and not timer.name.startswith(":")


class Schedules:
    """All schedules of one bot that runs: its clock, and what it puts into the inbox when one is due."""

    def __init__(self, database: BotDatabase, handlers: Callable[[], Iterable[str]], put: Callable[[list[InboxRow]], None]) -> None:
        async def fire(now: float) -> None:
            put(await database.fire_timers(now, _again, self.but))

        self.but = ""
        """Schedules of this name wait."""
        self._database = database
        self._handlers = handlers
        self.clock = DueClock("schedules", fire, lambda: database.next_timer_at(self.but))

    def of(self, place: Place | None) -> Schedule:
        """Return the schedules of a conversation, None for those of the bot."""
        return Schedule(self._database, place, self._handlers, self.clock)

    def committed(self, changes: Changes) -> None:
        """Hear of timers that a message has set."""
        for timer in changes.timers:
            self.clock.expect(timer.due_at)


def _again(timer: Timer, now: float) -> float | None:
    """Return when a timer is due again; one whose rule or time zone this machine does not know (any more) ends here."""
    try:
        return due_after(timer.rule, timer.due_at, now)
    except (ValueError, LookupError, OSError) as err:
        _log.error("the schedule of the handler %s ends: its rule cannot be read here: %s", timer.handler, type(err).__name__)
        return None


async def is_held_back(row: InboxRow, database: BotDatabase) -> bool:
    """Tell whether a schedule that comes again and again is due where /stop was said: it goes on when /start is."""
    if row.kind is not Kind.SCHEDULE or row.place.network == BOT_NETWORK or await database.consent(row.place) != Consent.OPTED_OUT:
        return False
    return await comes_again(row, database)


async def comes_again(row: InboxRow, database: BotDatabase) -> bool:
    """Tell whether what is due here is due again some time."""
    name = row.id.removeprefix("timer-").rpartition("-")[0]
    return any(timer.name == name and timer.rule for timer in await database.timers(row.place))


def _drop(changes: Changes, place: Place, name: str) -> None:
    changes.timers[:] = [one for one in changes.timers if (one.place, one.name) != (place, name)]


def _planned(timer: Timer) -> Planned:
    return Planned(timer.name, timer.handler, datetime.fromtimestamp(timer.due_at, UTC), json.loads(timer.payload), timer.rule)


async def _new_name(handler: str) -> str:
    return f"{handler}-{secrets.token_hex(6)}"


async def _due(when: When) -> float:
    if not isinstance(when, datetime):
        return clock.wall() + seconds_of(when)
    if when.tzinfo is None:
        raise UsageError("a time needs a time zone", hint='write datetime(..., tzinfo=ZoneInfo("Europe/Berlin")), or give a duration')
    return when.timestamp()


async def _following(rule: str) -> float:
    now = clock.wall()
    found = due_after(rule, now, now)
    if found is None:
        raise UsageError(f'"{rule}" never comes again', found=(f'"{rule}"',))
    return found


def _cron_rule(fields: str, zone: str) -> str:
    from processsupervisor.config.cron import BadTime, check_zone, clean_cron  # a bot without cron pays for neither

    try:
        return f"cron {check_zone(zone) if zone else 'local'} {clean_cron(fields)}"
    except BadTime as err:
        shown = (repr(fields), repr(zone)) if zone else (repr(fields),)
        found = (*shown, err.shown) if err.shown else shown
        raise UsageError(f"expected {err.expected}, found {' in '.join(shown)}", hint=err.hint, found=found) from None
