"""The front process: HTTP, keys, limits, queue, metrics. It never runs code of the driver."""
