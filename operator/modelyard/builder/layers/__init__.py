"""Builds without a daemon: the layers of an image are made here and sent straight to the registry."""
