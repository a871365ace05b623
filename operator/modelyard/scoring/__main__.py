"""`python -m modelyard.scoring`: serve the driver that the environment names."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from modelyard.scoring.contract import Variable
from modelyard.scoring.environment import SettingsError
from modelyard.scoring.front.lifecycle import STOP_SIGNALS
from modelyard.scoring.logs import DEFAULT_LEVEL, configure_logs
from modelyard.scoring.pool.spawn import spawn_worker
from modelyard.scoring.settings import RuntimeSettings
from modelyard.scoring.working_directory import prepare


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Serve. Return the exit code: 0 after a drain, 3 if the driver or the settings cannot be used."""
    stop_requested = _record_stop_signals()
    configure_logs()
    try:
        settings = RuntimeSettings.from_environment(environment)
    except SettingsError as error:
        logging.getLogger("modelyard.scoring").critical("%s", error)
        return 3
    configure_logs(settings.log_level or DEFAULT_LEVEL)
    environment = _with_work_dir(settings, environment)
    # The workers load the driver while this process loads the server.
    spawned = [spawn_worker(settings, environment) for _ in range(settings.workers)]
    from modelyard.scoring.front.server import serve  # noqa: PLC0415 - see above
    from modelyard.scoring.front.telemetry import Telemetry  # noqa: PLC0415

    telemetry = Telemetry.from_environment(environment) if settings.telemetry else None
    return serve(settings, spawned, lambda: spawn_worker(settings, environment), telemetry, stop_requested)


def _with_work_dir(settings: RuntimeSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """Make the working directory. Return the environment, which names it if it exists."""
    model_dir = environment.get(Variable.MODEL_DIR)
    variables = {name: value for name, value in environment.items() if name != Variable.WORK_DIR}
    if settings.work_dir is not None and prepare(
        settings.work_dir, settings.app_root, Path(model_dir) if model_dir else None
    ):
        variables[Variable.WORK_DIR] = str(settings.work_dir)
    return variables


def _record_stop_signals() -> Callable[[], bool]:
    """Record stop signals that arrive while the server loads. Return a function that tells if one came.

    Unhandled they would kill the process, or be ignored if it is PID 1.
    """
    received: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _frame: received.append(number))
    return lambda: bool(received)


if __name__ == "__main__":
    sys.exit(main())
