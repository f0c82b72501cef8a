"""Secrets are taken out of text, everything else is left as it is."""

from __future__ import annotations

import time

import pytest

from processsupervisor.observe.redact import MARK, redact

TELEGRAM = "123456789:" + "AAF-abcdefghijklmnopqrstuvwxyz01234"
DISCORD = "MTA" + "x" * 22 + ".GabcDe." + "y" * 30
SECRETS = {
    "telegram token": (f"polling with {TELEGRAM} now", TELEGRAM),
    "telegram url": (f"https://api.telegram.org/bot{TELEGRAM}/getMe", TELEGRAM),
    "discord token": (f"login {DISCORD}", DISCORD),
    "slack token": ("use xoxb-12345678-abcdefgh please", "xoxb-12345678-abcdefgh"),
    "openai key": ("Incorrect API key provided: sk-proj-abcdefghijklmnop1234.", "sk-proj-abcdefghijklmnop1234"),
    "bearer header": ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
    "basic header": ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "bare bearer": ("sent bearer abcdefgh12345678", "abcdefgh12345678"),
    "environment": ("BOT_TOKEN=hunter2 started", "hunter2"),
    "json": ('{"api_key": "a b c", "n": 1}', "a b c"),
    "python repr": ("{'password': 'hunter2', 'x': 1}", "hunter2"),
    "escaped json": (r'"{\"client_secret\":\"hunter2\"}"', "hunter2"),
    "spaces": ("password = hunter2", "hunter2"),
    "query": ("GET /x?access_token=hunter2&page=1", "hunter2"),
    "url": ("postgres://bot:hunter2@db/x", "hunter2"),
    "url with at": ("amqp://bot:hun@ter2@db/x", "ter2"),
    "cookie": ("Set-Cookie: session=hunter2; Path=/", "hunter2"),
    "annotated": ('    token: str | None = "hunter2"', "hunter2"),
    "bytes": ("{'password': b'hunter2'}", "hunter2"),
    "formatted": ('token = f"hunter2"', "hunter2"),
    "compared": ('if token == "hunter2":', "hunter2"),
    "inside a call": ("password = make(user, password=hunter2)", "hunter2"),
    "repr of a call": ("token=SecretStr(abc123def)", "abc123def"),
    "words with a dot": ("PASSWORD=correct.horse", "correct.horse"),
    "query with a dot": ("GET /x?access_token=correct.horse&page=1", "correct.horse"),
    "key: word.word": ("password: correct.horse", "correct.horse"),
    "key: Word = value": ("password: Hunter2 = x", "Hunter2"),
    "brackets": ("password=hun(ter)2", "hun(ter"),
    "random with brackets": ("token = a1b2c3d4(x)", "a1b2c3d4"),
    "a PIN": ("password=1234", "1234"),
    "long number": ("token=12345678", "12345678"),
    "number with letters": ("token=12ab", "12ab"),
    "bare word": ("secret: hunter", "hunter"),
    "github": ("ghp_abcdefghijklmnopqrstuvwxyz012345", "ghp_abcdefghijklmnopqrstuvwxyz012345"),
    "json web token": ("got eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl", "eyJzdWIiOiIxMjM0"),
    "discord webhook": (f"https://discord.com/api/webhooks/123456789012/{'w' * 30}", "w" * 30),
}
HARMLESS = [
    "Traceback (most recent call last):",
    "12:30:05 INFO polling 127.0.0.1:8080 took 12.5 ms",
    "prompt_tokens=512, completion_tokens=12",
    "token=None, password=null",
    "the keyboard, a monkey and https://example.org/path?x=1",
    "user@example.org wrote to mailto:someone",
    "processsupervisor.connectors.telegram_connector.TelegramConnectionSettings",
    "",
]
SOURCE = [
    'token = os.environ["BOT_TOKEN"]',
    "    token = get_token()",
    "token = await get_token(user)",
    "password: str = Field(...)",
    "password: str | None = os.getenv('X')",
    "def login(user: str, password: str, token: Optional[str]) -> None:",
    "token_count = 55",
    "token = 5",
    "max_token_length=4096, password_length: 12",
    "password = settings.password",
    "    client = Client(token=self.token, secret=config.secret)",
    '{"password": settings.password, "token": get_token()}',
    "const token = process.env.BOT_TOKEN;",
    "if (token := read(path)):",
    "bot.run(token=load_token(",
    "api_key = base64.b64decode(raw)",
    "secret = keys[0]",
    "if token == self.token:",
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_replaced_and_the_mark_says_so(name: str) -> None:
    """No part of the secret is left, the mark is there, and redacting again changes nothing."""
    text, secret = SECRETS[name]
    redacted = redact(text)
    assert secret not in redacted
    assert MARK in redacted
    assert redact(redacted) == redacted


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_unchanged(text: str) -> None:
    """What only looks a little like a secret stays readable."""
    assert redact(text) == text


@pytest.mark.parametrize("line", SOURCE)
def test_source_in_a_traceback_stays_readable(line: str) -> None:
    """A call, a subscript, an attribute, a type or a short number says where a secret comes from, and is none."""
    assert redact(line) == line
    assert redact(f"12:30 ERROR\n{line}\n  x") == f"12:30 ERROR\n{line}\n  x"


@pytest.mark.parametrize("value", ["abc123def456", "hunter2", "x" * 24, "A1-b2_c3", "c29tZXRoaW5n=="])
@pytest.mark.parametrize(
    "form", ["token={}", "password = {}", '"password": "{}"', "secret: {}", "    api_key='{}',", "f(token={})", "x?token={}&y", "TOKEN={} z"]
)
def test_each_way_to_write_a_secret_hides_it(form: str, value: str) -> None:
    """Whatever the form around it: what looks like a secret is one."""
    assert value not in redact(form.format(value))
    assert value not in redact("\n".join([*SOURCE, form.format(value), *SOURCE]))


def test_what_stands_around_a_secret_is_kept() -> None:
    """Only the value goes."""
    assert redact("a BOT_TOKEN=hunter2 b") == f"a BOT_TOKEN={MARK} b"
    assert redact('{"api_key": "a b", "n": 1}') == f'{{"api_key": "{MARK}", "n": 1}}'
    assert redact("postgres://bot:hunter2@db/x") == f"postgres://{MARK}@db/x"


def test_literal_values_of_the_caller_are_replaced() -> None:
    """Values known to be secret go wherever they stand; those too short to be told from ordinary text do not."""
    assert redact("x correct-horse y", ["correct-horse", "y"]) == f"x {MARK} y"


def test_lines_of_a_block_are_redacted_as_single_lines_are() -> None:
    """No rule reaches across a line end."""
    lines = [text for text, _ in SECRETS.values()] + HARMLESS + SOURCE + ["password:", "next line", "token =", "'open", "close'"]
    assert redact("\n".join(lines)) == "\n".join(redact(line) for line in lines)


@pytest.mark.parametrize(
    "piece",
    ["a", "token", "password=\"", "://", "://a:", "sk-", "eyJ", "1234567:", "a.b", "bearer ", "\\\"", "AKIA", "secret-", "api_key '", "@:/", "token=a(", "token: A", "token=a.", "token = a[", " f(token=", "token:A["],
)
def test_any_amount_of_anything_takes_linear_time(piece: str) -> None:
    """Doubling hostile input does not multiply the time by four (the margin is for a busy machine)."""

    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        best = 1e9
        for _ in range(2):
            started = time.process_time()
            redact(text)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(400_000) < 20 * seconds(50_000) + 0.5
