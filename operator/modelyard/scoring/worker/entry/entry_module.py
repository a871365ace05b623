"""The driver, as the driver's child processes import it.

joblib and pools of the start method spawn send functions of the driver by module and name. Their processes
then import entry_module, which in the worker is the driver itself. This file runs the driver's file in its
place. init() is not called, as for any module that a child process imports.
"""

import os
import sys
from pathlib import Path

_RUNTIME = str(Path(__file__).resolve().parents[4])
sys.path.insert(0, _RUNTIME)
from modelyard.scoring.worker import (  # noqa: E402 - the folder is added above
    bundled_packages,
    legacy_imports,
    user_name,
)

sys.path.remove(_RUNTIME)
legacy_imports.install()
bundled_packages.install()
user_name.install()
__file__ = str(Path(os.environ["AML_APP_ROOT"]) / os.environ["AZUREML_ENTRY_SCRIPT"])
exec(compile(Path(__file__).read_bytes(), __file__, "exec"), globals())  # noqa: S102 - the driver's own file
