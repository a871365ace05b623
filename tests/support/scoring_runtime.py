"""A copy of the scoring runtime in a folder, with the files that images contain."""

import shutil
from pathlib import Path

from modelyard.contract.scoring_runtime import PACKAGE, runtime_files


def copy_runtime(folder: Path) -> None:
    """Copy the runtime's modules, and no others, to folder/modelyard; replace an older copy."""
    package = folder / "modelyard"
    shutil.rmtree(package, ignore_errors=True)
    for name in runtime_files():
        module = package / name
        module.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, module)
