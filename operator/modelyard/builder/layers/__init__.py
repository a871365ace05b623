"""The Layers builder, which makes and pushes the layers of an image without a Docker engine."""
