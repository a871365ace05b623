"""Runs the `bash` blocks of a page as a reader types them: in one shell, from top to bottom."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.docs.output import difference
from tests.docs.pages import ROOT, Example

PAGE_SECONDS: Final = 600
# Byte code is not needed for programs that run once, and takes half of the time of an installation.
_QUICK_PIP: Final = {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
# No page needs the end of a namespace. Kubernetes looks again after half of the grace period of pods: 21 s.
_WITHOUT_WAITING: Final = """\
kubectl() {
  if [ "${1-} ${2-}" = "delete namespace" ]; then set -- "$@" --wait=false; fi
  command kubectl "$@"
}
"""
_MADE_BY_TOOLS: Final = frozenset({".git", ".venv", "build"})


class Failure(AssertionError):
    """A block that fails, or prints something else than its page promises."""


def run_page(blocks: Sequence[Example], folder: Path) -> None:
    """Run the blocks in a new shell in `folder`, which looks like the checkout.

    Raises Failure with place and output at the first command that fails. Processes that the page has
    started in the background end with the shell. The kubeconfig is a copy, because pages choose a namespace.
    """
    _resemble_checkout(folder)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment = {**inherited, "KUBECONFIG": str(_own_kubeconfig(folder)), **_QUICK_PIP}
    outputs = [folder.parent / f"output-{number}" for number in range(len(blocks))]
    script = folder.parent / "page.sh"
    script.write_text(_script(blocks, outputs, folder.parent), encoding="utf-8")
    process = subprocess.Popen(
        ["bash", str(script)],
        cwd=folder, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        code: int | None = process.wait(PAGE_SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _end(process)
    _judge(blocks, outputs, code)


def _resemble_checkout(folder: Path) -> None:
    """Link the entries of the checkout, so that files of a page end in `folder` and not in the checkout."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in _MADE_BY_TOOLS:
            (folder / entry.name).symlink_to(entry)


def _own_kubeconfig(folder: Path) -> Path:
    copy = folder.parent / "kubeconfig"
    shutil.copyfile(os.environ["KUBECONFIG"], copy)
    return copy


def _script(blocks: Sequence[Example], outputs: Sequence[Path], folder: Path) -> str:
    lines = ["set -euo pipefail", _WITHOUT_WAITING]
    for number, (block, output) in enumerate(zip(blocks, outputs, strict=True)):
        file = folder / f"block-{number}.sh"
        file.write_text(block.text, encoding="utf-8")
        lines.append(f'source "{file}" >"{output}" 2>&1')
    return "\n".join([*lines, ""])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the shell and the processes in its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(10)


def _judge(blocks: Sequence[Example], outputs: Sequence[Path], code: int | None) -> None:
    printed = [_read(output) for output in outputs if output.exists()]
    if code != 0:
        block = blocks[len(printed) - 1]
        reason = f"did not end within {PAGE_SECONDS} s" if code is None else f"failed with exit code {code}"
        raise Failure(f"{block.place}: the block {reason}\n{block.text}\nprinted:\n{printed[-1]}")
    assert len(printed) == len(blocks), f"{blocks[0].page}: {len(printed)} of {len(blocks)} blocks were run"
    for block, text in zip(blocks, printed, strict=True):
        if block.output is not None and (problem := difference(block.output, text)):
            raise Failure(f"{block.place}: the output is another one\n{problem}")


def _read(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace")
