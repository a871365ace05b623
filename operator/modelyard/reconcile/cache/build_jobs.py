"""The cache of build Jobs, and of the last observation of each running build."""

from __future__ import annotations

from collections import defaultdict

from modelyard.kube.types import Json, Key
from modelyard.reconcile.objects import BuildJob, BuildSnapshot, LeavingPod


class BuildJobCache:
    """Build Jobs by Image, with an index by the name of the Job."""

    def __init__(self) -> None:
        self._by_image: dict[Key, dict[str, BuildJob]] = defaultdict(dict)
        self._images: dict[str, Key] = {}
        self._snapshots: dict[str, BuildSnapshot] = {}
        self._running_pods: dict[str, str] = {}  # Job → pod
        self._leaving_pods: dict[str, LeavingPod] = {}  # by name of the pod

    def put(self, body: Json) -> Key | None:
        """Store a build Job; return the key of its Image if the Job changed."""
        job = BuildJob.read(body)
        if job is None:
            return None
        cached = self._get(job.name)
        if cached and cached.uid == job.uid:
            complete = job.complete or cached.complete
            job = job._replace(complete=complete, pushed=cached.pushed, started=cached.started)
        else:
            self._snapshots.pop(job.name, None)
            self._running_pods.pop(job.name, None)
        return self._store(job)

    def mark_complete(self, name: str) -> Key | None:
        """Store that the pod of a build Job succeeded; return the key of the Image if that changes the Job.

        The Job's own condition `Complete` follows seconds later.
        """
        job = self._get(name)
        return self._store(job._replace(complete=True)) if job else None

    def mark_pushed(self, name: str) -> Key | None:
        """Store that the log of a build reports the push; return the Image's key if that changes the Job."""
        job = self._get(name)
        return self._store(job._replace(pushed=True)) if job else None

    def mark_started(self, name: str) -> None:
        """Store that the container of a build Job has run. It changes no state, so no Image is queued."""
        if job := self._get(name):
            self._store(job._replace(started=True))

    def delete(self, name: str) -> Key | None:
        """Remove a deleted build Job; return the key of its Image, None if the Job was not cached."""
        self._snapshots.pop(name, None)
        self._running_pods.pop(name, None)
        image = self._images.pop(name, None)
        if image is None:
            return None
        del self._by_image[image][name]
        if not self._by_image[image]:
            del self._by_image[image]
        return image

    def of_image(self, image: Key) -> list[BuildJob]:
        """Return the build Jobs of an Image."""
        return list(self._by_image.get(image, {}).values())

    def running(self) -> list[Key]:
        """Return the Image of each build Job that has not ended."""
        return [job.image for jobs in self._by_image.values() for job in jobs.values() if not job.ended]

    def images(self) -> list[Key]:
        """Return the keys of all Images with build Jobs; such an Image may have been deleted."""
        return list(self._by_image)

    def put_running_pod(self, job: str, pod: str) -> None:
        """Store the name of the pod that runs a build Job, unless the Job is unknown."""
        if job in self._images:
            self._running_pods[job] = pod

    def running_pod(self, job: str) -> str | None:
        """Return the name of the pod that runs a build Job, None if no event has reported one."""
        return self._running_pods.get(job)

    def put_leaving_pod(self, pod: LeavingPod) -> Key | None:
        """Store a build pod that is being deleted; return the key of its Image if its Job is known.

        The list of pods may come before the list of Jobs, so the Job need not be known.
        """
        self._leaving_pods[pod.name] = pod
        return self._images.get(pod.job)

    def remove_leaving_pod(self, name: str) -> None:
        """Remove a pod that has ended, if it is stored."""
        self._leaving_pods.pop(name, None)

    def leaving_pod(self, job: str) -> LeavingPod | None:
        """Return the pod of a build Job that is being deleted and has not ended, else None."""
        return next((pod for pod in self._leaving_pods.values() if pod.job == job), None)

    def snapshot(self, job: str) -> BuildSnapshot | None:
        """Return the last observation of a running build, None before the first."""
        return self._snapshots.get(job)

    def put_snapshot(self, job: str, snapshot: BuildSnapshot) -> None:
        """Store the observation of a running build."""
        self._snapshots[job] = snapshot

    def _get(self, name: str) -> BuildJob | None:
        image = self._images.get(name)
        return self._by_image[image][name] if image else None

    def _store(self, job: BuildJob) -> Key | None:
        jobs = self._by_image[job.image]
        if jobs.get(job.name) == job:
            return None
        jobs[job.name] = job
        self._images[job.name] = job.image
        return job.image
