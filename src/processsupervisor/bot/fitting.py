"""Makes replies fit a network before they are committed: long texts are split, and what it cannot show is said in words.

What stands in the outbox is what is sent, message by message, so that a crash between two pieces loses and repeats none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from processsupervisor.bot.networks import Networks
from processsupervisor.chat.splitting import split_text
from processsupervisor.connectors.base import Capabilities
from processsupervisor.connectors.lacking import put_in_words
from processsupervisor.storage.records import NO_EXTRAS, Extras, Reply


def fit_replies(replies: Sequence[Reply], networks: Networks, network: str) -> list[Reply]:
    """Return replies that the network can show; what holds nothing to be shown is left out where it would have to be sent."""
    can, is_pulled = networks.can(network), networks.is_pulled(network)
    return [fitted for reply in replies for fitted in _fit(reply, can) if is_pulled or _is_something(fitted)]


def _fit(reply: Reply, can: Capabilities) -> Iterator[Reply]:
    extras = reply.extras
    if extras is NO_EXTRAS and len(reply.text) * 2 <= can.max_text_chars:
        yield reply
        return
    if extras is not NO_EXTRAS:
        text, extras = put_in_words(reply.text, extras, can)
        reply = Reply(text, extras)
    pieces = split_text(reply.text, can.max_text_chars, extras.markup)
    if len(pieces) < 2:
        yield reply if pieces else Reply("", extras)  # nothing but space, and too much of it
        return
    # What answers, replaces or acknowledges belongs to the first piece, what comes below a text to the last.
    yield Reply(pieces[0], replace(extras, buttons=(), files=()))
    for piece in pieces[1:-1]:
        yield Reply(piece, Extras(markup=extras.markup))
    yield Reply(pieces[-1], Extras(markup=extras.markup, buttons=extras.buttons, files=extras.files))


def _is_something(reply: Reply) -> bool:
    extras = reply.extras
    return bool(reply.text.strip() or extras.files or extras.acknowledges or extras.edits)
