"""`python -m modelyard.scoring`: serve the driver named by the environment."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping

from modelyard.scoring.front.lifecycle import ENDING
from modelyard.scoring.logs import configure_logs
from modelyard.scoring.pool.spawn import spawn
from modelyard.scoring.settings import RuntimeSettings, SettingsError


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Returns the exit code: 0 after a drain, 3 when the driver or the settings cannot be used."""
    is_to_end = _watch_signals()
    configure_logs()
    try:
        settings = RuntimeSettings.from_environment(environment)
    except SettingsError as error:
        logging.getLogger("modelyard.scoring").critical("%s", error)
        return 3
    # The workers load the driver while this process loads the server.
    spawned = [spawn(settings, environment) for _ in range(settings.workers)]
    from modelyard.scoring.front.server import ScoringServer  # noqa: PLC0415 - see above
    from modelyard.scoring.front.telemetry import Telemetry  # noqa: PLC0415

    telemetry = Telemetry.from_environment(environment) if settings.telemetry else None
    server = ScoringServer(settings, spawned, lambda: spawn(settings, environment), telemetry)
    return server.run(is_to_end)


def _watch_signals() -> Callable[[], bool]:
    """Whether one has come that the server, which is still to be loaded, ends with.

    Otherwise it would end this process at once, or, where this is the first one of a container, never.
    """
    came: list[int] = []
    for number in ENDING:
        signal.signal(number, lambda number, _frame: came.append(number))
    return lambda: bool(came)


if __name__ == "__main__":
    sys.exit(main())
