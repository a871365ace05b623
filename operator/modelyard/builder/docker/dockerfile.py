"""The Dockerfile of an image, a pure function of the image's content.

The Dockerfile has two stages, since only files of the last stage stay in the image. The first stage holds
CA certificates and the pip.conf, which may contain an index's password. No instruction needs BuildKit, which
not every engine has. Content that changes seldom comes first: a changed model or driver repeats only its own
layers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from modelyard.builder.layout import ImageContent
from modelyard.contract.image_layout import APP_ROOT, ENVIRONMENT, PORT, RUNTIME, USER

_BUILD: Final = "/modelyard-build"  # working folder of the first stage
_PIP_VARIABLES: Final = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
}
# Compiled in the build, since a container with a read-only file system cannot store byte code. Python does
# not compare unchecked byte code with its source, which never changes in an image. Errors are ignored:
# packages may contain files for other versions of Python, which do not compile.
_COMPILE: Final = "({python} -m compileall -qq -j 0 --invalidation-mode unchecked-hash {folder} || true)"


def dockerfile(
    base_image: str,
    content: ImageContent,
    *,
    ca_bundle: bool,
    pip_conf: bool,
    conda_python: str | None = None,
) -> str:
    """Return the text of the Dockerfile.

    Its build context has `settings/` (ca.pem, pip.conf), `runtime-requirements.txt`, `requirements.txt`,
    `environment/`, `runtime/`, `models/0/`, `models/1/`, … and `app/`. `ca_bundle` and `pip_conf` say whether
    `settings/` has these files. `conda_python` is the Python version of the conda environment in
    `environment/`, None without one.
    """
    return "\n".join(
        (
            *_first_stage(
                base_image, content, ca_bundle=ca_bundle, pip_conf=pip_conf, conda_python=conda_python
            ),
            *_last_stage(base_image, content, with_environment=bool(content.requirements or conda_python)),
            "",
        )
    )


def _first_stage(
    base_image: str, content: ImageContent, *, ca_bundle: bool, pip_conf: bool, conda_python: str | None
) -> Iterable[str]:
    python = f"{ENVIRONMENT}/bin/python3" if conda_python else "python3"
    variables = dict(_PIP_VARIABLES)
    if ca_bundle:
        bundle = f"{_BUILD}/settings/ca.pem"
        variables |= {"PIP_CERT": bundle, "SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle}
    if pip_conf:
        variables["PIP_CONFIG_FILE"] = f"{_BUILD}/settings/pip.conf"
    yield f"FROM {base_image} AS environment"
    yield "USER 0"
    yield f"WORKDIR {_BUILD}"
    if ca_bundle or pip_conf:
        yield _copy("settings/", f"{_BUILD}/settings/")
    yield _env(variables)
    if conda_python:
        yield _copy("environment/", ENVIRONMENT)
    yield _copy("runtime-requirements.txt", f"{_BUILD}/")
    version = f" --python-version {conda_python}" if conda_python else ""
    yield _run(
        f"python3 -m pip install --no-compile --only-binary :all: --target {RUNTIME}{version}"
        " --requirement runtime-requirements.txt",
        _COMPILE.format(python=python, folder=RUNTIME),
    )
    if content.requirements:
        yield _copy("requirements.txt", f"{_BUILD}/")
    if conda_python:
        # The base image's pip installs into the conda environment, which need not have a pip of its own.
        install = f"python3 -m pip --python {python} install --no-compile --requirement requirements.txt"
        compile_all = _COMPILE.format(python=python, folder=ENVIRONMENT)
        yield _run(*([install] if content.requirements else ()), compile_all)
    elif content.requirements:
        # The virtual environment sees the packages of the base image, such as a GPU framework, and leaves
        # them unchanged.
        yield _run(
            f"python3 -m venv --system-site-packages --without-pip {ENVIRONMENT}",
            f"{ENVIRONMENT}/bin/python3 -m pip install --no-compile --requirement requirements.txt",
            _COMPILE.format(python=python, folder=ENVIRONMENT),
        )
    yield _copy("runtime/", f"{_BUILD}/runtime/")
    yield _run(_COMPILE.format(python=python, folder=f"{_BUILD}/runtime"))


def _last_stage(base_image: str, content: ImageContent, *, with_environment: bool) -> Iterable[str]:
    yield f"FROM {base_image}"
    yield _copy(RUNTIME, RUNTIME, stage="environment")
    if with_environment:
        yield _copy(ENVIRONMENT, ENVIRONMENT, stage="environment")
    yield _copy(f"{_BUILD}/runtime/", RUNTIME, stage="environment")
    yield f"WORKDIR {APP_ROOT}"
    yield f"EXPOSE {PORT}"
    yield "STOPSIGNAL SIGTERM"
    yield f"USER {USER}"
    yield "ENTRYPOINT []"
    # -S and -P keep the driver's packages, and a json.py beside the driver, out of the server's process.
    yield 'CMD ["python3", "-S", "-P", "-m", "modelyard.scoring"]'
    yield (
        f"ENV PATH={ENVIRONMENT}/bin:$PATH PYTHONPATH={RUNTIME}${{PYTHONPATH:+:$PYTHONPATH}}"
        " PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp"
    )
    for index, model in enumerate(content.models):
        yield _copy(f"models/{index}/", f"{model.path}/")
    yield _copy("app/", f"{APP_ROOT}/")
    yield _env(content.variables)


def _copy(source: str, target: str, *, stage: str = "") -> str:
    return f"COPY {f'--from={stage} ' if stage else ''}{json.dumps([_escaped(source), _escaped(target)])}"


def _env(variables: dict[str, str]) -> str:
    return "ENV " + " ".join(f'{name}="{_escaped_in_quotes(value)}"' for name, value in variables.items())


def _run(*commands: str) -> str:
    return "RUN " + " && ".join(commands)


def _escaped(path: str) -> str:
    """Escape a path: users choose model names, and Docker expands $ and quotes even inside JSON."""
    return re.sub(r"""([\\$'"])""", r"\\\1", path)


def _escaped_in_quotes(value: str) -> str:
    return re.sub(r"""([\\$"])""", r"\\\1", value)
