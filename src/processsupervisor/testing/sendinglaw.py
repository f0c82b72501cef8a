"""The law of connectors, what goes out: taken once, or refused with the kind of error that says what to do; never tried twice by itself."""

from __future__ import annotations

import time

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.testing.lawcase import LawBase, case
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import MOVED_TO, RETRY_AFTER_S, Ability, Mishap, Rig
from processsupervisor.testing.lawrows import begun, refused, row

SECRET_TEXT = "what nobody else is to read"


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
