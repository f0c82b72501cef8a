"""Files that come with a message of Telegram. What fetches them is in client.py, what sends some in calls.py."""

from __future__ import annotations

from aiogram.types import Message

from processsupervisor.connectors.base import clean_text
from processsupervisor.storage.records import Attachment

_MAX_NAME_CHARS = 120


def attachments_of(message: Message) -> tuple[Attachment, ...]:
    """Return the file of a message; Telegram puts several files into as many messages."""
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return (Attachment("photo", f"photo-{message.message_id}.jpg", "image/jpeg", largest.file_size, largest.file_id),)
    if message.animation is not None:  # comes with a document of the same content
        return (_file("video", message.animation, f"animation-{message.message_id}.mp4", "video/mp4"),)
    if message.document is not None:
        return (_file("document", message.document, f"document-{message.message_id}", "application/octet-stream"),)
    if message.audio is not None:
        return (_file("audio", message.audio, f"audio-{message.message_id}.mp3", "audio/mpeg"),)
    if message.video is not None:
        return (_file("video", message.video, f"video-{message.message_id}.mp4", "video/mp4"),)
    if message.voice is not None:
        return (_file("voice", message.voice, f"voice-{message.message_id}.ogg", "audio/ogg"),)
    if message.video_note is not None:
        return (_file("video", message.video_note, f"video-{message.message_id}.mp4", "video/mp4"),)
    if message.sticker is not None:
        return (_file("sticker", message.sticker, f"sticker-{message.message_id}.webp", "image/webp"),)
    return ()


def _file(kind: str, file: object, name: str, mime: str) -> Attachment:
    given = clean_text(getattr(file, "file_name", None) or name)
    plain = "".join("_" if char in "/\\" or not char.isprintable() else char for char in given)[-_MAX_NAME_CHARS:]
    mime = getattr(file, "mime_type", None) or mime
    return Attachment(kind, plain.lstrip(".") or name, mime, getattr(file, "file_size", None), str(getattr(file, "file_id", "")))
