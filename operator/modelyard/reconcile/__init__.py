"""Reconcilers of the four kinds, with the cache, the work queue and the status writer that they use."""
