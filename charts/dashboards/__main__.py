"""Write the dashboards of the chart: `make dashboards`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from charts.dashboards import fleet, platform, service
from grafana_foundation_sdk.builders.dashboard import Dashboard as Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

FOLDER: Final = Path(__file__).parents[1] / "modelyard" / "files" / "dashboards"
BOARDS: Final = {"fleet": fleet.build, "service": service.build, "platform": platform.build}


def documents() -> dict[Path, str]:
    """Return the JSON document of each dashboard by its file."""
    encoder = JSONEncoder(indent=1, sort_keys=True)
    return {
        FOLDER / f"{name}.json": f"{encoder.encode(_numbered(build))}\n" for name, build in BOARDS.items()
    }


def _numbered(build: Callable[[], Builder]) -> Dashboard:
    """Return a dashboard whose panels have the ids 1, 2, 3 and so on, which links to a panel contain."""
    board = build().build()
    for number, panel in enumerate(board.panels or [], 1):
        panel.id_val = number
    return board


if __name__ == "__main__":
    for file, document in documents().items():
        file.write_text(document, encoding="utf-8")
