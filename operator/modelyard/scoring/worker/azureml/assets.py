"""`azureml.assets` of 2017: get_local_path()."""

from pathlib import Path

SUFFIX = ".link"


def get_local_path(link: str) -> str:
    """Return the path of an asset: its name without `.link`, in the working directory.

    The Workbench of 2017 keeps large files elsewhere, and a file `model.pkl.link` refers to each. An image
    has the files themselves. Raises FileNotFoundError if neither `assets/model.pkl` nor `model.pkl` exists.
    """
    name = link.removesuffix(SUFFIX)
    for path in (name, Path(name).name):
        if Path(path).exists():
            return path
    raise FileNotFoundError(
        f"the asset {link} does not exist: the working directory has no {name}. Register the file as a model "
        f"of the name {Path(name).name}, or add it as an asset"
    )
