"""The file system of a base image on the disk of a build, and programs that run from it without a chroot."""
