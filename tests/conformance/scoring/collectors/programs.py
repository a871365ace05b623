"""The programs: calls of drivers and the data that they collect, with the reasons for differences."""

import re
from dataclasses import dataclass
from typing import Final

from tests.conformance.scoring.collectors.calls import AI_MONITORING, OF_2017, OF_2018
from tests.conformance.scoring.collectors.reasons import REASONS
from tests.conformance.scoring.collectors.values import FRAMES, LISTS


@dataclass(frozen=True)
class Program:
    """Code that sets `result`, for both sides."""

    package: str
    name: str
    code: str
    why: str
    """The reason for a difference; empty if there is none."""


AI: Final = "azureml.ai.monitoring"
MONITORING: Final = "azureml.monitoring"
DATA_COLLECTOR: Final = "azureml.datacollector"

_CALLS: Final = {AI: AI_MONITORING, MONITORING: OF_2018, DATA_COLLECTOR: OF_2017}
_COLLECT: Final = {
    AI: "Collector(name='n').collect({}, Basic('mine'))",
    MONITORING: "result = Of2018('m', designation='predictions').collect({})",
    DATA_COLLECTOR: "result = Of2017('m', 'x').collect({})",
}
_HEADING: Final = re.compile(r"^## (.+)\n", re.MULTILINE)
_FRAME: Final = "frame = pd.DataFrame({'a': [1, 2]})\n"


def _programs(package: str) -> list[Program]:
    _, *parts = _HEADING.split(_CALLS[package])
    codes = {name: _FRAME + code for name, code in zip(parts[::2], parts[1::2], strict=True)}
    data = FRAMES if package == AI else FRAMES + LISTS
    codes |= {f"data: {name}": _COLLECT[package].replace("{}", value) for name, value in data}
    unknown = REASONS[package].keys() - codes.keys()
    if unknown:
        raise ValueError(f"reasons of {package} without a program: {sorted(unknown)}")
    return [Program(package, name, code, REASONS[package].get(name, "")) for name, code in codes.items()]


PROGRAMS: Final = [program for package in _CALLS for program in _programs(package)]
