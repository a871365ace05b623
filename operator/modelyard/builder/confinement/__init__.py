"""Confinement of processes that handle users' packages: files, system calls, connections and resources."""
