"""Ask the guide's documents every question of questions.json (or of the file given) and print how many are answered right.

Right = the cited file and heading is one of those listed, or, where none is listed, the question is declined.
"""

import json
import sys
from pathlib import Path

from processsupervisor.chat.documents import Documents

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]


def main(path: Path) -> int:
    documents = Documents([PROJECT / "docs", PROJECT / "README.md"])
    cited = declined = answerable = 0
    questions = json.loads(path.read_text(encoding="utf-8"))
    for entry in questions:
        answer = documents.answer(entry["question"])
        expected = entry["cites"]
        is_right = any(citation in expected for citation in answer.citations) if expected else not answer.known
        answerable += bool(expected)
        cited += is_right and bool(expected)
        declined += is_right and not expected
        found = answer.citations[0] if answer.known else "declined"
        print(f"{'right' if is_right else 'WRONG':5}  {answer.score:4.2f}  {entry['question']}  ->  {found}")
    print(f"{cited} of {answerable} cite the right heading, {declined} of {len(questions) - answerable} are declined")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "questions.json"))
