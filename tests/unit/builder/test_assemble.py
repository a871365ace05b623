"""Assembly of the content of an image."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)

from modelyard.builder.assemble import assemble
from modelyard.builder.layout import ImageContent, PlacedModel
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
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
    "/pointer.zip": _zip(
        weights=b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", config=b"{}"
    ),
    "/below.zip": _zip(helper__x=b""),
    "/helper": b"",
    "/score.py": b"def run(x): ...",
    "/requirements.txt": b"\xef\xbb\xbfnumpy==2\n",
    "/utf-16.txt": "numpy==2\r\n".encode("utf-16"),
    "/environment.yml": b"channels: [team]\ndependencies: [python]\n",
    "/binary": b"\xff\xfa",
}


class Assembler:
    def __init__(self, web: WebServer, folder: Path, retry: Retry) -> None:
        web.respond = lambda request: (
            Response(body=FILES[request.path]) if request.path in FILES else Response(404)
        )
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
def assembler(web: WebServer, tmp_path: Path, retry: Retry) -> Assembler:
    return Assembler(web, tmp_path, retry)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_inline_driver_gets_the_suffix_py(assembler: Assembler) -> None:
    content = assembler()
    assert (content.app / "driver.py").read_text() == "def run(x): ..."
    assert content.variables == {
        "AML_APP_ROOT": "/var/azureml-app",
        "AZUREML_ENTRY_SCRIPT": "driver.py",
        "MODELYARD_WORK_DIR": "/tmp/azureml-app",
    }


@pytest.mark.parametrize(
    ("driver", "script"),
    [
        (AssetInput(id="driver.py", source=Source(content="")), "driver.py"),
        (AssetInput(id="my driver", source=Source(url="data:,x")), "my driver.py"),
        (AssetInput(id="../driver", source=Source(content="")), ".._driver.py"),
    ],
)
def test_driver_file_is_named_after_the_asset(assembler: Assembler, driver: AssetInput, script: str) -> None:
    content = assembler(driver, driver=driver.id)
    assert content.entry_script == script
    assert _files(content.app) == [script]


def test_driver_from_a_url_keeps_its_file_name(assembler: Assembler) -> None:
    assert assembler(assembler.asset("driver", "/score.py")).entry_script == "score.py"


def test_one_model_is_in_a_folder_of_its_name(assembler: Assembler) -> None:
    content = assembler(models=[assembler.model("/model.pkl", name="Model_1.pkl", version=3)])
    assert content.model_dir == "/var/azureml-models/Model_1.pkl"
    assert [model.path for model in content.models] == [content.model_dir]
    assert _files(content.models[0].files) == ["model.pkl"]


def test_unpacked_model_is_in_a_folder_of_its_name(assembler: Assembler) -> None:
    content = assembler(models=[assembler.model("/folder.zip", unpack=True)])
    assert content.model_dir == "/var/azureml-models/m"
    assert _files(content.models[0].files) == ["a", "deep/b"]


def test_several_models_are_in_folders_of_name_and_version(assembler: Assembler) -> None:
    content = assembler(
        models=[
            assembler.model("/other.pkl", version=2),
            assembler.model("/model.pkl", version=1),
            assembler.model("/folder.zip", name="f", version=1, unpack=True),
        ]
    )
    assert content.model_dir == "/var/azureml-models"
    assert [(model.path, _files(model.files)) for model in content.models] == [
        ("/var/azureml-models/f/1", ["a", "deep/b"]),
        ("/var/azureml-models/m/1", ["model.pkl"]),
        ("/var/azureml-models/m/2", ["other.pkl"]),
    ]


def test_assets_are_in_one_folder(assembler: Assembler) -> None:
    content = assembler(
        DRIVER, assembler.asset("dependencies", "/util.zip", unpack=True), assembler.asset("help", "/helper")
    )
    assert _files(content.app) == ["driver.py", "helper", "lib/x.py", "util.py"]


@pytest.mark.parametrize(
    ("asset", "name"),
    [
        (
            AssetInput(id="helper", mime_type="Text/X-Python; charset=utf-8", source=Source(content="")),
            "helper.py",
        ),
        (AssetInput(id="helper", mime_type="text/plain", source=Source(content="")), "helper"),
        (AssetInput(id="helper", source=Source(content="")), "helper"),
        (AssetInput(id="stub.pyi", mime_type="text/x-python", source=Source(content="")), "stub.pyi"),
    ],
)
def test_python_asset_without_a_suffix_can_be_imported(
    assembler: Assembler, asset: AssetInput, name: str
) -> None:
    assert _files(assembler(DRIVER, asset).app) == sorted(["driver.py", name])


def test_python_asset_from_a_url_can_be_imported(assembler: Assembler) -> None:
    asset = assembler.asset("h", "/helper").model_copy(update={"mime_type": "text/x-python"})
    assert _files(assembler(DRIVER, asset).app) == ["driver.py", "helper.py"]


@pytest.mark.parametrize(
    ("one", "two", "path"),
    [
        (("one", "/helper"), ("two", "/helper"), "helper"),
        (("one", "/util.zip"), ("two", "/clash.zip"), "util.py"),
        (("one", "/helper"), ("two", "/below.zip"), "helper/x"),
        (("one", "/below.zip"), ("two", "/helper"), "helper"),
    ],
)
def test_two_assets_with_one_path_are_a_conflict(
    assembler: Assembler, one: tuple[str, str], two: tuple[str, str], path: str
) -> None:
    assets = [assembler.asset(*asset, unpack=asset[1].endswith(".zip")) for asset in (one, two)]
    with pytest.raises(AssetConflictError, match=f"'one' and 'two' both have '{path}'"):
        assembler(DRIVER, *assets)


def test_two_models_with_one_path_are_a_conflict(assembler: Assembler) -> None:
    with pytest.raises(AssetConflictError, match="two models are named 'm', version 1"):
        assembler(models=[assembler.model("/model.pkl"), assembler.model("/other.pkl")])


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
def test_unusable_driver_is_invalid(assembler: Assembler, assets: list[AssetInput], message: str) -> None:
    with pytest.raises(RequestInvalidError, match=message):
        assembler(*assets)


@pytest.mark.parametrize(
    ("requirements", "text"),
    [
        (None, None),
        ("", None),
        ("  \n", None),
        ("numpy==2\n", "numpy==2\n"),
        (
            "git+https://github.com/psf/requests.git@v2.31.0",
            "git+https://github.com/psf/requests.git@v2.31.0",
        ),
        ("/requirements.txt", "numpy==2\n"),
        ("/utf-16.txt", "numpy==2\r\n"),
        ("\ufeffsix==1.16.0\r\n", "six==1.16.0\r\n"),
    ],
)
def test_requirements_are_a_text_or_a_url(
    assembler: Assembler, requirements: str | None, text: str | None
) -> None:
    field = assembler.url + requirements if requirements and requirements.startswith("/") else requirements
    assert assembler(pip_requirements=field).requirements == text


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/missing?sig=s3cret", SourceNotFoundError, "^pipRequirements: http.*/missing.* answers 404"),
        ("/binary", SourceInvalidError, "not text in UTF-8"),
    ],
)
def test_unusable_requirements_are_an_error(
    assembler: Assembler, path: str, error: type[BuildFailedError], message: str
) -> None:
    with pytest.raises(error, match=message):
        assembler(pip_requirements=assembler.url + path)
    assert "s3cret" not in assembler.out.getvalue()


def test_download_error_names_the_model(assembler: Assembler) -> None:
    with pytest.raises(SourceNotFoundError, match=r"^model m:4: http.*/missing answers 404"):
        assembler(models=[assembler.model("/missing", version=4)])


def test_unpack_error_names_the_asset(assembler: Assembler) -> None:
    with pytest.raises(NotAnArchiveError, match=r"^asset other: model\.pkl is not a zip"):
        assembler(DRIVER, assembler.asset("other", "/model.pkl", unpack=True))


def test_download_limit_is_for_the_whole_build(assembler: Assembler) -> None:
    two = [assembler.model("/model.pkl"), assembler.model("/other.pkl", version=2)]
    with pytest.raises(SourceTooLargeError, match=r"^model m:2: the file has more than the 4 bytes that"):
        assembler(models=two, limits=Limits(download_bytes=9))


def test_unpack_limit_is_for_the_whole_build(assembler: Assembler) -> None:
    two = [assembler.model("/folder.zip", version=version, unpack=True) for version in (1, 2)]
    with pytest.raises(ArchiveTooLargeError, match=r"^model m:2: "):
        assembler(models=two, limits=Limits(unpacked_bytes=4))


def test_log_lines_have_their_step(assembler: Assembler) -> None:
    assembler(models=[assembler.model("/folder.zip", unpack=True)])
    lines = assembler.out.getvalue().splitlines()
    assert lines[0] == f"[Fetch] model m:1: {assembler.url}/folder.zip"
    assert lines[-1] == "[Unpack] model m:1: 2 files in folder.zip"


def test_pointer_of_git_lfs_in_an_archive_is_logged(assembler: Assembler) -> None:
    assembler(models=[assembler.model("/pointer.zip", unpack=True)])
    assert (
        "model m:1: 1 files are pointers of Git LFS, not the files themselves: weights. Run `git lfs pull`"
        in (assembler.out.getvalue())
    )


def test_placed_models_are_compared_by_value() -> None:
    model = PlacedModel(Path("x"), "/y")
    assert model == PlacedModel(Path("x"), "/y")


ENVIRONMENT_FILE = "dependencies: [python=3.12, pip: [scipy]]\nvariables: {A: 1, AML_APP_ROOT: /x}"


def test_conda_file_gives_dependencies_requirements_and_variables(assembler: Assembler) -> None:
    content = assembler(conda_env_file=ENVIRONMENT_FILE, pip_requirements="numpy==2\n")
    assert content.conda is not None
    assert content.conda.dependencies == ("python=3.12",)
    assert content.requirements == "scipy\nnumpy==2\n"
    assert content.variables == {
        "CONDA_PREFIX": "/opt/modelyard/environment",
        "A": "1",
        "AML_APP_ROOT": "/var/azureml-app",
        "AZUREML_ENTRY_SCRIPT": "driver.py",
        "MODELYARD_WORK_DIR": "/tmp/azureml-app",
    }


def test_spark_sets_its_variable(assembler: Assembler) -> None:
    assert assembler(spark=True).variables["MODELYARD_SPARK"] == "true"


def test_conda_file_is_fetched_from_a_url(assembler: Assembler) -> None:
    content = assembler(conda_env_file=f"{assembler.url}/environment.yml")
    assert content.conda is not None
    assert (content.conda.channels, content.requirements) == (("team",), None)


def test_malformed_conda_file_is_invalid(assembler: Assembler) -> None:
    with pytest.raises(CondaFileInvalidError, match=r"^condaEnvFile: dependencies must be a list"):
        assembler(conda_env_file="name: x")
