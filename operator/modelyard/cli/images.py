"""The commands `modelyard images list` and `modelyard images prune`, with the operator's configuration."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from typing import Final

from pydantic import ValidationError

from modelyard.coded_error import CodedError
from modelyard.digest_lookup import registry_access
from modelyard.image_gc.cluster_usage import ClusterUsage
from modelyard.image_gc.prune import GcReport, make_report, prune
from modelyard.image_gc.repository import ImageRepositories
from modelyard.kube.errors import KubeError
from modelyard.oci import RegistryClient
from modelyard.settings import CONFIG_VARIABLE, load

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    The code is 1 for an error of the cluster or the registry, 2 for an invalid configuration.
    """
    try:
        settings = load()
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"{CONFIG_VARIABLE}: {error}\n")
        return 2
    now = dt.datetime.now(dt.UTC)
    cluster = ClusterUsage(settings)
    registry = settings.registry
    with RegistryClient(registry_access(settings)) as client:
        repositories = ImageRepositories(
            client, registry.push, registry.repository, settings.watch_namespaces
        )
        try:
            if arguments.action == "list":
                _print_images(make_report(cluster, repositories, now, dt.timedelta.max))
                return 0
            report = make_report(cluster, repositories, now, arguments.older_than)
            if arguments.delete:
                prune(cluster, repositories, report, _print)
            _print_unused(report, deleted=arguments.delete)
        except (CodedError, KubeError) as error:
            sys.stderr.write(f"modelyard images: {error}\n")
            return 1
    return 0


def _print_images(report: GcReport) -> None:
    for stored, reason in report.images.in_use:
        _print(f"needed  {stored.name}  {reason}")
    for stored, since in report.images.unused:
        _print(f"unused  {stored.name}  since {since:{_TIME}}")


def _print_unused(report: GcReport, *, deleted: bool) -> None:
    expired = [*report.images.expired, *report.layers.expired]
    unused = [*report.images.unused, *report.layers.unused]
    if not deleted:
        for stored, _ in expired:
            _print(f"would delete {stored.name}")
    for stored, since in unused:
        _print(f"unused since {since:{_TIME}} {stored.name}")
    _print(
        f"{len(report.images.in_use)} images are needed; {len(expired)} expired,"
        f" {len(unused)} have been unused for too short a time"
    )


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
