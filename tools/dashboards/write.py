"""The dashboards as the files that Grafana reads."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards.delivery import delivery
from tools.dashboards.drift import drift
from tools.dashboards.overview import overview

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring" / "dashboards"


def texts() -> dict[str, str]:
    """Give the content of each file, by its name."""
    made = {"overview": overview(), "drift": drift(), "delivery": delivery()}
    return {
        f"{name}.json": json.dumps(board, cls=JSONEncoder, indent=2) + "\n"
        for name, board in made.items()
    }
