"""The only code with kopf decorators: start, stop and liveness of the process."""
