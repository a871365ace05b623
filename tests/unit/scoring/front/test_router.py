"""Paths of requests, and origins whose pages may send them."""

import pytest

from modelyard.scoring.front.cors import cors_lines
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.messages import HttpRequest, QueuedRequest
from modelyard.scoring.front.router import Router, normal_path
from modelyard.scoring.settings import RuntimeSettings


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://h/score", "/score"),
        ("HTTPS://h:1/score", "/score"),
        ("http://h", "/"),
        ("/%73core", "/score"),
        ("//score", "/score"),
        ("ftp://h/score", "ftp:/h/score"),
        ("*", "*"),
        ("/a/score", "/a/score"),
    ],
)
def test_path_of_a_request_target_is_normalised(target: str, path: str) -> None:
    assert normal_path(target) == path


def allowed(origins: str, origin: str) -> bool:
    """Return True if a page of this origin may call the service."""
    variables = {"AZUREML_ENTRY_SCRIPT": "score.py", "AML_CORS_ORIGINS": origins}
    request = HttpRequest(None, 0.0)  # type: ignore[arg-type]
    request.headers[b"origin"] = origin.encode()
    lines = cors_lines(request, RuntimeSettings.from_environment(variables).cors_origins)
    return b"access-control-allow-origin: " + origin.encode() in lines


@pytest.mark.parametrize(
    ("origins", "origin", "is_allowed"),
    [
        ("*", "https://any.example", True),
        ("https://a.example", "https://A.example", True),
        ("https://a.example", "https://axexample", False),
        (r"https://.*\.contoso\.com", "https://x.contoso.com", True),
        (r"https://.*\.contoso\.com", "https://x.contoso.com.attacker.example", False),
        (r"https://a.example, ^https://(b|c)\.example$", "https://c.example", True),
        ("*", "https://" + "a" * 300, False),
    ],
)
def test_origin_must_match_a_whole_pattern(origins: str, origin: str, is_allowed: bool) -> None:
    assert allowed(origins, origin) is is_allowed


def test_answered_request_leaves_no_work_for_the_garbage_collector() -> None:
    settings = RuntimeSettings.from_environment({"AZUREML_ENTRY_SCRIPT": "score.py"})
    router = Router(settings, Lifecycle(), None, None)  # type: ignore[arg-type]
    request = HttpRequest(None, 0.0)  # type: ignore[arg-type]
    request.queued = QueuedRequest(request, 0, b"", (), 0)
    router.release(request)
    assert request.queued is None  # no cycle is left
