"""The activator: it holds requests to Services that have no replica, wakes these Services, and forwards."""
