"""The working directory of drivers in images: writable, with the driver's files and its models by name."""

from pathlib import Path

import pytest
from tests.unit.scoring.scoring_process import until

from modelyard.scoring.working_directory import COPIED_BYTES, model_path, models_by_name, prepare


def _write(root: Path, *names: str, content: str = "x") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_files_of_the_driver_can_be_overwritten(tmp_path: Path) -> None:
    app_root = _write(tmp_path / "app", "score.py", "lib/util.py")
    work_dir = tmp_path / "work"
    assert prepare(work_dir, app_root, None)
    (work_dir / "score.py").write_text("other")
    (work_dir / "lib/new.txt").write_text("new")
    assert (app_root / "score.py").read_text() == "x"
    assert not (app_root / "lib/new.txt").exists()


def test_large_files_are_links(tmp_path: Path) -> None:
    app_root = _write(tmp_path / "app", "large.bin", content="x" * (COPIED_BYTES + 1))
    assert prepare(tmp_path / "work", app_root, None)
    assert (tmp_path / "work/large.bin").is_symlink()


def test_folders_beyond_the_limit_are_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelyard.scoring.working_directory.MAX_FILES", 2)
    app_root = _write(tmp_path / "app", "score.py", "a/1", "b/1")
    assert prepare(tmp_path / "work", app_root, None)
    assert (tmp_path / "work/b").is_symlink()
    assert (tmp_path / "work/b/1").read_text() == "x"


@pytest.mark.parametrize(
    ("files", "model_dir", "found"),
    [
        (("model.pkl/model.pkl",), "model.pkl", ("model.pkl",)),
        (("model.pkl/outputs/model.pkl",), "model.pkl", ("model.pkl", "outputs/model.pkl")),
        (("net/weights", "net/deep/labels"), "net", ("weights", "deep/labels", "net/weights")),
        (
            ("a.pkl/1/a.pkl", "b/2/b/part", "b/10/b/part"),
            "",
            ("a.pkl", "b/part", "azureml-models/b/2/b/part", "azureml-models/a.pkl/1/a.pkl"),
        ),
    ],
    ids=["one file", "packed with its folder", "a folder", "several"],
)
def test_models_are_found_by_their_names(
    tmp_path: Path, files: tuple[str, ...], model_dir: str, found: tuple[str, ...]
) -> None:
    models = tmp_path / "models"
    for name in files:
        _write(models, name, content=name)
    app_root = _write(tmp_path / "app", "score.py")
    assert prepare(tmp_path / "work", app_root, models / model_dir)
    assert [name for name in found if not (tmp_path / "work" / name).is_file()] == []


def test_newest_version_of_a_model_is_found_by_name(tmp_path: Path) -> None:
    _write(tmp_path / "models", "m/2/m", content="old")
    _write(tmp_path / "models", "m/10/m", content="new")
    assert prepare(tmp_path / "work", _write(tmp_path / "app", "score.py"), tmp_path / "models")
    assert (tmp_path / "work/m").read_text() == "new"


def test_files_of_the_driver_have_precedence_over_models(tmp_path: Path) -> None:
    app_root = _write(tmp_path / "app", "labels.txt", content="of the driver")
    model_dir = _write(tmp_path / "net", "labels.txt", "weights", content="of the model")
    assert prepare(tmp_path / "work", app_root, model_dir)
    assert (tmp_path / "work/labels.txt").read_text() == "of the driver"


def test_model_folder_with_numbered_folders_is_one_model(tmp_path: Path) -> None:
    """TensorFlow's saved models have a folder per version."""
    model_dir = _write(tmp_path / "net", "1/saved_model.pb")
    assert models_by_name(model_dir) == {"net": {0: model_dir}}
    assert model_path(model_dir, "net") == model_dir / "1"


def test_content_of_an_earlier_process_is_removed(tmp_path: Path) -> None:
    app_root = _write(tmp_path / "app", "score.py")
    assert prepare(tmp_path / "work", app_root, None)
    _write(tmp_path / "work", "lock")
    assert prepare(tmp_path / "work", app_root, None)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["score.py"]


def test_link_of_another_user_is_no_working_directory(tmp_path: Path) -> None:
    elsewhere = _write(tmp_path / "elsewhere", "file")
    (tmp_path / "work").symlink_to(elsewhere)
    assert not prepare(tmp_path / "work", _write(tmp_path / "app", "score.py"), None)
    assert (elsewhere / "file").exists()


DRIVER_OF_2017 = """
import json, os
def init():
    global model
    model = open("model.pkl").read()
    with open("swagger.json", "w") as file:
        json.dump({"swagger": "2.0", "by": "init()"}, file)
def run(data):
    return [model, os.getcwd(), os.path.dirname(__file__)]
"""


def test_driver_runs_in_the_working_directory(serve, tmp_path: Path) -> None:
    model_dir = _write(tmp_path / "model.pkl", "model.pkl", content="weights")
    scoring = serve(
        DRIVER_OF_2017, AZUREML_MODEL_DIR=str(model_dir), MODELYARD_WORK_DIR=str(tmp_path / "work")
    )
    assert scoring.score(b"x").json() == ["weights", str(tmp_path / "work"), str(tmp_path / "app")]
    assert scoring.request("GET", "/swagger.json").json()["by"] == "init()"
    assert not (tmp_path / "app/swagger.json").exists()


def test_driver_runs_in_its_folder_if_no_directory_can_be_made(serve, tmp_path: Path) -> None:
    driver = "import os\ndef init(): pass\ndef run(data): return os.getcwd()\n"
    scoring = serve(driver, MODELYARD_WORK_DIR=str(tmp_path / "missing/work"))
    assert scoring.score(b"x").json() == str(tmp_path / "app")
    until(lambda: "the working directory is" in scoring.log, "the warning")
