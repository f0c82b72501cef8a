"""What goes wrong in a request, as an HTTP status with `{"code", "message", "hint"}`.

A Problem never carries what a person wrote. Codes are stable; a Retry-After is sent where the same request may succeed later.
"""

from __future__ import annotations

import json

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from processsupervisor.kernel.errors import NoSupervisor, PsvError

_CODES = {404: "not-found", 405: "method-not-allowed"}


class Problem(PsvError):
    """A request that is answered with `status`; `retry_after_s` (whole seconds) becomes the Retry-After header."""

    def __init__(self, status: int, code: str, message: str, *, hint: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status
        self.retry_after_s = retry_after_s
        self.retryable = retry_after_s is not None


class BotAway(Problem):
    """The bot does not serve its socket now; nothing was accepted."""

    def __init__(self, bot: str, message: str = "", *, code: str = "bot-away") -> None:
        super().__init__(
            503,
            code,
            message or f"{bot} is not there at the moment",
            hint="send the same message again under the same id; it is handled once",
            retry_after_s=1,
        )


def problem_response(problem: Problem) -> Response:
    """Return the JSON answer for `problem`."""
    body = json.dumps({"code": problem.code, "message": problem.message, "hint": problem.hint}, ensure_ascii=False)
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    return Response(body, problem.status, headers, media_type="application/json")


async def answer_error(request: Request, error: Exception) -> Response:
    """Turn any error of ours, and those of the router, into the one JSON shape."""
    match error:
        case Problem():
            return problem_response(error)
        case NoSupervisor():
            hint = "the bots keep running and chat goes on; see psv status"
            return problem_response(Problem(503, error.code, error.message, hint=hint, retry_after_s=2))
        case PsvError():
            return problem_response(Problem(502, error.code, error.message, hint=error.hint))
        case HTTPException():
            code = _CODES.get(error.status_code, "refused")
            response = problem_response(Problem(error.status_code, code, f"{request.method} {request.url.path}: {error.detail}"))
            for name, value in (error.headers or {}).items():
                response.headers[name] = value
            return response
        case _:
            return problem_response(Problem(500, "internal", "the web process failed to answer", hint="see .psv/logs/psv/web.err"))
