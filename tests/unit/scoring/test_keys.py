"""Who may score: with the keys of a mounted Secret, which the kubelet swaps by a symlink."""

import hmac
from pathlib import Path

import pytest
from tests.unit.scoring.running import ScoringProcess, until

from modelyard.scoring.front.keys import ScoringKeys

DRIVER = "def init(): pass\ndef run(data): return data\n"

PRIMARY = {"Authorization": "Bearer first"}
SECONDARY = {"Authorization": "Bearer second"}


def mount(folder: Path, version: str, keys: dict[str, str]) -> None:
    """What the kubelet does: a new folder, then the symlink ..data swapped in one step."""
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
def test_keys(guarded: ScoringProcess, authorization: str | None, status: int) -> None:
    answer = guarded.score(b"x", {"Authorization": authorization} if authorization is not None else None)

    assert answer.status == status
    if status == 401:
        assert answer.headers["www-authenticate"] == 'Bearer realm="scoring"'
        assert "Authorization: Bearer" in answer.message


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/docs"), ("OPTIONS", "/score")],
)
def test_no_key_is_asked_for(guarded: ScoringProcess, method: str, path: str) -> None:
    assert guarded.ask(method, path).status == 200


def test_the_schema_is_behind_the_key(guarded: ScoringProcess) -> None:
    assert guarded.ask("GET", "/swagger.json").status == 401
    assert guarded.ask("GET", "/swagger.json", None, PRIMARY).status == 200


@pytest.mark.parametrize("key", ["Zq4wX", "wrong"])
def test_no_answer_and_no_log_tells_keys_or_files(serve, tmp_path: Path, key: str) -> None:
    folder = tmp_path / "mounted"
    mount(folder, "v1", {"primaryKey": "Zq4wX", "secondaryKey": "Jv8nT"})
    driver = "def init(): pass\ndef run(data): raise ValueError(__file__)\n"
    scoring = serve(driver, MODELYARD_KEYS_DIR=str(folder), MODELYARD_ACCESS_LOG="true")
    asked = [("GET", path) for path in ("/", "/ready", "/metrics", "/docs", "/swagger.json", "/nothing")]

    told = ""
    for method, path in [*asked, ("POST", "/"), ("OPTIONS", "/score"), ("GET", "/score"), ("POST", "/score")]:
        answer = scoring.ask(method, path, None, {"Authorization": f"Bearer {key}"})
        told += answer.body.decode() + str(answer.headers)

    assert "modelyard_scoring_ready 1" in told
    for word in ("Zq4wX", "Jv8nT"):
        assert word not in told + scoring.log
    for word in (str(tmp_path), "primaryKey", "driver.py", "/var/", "/opt/"):
        assert word not in told


def test_every_key_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also once one has matched, and for another scheme: the time says nothing of which, or how much."""
    mount(tmp_path / "keys", "v1", {"primaryKey": "first", "secondaryKey": "second"})
    keys = ScoringKeys(tmp_path / "keys")
    compared: list[tuple[bytes, bytes]] = []

    def compare_digest(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    for sent in (b"Bearer first", b"Bearer second", b"Bearer other", b"Basic first", None):
        compared.clear()
        accepted = keys.accepts(sent)

        token = (sent or b"").partition(b" ")[2]
        assert compared == [(token, b"first"), (token, b"second")]
        assert accepted is (sent in (b"Bearer first", b"Bearer second"))


def test_a_new_key_needs_no_restart(serve, tmp_path: Path) -> None:
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
def test_no_key_in_the_folder_opens_nothing(serve, tmp_path: Path, keys: dict[str, str]) -> None:
    folder = tmp_path / "keys"
    mount(folder, "v1", keys)
    scoring = serve(DRIVER, MODELYARD_KEYS_DIR=str(folder))

    assert [scoring.score(b"x", {"Authorization": value}).status for value in ("Bearer ", "Bearer x")] == [
        401,
        401,
    ]
