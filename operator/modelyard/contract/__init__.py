"""The contract between the operator and its other programs, the build Job and the scaler.

- `build_request`: the request and the result of a build
- `errors`: the failures of a build, each with its code
- `build_progress`: the lines of the build log that the operator reads
- `build_pod`: environment variables, paths and exit codes of the pod
- `custom_metrics`: the metric by which autoscalers of Services scale
- `image_layout`: paths, port and user of the image
- `registry_names`: names of tags and repositories that image garbage collection must know
- `scoring_runtime`: the files of this package that go into the image, and their hash
- `urls`: how both programs read and redact the URLs of sources
"""
