"""Builds of whole images by the Layers builder."""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import sys
import threading
import zipfile

import pytest
from tests.support.web_server import Response
from tests.unit.builder.layers.conftest import (
    BASE_LAYER,
    Builds,
)
from tests.unit.oci.fake_registry import (
    Call,
    FakeRegistry,
    digest_of,
)

from modelyard.builder.result import step_of
from modelyard.contract.build_request import (
    AssetInput,
    Limits,
    ModelInput,
    Source,
    Step,
)
from modelyard.contract.errors import (
    BaseImageNotFoundError,
    BaseImageUnfitError,
    BuildFailedError,
    DigestMismatchError,
    SourceNotFoundError,
    SourceTooLargeError,
)
from modelyard.oci.errors import RegistryForbiddenError

MODEL = bytes(range(256)) * 5000
"""Larger than the head that is sampled before an upload starts."""


@pytest.fixture(autouse=True)
def _models(builds: Builds) -> None:
    files = {"/model.bin": MODEL, "/other.bin": b"other", "/model.zip": _zip()}
    builds.web.respond = lambda request: (
        Response(body=files[request.path]) if request.path in files else Response(404)
    )


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("deep/a"), "1")  # ZipInfo has a constant time
    return buffer.getvalue()


def test_image_contains_runtime_packages_driver_and_model(builds: Builds) -> None:
    digest = builds.publish(builds.request(builds.model(), pip_requirements="numpy"))
    assert builds.files(digest) == {
        "opt/modelyard/runtime/modelyard/__init__.py": b"runtime",
        "opt/modelyard/environment/lib/python3.11/site-packages/x.py": b"numpy",
        "var/azureml-app/driver.py": b"def run(x): ...",
        "var/azureml-models/m/model.bin": MODEL,
    }
    assert builds.fake.manifests["prefix/ns/image", "t"] == builds.fake.manifests["prefix/ns/image", digest]


def test_base_layers_are_mounted_with_oci_media_types(builds: Builds) -> None:
    digest = builds.publish(builds.request())
    assert builds.manifest(digest)["layers"][0] == {
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": digest_of(BASE_LAYER),
        "size": len(BASE_LAYER),
    }
    mounts = [call.path for call in builds.fake.requests("POST") if "from=bases%2Fpython" in call.path]
    assert len(mounts) == 1
    assert builds.fake.blobs["prefix/ns/image", digest_of(BASE_LAYER)] == BASE_LAYER


def test_base_layers_are_copied_if_the_registry_refuses_mounts(builds: Builds, fake: FakeRegistry) -> None:
    fake.refuse = lambda call: (405, {}) if "mount=" in call.path else None
    builds.publish(builds.request())
    assert fake.blobs["prefix/ns/image", digest_of(BASE_LAYER)] == BASE_LAYER


def test_base_layers_of_another_registry_are_copied(builds: Builds) -> None:
    other = FakeRegistry()
    try:
        request = builds.request()
        request = request.model_copy(update={"repository": f"{other.address}/prefix/ns/image"})
        builds.publish(request)
        assert other.blobs["prefix/ns/image", digest_of(BASE_LAYER)] == BASE_LAYER
    finally:
        other.stop()


def test_diff_ids_have_the_order_of_the_layers(builds: Builds) -> None:
    """The model is compressible, so that its layer is not its tar."""
    digest = builds.publish(builds.request(builds.model(), pip_requirements="numpy"))
    layers = builds.manifest(digest)["layers"]
    blobs = [builds.fake.blobs["prefix/ns/image", layer["digest"]] for layer in layers]
    is_gzip = [layer["mediaType"].endswith("+gzip") for layer in layers]
    assert is_gzip == [False, False, False, False, True]
    tars = [gzip.decompress(blob) if gzipped else blob for blob, gzipped in zip(blobs, is_gzip, strict=True)]
    assert builds.config(digest)["rootfs"]["diff_ids"] == [digest_of(tar) for tar in tars]


def test_weights_after_a_long_text_are_not_compressed(builds: Builds) -> None:
    """A safetensors file begins with text, which is no sample of its weights."""
    weights = b" " * 200_000 + random.Random(1).randbytes(2_000_000)
    builds.web.respond = lambda _: Response(body=weights)
    digest = builds.publish(builds.request(builds.model()))
    assert builds.manifest(digest)["layers"][-1]["mediaType"] == "application/vnd.oci.image.layer.v1.tar"


def test_equal_inputs_give_equal_images(builds: Builds, fake: FakeRegistry) -> None:
    request = builds.request(builds.model(), pip_requirements="numpy")
    first = builds.publish(request)
    fake.manifests = {key: body for key, body in fake.manifests.items() if key[0] == "bases/python"}
    assert builds.publish(request) == first
    assert sorted(builds.installed) == ["numpy", "numpy", "runtime", "runtime"]  # in any order


def test_second_image_with_the_same_environment_sends_only_its_driver(builds: Builds) -> None:
    builds.publish(builds.request(pip_requirements="numpy"))
    before = len(builds.fake.requests("PATCH"))
    digest = builds.publish(builds.request(image="other/image", pip_requirements="numpy"))
    assert sorted(builds.installed) == ["numpy", "runtime"]
    sent = builds.fake.requests("PATCH")[before:]
    assert len(sent) == 1  # the driver
    first, second = builds.manifest("t"), builds.manifest(digest, "other/image")
    assert second["layers"][:3] == first["layers"][:3]


def test_cache_entries_of_release_0_1_are_used(builds: Builds, fake: FakeRegistry) -> None:
    """The literals are those of release 0.1: entries of the registry outlive an upgrade."""
    builds.publish(builds.request(builds.model(), pip_requirements="numpy"))
    entries = {key: json.loads(body) for key, body in fake.manifests.items() if "/layer__cache" in key[0]}
    assert len(entries) >= 3
    for key, manifest in entries.items():
        entry = json.loads(manifest["annotations"]["dev.modelyard.layer"])
        assert isinstance(entry.pop("created"), int)  # not in release 0.1
        assert entry.keys() == {"layer", "facts"}
        assert entry["layer"].keys() == {"media_type", "digest", "size", "diff_id", "holds"}
        assert entry["facts"].keys() == {"packages"}
        if not entry["facts"]["packages"]:
            entry["facts"] = {}  # release 0.1 stored no packages for a model
        manifest["annotations"]["dev.modelyard.layer"] = json.dumps(entry)
        fake.manifests[key] = json.dumps(manifest).encode()
    builds.publish(builds.request(builds.model(), image="ns/other", pip_requirements="numpy"))
    assert sorted(builds.installed) == ["numpy", "runtime"]


def test_other_requirements_or_registration_install_another_environment(builds: Builds) -> None:
    builds.publish(builds.request(pip_requirements="numpy"))
    builds.publish(builds.request(pip_requirements="numpy==2"))
    builds.publish(builds.request(pip_requirements="numpy", registrations={"manifest": "again"}))
    assert sorted(builds.installed) == ["numpy", "numpy", "numpy==2", "runtime"]


def test_cached_layer_without_its_blob_is_made_again(builds: Builds, fake: FakeRegistry) -> None:
    builds.publish(builds.request(pip_requirements="numpy"))
    for key in [key for key in fake.blobs if key[0].startswith("prefix/")]:
        del fake.blobs[key]
    builds.publish(builds.request(pip_requirements="numpy"))
    assert sorted(builds.installed) == ["numpy", "numpy", "runtime", "runtime"]  # in any order


def test_image_is_built_without_a_forbidden_cache(builds: Builds, fake: FakeRegistry) -> None:
    fake.refuse = lambda call: (403, {}) if "/layer__cache/" in call.path else None
    digest = builds.publish(builds.request(pip_requirements="numpy"))
    assert len(builds.manifest(digest)["layers"]) == 4
    assert "not cached for other images" in builds.out.getvalue()


@pytest.mark.parametrize("status", [400, 404])
def test_config_of_cache_entries_is_sent_once(builds: Builds, fake: FakeRegistry, status: int) -> None:
    fake.missing_blob_status = status
    for requirements in ("numpy", "numpy", "numpy==2"):
        builds.publish(builds.request(pip_requirements=requirements))
    assert sorted(builds.installed) == ["numpy", "numpy==2", "runtime"]
    entries = [
        json.loads(body)
        for (repository, _), body in fake.manifests.items()
        if repository == "prefix/layer__cache"
    ]
    (config,) = {manifest["config"]["digest"] for manifest in entries}
    sent = [call for call in fake.requests("PUT") if "/layer__cache/blobs/" in call.path]
    assert all(config.removeprefix("sha256:") in call.path for call in sent)
    assert len(sent) <= 2  # two concurrent layers may both be the first entry


def test_model_with_a_cached_digest_is_not_fetched(builds: Builds) -> None:
    model = builds.model(digest=digest_of(MODEL))
    builds.publish(builds.request(model))
    before = len(builds.web.requests)
    digest = builds.publish(builds.request(model, image="ns/other", pip_requirements="numpy"))
    assert len(builds.web.requests) == before
    layer = builds.manifest("t")["layers"][-1]
    assert builds.manifest(digest, "ns/other")["layers"][-1] == layer


def test_unpacked_model_with_a_cached_digest_is_not_fetched(builds: Builds) -> None:
    model = builds.model("/model.zip", unpack=True)
    digest = builds.publish(builds.request(model))
    assert builds.files(digest)["var/azureml-models/m/deep/a"] == b"1"
    before = len(builds.web.requests)
    builds.publish(builds.request(builds.model("/model.zip", unpack=True, digest=digest_of(_zip()))))
    assert len(builds.web.requests) == before


def test_digest_does_not_give_access_to_a_model_of_another_namespace(builds: Builds) -> None:
    builds.publish(builds.request(builds.model(digest=digest_of(MODEL))))
    stolen = builds.model("/nothing", digest=digest_of(MODEL))
    with pytest.raises(SourceNotFoundError):
        builds.publish(builds.request(stolen, image="other/image"))


def test_artifact_is_cached_by_the_digest_of_its_manifest(builds: Builds, fake: FakeRegistry) -> None:
    layer = {
        "digest": digest_of(MODEL),
        "size": len(MODEL),
        "annotations": {"org.opencontainers.image.title": "f"},
    }
    fake.blobs["models/m", digest_of(MODEL)] = MODEL
    fake.manifests["models/m", "1"] = json.dumps({"layers": [layer]}).encode()
    model = ModelInput(name="m", version=1, source=Source(url=f"oci://{fake.address}/models/m:1"))
    digest = builds.publish(builds.request(model))
    assert builds.files(digest)["var/azureml-models/m/f"] == MODEL
    before = builds.sent_bytes()
    builds.publish(builds.request(model, labels={"another": "image"}))
    assert builds.sent_bytes() - before < len(MODEL)


def test_each_model_is_a_layer(builds: Builds) -> None:
    models = [
        builds.model(),
        builds.model("/other.bin", version=2),
        builds.model("/model.zip", name="z", unpack=True),
    ]
    digest = builds.publish(builds.request(*models))
    assert len(builds.manifest(digest)["layers"]) == 3 + 3
    assert builds.files(digest).keys() >= {
        "var/azureml-models/m/1/model.bin",
        "var/azureml-models/m/2/other.bin",
        "var/azureml-models/z/1/deep/a",
    }


def test_build_of_a_changed_model_sends_only_the_model(builds: Builds) -> None:
    builds.publish(builds.request(builds.model(), pip_requirements="numpy"))
    before = builds.sent_bytes()
    builds.publish(builds.request(builds.model("/other.bin"), pip_requirements="numpy"))
    assert sorted(builds.installed) == ["numpy", "runtime"]
    assert builds.sent_bytes() - before < 40_000  # a few small documents and two small tars


def test_wrong_digest_leaves_no_reference_to_the_model(builds: Builds, fake: FakeRegistry) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(DigestMismatchError) as failure:
        builds.publish(builds.request(builds.model(digest=wrong)))
    assert failure.value.subject == "model m:1"
    assert failure.value.step == Step.FETCH
    assert ("prefix/ns/image", "t") not in fake.manifests
    assert not [digest for _, digest in fake.blobs if len(fake.blobs[_, digest]) > len(MODEL)]
    assert not fake.sessions


def test_broken_upload_is_resumed(builds: Builds, fake: FakeRegistry) -> None:
    builds.publish(builds.request())  # caches runtime and driver
    fake.break_after = [20_000]
    model = AssetInput(id="driver", source=Source(content="def run(x): ...  # changed"))
    digest = builds.publish(builds.request(builds.model(), assets=(model,)))
    assert builds.files(digest)["var/azureml-models/m/model.bin"] == MODEL


def test_broken_download_is_resumed(builds: Builds) -> None:
    broken = [True]

    def answer(request):
        start = int(request.headers.get("range", "bytes=0-")[6:].partition("-")[0])
        etag = {"ETag": '"1"'}
        if broken.pop() if broken else False:
            return Response(body=MODEL, headers=etag, drop_after=1_100_000)
        if start:
            where = {"Content-Range": f"bytes {start}-{len(MODEL) - 1}/{len(MODEL)}"}
            return Response(206, MODEL[start:], etag | where)
        return Response(body=MODEL, headers=etag)

    builds.web.respond = answer
    digest = builds.publish(builds.request(builds.model(digest=digest_of(MODEL))))
    assert builds.files(digest)["var/azureml-models/m/model.bin"] == MODEL


def test_terminated_build_cancels_its_uploads(builds: Builds, fake: FakeRegistry) -> None:
    builds.web.respond = lambda _: Response(body=bytes(50_000_000))
    upload_started = threading.Event()
    fake.refuse = lambda call: upload_started.set() if call.method == "POST" else None

    def terminate(*_: object) -> None:
        assert upload_started.wait(30)
        sys.exit(143)

    builds.installer = terminate
    with pytest.raises(SystemExit):
        builds.publish(builds.request(builds.model(), pip_requirements="numpy"))
    assert not fake.sessions
    assert ("prefix/ns/image", "t") not in fake.manifests


def test_download_limit_applies_to_all_downloads_together(builds: Builds) -> None:
    limits = Limits(download_bytes=len(MODEL) + 10)
    with pytest.raises(SourceTooLargeError):
        builds.publish(builds.request(builds.model(), limits=limits))
    assert builds.publish(builds.request(builds.model(), limits=Limits(download_bytes=len(MODEL) + 15)))


@pytest.mark.parametrize(
    ("fields", "error", "step"),
    [
        ({"base_image": "{registry}/bases/python:9"}, BaseImageNotFoundError, Step.BUILD),
        ({"base_python": "3.12"}, BaseImageUnfitError, Step.FETCH),
        (
            {"models": ({"name": "m", "version": 1, "source": {"url": "{web}/no"}},)},
            SourceNotFoundError,
            Step.FETCH,
        ),
    ],
)
def test_failure_names_its_step(
    builds: Builds, fields: dict[str, object], error: type[BuildFailedError], step: Step
) -> None:
    text = json.dumps(fields).replace("{registry}", builds.fake.address).replace("{web}", builds.web.url)
    with pytest.raises(error) as failure:
        builds.publish(builds.request(**json.loads(text)))
    assert step_of(failure.value, builds.log) == step


def test_forbidden_push_fails_in_the_push_step(builds: Builds, fake: FakeRegistry) -> None:
    def refuse(call: Call) -> tuple[int, dict[str, str]] | None:
        return (403, {}) if call.method == "POST" and "/image/" in call.path else None

    fake.refuse = refuse
    with pytest.raises(RegistryForbiddenError) as failure:
        builds.publish(builds.request())
    assert step_of(failure.value, builds.log) == Step.PUSH


def test_attestations_are_attached_to_the_image(builds: Builds) -> None:
    digest = builds.publish(builds.request(builds.model()))
    about = [
        json.loads(body) for (name, _), body in builds.fake.manifests.items() if name == "prefix/ns/image"
    ]
    kinds = {body.get("artifactType") for body in about if body.get("subject", {}).get("digest") == digest}
    assert kinds == {"application/vnd.cyclonedx+json", "application/vnd.in-toto+json"}


def test_credentials_of_a_source_are_not_pushed_or_logged(builds: Builds, fake: FakeRegistry) -> None:
    login = base64.b64encode(b"me:s3cret").decode()
    builds.web.respond = lambda request: (
        Response(body=MODEL) if request.headers.get("authorization") == f"Basic {login}" else Response(401)
    )
    model = builds.model("/model.bin?sig=s1gned", credentials={"username": "me", "password": "s3cret"})
    digest = builds.publish(builds.request(model))
    assert builds.files(digest)["var/azureml-models/m/model.bin"] == MODEL
    gzip_magic = b"\x1f\x8b"
    blobs = [gzip.decompress(blob) if blob.startswith(gzip_magic) else blob for blob in fake.blobs.values()]
    published = b"".join((*blobs, *fake.manifests.values(), builds.out.getvalue().encode()))
    assert b"/model.bin" in published
    assert not [secret for secret in (b"s3cret", b"s1gned", login.encode()) if secret in published]


def test_credentials_of_sources_are_in_no_part_of_the_image(builds: Builds) -> None:
    """Neither in layers, configuration and manifests, nor in the bill of materials and the provenance."""
    canaries = ("canary-pw-1", "canary-sig-2", "canary-token-3", "canary-index-4")
    host = builds.web.address
    model = builds.model(credentials={"token": canaries[2], "password": canaries[0]})
    asset = AssetInput(
        id="extra", source=Source(url=f"http://me:{canaries[0]}@{host}/other.bin?sig={canaries[1]}")
    )
    files = {"/model.bin": MODEL}
    builds.web.respond = lambda request: Response(body=files.get(request.path, b"other"))
    request = builds.request(
        model, pip_requirements=f"--extra-index-url https://me:{canaries[3]}@index.example/simple\nnumpy"
    )
    request = request.model_copy(update={"assets": (*request.assets, asset)})
    builds.installer = lambda job, log, files=None: builds.install(
        job.model_copy(update={"requirements": "numpy"}), log
    )
    builds.publish(request)
    assert any(canaries[1] in call.path for call in builds.web.requests)
    pushed = [*builds.fake.manifests.values(), *builds.fake.blobs.values()]
    texts = [gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob for blob in pushed]
    texts.append(builds.out.getvalue().encode())
    for canary in canaries:
        forms = (canary.encode(), base64.b64encode(f"me:{canary}".encode()))
        assert not [text for text in texts if any(form in text for form in forms)], canary
