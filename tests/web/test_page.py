"""The page in a real browser: talk, stream, reload, wait for a bot that is away, and nothing hostile runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bot.running import BotProcess
from tests.web.webfleet import Fleet, wait_for

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
DEADLINE_MS = 20_000

pytestmark = pytest.mark.browser

if not Path(CHROMIUM).exists():
    pytest.skip("needs chromium at /usr/bin/chromium (apt-get install chromium)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """One Chromium for the module; each test has a context, and so a memory, of its own."""
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about; a test that passes had no error in any script and nothing blocked."""
    return []


@pytest.fixture
def page(browser, fleet: Fleet, complaints: list[str], request: pytest.FixtureRequest) -> Iterator[object]:
    """The page of a fleet with psvd, guide and notes, on a wide screen or as the test's `screen` marker says."""
    fleet.start_bot("guide")
    fleet.start_bot("notes")
    fleet.start_supervisor()
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1280, "height": 800}}))
    context.set_default_timeout(DEADLINE_MS)
    opened = context.new_page()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    opened.goto(fleet.url)
    opened.wait_for_selector("#bots a")
    yield opened
    shots = os.environ.get("PSV_SCREENSHOTS")
    if shots:
        opened.screenshot(path=f"{shots}/{request.node.name}.png")
    context.close()
    assert complaints == []


def say(page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def until(page, expression: str) -> None:
    """Wait for a JavaScript condition; playwright's own waiting needs eval, which the page's policy forbids."""
    wait_for(expression, lambda: page.evaluate(expression) or page.wait_for_timeout(30))


def texts(page) -> list[str]:
    return [text.strip() for text in page.locator(".message .bubble:not(.dots)").all_inner_texts()]


@pytest.fixture
def gate(fleet: Fleet) -> Path:
    """While this file is there, guide stays in the middle of a /slow reply."""
    path = fleet.paths.data / "guide.db.gate"
    path.touch()
    return path


def test_answer_streams_and_stays(page, gate: Path) -> None:
    """A reply is seen growing and then final; after a reload the whole conversation is there again."""
    say(page, "/slow 12")
    page.wait_for_selector(".draft .bubble:has-text('word1')")
    growing = page.locator(".draft .bubble").inner_text()
    gate.unlink()
    page.wait_for_selector(".theirs:not(.draft) .bubble")
    final = " ".join(f"word{number}" for number in range(12))
    assert final.startswith(growing.strip())
    assert len(growing.strip()) < len(final)
    assert texts(page) == ["/slow 12", final]
    page.reload()
    page.wait_for_selector(".theirs .bubble")
    assert texts(page) == ["/slow 12", final]


def test_message_that_the_bot_sends_by_itself(page) -> None:
    """A reminder appears without being asked for."""
    say(page, "/later tea")
    page.wait_for_selector("text=reminder: tea")


def test_list_is_live(page, fleet: Fleet) -> None:
    """The list shows state, health, pid, memory, restarts; a change appears by itself, psvd's absence is said, chat goes on."""
    row = page.locator("#bots a", has_text="guide")
    assert "healthy · pid 4711 · 2.8 MB · 0 restarts" in row.inner_text()
    fleet.supervisor.change("notes", state="FAILED", reason="crash-loop", pid=None, memory_bytes=None, restarts=10)
    page.wait_for_selector("#bots a:has-text('notes') .pill[data-tone=bad]:has-text('Failed')")
    page.wait_for_selector("#bots a:has-text('crash-loop · 10 restarts')")
    assert page.locator("#summary").inner_text() == "3 bots: 2 running, 1 failed"
    fleet.supervisor.close()
    fleet.supervisor = None
    page.wait_for_selector("#banner:has-text('chat goes on')")
    say(page, "still there?")
    page.wait_for_selector("text=You said: still there?")
    fleet.start_supervisor()
    page.wait_for_selector("#banner", state="hidden")


def test_text_waits_for_the_bot(page, fleet: Fleet) -> None:
    """While the bot is away what is sent is kept, visibly waiting, over a reload too, and is delivered once when it is back."""
    fleet.kill_bot("guide")
    page.wait_for_selector("#notice:has-text('Waiting for guide')")
    say(page, "are you there?")
    page.wait_for_selector(".mine[data-mail=waiting]:has-text('waiting for guide')")
    page.fill("#text", "half a sent")
    page.reload()
    page.wait_for_selector(".mine[data-mail=waiting]:has-text('are you there?')")
    assert page.input_value("#text") == "half a sent"
    fleet.start_bot("guide")
    page.wait_for_selector("text=You said: are you there?")
    page.wait_for_selector("#notice", state="hidden")
    assert texts(page) == ["are you there?", "You said: are you there?"]
    messages = fleet.client.get(f"{fleet.url}/chat/guide/history", params={"conversation": conversation(page)}).json()["messages"]
    assert [message["from"] for message in messages] == ["contact", "bot"]


def conversation(page) -> str:
    return page.evaluate("localStorage.getItem('psv.conversation')")


def test_kill_of_bot_and_web_in_the_middle_of_a_reply(page, fleet: Fleet, gate: Path) -> None:
    """kill -9 of the bot and of web while a reply streams: the page finds back by itself and shows the reply once."""
    say(page, "/slow 15")
    page.wait_for_selector(".draft .bubble")
    fleet.kill_bot("guide")
    page.wait_for_selector(".draft.stalled")
    fleet.kill_web()
    say(page, "second")
    page.wait_for_selector(".mine[data-mail=waiting]")
    page.wait_for_selector("#banner:has-text('Reconnecting')")
    gate.unlink()
    fleet.start_bot("guide")
    fleet.start_web()
    page.wait_for_selector("text=You said: second")
    final = " ".join(f"word{number}" for number in range(15))
    wait_for(
        "the order of a quiet chat",
        lambda: (
            texts(page) in ([["/slow 15", final, "second", "You said: second"], ["/slow 15", "second", final, "You said: second"]])
            or page.wait_for_timeout(50)
        ),
    )
    page.wait_for_selector("#banner", state="hidden")


def test_refused_text_is_not_lost(page, fleet: Fleet) -> None:
    """A message that is too long says so and can be edited or discarded."""
    say(page, "x" * 70000)
    page.wait_for_selector(".mine[data-mail=refused]")
    page.click("text=Edit")
    assert page.input_value("#text") == "x" * 70000
    assert texts(page) == []
    say(page, "short")
    page.wait_for_selector("text=You said: short")


@pytest.mark.parametrize("page", [{"viewport": {"width": 1280, "height": 800}}], indirect=True)
def test_hostile_reply_is_inert(page, complaints: list[str]) -> None:
    """Scripts, handlers, images and foreign schemes in a reply do nothing: they are text, links are plain, nothing is loaded."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    say(page, "/hostile now")
    page.wait_for_selector(".theirs strong:has-text('bold')")
    for link in page.locator(".theirs .bubble a").all():
        assert link.get_attribute("href").startswith(("http://", "https://", "mailto:"))
        assert "noopener" in link.get_attribute("rel")
    assert page.locator(".theirs .bubble :is(script, img, svg, iframe, style, form, input)").count() == 0
    assert (
        page.evaluate(
            "[...document.querySelectorAll('.theirs .bubble *')].flatMap((e) => [...e.attributes]).filter((a) => a.name.startsWith('on')).length"
        )
        == 0
    )
    assert "<script>" in page.locator(".theirs .bubble").inner_text()
    page.locator(".theirs .bubble a").first.evaluate("(link) => link.removeAttribute('href')")
    page.reload()
    page.wait_for_selector(".theirs strong:has-text('bold')")
    assert page.evaluate("window.hacked") is None
    assert [url for url in asked if "/chat/" not in url and "/api/" not in url and "/static/" not in url and not url.endswith("/")] == []


def test_own_text_is_text(page) -> None:
    """What the person writes is shown as written, markup included, and lines stay lines."""
    text = "<b>no</b> **no** <img src=x onerror=hacked=1>"
    page.fill("#text", text)
    page.press("#text", "Shift+Enter")
    page.type("#text", "second line")
    page.press("#text", "Enter")
    page.wait_for_selector(".mine .bubble")
    assert texts(page)[0] == f"{text}\nsecond line"
    assert page.locator(".mine .bubble *").count() == 0


def test_keyboard_only(page) -> None:
    """Without a mouse: skip link, list by arrows, Enter opens a chat and puts the focus into its field, Escape goes back."""
    focused = "document.activeElement.id || document.activeElement.getAttribute('href')"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "text"
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == "#/guide"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "#/notes"
    page.keyboard.press("Enter")
    page.wait_for_selector("#name:has-text('notes')")
    until(page, "document.activeElement.id === 'text'")
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=You said: by hand")
    assert page.evaluate(focused) == "text"
    assert page.locator("#heard").inner_text() == "notes: You said: by hand"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focused) == "text"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focused) == "scroll", "messages can be scrolled by keyboard"


def test_every_control_has_a_name(page) -> None:
    """Each thing that takes the focus has a name for those who do not see it."""
    nameless = page.evaluate(
        """[...document.querySelectorAll('a, button, input, textarea, [tabindex]')].filter((e) => e.checkVisibility())
           .filter((e) => !(e.innerText || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)"""
    )
    assert nameless == []


def test_chats_are_kept_apart(page) -> None:
    """Each bot has its own chat and its own unfinished text; back and forward work."""
    say(page, "for guide")
    page.wait_for_selector("text=You said: for guide")
    page.fill("#text", "unfinished")
    page.click("#bots a:has-text('notes')")
    page.wait_for_selector("#name:has-text('notes')")
    page.wait_for_selector(".hello")
    assert (texts(page), page.input_value("#text")) == ([], "")
    page.go_back()
    page.wait_for_selector(".theirs:has-text('You said: for guide')")
    assert page.input_value("#text") == "unfinished"


def test_program_has_no_chat(page) -> None:
    """A script shows what can be done instead of a chat that would not work."""
    page.click("#bots a:has-text('legacy')")
    page.wait_for_selector("text=psv logs -f legacy")
    assert not page.locator("#composer").is_visible()


def test_two_windows_show_the_same(page, fleet: Fleet) -> None:
    """What is written in one window of the browser appears in the other, message and reply."""
    other = page.context.new_page()
    other.goto(f"{fleet.url}/#/guide")
    other.wait_for_selector(".hello")
    say(page, "from the first")
    other.wait_for_selector("text=You said: from the first")
    wait_for(
        "both sides in the other window",
        lambda: texts(other) == ["from the first", "You said: from the first"] or other.wait_for_timeout(50),
    )


PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_phone(page) -> None:
    """On a phone: list, chat and back are one screen each, nothing is wider than the screen, targets are large enough."""
    assert page.locator("#composer").is_hidden()
    page.tap("#bots a:has-text('guide')")
    page.wait_for_selector("#composer")
    assert page.locator(".side").is_hidden()
    page.fill("#text", "/md")
    page.tap("#send")
    page.wait_for_selector("text=Where logs go")
    page.fill("#text", "w" * 300)
    page.tap("#send")
    page.wait_for_selector("text=You said: www")
    assert page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth && document.getElementById('scroll').scrollWidth <= innerWidth"
    )
    for target in ("#send", "#back"):
        box = page.locator(target).bounding_box()
        assert min(box["width"], box["height"]) >= 40
    assert page.evaluate("parseFloat(getComputedStyle(document.getElementById('text')).fontSize)") >= 16, "phones zoom into smaller fields"
    page.tap("#back")
    page.wait_for_selector("#bots a")
    assert page.locator("#pane").is_hidden()


VOTES = """
from processsupervisor import Bot, Button, Edit, File, Message, Reply

bot = Bot()


def shown(count):
    return dict(text=f"{count} for pizza", buttons=[[Button("Pizza", "vote"), Button("Menu", url="https://example.org/"),
        Button("Trick", url="javascript:window.hacked=1")]])


@bot.command("poll")
async def poll(message: Message) -> Reply:
    return Reply(**shown(0))


@bot.button("vote")
async def vote(message: Message) -> Edit:
    count = await message.store.get("count", 0) + 1
    await message.store.set("count", count)
    return Edit(**shown(count))


@bot.command("report")
async def report(message: Message) -> Reply:
    return Reply(files=[File(b"all well", name="report <1>.txt")])


@bot.on_message
async def echo(message: Message) -> str:
    return f"heard {message.text}"
"""


def test_buttons_are_pressed_by_mouse_and_keyboard(page, fleet: Fleet) -> None:
    """A press changes the message in its place, also behind other messages and over a reload; the focus stays on the button."""
    fleet.kill_bot("guide")
    votes = BotProcess(fleet.paths.folder, VOTES, name="guide").start()
    try:
        say(page, "/poll")
        page.wait_for_selector("text=0 for pizza")
        page.click("button:has-text('Pizza')")
        page.wait_for_selector("text=1 for pizza")
        say(page, "hello")
        page.wait_for_selector("text=heard hello")
        page.focus("button:has-text('Pizza')")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=2 for pizza")
        assert page.evaluate("document.activeElement.textContent") == "Pizza"
        assert [text for text in texts(page) if text.endswith("for pizza")] == ["2 for pizza"]
        links = page.locator(".presses a")
        assert [links.nth(number).get_attribute("href") for number in range(links.count())] == ["https://example.org/"]
        before = texts(page)
        page.reload()
        page.wait_for_selector("text=2 for pizza")
        assert texts(page) == before and before.count("Pizza") == 2
    finally:
        votes.close()


def test_a_file_of_a_reply_can_be_saved(page, fleet: Fleet) -> None:
    """Under its own name; what is not kept any more is said, and nothing else of the folder is given away."""
    fleet.kill_bot("guide")
    files = BotProcess(fleet.paths.folder, VOTES, name="guide").start()
    try:
        say(page, "/report")
        with page.expect_download() as saved:
            page.click(".file:has-text('report <1>.txt')")
        assert Path(saved.value.path()).read_bytes() == b"all well"
        address = f"{fleet.url}{page.locator('.file').get_attribute('href')}"
        answer = fleet.client.get(address)
        assert (answer.content, answer.headers["content-disposition"]) == (b"all well", "attachment")
        for other in ("0" * 24 + ".txt", "..%2Fbot.db", "bot.db", ".hidden"):
            assert fleet.client.get(f"{fleet.url}/chat/guide/files/{other}").status_code == 404
    finally:
        files.close()


def test_reading_above_is_not_disturbed(page) -> None:
    """Who has scrolled up stays there when something arrives, and is offered the way down."""
    for number in range(6):
        say(page, f"/md {number}")
    until(page, "document.querySelectorAll('.theirs:not(.draft) table').length === 6")
    page.evaluate("document.getElementById('scroll').scrollTop = 0")
    until(page, "document.getElementById('scroll').scrollTop === 0")
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    # From elsewhere: what this person sends would rightly scroll down.
    status = page.evaluate(
        """fetch('/chat/guide/messages', {method: 'POST', headers: {'Content-Type': 'application/json'},
           body: JSON.stringify({id: 'elsewhere', text: 'hello', conversation: localStorage.getItem('psv.conversation')})}).then((r) => r.status)"""
    )
    assert status == 202
    page.wait_for_selector("text=You said: hello", state="attached")
    page.wait_for_selector("#down")
    assert page.evaluate("document.getElementById('scroll').scrollTop") < 200
    page.click("#down")
    until(page, "(() => { const s = document.getElementById('scroll'); return s.scrollTop + s.clientHeight > s.scrollHeight - 5; })()")
