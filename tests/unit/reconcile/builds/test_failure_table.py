"""Every failure code: its retries in a running operator, and its row in the documentation."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, sample_objects
from tests.unit.reconcile.test_image import failing

from modelyard.builder.log import BuildLog
from modelyard.builder.result import crash_result
from modelyard.coded_error import CodedError
from modelyard.contract import errors
from modelyard.oci import errors as registry_errors
from modelyard.reconcile.builds.failure_table import CHART_VALUES, TABLE, Retry, row_of
from modelyard.settings import BuildSettings, OperatorSettings

DOCS: Final = Path(__file__).parents[4] / "docs" / "troubleshooting.md"
PERIOD: Final = 6 * 3600.0  # seconds: longer than all attempts of a bounded retry
CHANGED: Final[dict[str, Any]] = {
    "build.base_images": {"3.11": "python:other"},
    "build.spark_images": {"3.11": "spark:other"},
    "build.cuda_images": {"3.11": "cuda:other"},
    "build.platforms": ("linux/arm64",),
    "build.builder": "Docker",
    "build.docker_enabled": True,
    "build.deadline_seconds": 5000,
    "build.resources": {"limits": {"memory": "9Gi"}},
    "build.workspace_size": "90Gi",
    "build.attestations": False,
    "build.image": "modelyard:next",
    "sources.schemes": ("https",),
    "sources.denied_networks": (),
    "sources.allowed_networks": ("10.0.0.0/8",),
    "sources.repositories": {"r.example.com/m": ("*",)},
    "sources.claims": {"models": ("*",)},
}


def changed(settings: OperatorSettings, path: str) -> OperatorSettings:
    """Return the settings with another value at a path."""
    section, name = path.split(".")
    part = getattr(settings, section).model_copy(update={name: CHANGED[path]})
    return settings.model_copy(update={section: part})


def error_classes() -> Iterator[type[CodedError]]:
    """Yield the classes of errors that a build may report."""
    for module in (errors, registry_errors):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, CodedError) and hasattr(value, "code"):
                yield value


def test_each_code_of_the_builder_has_a_row() -> None:
    assert {error.code for error in error_classes()} <= set(TABLE)
    crash = crash_result(ValueError("defect"), BuildLog(io.StringIO()))
    assert crash.error is not None
    assert crash.error.code in TABLE


def test_transient_errors_are_retried() -> None:
    for error in error_classes():
        if error.transient:
            assert TABLE[error.code].retry is not Retry.FINAL, error.code


@pytest.mark.parametrize("code", sorted(TABLE))
async def test_failure_is_retried_as_its_row_demands(harness: OperatorHarness, code: str) -> None:
    harness.outcome = failing(code)
    harness.apply(*sample_objects())
    await harness.play(seconds=PERIOD)
    builds = harness.builds
    assert harness.summary("Image") == ("m:1", "Failed", code)
    stalled = harness.condition("Image", "Stalled")["status"] == "True"
    row = TABLE[code]
    assert stalled is (row.retry in {Retry.FINAL, Retry.BOUNDED})
    if row.retry is Retry.FINAL:
        assert builds == 1
    elif row.retry is Retry.BOUNDED:
        assert builds == harness.settings.build.attempts
    else:
        pause = {Retry.UNBOUNDED: 600, Retry.SLOW: 3600}[row.retry]
        assert PERIOD / pause - 1 <= builds <= PERIOD / pause + 10
        harness.outcome = OperatorHarness().outcome
        await harness.play(seconds=pause + 60)
        assert harness.summary("Image") == ("m:1", "Succeeded", "Built")


@pytest.mark.parametrize(
    ("code", "path"), [(code, path) for code, row in sorted(TABLE.items()) for path in row.settings]
)
async def test_changed_setting_leads_to_one_more_attempt(
    harness: OperatorHarness, code: str, path: str
) -> None:
    harness.outcome = failing(code)
    harness.apply(*sample_objects())
    await harness.play(seconds=PERIOD)
    builds, writes = harness.builds, len(harness.cluster.writes)
    await harness.stop()
    await harness.start()
    await harness.play(seconds=10)
    if TABLE[code].retry is Retry.FINAL:
        assert (harness.builds, len(harness.cluster.writes)) == (builds, writes)
    await harness.stop()
    harness.settings = changed(harness.settings, path)
    await harness.start()
    await harness.play(seconds=10)
    assert harness.builds == builds + 1


async def test_builder_that_is_offered_later_is_used_after_the_restart(harness: OperatorHarness) -> None:
    runtime = {"runtimeType": "Python", "properties": {"builder": "Docker"}}
    harness.apply(model(), manifest(targetRuntime=runtime), image())
    await harness.play(seconds=PERIOD)
    assert harness.summary("Image") == ("m:1", "Failed", "BuilderNotOffered")
    await harness.stop()
    harness.settings = changed(harness.settings, "build.docker_enabled")
    await harness.start()
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_failures_that_pass_do_not_count_as_attempts(harness: OperatorHarness) -> None:
    harness.outcome = failing("RegistryUnavailable")
    harness.apply(*sample_objects())
    await harness.play(seconds=PERIOD)
    builds = harness.builds
    harness.outcome = failing("SourceUnavailable")
    await harness.play(seconds=2 * PERIOD)
    assert harness.builds == builds + harness.settings.build.attempts
    assert harness.condition("Image", "Stalled")["status"] == "True"


def test_code_of_another_release_has_the_retries_that_its_builder_reports() -> None:
    assert row_of("NewCode", transient=True).retry is Retry.BOUNDED
    assert row_of("NewCode", transient=False).retry is Retry.FINAL


def test_pauses_of_retries_double_up_to_their_bound() -> None:
    settings = BuildSettings()
    pauses = [TABLE["RegistryUnavailable"].pause_seconds(n, settings) for n in (1, 2, 5, 6, 100)]
    assert pauses == [20, 40, 320, 600, 600]
    assert [TABLE["RegistryForbidden"].pause_seconds(n, settings) for n in (1, 2, 7, 100)] == [
        60,
        120,
        3600,
        3600,
    ]


def test_documentation_has_the_rows_of_the_table() -> None:
    documented = {}
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[1] in {"user", "platform", "network", "node"}:
            for code in re.findall(r"`(\w+)`", cells[0]):
                assert code not in documented
                documented[code] = (cells[1], cells[2], tuple(re.findall(r"`([\w.]+)`", cells[3])))
    assert documented == {
        code: (str(row.fault), str(row.retry), tuple(CHART_VALUES[path] for path in row.settings))
        for code, row in TABLE.items()
    }
