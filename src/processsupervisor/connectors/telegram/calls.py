"""A committed message of the bot as calls of the Bot API, in the order in which they are made.

One message of ours is one call wherever Telegram lets it be: a text, a file with its caption, an album. Nothing is called here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from aiogram import methods, types
from aiogram.methods import TelegramMethod

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram.client import CALL_S, FILE_S
from processsupervisor.connectors.telegram.markup import render, strip_html, units
from processsupervisor.storage.records import ButtonRow, FileOut, Markup, Outgoing

MAX_CAPTION = 1024
MAX_ALBUM = 10
MAX_BUTTON_BYTES = 64
_SINGLE: dict[str, type[TelegramMethod[Any]]] = {
    "photo": methods.SendPhoto, "video": methods.SendVideo, "audio": methods.SendAudio, "voice": methods.SendVoice,
    "document": methods.SendDocument,
}  # fmt: skip
_ALBUM = {
    "photo": types.InputMediaPhoto, "video": types.InputMediaVideo, "audio": types.InputMediaAudio, "document": types.InputMediaDocument,
}  # fmt: skip
_CLASS = {"photo": "seen", "video": "seen", "audio": "audio", "document": "document"}
"""Which files may stand in one album: photos with videos, everything else with its like."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes: a chat, and a topic of it."""

    chat_id: int
    topic: int | None

    @property
    def is_group(self) -> bool:
        """Tell whether it is a group or channel: those have numbers below zero."""
        return self.chat_id < 0

    def fields(self) -> dict[str, Any]:
        """Return the arguments that every call of this target has."""
        return {"chat_id": self.chat_id} | ({} if self.topic is None else {"message_thread_id": self.topic})


@dataclass(frozen=True, slots=True)
class Step:
    """One call: `make(True)` is the same without markup. `is_main`: its message is the one that later edits mean."""

    make: Callable[[bool], TelegramMethod[Any]]
    is_main: bool = False
    has_markup: bool = False
    timeout_s: int = CALL_S


def target_of(conversation: str) -> Target:
    """Return where a conversation is. Raises NetworkError (PERMANENT) for what is no conversation of Telegram."""
    chat, _, topic = conversation.partition("/")
    try:
        return Target(int(chat), int(topic) if topic else None)
    except ValueError:
        raise NetworkError(ErrorKind.PERMANENT, "telegram: no chat has such a name") from None


def steps_of(out: Outgoing, target: Target, folder: Path) -> list[Step]:
    """Return the calls that show `out` as a new message. Raises NetworkError (PERMANENT) for what can never be sent."""
    extras = out.extras
    keyboard = keyboard_of(extras.buttons)
    common = target.fields()
    if extras.quotes is not None and extras.quotes.isdigit():
        common["reply_parameters"] = types.ReplyParameters(message_id=int(extras.quotes), allow_sending_without_reply=True)
    groups = _albums(extras.files)
    has_text = bool(out.text.strip())
    is_caption = bool(groups) and units(out.text) <= MAX_CAPTION and (len(extras.files) == 1 or keyboard is None)
    steps = []
    if has_text and not (groups and is_caption):
        buttons: dict[str, Any] = {"reply_markup": keyboard} if keyboard is not None else {}

        def text_step(plain: bool) -> TelegramMethod[Any]:
            return methods.SendMessage(**common, **buttons, **text_fields(out, plain))

        steps.append(Step(text_step, is_main=True, has_markup=extras.markup != Markup.PLAIN))
        keyboard = None
    for index, group in enumerate(groups):
        captioned = out if has_text and is_caption and index == 0 else None
        steps.append(_file_step(group, captioned, common, keyboard if index == 0 else None, folder, is_main=not steps))
    if not steps:
        raise NetworkError(ErrorKind.PERMANENT, "telegram: a message needs a text or a file")
    return steps


def edit_step(out: Outgoing, target: Target, message_id: int) -> Step:
    """Return the call that puts `out` into the place of an earlier message; without a text only its buttons change."""
    fields: dict[str, Any] = {"chat_id": target.chat_id, "message_id": message_id, "reply_markup": keyboard_of(out.extras.buttons)}
    if not out.text.strip():
        return Step(lambda _plain: methods.EditMessageReplyMarkup(**fields), is_main=True)
    has_markup = out.extras.markup != Markup.PLAIN
    return Step(lambda plain: methods.EditMessageText(**fields, **text_fields(out, plain)), is_main=True, has_markup=has_markup)


def text_fields(out: Outgoing, plain: bool, *, name: str = "text") -> dict[str, Any]:
    """Return text and markup as arguments; `name` is "caption" for files."""
    entities = "entities" if name == "text" else "caption_entities"
    match out.extras.markup:
        case Markup.MARKDOWN:
            text, spans = render(out.text)
            if plain or not text.strip():
                return {name: text if text.strip() else out.text}
            return {name: text, entities: [_entity(span.kind, span.offset, span.length, span.extra) for span in spans] or None}
        case Markup.HTML:
            return {name: strip_html(out.text)} if plain else {name: out.text, "parse_mode": "HTML"}
        case _:
            return {name: out.text}


def keyboard_of(rows: Sequence[Sequence[ButtonRow]]) -> types.InlineKeyboardMarkup | None:
    """Return buttons as Telegram has them. Raises NetworkError (PERMANENT) for one that Telegram never takes."""
    if not rows:
        return None
    for button in (button for row in rows for button in row):
        if not button.url and not 0 < len(button.data.encode()) <= MAX_BUTTON_BYTES:
            raise NetworkError(ErrorKind.PERMANENT, f"telegram: the data of a button has 1 to {MAX_BUTTON_BYTES} bytes")
    return types.InlineKeyboardMarkup(
        inline_keyboard=[
            [
                types.InlineKeyboardButton(text=button.label, url=button.url)
                if button.url
                else types.InlineKeyboardButton(text=button.label, callback_data=button.data)
                for button in row
            ]
            for row in rows
        ]
    )


def _entity(kind: str, offset: int, length: int, extra: str) -> types.MessageEntity:
    more: dict[str, Any] = {"url": extra} if kind == "text_link" else {"language": extra} if kind == "pre" and extra else {}
    return types.MessageEntity(type=kind, offset=offset, length=length, **more)


def _albums(files: Sequence[FileOut]) -> list[list[FileOut]]:
    albums: list[list[FileOut]] = []
    for kind, members in groupby(files, key=lambda file: _CLASS.get(file.kind, "")):
        like = list(members)
        most = MAX_ALBUM if kind else 1
        albums += [like[at : at + most] for at in range(0, len(like), most)]
    return albums


def _file_step(
    files: list[FileOut], captioned: Outgoing | None, common: dict[str, Any], keyboard: types.InlineKeyboardMarkup | None, folder: Path, *,
    is_main: bool,
) -> Step:  # fmt: skip
    inputs = [_input(file, folder) for file in files]
    has_markup = captioned is not None and captioned.extras.markup != Markup.PLAIN

    def caption(plain: bool) -> dict[str, Any]:
        return {} if captioned is None else text_fields(captioned, plain, name="caption")

    def make(plain: bool) -> TelegramMethod[Any]:
        if len(files) == 1:
            field = files[0].kind if files[0].kind in _SINGLE else "document"
            return _SINGLE[field](**common, **{field: inputs[0]}, **caption(plain), reply_markup=keyboard)
        media: Any = [
            _ALBUM[file.kind](media=content, **(caption(plain) if index == 0 else {}))
            for index, (file, content) in enumerate(zip(files, inputs, strict=True))
        ]
        return methods.SendMediaGroup(**common, media=media)

    return Step(make, is_main, has_markup, FILE_S)


def _input(file: FileOut, folder: Path) -> types.FSInputFile:
    path = (folder / file.path).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise NetworkError(ErrorKind.PERMANENT, "telegram: a file that was to be sent is not there any more")
    return types.FSInputFile(path, filename=file.name)
