"""config.imports: the libraries of a script, by reading it; nothing of it runs."""

from __future__ import annotations

from processsupervisor.config.imports import MOST_FILES, scan_script


def scan(folder, **files):
    """Write each file (`a__b` = a/b.py, `a__` = a/__init__.py) and scan main.py."""
    for name, text in files.items():
        path = folder / ((name.replace("__", "/") + "__init__" if name.endswith("__") else name.replace("__", "/")) + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return scan_script(folder / "main.py", folder)


def test_libraries_are_named_with_their_modules(tmp_path):
    """Top-level and dotted names, sorted; the standard library and relative nonsense left out."""
    found = scan(
        tmp_path,
        main="import os, aiogram\nfrom aiogram.types import Message\nimport a.b as c\nfrom . import x\nfrom __future__ import annotations\n",
    )
    assert found.libraries == ("a.b", "aiogram", "aiogram.types") and found.error is None


def test_only_imports_that_run_at_load_count(tmp_path):
    """Inside functions and under TYPE_CHECKING nothing is imported; if, try, with, for, class and match bodies are."""
    text = """
from typing import TYPE_CHECKING
import typing
if TYPE_CHECKING:
    import no1
else:
    import yes1
if typing.TYPE_CHECKING:
    import no2
try:
    import yes2
except ImportError:
    import yes3
finally:
    import yes4
def f():
    import no3
async def g():
    import no4
class C:
    import yes5
with open("x"):
    for i in ():
        import yes6
match 1:
    case 1:
        import yes7
if __name__ == "__main__":
    import yes8
"""
    assert scan(tmp_path, main=text).libraries == tuple(f"yes{i}" for i in range(1, 9))


def test_local_modules_are_followed(tmp_path):
    """Modules and packages beside the script are read, relative imports included, and are no libraries."""
    found = scan(
        tmp_path,
        main="import handlers.start\nfrom handlers import admin\nfrom lib import deep\nimport json",
        handlers__="import lib_one",
        handlers__start="from . import shared\nfrom .shared import x\nimport lib_two",
        handlers__shared="import lib_three",
        handlers__admin="from ..nowhere import y\nfrom .start import z\nimport lib_four",
        lib__deep="import lib_five\nimport main",
    )
    assert found.libraries == ("lib_five", "lib_four", "lib_one", "lib_three", "lib_two")
    assert found.local_files[0] == tmp_path / "main.py" and len(found.local_files) == 6 and found.error is None


def test_a_bare_folder_does_not_hide_a_library(tmp_path):
    """A folder without Python code (data of the same name) leaves the name a library."""
    (tmp_path / "telegram").mkdir()
    assert scan(tmp_path, main="import telegram").libraries == ("telegram",)


def test_a_syntax_error_is_told_and_the_rest_still_named(tmp_path):
    """The error has file and line; libraries found elsewhere stay."""
    found = scan(tmp_path, main="import one, broken", broken="def (:\n")
    assert found.libraries == ("one",) and found.error.startswith(f"{tmp_path / 'broken.py'}:1:")


def test_nothing_is_run(tmp_path):
    """Reading has no effect, whatever the script would do."""
    scan(tmp_path, main=f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n")
    assert not (tmp_path / "ran").exists()


def test_odd_files_are_errors_not_tracebacks(tmp_path):
    """Missing, binary, huge, deeply nested and bad-encoded files end in one line."""
    for content in (
        b"\0",
        b"x = " + b"(" * 5000,
        b"# coding: nonsense\n",
        b"\xff\xfe\xff",
        b"#" * (3 << 20),
        b"x = " + b"-" * 100000 + b"1",
    ):
        (tmp_path / "main.py").write_bytes(content)
        found = scan_script(tmp_path / "main.py", tmp_path)
        assert found.error and "\n" not in found.error and found.libraries == ()
    assert scan_script(tmp_path / "gone.py", tmp_path).error
    assert scan_script(tmp_path, tmp_path).error


def test_names_too_long_for_a_file_are_no_files(tmp_path):
    """An import that no file system can hold is just a name."""
    assert scan(tmp_path, main=f"import {'a' * 400}").libraries == ("a" * 400,)


def test_the_number_of_files_is_bounded(tmp_path):
    """A chain of modules longer than the limit stops there and says so."""
    files = {f"m{i}": f"import m{i + 1}, lib{i}\n" for i in range(MOST_FILES + 20)}
    found = scan(tmp_path, main="import m0", **files)
    assert len(found.local_files) == MOST_FILES and "more than" in found.error


def test_a_script_behind_a_link_finds_its_modules(tmp_path):
    """Python looks in the folder of the real file, so does the scan."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "app.py").write_text("import beside\n")
    (real / "beside.py").write_text("import library\n")
    (tmp_path / "main.py").symlink_to(real / "app.py")
    assert scan_script(tmp_path / "main.py", tmp_path).libraries == ("library",)
