"""What `psv doctor --online` asks the servers of networks and models, and what the answers mean. One function a kind.

Only questions that change nothing: no update is confirmed, no session started, no message sent. The one thing noticed
elsewhere: whoever polls Telegram with a token that no bot of this fleet runs on gets one 409, and polls again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from processsupervisor.cli.credentials import Credential
from processsupervisor.cli.finding import Finding
from processsupervisor.cli.inquiry import Answer, ask, host_of
from processsupervisor.kernel.units import format_duration
from processsupervisor.observe.redact import redact

POLL_S = 6.0
"""How long somebody else who polls Telegram has to come back."""
FEW_LOGINS = 0.1


class Round(NamedTuple):
    """`timeout_s` a question; `runs_here` names the bots of a credential that run; `conflicts` counts the 409s in their logs."""

    timeout_s: float
    runs_here: Callable[[Credential], list[str]]
    conflicts: Callable[[list[str]], int]


def longest_s(round_: Round) -> float:
    """Return how long the questions about one credential may take."""
    return 3 * round_.timeout_s + POLL_S + 1


def look(credential: Credential, round_: Round) -> list[Finding]:
    """Ask all there is to ask about one credential."""
    if not credential.base_url:
        hint = f"set {credential.kind.upper()}_{'HOMESERVER' if credential.kind == 'matrix' else 'BASE_URL'} beside it, or give --base-url"
        return [Finding(credential.check, "note", "it is not known where to ask", hint)]
    questions = _NETWORKS.get(credential.kind, _model)
    return [finding._replace(found=redact(finding.found, [credential.value])) for finding in questions(credential, round_)]


def _telegram(credential: Credential, round_: Round) -> Iterator[Finding]:
    address = f"{credential.base_url}/bot{credential.value}"
    me = ask(f"{address}/getMe", {}, round_.timeout_s)
    result = _object(me.body, "result")
    if not me.body.get("ok"):
        yield _trouble(credential, me, refused=(401, 403, 404))
        return
    yield Finding(credential.check, "ok", f"@{result.get('username')}")
    if len(credential.bots) > 1:
        instead = "only one of them can poll; lock it in fleet.toml"
        yield Finding(credential.check, "note", f"{len(credential.bots)} bots have this token", instead)
    hook = _object(ask(f"{address}/getWebhookInfo", {}, round_.timeout_s).body, "result")
    if hook.get("url"):
        waiting = f"{hook.get('pending_update_count', 0)} updates wait"
        error = f"; its last error: {str(hook['last_error_message'])[:200]}" if hook.get("last_error_message") else ""
        yield Finding(
            credential.check,
            "note",
            f"a webhook at {host_of(str(hook['url']))} is set, {waiting}{error}",
            "a bot that polls gets 409 until deleteWebhook",
        )
        return
    running = round_.runs_here(credential)
    if running:
        count = round_.conflicts(running)
        if count:
            yield Finding(
                credential.check,
                "bad",
                f"somebody else polls too: {count} conflicts in the log of {', '.join(running)}",
                "updates go now to one, now to the other; stop the other program",
            )
        else:
            yield Finding(credential.check, "ok", f"{', '.join(running)} runs on it, without a conflict in its log")
        return
    yield _who_polls(credential, address, round_.timeout_s)


def _who_polls(credential: Credential, address: str, timeout_s: float) -> Finding:
    """Poll without an offset, which confirms nothing.

    Of two who poll, Telegram sends the earlier one away: the other comes back and sends us away, and so it shows.
    """
    deadline = time.monotonic() + POLL_S
    somebody = Finding(credential.check, "bad", "somebody else polls", "two programs cannot; stop the other one before this bot is started")
    first: object = None
    while (left := deadline - time.monotonic()) > 0:
        answer = ask(f"{address}/getUpdates?limit=1&timeout={max(1, round(left))}", {}, left + timeout_s)
        if answer.status == 409:
            return somebody
        if not answer.body.get("ok"):
            return _trouble(credential, answer)
        updates = answer.body.get("result")
        if not isinstance(updates, list) or not updates:
            if first is not None:
                return somebody
            return Finding(credential.check, "ok", "nobody polls")
        waiting = updates[0].get("update_id") if isinstance(updates[0], dict) else None
        if first not in (None, waiting):
            return somebody
        first = waiting
        time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))  # nothing tells that an update was taken; it is asked for again
    return Finding(credential.check, "ok", "nobody polls; updates wait")


def _discord(credential: Credential, round_: Round) -> Iterator[Finding]:
    headers = {"Authorization": f"Bot {credential.value.removeprefix('Bot ')}", "User-Agent": "DiscordBot (psv doctor, 1)"}
    me = ask(f"{credential.base_url}/users/@me", headers, round_.timeout_s)
    if me.status != 200:
        yield _trouble(credential, me)
        return
    yield Finding(credential.check, "ok", f"@{me.body.get('username')}")
    gateway = ask(f"{credential.base_url}/gateway/bot", headers, round_.timeout_s)
    limit = _object(gateway.body, "session_start_limit")
    total, remaining, reset_ms = (limit.get(key) for key in ("total", "remaining", "reset_after"))
    if not isinstance(total, int) or not isinstance(remaining, int):
        yield _trouble(credential, gateway)
        return
    reset = f", anew in {format_duration(reset_ms / 1000)}" if isinstance(reset_ms, int) else ""
    level = "bad" if remaining <= 0 else "note" if remaining < total * FEW_LOGINS else "ok"
    instead = "" if level == "ok" else "Discord resets the token of a bot that logs in too often; see login_budget"
    yield Finding(credential.check, level, f"{remaining} of {total} logins left{reset}", instead)  # type: ignore[arg-type]


def _slack(credential: Credential, round_: Round) -> Iterator[Finding]:
    me = ask(f"{credential.base_url}/auth.test", {"Authorization": f"Bearer {credential.value}"}, round_.timeout_s, data=b"")
    if me.body.get("ok"):
        yield Finding(credential.check, "ok", f"@{me.body.get('user')} in {me.body.get('team')}")
    elif me.status == 200 and me.body.get("error"):
        yield Finding(credential.check, "bad", f"refused: {str(me.body['error'])[:100]}", "the bot cannot log in; give it another token")
    else:
        yield _trouble(credential, me)


def _matrix(credential: Credential, round_: Round) -> Iterator[Finding]:
    headers = {"Authorization": f"Bearer {credential.value}"}
    me = ask(f"{credential.base_url}/_matrix/client/v3/account/whoami", headers, round_.timeout_s)
    if me.status == 200 and me.body.get("user_id"):
        yield Finding(credential.check, "ok", str(me.body["user_id"]))
    else:
        yield _trouble(credential, me)


def _model(credential: Credential, round_: Round) -> Iterator[Finding]:
    """List the models, as servers with OpenAI's interface do, and Anthropic's."""
    headers = {"Authorization": f"Bearer {credential.value}"}
    if credential.kind == "anthropic":
        headers = {"x-api-key": credential.value, "anthropic-version": "2023-06-01"}
    base = credential.base_url
    if credential.kind == "anthropic" and not base.endswith("/v1"):
        base += "/v1"
    answer = ask(f"{base}/models", headers, round_.timeout_s)
    rows = answer.body.get("data")
    if answer.status != 200 or not isinstance(rows, list):
        yield _trouble(credential, answer)
        return
    names = {str(row.get("id")) for row in rows if isinstance(row, dict)}
    if credential.model and credential.model not in names and not answer.body.get("has_more"):
        found = f"{len(names)} models, and {credential.model} is none of them"
        yield Finding(credential.check, "note", found, "correct the name of the model")
    else:
        yield Finding(credential.check, "ok", f"{len(names)} models at {host_of(credential.base_url)}")


_NETWORKS: dict[str, Callable[[Credential, Round], Iterator[Finding]]] = {
    "telegram": _telegram, "discord": _discord, "slack": _slack, "matrix": _matrix,
}  # fmt: skip


def _trouble(credential: Credential, answer: Answer, *, refused: tuple[int, ...] = (401, 403)) -> Finding:
    """Say why an answer is none: only a refusal is the token's fault."""
    host = host_of(credential.base_url)
    if answer.status in refused:
        return Finding(credential.check, "bad", f"{host} refuses it ({answer.status})", "the bot cannot log in; give it another one")
    if answer.status == 0:
        found = f"no answer from {host}: {answer.trouble}"
    elif answer.status == 429:
        after = f", to be asked again in {answer.retry_after} s" if answer.retry_after.isdigit() else ""
        found = f"{host} was asked too often (429){after}"
    else:
        found = f"{host} answers {answer.status}, and not as expected"
    return Finding(credential.check, "note", found, "nothing is known of it; look at the network and the address, and ask again")


def _object(body: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}
