"""What Telegram, or the way to it, answers instead of a result, as a NetworkError that says what to do.

Descriptions of Telegram may quote a text or its markup, and errors of the HTTP client an address with the token in it: nothing of the
latter and only the beginning of the former gets into a message, and the cause is not chained.
"""

from __future__ import annotations

from aiogram import exceptions as tg
from aiohttp import ClientConnectorError, ClientHttpProxyError, ConnectionTimeoutError

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.telegram.settings import API

_GONE = (
    "chat not found", "user not found", "peer_id_invalid", "group chat was deactivated", "bot was kicked", "bot is not a member",
    "message thread not found", "topic_closed", "topic_deleted", "user is deactivated", "chat_write_forbidden", "the group is deleted",
)  # fmt: skip
_UNANSWERED = ("bad gateway", "gateway timeout", "gateway time-out", "restart")
_RATE = "too many requests"
_PARSING = "can't parse entities"
_MAX_CHARS = 120


def network_error(err: Exception, server: str = API, *, asks_who: bool = False) -> NetworkError:
    """Return what `err` of `server` asks of us; `asks_who`: only token and server could be wrong, so that 404 speaks of these."""
    match err:
        case tg.TelegramRetryAfter():
            wait_s = float(err.retry_after)
            return NetworkError(ErrorKind.RATE, f"telegram: too much at once, again in {wait_s:g} s", retry_after_s=wait_s)
        case tg.TelegramMigrateToChat():
            return NetworkError(ErrorKind.GONE, "telegram: the group has become a supergroup", moved_to=str(err.migrate_to_chat_id))
        case tg.TelegramUnauthorizedError():
            return token_refused()
        case tg.TelegramNotFound() if asks_who:
            return token_refused() if server == API else _nobody(server)
        case tg.TelegramConflictError():
            return NetworkError(ErrorKind.CONFLICT, _words(err), hint="another program receives with the same token: stop one of the two")
        case tg.TelegramForbiddenError():
            return NetworkError(ErrorKind.GONE, _words(err))
        case tg.TelegramEntityTooLarge():
            return NetworkError(ErrorKind.PERMANENT, "telegram: the file is too large for Telegram")
        case tg.TelegramServerError():  # of a gateway, or of a server that was restarted meanwhile: it may have been carried out
            is_uncertain = any(words in _lower(err) for words in _UNANSWERED)
            return NetworkError(ErrorKind.TRANSIENT, _words(err), is_uncertain=is_uncertain)
        case tg.TelegramNetworkError():
            return _cut(err, server)
        case tg.TelegramBadRequest() | tg.TelegramNotFound():
            kind = ErrorKind.GONE if any(words in _lower(err) for words in _GONE) else ErrorKind.PERMANENT
            return NetworkError(kind, _words(err))
        case tg.ClientDecodeError():  # a gateway's page in place of an answer: whether the call got through is not said
            return no_answer(server, err.data, is_uncertain=True)
        case tg.TelegramAPIError() if _RATE in _lower(err):  # 429 that does not say for how long
            return NetworkError(ErrorKind.RATE, "telegram: too much at once")
        case tg.TelegramAPIError():
            return NetworkError(ErrorKind.PERMANENT, _words(err))
        case _:  # what aiogram leaves to its caller: an OSError, a connection that is closed
            return NetworkError(ErrorKind.TRANSIENT, f"telegram: {type(err).__name__}", is_uncertain=True)


def token_refused() -> NetworkError:
    """Return the error of a token that is not, or no longer, valid."""
    hint = "ask BotFather for the token, put it where networks.telegram.token points, and start the bot"
    return NetworkError(ErrorKind.AUTH, "telegram: the token is refused", hint=hint)


def no_answer(server: str, status: object = "", *, is_uncertain: bool = False) -> NetworkError:
    """Return the error of what is none of the Bot API's answers: a gateway's page, or another server altogether."""
    said = f" (status {status})" if isinstance(status, int) else ""
    hint = "" if server == API else "networks.telegram.base_url says who is asked; without it that is Telegram"
    words = f"telegram: the answer of {server} is not of the Bot API{said}"
    return NetworkError(ErrorKind.TRANSIENT, words, is_uncertain=is_uncertain, hint=hint)


def _nobody(server: str) -> NetworkError:
    """Return the error of a 404 to a call that every token has: Telegram says 401 of a token that is not valid."""
    hint = (
        f'is networks.telegram.base_url right? It is that of Telegram, "{API}", or of a server like it, without "/bot" behind it; '
        "if it is, the token is not one that BotFather gave"
    )
    return NetworkError(ErrorKind.AUTH, f"telegram: {server} knows no such token or path (404)", hint=hint)


def is_broken_markup(err: Exception) -> bool:
    """Tell whether a message was refused for its markup, and so was not sent."""
    return isinstance(err, tg.TelegramBadRequest) and _PARSING in _lower(err)


def says(err: Exception, words: str) -> bool:
    """Tell whether a refusal (400) has these words."""
    return isinstance(err, tg.TelegramBadRequest) and words in _lower(err)


def _cut(err: tg.TelegramNetworkError, server: str) -> NetworkError:
    cause = err.__cause__
    name = type(cause).__name__ if cause is not None else "no answer"
    if isinstance(cause, ClientHttpProxyError):  # a subclass of a response's error, but the request went nowhere
        hint = "HTTPS_PROXY of the bot's environment names it"
        return NetworkError(ErrorKind.TRANSIENT, f"telegram: the proxy refused the way to {server} ({cause.status})", hint=hint)
    if isinstance(cause, (ClientConnectorError, ConnectionTimeoutError)):  # no connection, so the request was not begun
        return NetworkError(ErrorKind.TRANSIENT, f"telegram: {server} cannot be reached ({name})")
    words = "no answer in time" if isinstance(cause, TimeoutError) else f"the connection was cut ({name})"
    return NetworkError(ErrorKind.TRANSIENT, f"telegram: {words}", is_uncertain=True)


def _lower(err: tg.TelegramAPIError) -> str:
    return str(err.message).lower()


def _words(err: tg.TelegramAPIError) -> str:
    """Return Telegram's words up to where they may quote what was sent."""
    words = str(err.message).partition("\n")[0]
    at = words.lower().find(_PARSING)
    if at >= 0:
        words = words[: at + len(_PARSING)]
    return f"telegram: {words.partition(chr(34))[0].strip()[:_MAX_CHARS]}"
