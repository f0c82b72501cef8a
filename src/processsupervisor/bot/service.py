"""One bot put together: database, pump, reminder clock and connectors, with their common start, pause and stop.

Used by the runner (in a fleet) and by alone.py (console). Nothing is opened by construction; the database is opened at the
first message, or at the start when an earlier life left work in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from processsupervisor.bot.asking import DIALOG_TIMER
from processsupervisor.bot.collecting import cut_reply
from processsupervisor.bot.definition import Definition
from processsupervisor.bot.fitting import fit_replies
from processsupervisor.bot.hooks import TURN_HOOKS_S, run_hooks
from processsupervisor.bot.networks import Networks
from processsupervisor.bot.opening import close, identify, open_later
from processsupervisor.bot.proofs import Proofs
from processsupervisor.bot.pump import Pump
from processsupervisor.bot.recipients import Recipient, recipients
from processsupervisor.bot.schedules import Schedule, Schedules
from processsupervisor.bot.sender import senders_for
from processsupervisor.bot.store import Store
from processsupervisor.bot.work import open_work
from processsupervisor.chat.consent import statement
from processsupervisor.chat.points import Points, armed_points
from processsupervisor.chat.reminders import ReminderClock
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.base import Connector
from processsupervisor.connectors.web import hook_up
from processsupervisor.kernel import clock
from processsupervisor.kernel.errors import Refused, StorageError, UsageError
from processsupervisor.storage.attachments import Attachments, Limits
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import Attachment, Consent, Due, FileOut, InboxRow, Kind, Place, Reply
from processsupervisor.storage.reminders import MAX_PER_CONVERSATION
from processsupervisor.storage.values import BOT_SCOPE

_RECOVER_AGAIN_S = (1.0, 2.0, 5.0)
_HOOKS_SHARE = 0.25  # of the time for a stop; the rest is for what runs
_SENDS_SHARE = 0.8  # of what is left behind the hooks; the rest is for the last commit
_LEAST_SENDS_S = 0.5
_LEAST_CLOSE_S = 0.5
_FIRST_PROOF_S = 30.0
_FIRST_MESSAGES_S = 5.0  # a network proves itself before it brings what waited there
_SWEEP_EVERY_S = 3600.0  # what was sent is deleted when the next file is kept
_DEFAULTS = ChatSettings()
_log = logging.getLogger("processsupervisor.bot")


class Service:
    """A bot on its connectors. start() once, then pause/resume, then stop() once."""

    def __init__(
        self, bot: Definition, database: BotDatabase, connectors: Sequence[Connector], *, settings: ChatSettings = _DEFAULTS,
        points: Points | None = None, retry_after_s: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        points = armed_points() if points is None else points
        self._bot = bot
        self._database = database
        self._networks = Networks(connectors)
        hook_up(connectors)
        self._clock = ReminderClock(database, self._networks.show)
        self.pump = Pump(
            bot, database, _wording(bot), self._networks, reminded=self._clock.expect, settings=settings, points=points
        )
        if retry_after_s is not None:
            self.pump.answering.retry_after_s = tuple(retry_after_s)
        self._schedules = Schedules(database, bot.registry.scheduled, self.pump.put)
        self.pump.committed = self._schedules.committed
        self._clocks = (self._clock, self._schedules.clock)
        self.proofs = Proofs()
        self.pump.proved = self.proofs.prove
        self.senders = senders_for(database, connectors, settings, self.pump.end, points)
        for sender in self.senders.values():
            sender.moved = self.pump.has_moved
        self._networks.wake = {network: sender.wake for network, sender in self.senders.items()}
        database.networks_to_send, database.networks_read = self._networks.to_send(), self._networks.read()
        database.writer.doubted = self._look_again
        self._tasks: list[asyncio.Task[None]] = []
        self.store: Store[Any] = Store(database, BOT_SCOPE)
        self._files = Attachments(database, Limits(settings.max_file_bytes, settings.max_contact_bytes, settings.max_total_bytes))
        self._swept_mono = -_SWEEP_EVERY_S
        self._sent = 0
        self._is_recovered = False
        """What earlier lives left is queued."""

    async def start(self) -> None:
        """Run the start hooks, take up what was left, open the connectors. Raises what a hook or a connector raises.

        ConfigError for a handler that asks for what cannot be given.
        """
        self._bot.resolve()
        self._bot.running = self
        for hook in self._bot.start_hooks:
            await hook()
        loop = asyncio.get_running_loop()
        openings = [(connector, await identify(connector)) for connector in self._networks]
        has_work = self._database.has_open_work()
        if has_work:
            await self._recover()
        else:
            self.pump.open()
            self._is_recovered = True
        for connector, is_known in openings:
            if connector.has_network:
                self.proofs.expect(connector.network)
            if is_known:
                await connector.open(self.pump)
            else:
                self._tasks.append(loop.create_task(open_later(connector, self.pump)))
        self._tasks += (loop.create_task(sender.run()) for sender in self.senders.values())
        if self._is_recovered:
            self._run_clocks(has_work)
        else:
            self._tasks.append(loop.create_task(self._recover_later()))

    def _run_clocks(self, look_first: bool) -> None:
        loop = asyncio.get_running_loop()
        if look_first:
            self._schedules.but = DIALOG_TIMER
            self._tasks.append(loop.create_task(self._let_questions_end()))
        self._tasks += [loop.create_task(one.run(look_first=look_first)) for one in self._clocks]

    async def _let_questions_end(self) -> None:
        """Let deadlines of questions come once the networks had time to bring what was said while the bot was away: it may be in time."""
        if await self.proofs.wait_first(_FIRST_PROOF_S):
            await asyncio.sleep(_FIRST_MESSAGES_S)
        self._schedules.but = ""
        self._schedules.clock.expect(0.0)

    def begin(self) -> None:
        """Run the ready hooks, beside everything else: the bot is ready."""
        if self._bot.ready_hooks:
            self._tasks.append(asyncio.get_running_loop().create_task(run_hooks("ready", self._bot.ready_hooks, TURN_HOOKS_S)))

    async def _recover(self) -> None:
        try:
            await self.pump.recover()
        except StorageError as err:
            # The order of a conversation needs the old messages first: until they could be read nothing is accepted, nothing that is
            # due goes off and no letter is replayed, for each of these claims a conversation, which then counts as taken up.
            _log.error("nothing is accepted until the database can be read: %s", err)
            self.pump.refuse(Refused(err.message, hint=err.hint, code="storage"))
            return
        self._is_recovered = True

    async def _recover_later(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(_RECOVER_AGAIN_S[min(attempt, len(_RECOVER_AGAIN_S) - 1)])
            attempt += 1
            try:
                await self.pump.recover()
            except StorageError:
                continue
            _log.info("the database can be read again")
            self._is_recovered = True
            self._run_clocks(look_first=True)
            return

    def _look_again(self) -> None:
        """Find what was committed although that was told to have failed."""
        self.pump.look_again()
        for one in self._clocks:
            one.expect(0.0)
        for sender in self.senders.values():
            sender.wake()

    def reword(self) -> None:
        """Take the wording of the statement from the options that hold now."""
        self.pump.answering.statement = _wording(self._bot)

    async def pause(self) -> None:
        """Take nothing new, finish what has begun, hold reminders and schedules back; connectors stay connected."""
        for one in self._clocks:
            one.pause()
        await self.pump.pause()
        await run_hooks("pause", self._bot.pause_hooks, TURN_HOOKS_S)

    async def resume(self) -> None:
        """Go on after a pause."""
        await run_hooks("resume", self._bot.resume_hooks, TURN_HOOKS_S)
        self.pump.resume()
        for one in self._clocks:
            one.resume()

    async def stop(self, timeout_s: float) -> None:
        """End within `timeout_s`: finish what runs, stop hooks, send what is due, close connectors and database."""
        ends_mono = clock.mono() + timeout_s
        for one in self._clocks:
            one.pause()
        await self.pump.drain(timeout_s * (1 - _HOOKS_SHARE))
        self.pump.answering.dialogs.close()
        await run_hooks("stop", self._bot.stop_hooks, ends_mono - clock.mono())
        if self.senders:
            left_s = max((ends_mono - clock.mono()) * _SENDS_SHARE, _LEAST_SENDS_S)
            await self.pump.wait_committed(left_s)
            left_s = max((ends_mono - clock.mono()) * _SENDS_SHARE, _LEAST_SENDS_S)
            await asyncio.gather(*(sender.drain(left_s) for sender in self.senders.values()))
        for task in self._tasks:
            task.cancel()
        await self._database.close(max(ends_mono - clock.mono(), 0.5))
        await asyncio.sleep(0)  # what the last commit published reaches the connectors
        await asyncio.gather(*(close(connector, max(ends_mono - clock.mono(), _LEAST_CLOSE_S)) for connector in self._networks))
        await self._bot.close()
        self._bot.running = None
        await run_hooks("exit", self._bot.exit_hooks, ends_mono - clock.mono())

    async def replay(self, row_id: int) -> str:
        """Handle a dead letter again, behind what its conversation waits for; returns why not, "" when it is queued."""
        if not self._is_recovered:
            return "its database cannot be read now, try again later"
        try:
            row = await self._database.replay(row_id)
        except StorageError as err:
            return str(err)
        if row is None:
            return f"it has no letter {row_id}"
        self.pump.put([row])
        return ""

    async def send_anew(self, number: int) -> str:
        """Send a message of which it is unknown whether it arrived; returns why not, "" when it waits for its turn."""
        try:
            out = await self._database.send_anew(number)
        except (StorageError, Refused) as err:
            return str(err)
        if out is None:
            return f"it has no send {number} that ended as unknown"
        self._networks.show(out)
        return ""

    # --- what a Bot and its handlers ask for -----------------------------------------------------------------------------------------

    def prove(self, network: str) -> None:
        """Note that a network which the author's own code talks to has answered just now."""
        self.proofs.prove(network)

    @property
    def bot(self) -> Definition:
        """The Bot that runs."""
        return self._bot

    @property
    def folder(self) -> Path:
        """Where the bot keeps its data."""
        return self._database.path.parent

    async def keep_file(
        self, row: InboxRow, name: str, mime: str, kind: str, content: Path | bytes | AsyncIterator[bytes]
    ) -> FileOut:
        """Keep a file of a reply to `row` until it was sent. Raises Refused ("too-big", "quota"), UsageError, StorageError."""
        if clock.mono() > self._swept_mono + _SWEEP_EVERY_S:
            self._swept_mono = clock.mono()
            await self._files.sweep()
        contact = row.place.conversation if row.kind is Kind.SCHEDULE else row.sender  # a schedule's sender is its handler
        return FileOut(await self._files.keep(row.place.network, contact, name, content), name, mime, kind)

    def fetch(self, network: str, attachment: Attachment) -> AsyncIterator[bytes]:
        """Return the content of a file that came in over a network. Raises Refused when none is served, NetworkError while it is read."""
        for connector in self._networks:
            if connector.network == network:
                return connector.fetch(attachment)
        raise Refused(f"the network {network} is not served any more", code="no-network")

    def schedule_of(self, place: Place | None) -> Schedule:
        """Return the schedules of a conversation, None for those of the bot as a whole."""
        return self._schedules.of(place)

    async def remind(self, due: Due) -> None:
        """Set a reminder, with the running message if there is one. Raises UsageError when there are too many."""
        due = Due(due.place, due.due_at, cut_reply(due.text))
        work = open_work()
        waiting = len(work.changes.reminders) if work is not None else 0
        if await self._database.open_reminders(due.place) + waiting >= MAX_PER_CONVERSATION:
            raise UsageError(f"a conversation has at most {MAX_PER_CONVERSATION} reminders to come")
        if work is not None and work.is_open:
            work.changes.reminders.append(due)
        else:
            await self._database.add_reminder(due)
            self._clock.expect(due.due_at)

    def recipients(self) -> AsyncIterator[Recipient]:
        """Return the conversations that may be written to first."""
        return recipients(self._database)

    async def send(self, place: Place, reply: Reply) -> None:
        """Send first, to a contact who opted in; with the running message if there is one. Raises Refused otherwise."""
        known = await self._database.conversation(place)
        if known is None or known.consent is not Consent.OPTED_IN:
            raise Refused("this contact has not agreed to messages sent first", hint="the contact agrees by /start", code="no-opt-in")
        if not known.is_reachable:
            raise Refused("this contact cannot be reached", hint="the bot was blocked or sent away there", code="unreachable")
        replies = fit_replies([reply], self._networks, place.network)
        work = open_work()
        for one in replies:
            if work is not None:
                work.changes.sends.append((place, one))
                continue
            self._sent += 1
            out = await self._database.send(f"first-{clock.wall():.6f}-{self._sent}", place, one.text, one.extras)
            if out is not None:
                self._networks.show(out)


def _wording(bot: Definition) -> str:
    return statement(bot.name, bot.options.get("about"))
