"""`psv config plan`, `diff` and `apply`: what the files say against what runs, and taking it over. How psvd does that is not here.

The files are read with the values that were set by command and still hold, and with the release that runs, so that nothing else changes
along with them. Exit 0 = done or nothing to do, 1 = taken back, 2 = mistakes in the files, 5 = refused.
"""

from __future__ import annotations

from typing import Any

from processsupervisor.cli import candidate
from processsupervisor.cli.check import print_problems, status_of
from processsupervisor.cli.differing import key_of, lines, rows
from processsupervisor.cli.present import Present, ask, look
from processsupervisor.cli.session import Session
from processsupervisor.commands.command import Command
from processsupervisor.config.content import checksum, normalised
from processsupervisor.config.gate import hold_elsewhere, in_the_way
from processsupervisor.config.load import Loaded, load_fleet
from processsupervisor.config.plan import Plan, differences, make_plan
from processsupervisor.config.spec import Applied, BotSpec
from processsupervisor.config.steps import SETTLE_S, SMALL_FLEET, estimate_s, needs_of, steps
from processsupervisor.kernel.errors import EXIT_OK, EXIT_USAGE, ConfigError, Refused
from processsupervisor.kernel.units import short_duration

_LEAST_START_S = 0.1
_MEND = "mend the places above, then apply again"


def plan(session: Session, command: Command, *, now: bool) -> int:
    """Print what applying the files would do."""
    present = look(session)
    loaded = read_files(session, present.applied)
    if not session.as_json:
        print_problems(session, loaded.problems)
    if loaded.applied is None or (present.is_live and in_the_way(loaded.problems, present.applied)):
        if session.as_json:
            session.print_json(_refusal(present, loaded))
        else:
            session.note(f"it would be refused: mend the places above; {present.name} stays")
        return EXIT_USAGE
    made = make_plan(present.applied, loaded.applied)
    facts = _facts(present, loaded.applied, made, now)
    if session.as_json:
        session.print_json({**facts, "problems": [problem.to_json() for problem in loaded.problems]})
    else:
        _print_plan(session, present, loaded.applied, made, facts)
    return EXIT_OK if present.is_live else status_of(loaded)


def diff(session: Session, command: Command, *, old: int | None, new: int | None, values: bool) -> int:
    """Print where the files differ from what runs, or one version from another."""
    if old is not None:
        before, _ = candidate.content(session, old)
        number = new if new is not None else candidate.running(session).get("number")
        after, _ = candidate.content(session, number)
        names, why = (f"version {old}", f"version {number}"), None
    else:
        present = look(session)
        loaded = read_files(session, present.applied)
        if loaded.applied is None:
            print_problems(session, loaded.problems)
            return EXIT_USAGE
        before, after, number = present.applied, loaded.applied, None
        names, why, old = (present.name, "fleet.toml"), present.why_rejected(after["source_digest"]), present.number
    found = differences(normalised(before), normalised(after))
    if session.as_json:
        session.print_json({"old": old, "new": number, "rejected": why, "differences": rows(found, values=values)})
        return EXIT_OK
    said = lines(found, values=values)
    rejected = f": rejected because {why}" if why else ""
    session.say(f"{names[1]} differs from {names[0]}{rejected}" if said else f"nothing differs from {names[0]}{rejected}")
    for line in said:
        session.say(line)
    return EXIT_OK


def reload(session: Session, command: Command, *, now: bool, again: bool, reason: str | None, base: int | None) -> int:
    """Apply the files as they are."""
    present = ask(session)
    require_base(present, base)
    loaded = read_files(session, present.applied)
    applied = refuse_mistakes(session, loaded, present)
    if checksum(applied) == checksum(present.applied) and applied["source_digest"] == present.applied["source_digest"]:
        return say_unchanged(session, present)
    hold_elsewhere(applied, present.applied)
    result = candidate.submit(
        session, applied, loaded.sources, base=present.number, reason=reason or f"psv {command.verbs[0]}", now=now, again=again
    )
    return candidate.finish(session, result)


def read_files(session: Session, running: Applied | None) -> Loaded:
    """Read the files of the folder, with what was set by command in `running`, and with its release."""
    if running is None:
        return load_fleet(session.paths.folder)
    return load_fleet(session.paths.folder, runtime=running.get("runtime", ()), release=running.get("release"))


def refuse_mistakes(session: Session, loaded: Loaded, present: Present, hint: str = _MEND) -> Applied:
    """Print every mistake, and return what can be applied; raises ConfigError when one stands in the way."""
    if not session.as_json:
        print_problems(session, loaded.problems)
    if loaded.applied is not None and not in_the_way(loaded.problems, present.applied):
        return loaded.applied
    if session.as_json:
        session.print_json(_refusal(present, loaded))
    raise ConfigError(f"nothing was applied: {present.name} goes on", hint=hint)


def require_base(present: Present, base: int | None) -> None:
    """Raise Refused when another version runs than the one that a person had seen."""
    if base is not None and base != present.number:
        what = f"version {present.number} runs ({candidate.by_whom(present.version)}), not {base}; nothing was changed"
        raise Refused(what, hint="look at psv config diff, then apply again", code="version-moved")


def say_unchanged(session: Session, present: Present) -> int:
    """Say that there is nothing to do."""
    if session.as_json:
        message = "nothing differs"
        session.print_json({"ok": True, "number": present.number, "result": "unchanged", "message": message, "touched": [], "left": {}})
    else:
        session.say(f"nothing differs from {present.name}")
    return EXIT_OK


def _refusal(present: Present, loaded: Loaded) -> dict[str, Any]:
    problems = [problem.to_json() for problem in loaded.problems]
    return {"ok": False, "number": present.number, "result": "refused", "message": "mistakes in the files", "problems": problems}


def _facts(present: Present, new: Applied, made: Plan, now: bool) -> dict[str, Any]:
    is_small = len(new["bots"]) <= SMALL_FLEET
    batches = steps(made, ((spec["name"], spec["type"], spec["kind"]) for spec in new["bots"]), is_small, needs=needs_of(new["bots"]))
    fleet: dict[str, Any] = dict(new["fleet"])
    settle_s = 0.0 if is_small or now else float(fleet.get("settle_s", SETTLE_S))
    changed = [
        {"bot": name, "effect": change.effect, "keys": [key_of(tuple(key.split(".", 1))) for key in change.keys]}
        for name, change in made.changed.items()
    ]
    return {
        "number": present.number, "differs": not made.is_empty, "rejected": present.why_rejected(new["source_digest"]),
        "added": list(made.added), "removed": list(made.removed), "changed": changed,
        "renames": [{"old": old, "new": name} for old, name in made.renames],
        "fleet": list(dict.fromkeys(key_of(tuple(key.split(".", 1))) for key in made.fleet)),
        "steps": batches, "settle_s": settle_s,
        "estimate_s": estimate_s(batches, settle_s, {spec["name"]: _start_s(spec) for spec in new["bots"]}),
    }  # fmt: skip


def _start_s(spec: BotSpec) -> float:
    """Return what a start is taken to need: a program that says nothing is ready after a time of its own."""
    value = spec["ready"]["value"]
    return max(value, _LEAST_START_S) if spec["ready"]["kind"] == "after" and isinstance(value, (int, float)) else 1.0


def _print_plan(session: Session, present: Present, new: Applied, made: Plan, facts: dict[str, Any]) -> None:
    if why := facts["rejected"]:
        session.say(f"fleet.toml was rejected because {why}; psv config apply --again tries it once more")
    runtime = [line for line in lines(differences(normalised(present.applied), normalised(new))) if line.startswith("no longer set")]
    if made.is_empty and not runtime:
        session.say(f"nothing differs from {present.name}")
        return
    session.say(f"against {present.name}:")
    same: dict[str, list[str]] = {}
    for change in facts["changed"]:
        same.setdefault(f"{change['effect']}: {', '.join(change['keys'])}", []).append(change["bot"])
    said = [f"{candidate.some(bots)}: {what}" for what, bots in same.items()]
    said += [f"{candidate.some(list(names))}: {what}" for names, what in ((made.added, "new"), (made.removed, "goes")) if names]
    said += [f"{old} looks as if it was renamed to {name}: psv bot rename keeps its data" for old, name in made.renames]
    said += [f"fleet: {', '.join(facts['fleet'])}"] if made.fleet else []
    is_asked = any("options" in change.keys and change.effect == "live" for change in made.changed.values())
    hooks = ["options: live for a bot with @bot.on_config_change, any other is restarted"] if is_asked else []
    for line in (*said, *runtime, *hooks, *_schedule(facts)):
        session.say(line)


def _schedule(facts: dict[str, Any]) -> list[str]:
    batches: list[list[str]] = facts["steps"]
    if not batches:
        return ["no bot is restarted"]
    first = f"first {candidate.some(batches[0])}"
    settle = f", watched for {short_duration(facts['settle_s'])}" if facts["settle_s"] else ""
    then = f", then {'one' if len(batches[1]) == 1 else len(batches[1])} at a time" if len(batches) > 1 else ""
    number = f"{len(batches)} step{'' if len(batches) == 1 else 's'}"
    return [f"{number}: {first}{settle}{then}; about {short_duration(facts['estimate_s'])}"]
