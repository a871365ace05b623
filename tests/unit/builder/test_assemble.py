from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests.support.web_server import (
    Answer,
    WebServer,
)

from modelyard.builder.assemble import assemble
from modelyard.builder.layout import ImageContent, PlacedModel
from modelyard.builder.log import BuildLog
from modelyard.builder.sources import FetchContext
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    Limits,
    ModelInput,
    Source,
)
from modelyard.contract.errors import (
    ArchiveTooLargeError,
    AssetConflictError,
    BuildFailedError,
    CondaFileInvalidError,
    NotAnArchiveError,
    RequestInvalidError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceTooLargeError,
)
from modelyard.retry import Retry

DRIVER = AssetInput(id="driver", source=Source(content="def run(x): ..."))


def _zip(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_py", ".py"), content)
    return buffer.getvalue()


FILES = {
    "/model.pkl": b"model",
    "/other.pkl": b"other",
    "/folder.zip": _zip(a=b"1", deep__b=b"22"),
    "/util.zip": _zip(util_py=b"", lib__x_py=b""),
    "/clash.zip": _zip(util_py=b""),
    "/below.zip": _zip(helper__x=b""),
    "/helper": b"",
    "/score.py": b"def run(x): ...",
    "/requirements.txt": b"\xef\xbb\xbfnumpy==2\n",
    "/environment.yml": b"channels: [team]\ndependencies: [python]\n",
    "/binary": b"\xff\xfe",
}


class Assembler:
    def __init__(self, web: WebServer, folder: Path, retry: Retry) -> None:
        web.answer = lambda asked: Answer(body=FILES[asked.path]) if asked.path in FILES else Answer(404)
        self.url = web.url
        self.folder = folder
        self.retry = retry
        self.out = io.StringIO()

    def source(self, path: str, *, unpack: bool = False) -> Source:
        return Source(url=self.url + path, unpack=unpack)

    def asset(self, name: str, path: str, *, unpack: bool = False) -> AssetInput:
        return AssetInput(id=name, source=self.source(path, unpack=unpack))

    def model(self, path: str, *, name: str = "m", version: int = 1, unpack: bool = False) -> ModelInput:
        return ModelInput(name=name, version=version, source=self.source(path, unpack=unpack))

    def __call__(self, *assets: AssetInput, **fields: object) -> ImageContent:
        values = {
            "repository": "r/x",
            "tag": "t",
            "base_image": "b",
            "driver": "driver",
            "assets": assets or (DRIVER,),
        }
        request = BuildRequest.model_validate(values | fields)
        log = BuildLog(self.out)
        return assemble(request, self.folder, FetchContext(retry=self.retry, log=log.write), log)


@pytest.fixture
def assembled(web: WebServer, tmp_path: Path, retry: Retry) -> Assembler:
    return Assembler(web, tmp_path, retry)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_inline_driver_alone(assembled: Assembler) -> None:
    content = assembled()
    assert (content.app / "driver.py").read_text() == "def run(x): ..."
    assert content.variables == {"AML_APP_ROOT": "/var/azureml-app", "AZUREML_ENTRY_SCRIPT": "driver.py"}


@pytest.mark.parametrize(
    ("driver", "script"),
    [
        (AssetInput(id="driver.py", source=Source(content="")), "driver.py"),
        (AssetInput(id="my driver", source=Source(url="data:,x")), "my driver.py"),
        (AssetInput(id="../driver", source=Source(content="")), ".._driver.py"),
    ],
)
def test_the_drivers_file(assembled: Assembler, driver: AssetInput, script: str) -> None:
    content = assembled(driver, driver=driver.id)
    assert content.entry_script == script
    assert _files(content.app) == [script]


def test_a_driver_from_a_url_keeps_its_file_name(assembled: Assembler) -> None:
    assert assembled(assembled.asset("driver", "/score.py")).entry_script == "score.py"


def test_one_model_is_a_folder_of_its_name(assembled: Assembler) -> None:
    content = assembled(models=[assembled.model("/model.pkl", name="Model_1.pkl", version=3)])
    assert content.model_dir == "/var/azureml-models/Model_1.pkl"
    assert [model.path for model in content.models] == [content.model_dir]
    assert _files(content.models[0].files) == ["model.pkl"]


def test_an_unpacked_model_is_a_folder_too(assembled: Assembler) -> None:
    content = assembled(models=[assembled.model("/folder.zip", unpack=True)])
    assert content.model_dir == "/var/azureml-models/m"
    assert _files(content.models[0].files) == ["a", "deep/b"]


def test_several_models_are_apart_by_name_and_version(assembled: Assembler) -> None:
    content = assembled(
        models=[
            assembled.model("/other.pkl", version=2),
            assembled.model("/model.pkl", version=1),
            assembled.model("/folder.zip", name="f", version=1, unpack=True),
        ]
    )
    assert content.model_dir == "/var/azureml-models"
    assert [(model.path, _files(model.files)) for model in content.models] == [
        ("/var/azureml-models/f/1", ["a", "deep/b"]),
        ("/var/azureml-models/m/1", ["model.pkl"]),
        ("/var/azureml-models/m/2", ["other.pkl"]),
    ]


def test_assets_are_side_by_side(assembled: Assembler) -> None:
    content = assembled(
        DRIVER, assembled.asset("dependencies", "/util.zip", unpack=True), assembled.asset("help", "/helper")
    )
    assert _files(content.app) == ["driver.py", "helper", "lib/x.py", "util.py"]


@pytest.mark.parametrize(
    ("one", "two", "path"),
    [
        (("one", "/helper"), ("two", "/helper"), "helper"),
        (("one", "/util.zip"), ("two", "/clash.zip"), "util.py"),
        (("one", "/helper"), ("two", "/below.zip"), "helper/x"),
        (("one", "/below.zip"), ("two", "/helper"), "helper"),
    ],
)
def test_two_assets_on_one_path(
    assembled: Assembler, one: tuple[str, str], two: tuple[str, str], path: str
) -> None:
    assets = [assembled.asset(*asset, unpack=asset[1].endswith(".zip")) for asset in (one, two)]
    with pytest.raises(AssetConflictError, match=f"'one' and 'two' both have '{path}'"):
        assembled(DRIVER, *assets)


def test_two_models_on_one_path(assembled: Assembler) -> None:
    with pytest.raises(AssetConflictError, match="two models are named 'm', version 1"):
        assembled(models=[assembled.model("/model.pkl"), assembled.model("/other.pkl")])


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        ([AssetInput(id="other", source=Source(content=""))], "0 assets have the id 'driver'"),
        ([DRIVER, DRIVER], "2 assets have the id 'driver'"),
        (
            [AssetInput(id="driver", source=Source(url="https://h/x.zip", unpack=True))],
            "driverProgram has unpack set",
        ),
    ],
)
def test_drivers_that_cannot_be_used(assembled: Assembler, assets: list[AssetInput], message: str) -> None:
    with pytest.raises(RequestInvalidError, match=message):
        assembled(*assets)


@pytest.mark.parametrize(
    ("requirements", "text"),
    [
        (None, None),
        ("", None),
        ("  \n", None),
        ("numpy==2\n", "numpy==2\n"),
        ("/requirements.txt", "numpy==2\n"),
    ],
)
def test_requirements(assembled: Assembler, requirements: str | None, text: str | None) -> None:
    given = assembled.url + requirements if requirements and requirements.startswith("/") else requirements
    assert assembled(pip_requirements=given).requirements == text


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/missing?sig=s3cret", SourceNotFoundError, "^pipRequirements: http.*/missing.* answers 404"),
        ("/binary", SourceInvalidError, "not text in UTF-8"),
    ],
)
def test_requirements_that_cannot_be_used(
    assembled: Assembler, path: str, error: type[BuildFailedError], message: str
) -> None:
    with pytest.raises(error, match=message):
        assembled(pip_requirements=assembled.url + path)
    assert "s3cret" not in assembled.out.getvalue()


def test_failures_name_what_they_are_about(assembled: Assembler) -> None:
    with pytest.raises(SourceNotFoundError, match=r"^model m:4: http.*/missing answers 404"):
        assembled(models=[assembled.model("/missing", version=4)])


def test_failures_of_unpacking_name_what_they_are_about(assembled: Assembler) -> None:
    with pytest.raises(NotAnArchiveError, match=r"^asset other: model\.pkl is not a zip"):
        assembled(DRIVER, assembled.asset("other", "/model.pkl", unpack=True))


def test_limits_are_of_the_whole_build(assembled: Assembler) -> None:
    two = [assembled.model("/model.pkl"), assembled.model("/other.pkl", version=2)]
    with pytest.raises(SourceTooLargeError, match=r"^model m:2: the file has more than the 4 bytes left"):
        assembled(models=two, limits=Limits(download_bytes=9))


def test_limits_of_unpacking(assembled: Assembler) -> None:
    two = [assembled.model("/folder.zip", version=version, unpack=True) for version in (1, 2)]
    with pytest.raises(ArchiveTooLargeError, match=r"^model m:2: "):
        assembled(models=two, limits=Limits(unpacked_bytes=4))


def test_the_log_tells_the_steps(assembled: Assembler) -> None:
    assembled(models=[assembled.model("/folder.zip", unpack=True)])
    lines = assembled.out.getvalue().splitlines()
    assert lines[0] == f"[Fetch] model m:1: {assembled.url}/folder.zip"
    assert lines[-1] == "[Unpack] model m:1: 2 files in folder.zip"


def test_content_is_a_value() -> None:
    model = PlacedModel(Path("x"), "/y")
    assert model == PlacedModel(Path("x"), "/y")


ENVIRONMENT_FILE = "dependencies: [python=3.12, pip: [scipy]]\nvariables: {A: 1, AML_APP_ROOT: /x}"


def test_a_conda_environment(assembled: Assembler) -> None:
    content = assembled(conda_env_file=ENVIRONMENT_FILE, pip_requirements="numpy==2\n")
    assert content.conda is not None
    assert content.conda.dependencies == ("python=3.12",)
    assert content.requirements == "scipy\nnumpy==2\n"
    assert content.variables == {
        "CONDA_PREFIX": "/opt/modelyard/environment",
        "A": "1",
        "AML_APP_ROOT": "/var/azureml-app",
        "AZUREML_ENTRY_SCRIPT": "driver.py",
    }


def test_the_driver_of_spark(assembled: Assembler) -> None:
    assert assembled(spark=True).variables["MODELYARD_SPARK"] == "true"


def test_a_conda_environment_from_a_url(assembled: Assembler) -> None:
    content = assembled(conda_env_file=f"{assembled.url}/environment.yml")
    assert content.conda is not None
    assert (content.conda.channels, content.requirements) == (("team",), None)


def test_a_conda_environment_that_is_none(assembled: Assembler) -> None:
    with pytest.raises(CondaFileInvalidError, match=r"^condaEnvFile: dependencies must be a list"):
        assembled(conda_env_file="name: x")
