"""What a target error costs: python targets.py BUNDLE TARGET...

Prints for each target the smallest threshold that keeps the error of the answers below it, and
how many of the reference rows the model answers then. The numbers are in the bundle.
"""

import json
import sys
from pathlib import Path


def main(bundle: str, *targets: str) -> None:
    """Print a line per target."""
    text = (Path(bundle) / "calibration.json").read_text(encoding="utf-8")
    curve = json.loads(text)["curves"]["max_probability"]
    points = list(zip(curve["error"], curve["threshold"], curve["coverage"], strict=True))
    print("target  threshold  the model answers")
    for target in targets:
        found = next((point for point in points if point[0] <= float(target)), None)
        if found is None:
            print(f"{target:<6}  no threshold is good enough")
        else:
            print(f"{target:<6}  {found[1]:>9.3f}  {found[2]:>17.1%}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
