"""docs/reference/fleet.md is what the schema says."""

from __future__ import annotations

from pathlib import Path

from processsupervisor.config.reference import main, page
from processsupervisor.config.schema import SECTIONS, BotTable
from processsupervisor.config.shape import table_of
from processsupervisor.config.tables import Table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "fleet.md"


def test_the_committed_page_is_current():
    """Made by `python -m processsupervisor.config.reference`."""
    assert PAGE.read_text(encoding="utf-8") == page()
    assert main(["--check", str(PAGE)]) == 0


def test_a_page_that_differs_is_told(tmp_path):
    """`--check` ends with 1 on another text and on no file."""
    (tmp_path / "x.md").write_text("other")
    assert main(["--check", str(tmp_path / "x.md")]) == 1
    assert main(["--check", str(tmp_path / "gone.md")]) == 1
    assert main(["--nonsense"]) == 2


def test_every_key_stands_on_the_page():
    """No key of any table is left out, each with its help and default."""

    def check(model: type[Table]) -> None:
        for name, info in model.model_fields.items():
            assert f"| `{name}` |" in page() and info.description and info.description.replace("|", "\\|") in page()
            assert isinstance(info.json_schema_extra, dict) and info.json_schema_extra["shown"]
            if inner := table_of(info.annotation):
                check(inner)

    for model in (*SECTIONS.values(), BotTable):
        check(model)


def test_shown_defaults_are_the_real_ones(load):
    """A file that writes every shown TOML default resolves to the same as one that writes none."""
    import tomllib

    lines, silent = [], load("[bots.a]\nscript = 'main.py'").applied["bots"]
    for name, info in BotTable.model_fields.items():
        if name in ("count", "first"):
            continue  # of templates only
        inner = table_of(info.annotation)
        fields = (
            {f"{name}.{k}": v for k, v in inner.model_fields.items()} if inner and name in ("stop", "restart", "logs") else {name: info}
        )
        for key, field in fields.items():
            shown = field.json_schema_extra["shown"]
            try:
                tomllib.loads(f"x = {shown}")
            except tomllib.TOMLDecodeError:
                continue
            lines.append(f"{key} = {shown}")
    assert len(lines) > 15
    assert load("[bots.a]\nscript = 'main.py'\n" + "\n".join(lines)).applied["bots"] == silent
