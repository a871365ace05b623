"""The builder that lets a Docker engine run the instructions of a Dockerfile."""
