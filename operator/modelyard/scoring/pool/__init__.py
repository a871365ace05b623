"""The worker processes, as the front process starts and uses them."""
