"""The command `modelyard`: serve a driver, write the CRDs, and run the parts of the operator's image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from modelyard.cli.collected_arguments import add_arguments as add_collected_arguments
from modelyard.cli.images_arguments import add_arguments as add_images_arguments
from modelyard.cli.push_arguments import add_arguments as add_push_arguments
from modelyard.cli.replay_arguments import add_arguments as add_replay_arguments
from modelyard.scoring import serve

Entry = Callable[[argparse.Namespace], int]
"""Run a command with its arguments and return the exit code."""

_USAGE_ERROR: Final = 2  # argparse's own


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        entry: Entry = arguments.load()
    except ModuleNotFoundError as error:
        if not arguments.extra or (error.name or "").startswith("modelyard"):
            raise
        sys.stderr.write(
            f"modelyard {arguments.command}: the Python package {error.name} is not installed;"
            f" run: pip install 'modelyard[{arguments.extra}]'\n"
        )
        return _USAGE_ERROR
    return entry(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelyard", description="Serve models on Kubernetes.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, load: Callable[[], Entry], text: str, extra: str = "") -> argparse.ArgumentParser:
        text = f"{text}; needs modelyard[{extra}]" if extra else text
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(load=load, extra=extra)
        return command

    driver = add("serve", lambda: serve.serve, "serve a driver on this machine, as its image would")
    serve.add_arguments(driver)
    push = add("push", _push, "push a model file to a registry, for the url of a Model", "push")
    add_push_arguments(push)
    replay = add("replay", _replay, "ask another version of a model with collected requests", "replay")
    add_replay_arguments(replay)
    collected = add("collected", _collected, "delete rows of data collection", "replay")
    add_collected_arguments(collected)
    crds = add("crds", _crds, "write the CRDs, generated from the types")
    crds.add_argument("folders", nargs="+", help="folders to write one file for each kind into")
    add("operator", _operator, "reconcile the cluster's objects (settings: MODELYARD_CONFIG)", "operator")
    images = add("images", _images, "list the images in the registry, or delete unused ones", "operator")
    add_images_arguments(images)
    add("gateway", _gateway, "serve the REST API (settings: MODELYARD_GATEWAY_CONFIG)", "gateway")
    add(
        "activator",
        _activator,
        "hold requests to Services without a replica (settings: MODELYARD_ACTIVATOR_CONFIG)",
        "operator",
    )
    add("scaler", _scaler, "serve the load of replicas (settings: MODELYARD_SCALER_CONFIG)", "operator")
    add("build", _build, "build one image from the request mounted into the build Job", "builder")
    add("build-packages", _build_packages, "install users' packages for the build in the same pod", "builder")
    add("collect", _collect, "take the records of a replica to storage and event hub", "collection")
    return parser


class _Version(argparse.Action):
    """An option that reads the version of the installed package only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"modelyard {version('modelyard')}\n")
        parser.exit()


# Each command imports its own part only: an extra may be absent, and a build starts in less time.


def _crds() -> Entry:
    from modelyard.api.crd import write_crds

    return lambda arguments: write_crds(arguments.folders)


def _operator() -> Entry:
    from modelyard.operator import run

    return lambda _: run()


def _push() -> Entry:
    from modelyard.cli.push import run

    return run


def _replay() -> Entry:
    from modelyard.cli.replay import run

    return run


def _collected() -> Entry:
    from modelyard.cli.collected import run

    return run


def _images() -> Entry:
    from modelyard.cli.images import run

    return run


def _gateway() -> Entry:
    from modelyard.gateway.server import run

    return lambda _: run()


def _activator() -> Entry:
    from modelyard.activator.server import run

    return lambda _: run()


def _scaler() -> Entry:
    from modelyard.scaler.process import run

    return lambda _: run()


def _build() -> Entry:
    _require("uv")
    from modelyard.builder.job import main as build

    return lambda _: build()


def _build_packages() -> Entry:
    _require("uv")
    from modelyard.builder.environment.package_container import main as install

    return lambda _: install()


def _collect() -> Entry:
    _require("confluent_kafka")
    from modelyard.collection.supervisor import start as collect

    return lambda _: collect()


def _require(package: str) -> None:
    """Raise ModuleNotFoundError if a package is absent: the processes of the command import it later."""
    from importlib.util import find_spec

    if not find_spec(package):
        raise ModuleNotFoundError(name=package)
