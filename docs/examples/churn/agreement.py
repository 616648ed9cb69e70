"""How often the model service and the model of the bundle say the same.

python agreement.py strip EVENTS            print the events without their predictions
python agreement.py compare THEIRS OURS     compare two files of decisions, day by day
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(command: str, *files: str) -> None:
    """Do what the command line asks for."""
    if command == "strip":
        for event in rows(files[0]):
            event.pop("prediction", None)
            print(json.dumps(event))
    else:
        compare(*files)


def compare(theirs: str, ours: str) -> None:
    """Print the share of equal labels per day of event time."""
    by_id = {row["event_id"]: row["label"] for row in rows(ours)}
    asked: Counter[str] = Counter()
    equal: Counter[str] = Counter()
    for row in rows(theirs):
        day = row["event_time"][:10]
        asked[day] += 1
        equal[day] += row["label"] == by_id.get(row["event_id"])
    for day, count in sorted(asked.items()):
        print(f"{day}  {equal[day]:>4} of {count:>4} agree  {equal[day] / count:>6.1%}")


def rows(path: str) -> Iterator[dict[str, Any]]:
    """Read JSON lines."""
    with Path(path).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    if [len(sys.argv), *sys.argv[1:2]] not in ([3, "strip"], [4, "compare"]):
        sys.exit(__doc__)
    main(*sys.argv[1:])
