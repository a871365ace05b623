"""The container of a Service: a user with a name, child processes, folders to write."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from tests.support.cluster import Kubectl
from tests.support.objects import CONTAINER_ANSWER


def test_driver_has_a_user_name_child_processes_and_a_home(
    shared: Kubectl, make_service: Callable[..., str], score: Callable[..., httpx.Response]
) -> None:
    name = make_service("container")
    assert score(shared, name).json() == CONTAINER_ANSWER
