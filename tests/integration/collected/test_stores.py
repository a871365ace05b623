"""Collected rows in real servers of the S3, Azure and Google APIs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import pandas as pd
import pyarrow.dataset as ds
import pytest
from pyarrow.fs import S3FileSystem
from tests.support.collected_rows import TIME, collected_row, write_rows
from tests.support.object_stores import KEY, Store, azure_store, gs_store, s3_store
from tests.support.web_server import Response, WebServer

from modelyard.cli.main import main
from modelyard.collected.errors import FileChangedError
from modelyard.collected.store import CollectedStore, FileVersion
from modelyard.collected.window import Window


@pytest.fixture(scope="module", params=["s3", "abfs", "gs"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of each API."""
    starts: dict[str, Callable[[Path], Any]] = {"s3": s3_store, "abfs": azure_store, "gs": gs_store}
    with starts[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def store(server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty prefix of the server, whose variables are in the environment."""
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    return replace(server, url=f"{server.url}/{tmp_path.name}")


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A target of replays."""
    server = WebServer()
    yield server
    server.stop()


def _upload(store: Store, folder: Path) -> list[str]:
    """Copy a folder into a store, and return the paths."""
    opened, paths = store.open(), []
    for file in sorted(path for path in (folder / "modeldata").rglob("*") if path.is_file()):
        paths.append(str(file.relative_to(folder)))
        obstore.put(opened, paths[-1], file)
    return paths


def _ids(store: Store, path: str) -> list[str]:
    content = bytes(obstore.get(store.open(), path).bytes())
    read = pd.read_parquet if path.endswith(".parquet") else partial(pd.read_json, lines=True)
    frame = read(io.BytesIO(content))
    return list(frame["requestId"])


def test_rows_are_replayed_and_deleted(
    store: Store, tmp_path: Path, web: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [collected_row(number, {"customer": number % 50}, [1.5]) for number in range(100)]
    for file in ("1.parquet", "2.jsonl"):
        write_rows(tmp_path / "rows", rows, file)
    write_rows(tmp_path / "rows", [collected_row(200, {"customer": 7}, [1.5], version="2")])
    paths = _upload(store, tmp_path / "rows")
    web.respond = lambda _: Response(200, b"[1.5]")
    names = ["--namespace", "team", "--service", "m"]

    window = [*names, "--from", "2026-11-03T08:00", "--to", "2026-11-03T09:00"]
    assert main(["replay", store.url, *window, "--url", f"{web.url}/score", "--rate", "0"]) == 0
    assert capsys.readouterr().out.startswith("201 rows")
    assert main(["collected", "delete", store.url, *names, "--where", "customer=7"]) == 0
    assert capsys.readouterr().out == "5 of 201 rows deleted, in 3 of 3 files\n"
    left = [f"r{number}" for number in range(100) if number % 50 != 7]
    assert [_ids(store, path) for path in paths[:2]] == [left, left]
    assert [meta["path"] for page in obstore.list(store.open()) for meta in page] == paths[:2]


def test_deletion_never_replaces_a_file_that_another_program_wrote(store: Store, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows", [collected_row(1, [1], [1])])
    _upload(store, tmp_path / "rows")
    collected = CollectedStore(store.url)
    [[file]] = collected.file_groups(Window("team", start=TIME))
    with collected.opened(file) as (_, version):
        pass
    newer = path.read_bytes() + b"newer"
    obstore.put(store.open(), file.path, newer)

    with pytest.raises(FileChangedError):
        collected.replace(file, b"older", version)

    assert bytes(obstore.get(store.open(), file.path).bytes()) == newer
    with collected.opened(file) as (_, version):
        collected.replace(file, b"newest", version)
    assert version != FileVersion(None, None)
    assert bytes(obstore.get(store.open(), file.path).bytes()) == b"newest"


def test_wrong_credentials_are_an_error_with_the_way_out(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if store.url.startswith("gs:"):
        pytest.skip("this server accepts all credentials")
    for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.setenv(name, "d3Jvbmd3cm9uZ3dyb25n")

    assert main(["collected", "delete", store.url, "--namespace", "team", "--request-id", "r"]) == 2
    assert "the credentials in the environment" in capsys.readouterr().err


def test_pandas_reads_rows_from_s3(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows", [collected_row(number, [1], [1]) for number in range(3)])
    folder = tmp_path / "server"
    folder.mkdir()
    with s3_store(folder) as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.variables.items():
            patch.setenv(name, value)
        _upload(store, tmp_path / "rows")
        files = S3FileSystem(
            access_key="me", secret_key=KEY, endpoint_override=store.server.address, scheme="http"
        )
        frame = (
            ds.dataset("bucket/prefix/modeldata/team/m/1/scoring", filesystem=files).to_table().to_pandas()
        )

    assert list(frame["requestId"]) == ["r0", "r1", "r2"]
