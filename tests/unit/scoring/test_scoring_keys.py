"""Access to /score by the keys of a mounted Secret, which the kubelet updates by a symlink."""

from pathlib import Path

import pytest
from tests.unit.scoring.scoring_process import ScoringProcess, until

DRIVER = "def init(): pass\ndef run(data): return data\n"

PRIMARY = {"Authorization": "Bearer first"}
SECONDARY = {"Authorization": "Bearer second"}


def mount(folder: Path, version: str, keys: dict[str, str]) -> None:
    """Write a mounted Secret as the kubelet does: a new folder, then the symlink ..data is replaced."""
    folder.mkdir(exist_ok=True)
    (folder / version).mkdir()
    for name, key in keys.items():
        (folder / version / name).write_text(key)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(version)
    (folder / "..data_tmp").rename(folder / "..data")


@pytest.fixture(scope="module")
def guarded(serve_module, tmp_path_factory: pytest.TempPathFactory) -> ScoringProcess:
    folder = tmp_path_factory.mktemp("keys") / "mounted"
    mount(folder, "v1", {"primaryKey": "first\n", "secondaryKey": "second"})
    return serve_module(DRIVER, {"MODELYARD_KEYS_DIR": str(folder)})


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer first", 200),
        ("Bearer second", 200),
        ("bearer first", 200),
        ("Bearer  first ", 200),
        ("Bearer firs", 401),
        ("Bearer first2", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("first", 401),
        ("Basic first", 401),
        ("Bearer fürst", 401),
        (None, 401),
    ],
)
def test_authorization_header_decides_the_status(
    guarded: ScoringProcess, authorization: str | None, status: int
) -> None:
    response = guarded.score(b"x", {"Authorization": authorization} if authorization is not None else None)

    assert response.status == status
    if status == 401:
        assert response.headers["www-authenticate"] == 'Bearer realm="scoring"'
        assert "Authorization: Bearer" in response.message


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", path) for path in ("/", "/ready", "/metrics", "/load", "/docs")] + [("OPTIONS", "/score")],
)
def test_probes_metrics_docs_and_preflight_need_no_key(
    guarded: ScoringProcess, method: str, path: str
) -> None:
    assert guarded.request(method, path).status == 200


def test_openapi_needs_the_key(guarded: ScoringProcess) -> None:
    assert guarded.request("GET", "/swagger.json").status == 401
    assert guarded.request("GET", "/swagger.json", None, PRIMARY).status == 200


@pytest.mark.parametrize("key", ["Zq4wX", "wrong"])
def test_responses_and_log_reveal_no_keys_or_files(serve, tmp_path: Path, key: str) -> None:
    folder = tmp_path / "mounted"
    mount(folder, "v1", {"primaryKey": "Zq4wX", "secondaryKey": "Jv8nT"})
    driver = "def init(): pass\ndef run(data): raise ValueError(__file__)\n"
    scoring = serve(driver, MODELYARD_KEYS_DIR=str(folder), MODELYARD_ACCESS_LOG="true")
    requests = [("GET", path) for path in ("/", "/ready", "/metrics", "/docs", "/swagger.json", "/nothing")]

    received = ""
    for method, path in [
        *requests,
        ("POST", "/"),
        ("OPTIONS", "/score"),
        ("GET", "/score"),
        ("POST", "/score"),
    ]:
        response = scoring.request(method, path, None, {"Authorization": f"Bearer {key}"})
        received += response.body.decode() + str(response.headers)

    assert "modelyard_scoring_ready 1" in received
    for word in ("Zq4wX", "Jv8nT"):
        assert word not in received + scoring.log
    for word in (str(tmp_path), "primaryKey", "driver.py", "/var/", "/opt/"):
        assert word not in received


def test_new_key_is_accepted_without_a_restart(serve, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    mount(folder, "v1", {"primaryKey": "first", "secondaryKey": "second"})
    scoring = serve(DRIVER, MODELYARD_KEYS_DIR=str(folder))
    assert scoring.score(b"x", PRIMARY).status == 200

    mount(folder, "v2", {"primaryKey": "newer", "secondaryKey": "second"})

    until(lambda: scoring.score(b"x", {"Authorization": "Bearer newer"}).status == 200, "the new key")
    assert scoring.score(b"x", PRIMARY).status == 401
    assert scoring.score(b"x", SECONDARY).status == 200
    assert "newer" not in scoring.log


@pytest.mark.parametrize("keys", [{}, {"primaryKey": ""}, {"primaryKey": "\n", "secondaryKey": ""}])
def test_folder_without_keys_accepts_no_request(serve, tmp_path: Path, keys: dict[str, str]) -> None:
    folder = tmp_path / "keys"
    mount(folder, "v1", keys)
    scoring = serve(DRIVER, MODELYARD_KEYS_DIR=str(folder))

    assert [scoring.score(b"x", {"Authorization": value}).status for value in ("Bearer ", "Bearer x")] == [
        401,
        401,
    ]


RAW_DRIVER = """
from azureml.contrib.services.aml_request import rawhttp
def init(): pass
@rawhttp
def run(request): return "run() saw " + request.method
"""


def test_preflight_without_a_key_does_not_reach_run(serve, tmp_path: Path) -> None:
    mount(tmp_path / "keys", "v1", {"primaryKey": "first"})
    scoring = serve(RAW_DRIVER, MODELYARD_KEYS_DIR=str(tmp_path / "keys"))

    without_key = scoring.request("OPTIONS", "/score")
    with_key = scoring.request("OPTIONS", "/score", headers=PRIMARY)

    assert (without_key.status, without_key.body) == (200, b"")
    assert (with_key.status, with_key.json()) == (200, "run() saw OPTIONS")


def test_preflight_is_answered_by_the_setting_for_cors(serve) -> None:
    scoring = serve(RAW_DRIVER, AML_CORS_ORIGINS="https://a.example")

    preflight = scoring.request("OPTIONS", "/score", headers={"Origin": "https://a.example"})

    assert (preflight.body, preflight.headers["access-control-allow-origin"]) == (b"", "https://a.example")
