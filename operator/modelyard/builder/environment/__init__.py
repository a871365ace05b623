"""The Python packages of an image, installed for its Python and platform with nothing of the image run."""
