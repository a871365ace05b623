"""Garbage collection of images in the registry, run by `modelyard images`.

An image is in use as long as an object of the cluster names it. An unused image is deleted after a grace
period, with its referrers. Cached layers that no image shares are deleted in the same way.
"""
