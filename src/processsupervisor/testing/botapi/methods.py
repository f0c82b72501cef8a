"""Which function answers which method of the Bot API; getUpdates, which waits, is in polling.py.

Names are read without regard to case, as Telegram does. A method that Telegram does not have is a 404; one that it has and this double
has not is a 501 that says so, so that a test never passes by an answer that was made up.
"""

from __future__ import annotations

from collections.abc import Callable

from processsupervisor.testing.botapi import copying, rooms, sending
from processsupervisor.testing.botapi.account import Account, Hook
from processsupervisor.testing.botapi.params import Params
from processsupervisor.testing.botapi.people import Chat
from processsupervisor.testing.botapi.values import Json, Rejected, bad_request

Method = Callable[[Account, Params], object]
FILE_KINDS = ("document", "photo", "voice", "audio", "video", "sticker")


def answer(account: Account, method: str, params: Params) -> object:
    """Carry a method out and return its `result`. Raises Rejected."""
    found = _METHODS.get(method.lower())
    if found is None:
        raise Rejected(501, f"this double of the Bot API has no method {method}")
    if method.lower() in _LIMITED:
        account.gate.enter(params.text("chat_id"))
    return found(account, params)


def _get_me(account: Account, _params: Params) -> Json:
    return account.me


def _set_webhook(account: Account, params: Params) -> bool:
    if not params.has("url"):
        return _delete_webhook(account, params)
    url = params.text("url")
    if not url.startswith(("https://", "http://")):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    secret = params.text("secret_token")
    if len(secret) > 256 or not all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in secret):
        raise bad_request("secret token contains unallowed characters")
    account.updates.allow(params.array("allowed_updates"))
    if params.flag("drop_pending_updates"):
        account.updates.drop()
    account.hook = Hook(url, secret, params.integer("max_connections", 40))
    account.wake()
    return True


def _delete_webhook(account: Account, params: Params) -> bool:
    account.hook = None
    if params.flag("drop_pending_updates"):
        account.updates.drop()
    return True


def _get_webhook_info(account: Account, _params: Params) -> Json:
    hook = account.hook
    found: Json = {"url": hook.url if hook else "", "has_custom_certificate": False, "pending_update_count": len(account.updates)}
    if hook is not None:
        found["max_connections"] = hook.max_connections
        if hook.last_error:
            found |= {"last_error_date": int(hook.last_error_at), "last_error_message": hook.last_error}
    if account.updates.allowed is not None:
        found["allowed_updates"] = sorted(account.updates.allowed)
    return found


def _get_file(account: Account, params: Params) -> Json:
    return account.files.downloadable(params.text("file_id"))


def _get_chat(account: Account, params: Params) -> Json:
    return _known(account, params).json | {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _NO_GIFTS}


def _get_chat_member(account: Account, params: Params) -> Json:
    chat = _known(account, params)
    if params.integer("user_id") != account.id:
        raise bad_request("PARTICIPANT_ID_INVALID")
    return rooms.member_json(account, chat)


def _set_commands(account: Account, params: Params) -> bool:
    account.commands = params.array("commands") or []
    return True


def _get_commands(account: Account, _params: Params) -> list[object]:
    return account.commands


def _yes(_account: Account, _params: Params) -> bool:
    return True


def _known(account: Account, params: Params) -> Chat:
    chat = account.chats.get(params.integer("chat_id"))
    if chat is None:
        raise bad_request("chat not found")
    return chat


def _file_method(kind: str) -> Method:
    return lambda account, params: sending.send_file(account, params, kind)


_NO_GIFTS = dict.fromkeys(("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False)

_METHODS: dict[str, Method] = {
    "getme": _get_me,
    "setwebhook": _set_webhook,
    "deletewebhook": _delete_webhook,
    "getwebhookinfo": _get_webhook_info,
    "getfile": _get_file,
    "getchat": _get_chat,
    "getchatmember": _get_chat_member,
    "setmycommands": _set_commands,
    "getmycommands": _get_commands,
    "deletemycommands": _set_commands,
    "close": _yes,
    "logout": _yes,
    "sendmessage": sending.send_message,
    "editmessagetext": sending.edit_text,
    "editmessagecaption": sending.edit_text,
    "editmessagereplymarkup": sending.edit_text,
    "sendmediagroup": sending.send_album,
    "sendlocation": sending.send_location,
    "sendcontact": sending.send_contact,
    "senddice": sending.send_dice,
    "setmessagereaction": sending.set_reaction,
    "forwardmessage": copying.forward_message,
    "copymessage": copying.copy_message,
    "deletemessages": copying.delete_messages,
    "pinchatmessage": copying.pin_message,
    "unpinchatmessage": copying.unpin_message,
    "unpinallchatmessages": copying.unpin_message,
    "createforumtopic": rooms.create_topic,
    "editforumtopic": rooms.edit_topic,
    "closeforumtopic": rooms.close_topic,
    "reopenforumtopic": rooms.reopen_topic,
    "deleteforumtopic": rooms.delete_topic,
    "getchatmembercount": rooms.member_count,
    "getchatadministrators": rooms.administrators,
    "leavechat": rooms.leave,
    "deletemessage": sending.delete_message,
    "sendmessagedraft": sending.send_draft,
    "sendchataction": sending.send_action,
    "answercallbackquery": sending.answer_callback,
} | {f"send{kind}": _file_method(kind) for kind in FILE_KINDS}
_SENDS = {"sendmessage", "sendmediagroup", "sendlocation", "sendcontact", "senddice", "forwardmessage", "copymessage"}
_LIMITED = frozenset(_SENDS | {"editmessagetext"} | {f"send{kind}" for kind in FILE_KINDS})
