"""Health of each state of each kind in Flux and Argo CD: each row of the table in docs/states.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.api_cases.case import Good
from tests.integration.gitops.conftest import Health, Healths
from tests.integration.gitops.stories import STORIES
from tests.unit.operator_harness import OperatorHarness

from modelyard.api.kinds import KINDS, Kind
from modelyard.api.names import API_VERSION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import Json

TABLE: Final = Path(__file__).parents[3] / "docs" / "states.md"
UNDER_WAY: Final = Health("InProgress", "Progressing")
CELL: Final = r" `?(.*?)`? "
ROW: Final = re.compile(r"\|" + (CELL + r"\|") * 6)
COLUMNS: Final = ("kind", "situation", "state", "reason", "flux", "argo")
STATES: Final = [
    dict(zip(COLUMNS, row.groups(), strict=True))
    for line in TABLE.read_text(encoding="utf-8").splitlines()
    if (row := ROW.fullmatch(line)) and row[1] in CUSTOM_RESOURCES
]


def test_table_has_each_state_once() -> None:
    assert sorted((row["kind"], row["situation"]) for row in STATES) == sorted(STORIES)


@pytest.mark.parametrize("row", STATES, ids=lambda row: f"{row['kind']} {row['situation']}")
async def test_state_has_the_health_of_the_table(
    row: dict[str, str], harness: OperatorHarness, healths: Healths
) -> None:
    await STORIES[row["kind"], row["situation"]](harness)
    body = harness.cluster.at(CUSTOM_RESOURCES[row["kind"]], "m")
    status = body["status"]
    ready: Json = next((one for one in status.get("conditions", ()) if one["type"] == "Ready"), {})
    assert (status.get("state", ""), ready.get("reason", "")) == (row["state"], row["reason"]), status
    assert healths([body]) == [Health(row["flux"], row["argo"])], status


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.usefixtures("crds")
def test_new_object_is_in_progress(kind: Kind, api: httpx.Client, namespace: str, healths: Healths) -> None:
    folder = f"/apis/{API_VERSION}/namespaces/{namespace}/{kind.plural}"
    answer = api.post(folder, json=Good(kind.name, {}).manifest()).raise_for_status()
    assert healths([answer.json()]) == [UNDER_WAY]
