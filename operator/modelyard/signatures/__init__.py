"""Signatures of images: the format that builds write, and the check before an image is reused."""
