"""Installation of Python packages for an image, without running a program of the image or of a package."""
