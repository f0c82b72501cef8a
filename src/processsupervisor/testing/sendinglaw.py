"""The law of connectors, what goes out: taken once, or refused with the kind of error that says what to do; never tried twice by itself."""

from __future__ import annotations

import asyncio
import time

from processsupervisor.connectors.base import Connector, ErrorKind, NetworkError
from processsupervisor.storage.records import Extras, Markup, Outgoing, Place, SendState
from processsupervisor.testing.lawcase import LawBase, case
from processsupervisor.testing.lawrig import MOVED_TO, RETRY_AFTER_S, Ability, Engine, Mishap, Rig, until
from processsupervisor.testing.receivinglaw import OTHER, seen

SECRET_TEXT = "what nobody else is to read"


def row(rig: Rig, text: str, out_id: str = "r900", *, to: str = "", extras: Extras | None = None) -> Outgoing:
    """Return a committed row that is being sent."""
    place = Place(rig.place.network, to) if to else rig.place
    return Outgoing(1, out_id, place, None, text, time.time(), extras=extras or Extras(), state=SendState.SENDING)


async def refused(connector: Connector, out: Outgoing) -> NetworkError:
    """Send a row and return the error. Raises AssertionError when it is taken."""
    try:
        await connector.send(out)
    except NetworkError as err:
        return err
    raise AssertionError("the send did not fail")


async def begun(rig: Rig) -> None:
    """Let the person speak first, as networks want it, and wait until the bot has nothing more to send."""
    await rig.say("hello")
    await seen(rig, "echo hello")


class SendingLaw(LawBase):
    """What holds for `send`, called as the sender calls it."""

    @case(Ability.SENDS)
    async def test_what_was_taken_is_shown_and_has_an_id(self, rig: Rig, engine: Engine) -> None:
        """Exactly that text, once; two messages have two ids."""
        await begun(rig)
        one = await engine.connector.send(row(rig, "one", "r901"))
        two = await engine.connector.send(row(rig, "two", "r902"))
        assert rig.shown()[-2:] == ["one", "two"] and one.network_id and two.network_id and one.network_id != two.network_id

    @case(Ability.SENDS)
    async def test_a_send_is_one_call(self, rig: Rig, engine: Engine) -> None:
        """Nothing is asked beside, and nothing twice."""
        await begun(rig)
        before = rig.calls()
        await engine.connector.send(row(rig, "one"))
        assert rig.calls() == before + 1

    @case(Ability.SENDS, Ability.KEYS)
    async def test_a_repeated_send_is_shown_once(self, rig: Rig, engine: Engine) -> None:
        """Under the same id the network shows it once and gives the same number."""
        await begun(rig)
        first = await engine.connector.send(row(rig, "once"))
        assert await engine.connector.send(row(rig, "once")) == first
        assert rig.shown().count("once") == 1

    @case(Ability.SENDS)
    async def test_a_send_cut_off_behind_the_network_is_known_to_be_unknown(self, rig: Rig, engine: Engine) -> None:
        """TRANSIENT and uncertain: it was carried out, and the connector does not claim to know."""
        await begun(rig)
        rig.befall(Mishap.CUT_AFTER)
        err = await refused(engine.connector, row(rig, "perhaps"))
        assert (err.kind, err.is_uncertain) == (ErrorKind.TRANSIENT, True)
        await until(lambda: rig.shown().count("perhaps") == 1, "what was carried out")

    @case(Ability.SENDS)
    async def test_a_failing_network_is_asked_once(self, rig: Rig, engine: Engine) -> None:
        """TRANSIENT, and the connector leaves the next try to the engine."""
        await begun(rig)
        before = rig.calls()
        rig.befall(Mishap.SERVER)
        err = await refused(engine.connector, row(rig, "later"))
        assert err.kind is ErrorKind.TRANSIENT and rig.calls() == before + 1
        assert "later" not in rig.shown()

    @case(Ability.SENDS)
    async def test_a_connection_cut_before_is_transient(self, rig: Rig, engine: Engine) -> None:
        """Nothing was shown; the same row goes through afterwards."""
        await begun(rig)
        rig.befall(Mishap.CUT_BEFORE)
        assert (await refused(engine.connector, row(rig, "again"))).kind is ErrorKind.TRANSIENT
        await engine.connector.send(row(rig, "again"))
        assert rig.shown().count("again") == 1

    @case(Ability.SENDS)
    async def test_a_rate_limit_is_handed_on_and_not_waited_out(self, rig: Rig, engine: Engine) -> None:
        """RATE with the network's own number, at once, and surely not carried out."""
        await begun(rig)
        rig.befall(Mishap.RATE)
        began = time.monotonic()
        err = await refused(engine.connector, row(rig, "too fast"))
        assert time.monotonic() - began < RETRY_AFTER_S - 1
        assert (err.kind, err.retry_after_s, err.is_uncertain) == (ErrorKind.RATE, RETRY_AFTER_S, False)
        assert "too fast" not in rig.shown()

    @case(Ability.SENDS)
    async def test_a_refused_token_is_told_by_a_send(self, rig: Rig, engine: Engine) -> None:
        """AUTH: the engine ends the bot with that reason."""
        await begun(rig)
        rig.befall(Mishap.AUTH)
        assert (await refused(engine.connector, row(rig, "x"))).kind is ErrorKind.AUTH

    @case(Ability.SENDS)
    async def test_what_can_never_be_sent_is_permanent(self, rig: Rig, engine: Engine) -> None:
        """PERMANENT, not uncertain; others go on."""
        await begun(rig)
        rig.befall(Mishap.REFUSED)
        err = await refused(engine.connector, row(rig, "bad"))
        assert (err.kind, err.is_uncertain) == (ErrorKind.PERMANENT, False)
        await engine.connector.send(row(rig, "good", "r901"))
        assert rig.shown()[-1] == "good"

    @case(Ability.SENDS)
    async def test_a_person_who_blocked_the_bot_is_gone(self, rig: Rig, engine: Engine) -> None:
        """GONE, without a new place."""
        await begun(rig)
        rig.befall(Mishap.BLOCKED)
        err = await refused(engine.connector, row(rig, "hello?"))
        assert (err.kind, err.moved_to) == (ErrorKind.GONE, None)

    @case(Ability.SENDS)
    async def test_a_conversation_that_moved_says_where_to(self, rig: Rig, engine: Engine) -> None:
        """GONE with its new id, which the engine takes over."""
        await begun(rig)
        rig.befall(Mishap.MOVED)
        err = await refused(engine.connector, row(rig, "hello?"))
        assert (err.kind, err.moved_to) == (ErrorKind.GONE, MOVED_TO)

    @case(Ability.SENDS)
    async def test_no_error_wedges_the_connector(self, rig: Rig, engine: Engine) -> None:
        """Whatever happened, the next send goes through. A rate limit may hold the next one too, for as long as the network said."""
        await begun(rig)
        for number, mishap in enumerate((Mishap.SERVER, Mishap.CUT_BEFORE, Mishap.CUT_AFTER, Mishap.REFUSED)):
            rig.befall(mishap)
            await refused(engine.connector, row(rig, "x", f"r91{number}"))
            await engine.connector.send(row(rig, f"good {number}", f"r92{number}"))
            assert rig.shown()[-1] == f"good {number}"

    @case(Ability.SENDS)
    async def test_errors_tell_nothing_that_was_said(self, rig: Rig, engine: Engine) -> None:
        """They go into logs: no text of a person, and a sentence of their own."""
        await begun(rig)
        for mishap in (Mishap.SERVER, Mishap.REFUSED, Mishap.BLOCKED, Mishap.AUTH):
            rig.befall(mishap)
            err = await refused(engine.connector, row(rig, SECRET_TEXT))
            assert SECRET_TEXT not in str(err) and str(err)

    @case(Ability.SENDS)
    async def test_text_of_the_greatest_length_is_taken(self, rig: Rig, engine: Engine) -> None:
        """What the capabilities promise to the engine holds; a character outside the first plane counts twice."""
        await begun(rig)
        longest = engine.connector.capabilities.max_text_chars
        await engine.connector.send(row(rig, "x" * (longest - 2) + "🙂"))
        assert len(rig.shown()[-1]) == longest - 1

    @case(Ability.SENDS)
    async def test_text_without_markup_is_shown_as_it_is(self, rig: Rig, engine: Engine) -> None:
        """Whatever the network would read into it."""
        await begun(rig)
        text = "*a* _b_ <i>c</i> & `d` [e](f) ~g~ #h 1. i"
        await engine.connector.send(row(rig, text, extras=Extras(markup=Markup.PLAIN)))
        assert rig.shown()[-1] == text

    @case(Ability.SENDS, Ability.ROOMS)
    async def test_sends_to_many_conversations_do_not_mix(self, rig: Rig, engine: Engine) -> None:
        """At the same time, each where it belongs."""
        await begun(rig)
        await rig.say("hello", to=OTHER)
        await seen(rig, "echo hello", to=OTHER)
        rows = [row(rig, f"to {to or 'me'} {number}", f"r95-{to}-{number}", to=to) for number in range(5) for to in ("", OTHER)]
        await asyncio.gather(*(engine.connector.send(out) for out in rows))
        assert sorted(rig.shown()[2:]) == [f"to me {number}" for number in range(5)]
        assert sorted(rig.shown(to=OTHER)[2:]) == [f"to {OTHER} {number}" for number in range(5)]

    @case(Ability.SENDS)
    async def test_a_closed_connector_sends_nothing(self, rig: Rig, engine: Engine) -> None:
        """It says so, and nothing is shown."""
        await begun(rig)
        await engine.connector.close()
        await refused(engine.connector, row(rig, "late"))
        assert "late" not in rig.shown()

    @case(Ability.SENDS)
    async def test_a_refused_token_ends_the_bot(self, rig: Rig, engine: Engine) -> None:
        """Told once by `Port.end`, and not tried again and again."""
        await begun(rig)
        rig.deny(ErrorKind.AUTH)
        await until(lambda: engine.witness.ended, "the end")
        assert engine.witness.ended[0].kind is ErrorKind.AUTH

    @case(Ability.SENDS)
    async def test_another_receiver_ends_the_bot(self, rig: Rig, engine: Engine) -> None:
        """CONFLICT: somebody else receives with the same token, and two would take turns at losing messages."""
        await begun(rig)
        rig.deny(ErrorKind.CONFLICT)
        await until(lambda: engine.witness.ended, "the end")
        assert engine.witness.ended[0].kind is ErrorKind.CONFLICT

    @case(Ability.SENDS)
    async def test_a_refused_token_is_told_before_anything_is_received(self, rig: Rig, engine: Engine) -> None:
        """By `identify`, which the start asks first."""
        await engine.stop()
        rig.deny(ErrorKind.AUTH)
        fresh = rig.connect(engine.folder)
        try:
            await fresh.identify()
        except NetworkError as err:
            assert err.kind is ErrorKind.AUTH
        else:
            raise AssertionError("identify took a token that the network refuses")
        finally:
            await fresh.close()
