"""`pkg_resources` for packages of 2017, whose __init__.py files call declare_namespace().

setuptools 82 has removed pkg_resources, and images of Python 3.12 and later have no setuptools.
"""

import sys
from pkgutil import extend_path
from typing import Any


def declare_namespace(packageName: str) -> None:  # noqa: N803 - the name of the argument in pkg_resources
    """Let other folders of sys.path add modules to the package."""
    package = sys.modules[packageName]
    package.__path__ = extend_path(package.__path__, packageName)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"pkg_resources.{name} needs setuptools: add setuptools<82 to pipRequirements, or use "
        f"importlib.metadata and importlib.resources"
    )
