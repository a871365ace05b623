"""Builds of images: requests, Jobs, logs and failures."""
