"""The working directory of drivers in an image: writable, with the driver's files and its models.

Files of an image belong to root, and the root file system of a pod is read-only. Drivers of 2017 write beside
themselves, and open models by their names. So they run in a copy of their folder, below /tmp.
"""

import logging
import os
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

COPIED_BYTES: Final = 64 * 1024
"""Files up to this size are copied, so that the driver can overwrite them. Larger files are links.

With MAX_FILES that is at most 64 MB of the pod's /tmp.
"""

MAX_FILES: Final = 1000
"""Folders beyond this number of files are links: a link takes 20 µs."""

MODELS_FOLDER: Final = "azureml-models"
"""Folder where azureml-core looks for models, as name/version/file."""


def prepare(work_dir: Path, app_root: Path, model_dir: Path | None) -> bool:
    """Fill the working directory with the driver's files and its models. Return False if that is impossible.

    Content of an earlier process is removed: /tmp of a pod outlives its containers.
    """
    try:
        if work_dir.is_symlink() or work_dir.exists():
            _remove(work_dir)
        work_dir.mkdir(mode=0o700)
        _fill(work_dir, app_root, model_dir)
    except OSError as error:
        log.warning("the working directory is %s, and drivers cannot write there: %s", app_root, error)
        return False
    return True


def models_by_name(model_dir: Path) -> dict[str, dict[int, Path]]:
    """Return the folders of models by name and version.

    AZUREML_MODEL_DIR is the folder of one model, here of version 0, or has `name/version/` for several.
    """
    folders = [child for child in model_dir.iterdir() if child.is_dir()]
    if folders and len(folders) == len(list(model_dir.iterdir())):
        versions = {
            folder.name: {int(one.name): one for one in folder.iterdir() if _is_version(one)}
            for folder in folders
        }
        if all(len(found) == len(list((model_dir / name).iterdir())) for name, found in versions.items()):
            return versions
    return {model_dir.name: {0: model_dir}}


def model_path(folder: Path, name: str) -> Path:
    """Return the file or folder that a model consists of: its folder's only entry, or else the folder.

    The client of 2017 packs a model with the path that the user has typed: `-m outputs/model.pkl`.
    """
    entries = list(folder.iterdir())
    if len(entries) != 1:
        return folder
    path = entries[0]
    while path.name != name and path.is_dir() and len(deeper := list(path.iterdir())) == 1:
        path = deeper[0]
    return path if path.name == name else entries[0]


def _is_version(path: Path) -> bool:
    return path.is_dir() and path.name.isdecimal()


def _fill(work_dir: Path, app_root: Path, model_dir: Path | None) -> None:
    remaining = MAX_FILES - _mirror(app_root, work_dir, MAX_FILES)
    if model_dir is None or not model_dir.is_dir():
        return
    models = models_by_name(model_dir)
    for name, versions in models.items():
        newest = versions[max(versions)] if versions else model_dir / name
        remaining -= _mirror(newest, work_dir, remaining)
        _link(model_path(newest, name), work_dir / name)
    if 0 not in next(iter(models.values())):
        _link(model_dir, work_dir / MODELS_FOLDER)


def _mirror(source: Path, target: Path, limit: int) -> int:
    """Copy or link each file of a folder that the target lacks. Return their number.

    Folders are new, so that the driver can write there. Beyond the limit all are links.
    """
    count = 0
    for entry in sorted(os.scandir(source), key=lambda entry: (entry.is_dir(), entry.name)):
        place = target / entry.name
        if entry.name == "__pycache__":
            continue
        count += 1
        if entry.is_dir() and count < limit and (place.is_dir() or not place.exists()):
            place.mkdir(exist_ok=True)
            count += _mirror(Path(entry.path), place, limit - count)
        elif not place.exists():
            _copy_or_link(entry, place, may_copy=count < limit)
    return count


def _copy_or_link(entry: "os.DirEntry[str]", place: Path, *, may_copy: bool) -> None:
    if may_copy and entry.is_file() and entry.stat().st_size <= COPIED_BYTES:
        place.write_bytes(Path(entry.path).read_bytes())
    else:
        place.symlink_to(entry.path)


def _link(source: Path, place: Path) -> None:
    if not place.exists():
        place.symlink_to(source)


def _remove(folder: Path) -> None:
    import shutil  # noqa: PLC0415 - 5 ms, and only after a restart

    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    shutil.rmtree(folder)
