"""The table and the exit code of the scoring benchmark."""

from pathlib import Path

import pytest
from tests.bench import machine
from tests.bench.scoring.__main__ import exit_code, table


def test_table_names_cores_cpu_and_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("tests.bench.scoring.__main__.SERVERS", ())

    assert any(" cores of Some CPU, commit " in line for line in table({}, {}, {}, {}, 1))


def test_cpu_without_model_name_is_named_by_its_architecture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    assert " cores of aarch64, commit " in machine.describe()


@pytest.mark.parametrize(("worst", "code"), [(99.0, 0), (101.0, 1)])
def test_slow_probe_fails_the_bench(worst: float, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([1.0, worst, 1.0]) == code
    assert ("101 ms" in capsys.readouterr().err) is bool(code)
