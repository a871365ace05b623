"""Random hostile inputs for the code that reads them, bounded by a number of inputs."""
