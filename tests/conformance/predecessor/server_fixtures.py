"""The fixtures of the predecessor's tests in `server`, with the scoring runtime behind them."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azureml_inference_server_http.server import create_app
from azureml_inference_server_http.server.config import config as predecessor_config
from tests.conformance.predecessor.scoring_app import Client, ScoringApp, Settings, UserScript, log_error


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "online: needs a workspace of Azure ML")
    UserScript.data = Path(os.environ["SUITE_DATA"])
    logging.getLogger("azmlinfsrv").propagate = True  # the tests read records at the root logger


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "online" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a workspace of Azure ML"))


@pytest.fixture()
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    before = predecessor_config.model_copy()
    predecessor_config.app_root = str(tmp_path_factory.mktemp("app-root"))
    yield Settings(predecessor_config)
    for field in type(predecessor_config).model_fields:
        setattr(predecessor_config, field, getattr(before, field))


@pytest.fixture()
def app(config: Settings, record_property: Callable[[str, object], None]) -> Iterator[ScoringApp]:
    application = ScoringApp(config)
    yield application
    for document in application.documents:
        record_property("openapi", document)
    application.close()


@pytest.fixture()
def client(app: ScoringApp) -> Client:
    return app.test_client()


@pytest.fixture()
def app_cors(config: Settings) -> Iterator[ScoringApp]:
    config.cors_origins = "www.microsoft.com,  www.bing.com"
    application = ScoringApp(config)
    yield application
    application.close()


@pytest.fixture()
def app_appinsights(app: ScoringApp) -> ScoringApp:
    app.settings.app_insights_enabled = True
    return app


@pytest.fixture(autouse=True)
def without_a_script(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `create()` of the predecessor start the runtime without an entry script."""

    def create() -> None:
        application = ScoringApp(config)
        try:
            application.serve({})
        except Exception as error:
            log_error(error)
            raise SystemExit(3) from error
        finally:
            application.close()

    monkeypatch.setattr(create_app, "create", create)


@pytest.fixture()
def benchmark() -> Callable[[Callable[[], None]], None]:
    """Call the function once: the figures are those of `make bench-scoring`."""
    return lambda function: function()
