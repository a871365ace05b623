"""Replay of collected requests against another version of a model."""
