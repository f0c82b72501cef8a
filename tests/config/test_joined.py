"""config.joined, config.globs and config.ondisk: includes, what they match, where they may lie, and in which file a mistake is."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from tests.config.test_load import bot, only

from processsupervisor.config.load import Loaded, load_fleet, load_text, load_texts
from processsupervisor.config.ondisk import FilesOnDisk
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.supervisor.versions import read_sources

HEAD = '[fleet]\nname = "demo"\n'
BOT = '[bots.{0}]\ncommand = ["./run.sh"]\n'


def write(folder: Path, **texts: str) -> Loaded:
    """Write files (`__` in a name is a folder, each is .toml) and load the fleet, from the disk and from the texts: both must agree."""
    given = {}
    for name, text in texts.items():
        path = folder / (name.replace("__", "/") + ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        given[path.relative_to(folder).as_posix()] = text.encode()
    loaded, again = load_fleet(folder), load_texts(folder, given)
    assert [p.to_json() for p in again.problems] == [p.to_json() for p in loaded.problems]
    assert again.applied == loaded.applied and again.sources == loaded.sources
    return loaded


def names(loaded: Loaded) -> list[str]:
    assert loaded.applied is not None, loaded.problems
    return [spec["name"] for spec in loaded.applied["bots"]]


def on_disk(folder: Path, applied: Applied) -> str:
    return FilesOnDisk(FleetPaths(folder), applied).digest()


def test_files_are_read_in_order_and_joined(folder):
    """Types, bots and channels may be spread over files; a glob is read in sorted order, each file once, behind the one that names it."""
    loaded = write(
        folder,
        fleet='include = ["bots.d/*.toml", "bots.d/b.toml"]\n' + HEAD + BOT.format("zero"),
        bots__d=BOT.format("wrong"),
        **{
            "bots.d__b": BOT.format("b") + 'type = "t"\n',
            "bots.d__a": 'include = "../more/x.toml"\n' + BOT.format("a"),
            "bots.d__.hidden": BOT.format("hidden"),
            "more__x": "[types.t]\nenv = { A = '1' }\n" + BOT.format("x"),
        },
    )
    assert loaded.problems == ()
    assert names(loaded) == ["zero", "a", "x", "b"] and bot(loaded, "b")["env"] == {"A": "1"}
    assert [file["path"] for file in loaded.applied["files"]] == ["fleet.toml", "bots.d/a.toml", "more/x.toml", "bots.d/b.toml"]
    assert list(loaded.sources) == ["fleet.toml", "bots.d/a.toml", "more/x.toml", "bots.d/b.toml"]


def test_the_digest_of_several_files_tells_any_change(folder):
    """One file is known by its own digest, several by all of them; psvd sees both by looking at the bytes."""
    one = write(folder, fleet=HEAD)
    assert one.applied["source_digest"] == hashlib.sha256(HEAD.encode()).hexdigest() == on_disk(folder, one.applied)
    two = write(folder, fleet='include = ["x.toml"]\n' + HEAD, x=BOT.format("a")).applied
    lines = "".join(f"{file['path']} {file['digest']}\n" for file in two["files"])
    assert two["source_digest"] == hashlib.sha256(lines.encode()).hexdigest() == on_disk(folder, two)
    (folder / "x.toml").write_text(BOT.format("b"))
    assert on_disk(folder, two) != two["source_digest"]
    (folder / "x.toml").unlink()
    assert on_disk(folder, two) == ""


def test_psvd_sees_the_same_files(folder):
    """It looks by the globs that were applied: a file more or less is another configuration, one that no glob means is none."""
    texts = {"bots.d__a": BOT.format("a"), "bots.d__.hidden": "", "bots.d__note": "", "deep__x__y": BOT.format("y")}
    applied = write(folder, fleet='include = ["bots.d/[a-c]*.toml", "deep/**/y.toml"]\n' + HEAD, **texts).applied
    assert applied["includes"] == ["bots.d/[a-c]*.toml", "deep/**/y.toml"] and on_disk(folder, applied) == applied["source_digest"]
    (folder / "bots.d" / "zero.toml").write_text("")
    assert on_disk(folder, applied) == applied["source_digest"]
    (folder / "bots.d" / "b.toml").write_text("")
    assert on_disk(folder, applied) not in ("", applied["source_digest"])
    (folder / "bots.d" / "b.toml").unlink()
    assert on_disk(folder, applied) == applied["source_digest"]
    (folder / "bots.d" / "c.toml").mkdir()
    assert on_disk(folder, applied) == ""


def test_two_stars_match_folders_of_any_depth(folder):
    """Hidden folders are left out, so nothing of .psv is read."""
    texts = {"bots__a": BOT.format("a"), "bots__x__b": BOT.format("b"), "bots__x__y__c": BOT.format("c"), "bots__.psv__d": BOT.format("d")}
    loaded = write(folder, fleet='include = ["bots/**/*.toml"]\n' + HEAD, **texts)
    assert names(loaded) == ["a", "b", "c"]
    assert names(write(folder, fleet='include = ["bots/?/**/[bc].toml"]\n' + HEAD, **texts)) == ["b", "c"]


def test_a_glob_that_matches_nothing_is_a_warning(folder):
    """The fleet starts without; a file that is named and missing is fatal."""
    loaded = write(folder, fleet=HEAD.replace("[fleet]", 'include = ["bots.d/*.toml"]\n[fleet]') + BOT.format("a"))
    problem = only(loaded)
    assert (problem.code, problem.severity, problem.line, problem.column) == ("include-empty", "warning", 1, 12)
    assert '"bots.d/*.toml"' in problem.message and names(loaded) == ["a"]
    loaded = write(folder, fleet='include = ["gone.toml"]\n' + HEAD)
    assert only(loaded).code == "no-file" and only(loaded).file == str(folder / "gone.toml") and loaded.fatal


@pytest.mark.parametrize("pattern", ["../*.toml", "/etc/*.toml", "a/../../x.toml", "~/x.toml", "..", "."])
def test_a_path_that_leaves_the_folder_is_fatal(folder, pattern):
    """Whether there is such a file or not."""
    loaded = write(folder, fleet=f'include = ["{pattern}"]\n' + HEAD)
    assert only(loaded).code == "include-outside" and loaded.fatal and only(loaded).line == 1


def test_a_link_that_leaves_the_folder_is_fatal(folder, tmp_path_factory):
    """A link inside is followed; one out of the folder is refused before it is read."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.toml").write_text("[[[ s3cret")
    (folder / "bots.d").mkdir()
    (folder / "bots.d" / "x.toml").symlink_to(outside / "x.toml")
    (folder / "fleet.toml").write_text('include = ["bots.d/*.toml"]\n' + HEAD)
    problem = only(load_fleet(folder))
    assert problem.code == "include-outside" and problem.severity == "fatal" and "s3cret" not in problem.text()
    (folder / "bots.d" / "x.toml").unlink()
    (folder / "real.toml").write_text(BOT.format("a"))
    (folder / "bots.d" / "x.toml").symlink_to("../real.toml")
    assert names(load_fleet(folder)) == ["a"]
    (folder / "linked").symlink_to(outside)
    (folder / "fleet.toml").write_text('include = ["linked/*.toml"]\n' + HEAD)
    assert only(load_fleet(folder)).code == "include-outside"


def test_a_cycle_names_its_chain(folder):
    """Also when a file matches its own glob, and when the same file comes again by a link."""
    loaded = write(folder, fleet='include = ["a.toml"]\n' + HEAD, a='include = ["b.toml"]', b='include = ["a.toml"]')
    problem = only(loaded)
    assert problem.code == "include-cycle" and "a.toml -> b.toml -> a.toml" in problem.message and problem.file == str(folder / "b.toml")
    for name in ("a", "b"):
        (folder / f"{name}.toml").unlink()
    problem = only(write(folder, fleet='include = ["*.toml"]\n' + HEAD))
    assert problem.code == "include-cycle" and "fleet.toml -> fleet.toml" in problem.message
    (folder / "again").symlink_to(".")
    (folder / "fleet.toml").write_text('include = ["again/fleet.toml"]\n' + HEAD)
    assert only(load_fleet(folder)).code == "include-cycle"


@pytest.mark.parametrize(
    ("table", "name"),
    [("[bots.x]\ncommand = ['./run.sh']", "bots.x"), ("[types.x]", "types.x"), ("[global]", "global"), ("[fleet]\nname = 'demo'", "fleet"), ("[web]", "web")],
)
def test_a_table_in_two_files_is_an_error_that_names_both(folder, table, name):
    """The second place is the problem's, the first stands in its hint."""
    fleet = 'include = ["x.toml"]\n' + ("" if name == "fleet" else HEAD) + f"\n{table}\n"
    problem = only(write(folder, fleet=fleet, x=f"\n\n{table}\n"))
    assert (problem.code, problem.severity, problem.file, problem.line) == ("duplicate-table", "fatal", str(folder / "x.toml"), 3)
    line = fleet[: fleet.index(table)].count("\n") + 1
    assert f"[{name}]" in problem.message and f"fleet.toml:{line}" in problem.hint


def test_a_section_that_is_no_table_beside_one_that_is(folder):
    """Both places are told, whichever comes first."""
    for first, second in (("bots = 3\n", BOT.format("a")), (BOT.format("a"), "bots = 3\n")):
        texts = {"fleet": 'include = ["x.toml"]\n' + (first + HEAD if "=" in first[:8] else HEAD + first), "x": second}
        assert "duplicate-table" in [p.code for p in write(folder, **texts).problems]


def test_mistakes_of_all_files_are_told_at_once_each_in_its_file(folder):
    """In reading order; a syntax error in an include is fatal, and hides nothing that is found elsewhere."""
    loaded = write(
        folder,
        fleet='include = ["a.toml", "b.toml"]\n' + HEAD + '[bots.x]\ntype = "in-b"\nnonsense = 1\n',
        a="[bots.a]\ncommand = ['./run.sh']\nstart_timeout = '-1s'\n",
        b="[types.in-b\n",
    )
    assert loaded.fatal
    assert [(Path(p.file).name, p.line, p.code) for p in loaded.problems] == [
        ("fleet.toml", 6, "unknown-key"),
        ("a.toml", 3, "bad-value"),
        ("b.toml", 1, "syntax"),
    ]


def test_a_mistake_of_one_bot_in_an_include_leaves_only_it_out(folder):
    """Its error names the file as seen from the fleet folder."""
    loaded = write(folder, fleet='include = ["bots.d/*.toml"]\n' + HEAD, **{"bots.d__a": BOT.format("a") + "x = 1\n" + BOT.format("b")})
    assert not loaded.fatal and bot(loaded, "b")["error"] is None
    assert bot(loaded, "a")["error"].startswith("bots.d/a.toml:3:1: unknown key")


@pytest.mark.parametrize("value", ["3", "[3]", '[""]', "{ a = 1 }", '["a\\u0000b"]', "[['x.toml']]"])
def test_an_include_that_is_no_path_is_fatal(folder, value):
    """Told with the place of the value."""
    problem = only(write(folder, fleet=f"include = {value}\n" + HEAD))
    assert (problem.code, problem.line, problem.severity) == ("bad-value", 1, "fatal")


def test_an_include_below_a_table_is_sent_home(load):
    """It would be a key of that table."""
    assert "before the first table" in only(load("[bots.a]\nscript = 'main.py'\ninclude = ['x.toml']")).hint


def test_a_folder_or_a_broken_link_in_place_of_a_file_is_fatal(folder):
    """Whose bots stood in it would be gone otherwise."""
    (folder / "bots.d" / "x.toml").mkdir(parents=True)
    (folder / "fleet.toml").write_text('include = ["bots.d/*.toml"]\n' + HEAD)
    assert only(load_fleet(folder)).code == "not-a-file"
    (folder / "bots.d" / "x.toml").rmdir()
    (folder / "bots.d" / "x.toml").symlink_to("gone.toml")
    assert only(load_fleet(folder)).code == "no-file"
    (folder / "bots.d" / "x.toml").unlink()
    (folder / "bots.d" / "x.toml").symlink_to("x.toml")
    assert only(load_fleet(folder)).severity == "fatal"


def test_so_many_files_and_no_more(folder):
    """Files, bytes and depth have limits, told once."""
    texts = {"fleet.toml": ('include = ["d/*.toml"]\n' + HEAD).encode()} | {f"d/{n:04}.toml": b"" for n in range(1100)}
    problem = only(load_texts(folder, texts))
    assert problem.code == "include-many" and "1000 files" in problem.message and problem.severity == "fatal"
    deep = {"fleet.toml": ('include = ["0.toml"]\n' + HEAD).encode()} | {f"{n}.toml": f'include = ["{n + 1}.toml"]'.encode() for n in range(50)}
    assert only(load_texts(folder, deep)).code == "include-many"
    large = {"fleet.toml": ('include = ["d/*"]\n' + HEAD).encode()} | {f"d/{n}": b"#" * (3 << 20) for n in range(8)}
    assert only(load_texts(folder, large)).code == "include-many"


def test_an_unknown_table_of_an_include_is_told_there(folder):
    """As in fleet.toml."""
    problem = only(write(folder, fleet='include = ["x.toml"]\n' + HEAD, x="\n[bot.alice]\n"))
    assert (problem.file, problem.line, problem.code) == (str(folder / "x.toml"), 2, "unknown-key")


def test_another_text_of_fleet_toml_reads_its_includes_from_the_disk(folder):
    """So an edit is checked before it is written."""
    write(folder, fleet=HEAD, x=BOT.format("a"))
    assert names(load_text(folder, ('include = ["x.toml"]\n' + HEAD).encode())) == ["a"]


def test_what_was_read_can_be_loaded_again_from_its_texts(folder):
    """A stored version is the same configuration, whatever the disk says by then."""
    loaded = write(folder, fleet='include = ["b/*.toml"]\n' + HEAD, b__a=BOT.format("a"), b__c="[types.t]\n")
    for path in (folder / "b").iterdir():
        path.unlink()
    again = load_texts(folder, loaded.sources)
    assert json.dumps(again.applied) == json.dumps(loaded.applied)


def test_a_file_that_is_a_pipe_now_is_not_opened(folder):
    """It says nothing, as a folder or a broken link in its place does: psvd, which looks, would wait for ever for somebody to write."""
    loaded = write(folder, fleet=HEAD + BOT.format("a"))
    assert loaded.applied is not None
    (folder / "fleet.toml").unlink()
    os.mkfifo(folder / "fleet.toml")
    assert on_disk(folder, loaded.applied) == ""
    assert read_sources(folder, loaded.applied) == {}
