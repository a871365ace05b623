"""Entry points of the one image: `modelyard operator`, `gateway`, `build`, `images`, `crds`."""

from __future__ import annotations

import argparse


def main(argv: list[str] | None = None) -> int:
    """Run one entry point; imports stay inside so that a build does not pay for the operator's."""
    parser = argparse.ArgumentParser(prog="modelyard", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("operator", help="watch the cluster and reconcile (configured by MODELYARD_CONFIG)")
    commands.add_parser("gateway", help="serve the REST API (configured by MODELYARD_GATEWAY_CONFIG)")
    commands.add_parser("build", help="build one image from the request mounted into this Job")
    images = commands.add_parser("images", help="what is in the registry, and removing what nobody needs")
    crds = commands.add_parser("crds", help="write the CRDs generated from the types")
    crds.add_argument("folders", nargs="+", help="folders to write one file a kind into")
    serve_arguments = commands.add_parser("serve", help="serve a driver on this machine, as its image would")
    from modelyard.scoring import serve

    serve.add_arguments(serve_arguments)
    from modelyard.cli.images_arguments import add_arguments

    add_arguments(images)
    arguments = parser.parse_args(argv)
    if arguments.command == "serve":
        return serve.serve(arguments)
    if arguments.command == "operator":
        from modelyard.operator import run

        return run()
    if arguments.command == "gateway":
        from modelyard.gateway.server import run as gateway

        return gateway()
    if arguments.command == "build":
        from modelyard.builder.job import main as build

        build()
    if arguments.command == "images":
        from modelyard.cli.images import run as clean_up

        return clean_up(arguments)
    from modelyard.api.crd import write_crds

    return write_crds(arguments.folders)
