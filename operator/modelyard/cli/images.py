"""`modelyard images list` and `modelyard images prune`, configured as the operator is."""

from __future__ import annotations

import argparse
import datetime as dt
import sys

from pydantic import ValidationError

from modelyard.coded_error import CodedError
from modelyard.digest_lookup import registry_access
from modelyard.image_gc.cluster_usage import Cluster
from modelyard.image_gc.prune import (
    Survey,
    prune,
    survey,
)
from modelyard.image_gc.repository import Shelf
from modelyard.kube.errors import KubeError
from modelyard.oci import RegistryClient
from modelyard.settings import CONFIG_VARIABLE, load


def run(arguments: argparse.Namespace) -> int:
    """The exit code: 1 when the cluster or the registry does not do its part, 2 for a bad configuration."""
    try:
        settings = load()
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"{CONFIG_VARIABLE}: {error}\n")
        return 2
    now = dt.datetime.now(dt.UTC)
    cluster = Cluster(settings)
    with RegistryClient(registry_access(settings)) as registry:
        where = settings.registry
        shelf = Shelf(registry, where.push, where.repository, settings.watch_namespaces)
        try:
            if arguments.action == "list":
                _show_all(survey(cluster, shelf, now, dt.timedelta.max))
                return 0
            found = survey(cluster, shelf, now, arguments.older_than)
            if arguments.delete:
                prune(cluster, shelf, found, _say)
            _show_unused(found, deleted=arguments.delete)
        except (CodedError, KubeError) as error:
            sys.stderr.write(f"modelyard images: {error}\n")
            return 1
    return 0


def _show_all(found: Survey) -> None:
    for stored, because in found.images.kept:
        _say(f"needed  {stored.name}  {because}")
    for stored, since in found.images.waiting:
        _say(f"unused  {stored.name}  since {since:%Y-%m-%dT%H:%M:%SZ}")


def _show_unused(found: Survey, *, deleted: bool) -> None:
    due = [*found.images.due, *found.layers.due]
    waiting = [*found.images.waiting, *found.layers.waiting]
    if not deleted:
        for stored, _ in due:
            _say(f"would delete {stored.name}")
    for stored, since in waiting:
        _say(f"unused since {since:%Y-%m-%dT%H:%M:%SZ} {stored.name}")
    _say(
        f"{len(found.images.kept)} images are needed; {len(due)} were due,"
        f" {len(waiting)} have been unused for too short a time"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
