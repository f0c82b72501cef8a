"""Whatever a file holds, adopting it is a plan or one error of ours: samples with lines taken out, doubled, cut and mixed up."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.adopt.samples import ALL, Sample, write

from processsupervisor.adopt.reading import read_paths
from processsupervisor.adopt.writing import make_plan
from processsupervisor.kernel.errors import PsvError

ROUNDS = 12
STRAY = ["%", "%(", "${", "'", '"', "\\", "[", "]", "{", "=", ":", "\t", "é", "\x7f", "$$", "- ", "&a", "*a", "!!set", "0", "-1", "null", "~x/"]


def mangled(text: str, dice: random.Random) -> str:
    """Return the text with one or a few faults."""
    lines = text.split("\n")
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(lines))
        line = lines[at]
        cut = dice.randint(0, len(line))
        match dice.randrange(5):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines.insert(at, line)
            case 2:
                lines[at] = line[:cut]
            case 3:
                lines[at] = line[:cut] + dice.choice(STRAY) + line[cut:]
            case 4:
                lines[at], lines[0] = lines[0], line
    return "\n".join(lines)


@pytest.mark.parametrize("sample", [sample for sample in ALL if sample.name != "pm2-js"], ids=lambda sample: sample.name)
def test_a_mangled_file_is_a_plan_or_an_error(sample: Sample, tmp_path: Path) -> None:
    """No other exception, and nothing written; the seed is the sample's name."""
    paths = write(sample, tmp_path)
    whole = {path: Path(path).read_text() for path in paths}
    dice = random.Random(sample.name)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for _ in range(ROUNDS):
        for path, text in whole.items():
            Path(path).write_text(mangled(text, dice))
        try:
            plan = make_plan(tmp_path, "demo", read_paths(paths, allow_js=False))
        except PsvError as error:
            assert error.message
        else:
            assert plan.text
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
