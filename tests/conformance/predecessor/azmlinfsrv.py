"""The command `azmlinfsrv` of the predecessor's tests: starts the scoring runtime with the same options."""

import argparse
import os
import sys
from pathlib import Path

VARIABLES = {
    "model_dir": "AZUREML_MODEL_DIR",
    "port": "MODELYARD_PORT",
    "health_port": "HEALTH_PORT",
    "worker_count": "WORKER_COUNT",
    "config_file": "AZUREML_CONFIG_FILE",
    "access_control_allow_origins": "AML_CORS_ORIGINS",
    "appinsights_instrumentation_key": "AML_APP_INSIGHTS_KEY",
}


def main() -> None:
    """Replace this process by the runtime."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entry_script")
    for option in VARIABLES:
        parser.add_argument(f"--{option}")
    options = parser.parse_args()
    environment = {"AML_APP_ROOT": str(Path.cwd()), **os.environ}
    for option, variable in VARIABLES.items():
        value = getattr(options, option)
        if value is not None:
            environment[variable] = value
    if options.entry_script:
        environment["AZUREML_ENTRY_SCRIPT"] = str(Path(options.entry_script).absolute())
    if options.appinsights_instrumentation_key:
        environment["AML_APP_INSIGHTS_ENABLED"] = "true"
    environment["PYTHONPATH"] = environment["RUNTIME_FOLDER"]
    environment["PYTHONUNBUFFERED"] = "1"
    python = environment["DRIVER_PYTHON"]
    os.execve(python, [python, "-S", "-P", "-m", "modelyard.scoring"], environment)


if __name__ == "__main__":
    sys.exit(main())
