"""Garbage collection of images in the registry, run by `modelyard images`.

An image is in use as long as an object of the cluster names it. An image that is in use no more is deleted
after a period of grace, together with its referrers and the cached layers that no other image shares.
"""
