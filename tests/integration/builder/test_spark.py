"""A Spark ML pipeline as a model: trained, built into an image, and scored over HTTP."""

from __future__ import annotations

import base64
import io
import os
import tarfile
import time
import zipfile
from collections.abc import Callable
from typing import Final

import docker
import httpx
import pytest
from tests.integration.builder.conftest import Builds

from modelyard.contract.build_request import (
    BuilderKind,
    ModelInput,
    Source,
)

BASE: Final = os.environ.get("SPARK_BASE_IMAGE")
pytestmark = pytest.mark.skipif(BASE is None, reason="needs an image with Java and pyspark: make test-spark")

TIMEOUT_SECONDS: Final = 200
MEMORY: Final = "2g"
TRAINING: Final = """
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import HashingTF, Tokenizer
from pyspark.sql import SparkSession
spark = SparkSession.builder.config("spark.jars.ivy", "/tmp/ivy").getOrCreate()
rows = [("good fine great", 1.0), ("bad awful poor", 0.0), ("great and good", 1.0), ("poor and bad", 0.0)]
stages = [Tokenizer(inputCol="text", outputCol="words"), HashingTF(inputCol="words", outputCol="features")]
pipeline = Pipeline(stages=[*stages, LogisticRegression()])
pipeline.fit(spark.createDataFrame(rows, ["text", "label"])).save("/tmp/model")
"""
DRIVER: Final = """
import json, os
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf
assert spark is SparkSession.builder.getOrCreate()
@udf
def lower(text):
    return text.lower()
def init():
    global model
    model = PipelineModel.load(os.environ["AZUREML_MODEL_DIR"])
def run(body):
    texts = spark.createDataFrame([(text,) for text in json.loads(body)], ["text"])
    lowered = texts.withColumn("text", lower("text"))
    return [row.prediction for row in model.transform(lowered).collect()]
"""


def _trained(engine: docker.DockerClient) -> bytes:
    """Train the pipeline in a container and return its folder as a zip."""
    container = engine.containers.run(BASE, ["python3", "-c", TRAINING], user="10001", detach=True)
    try:
        ended = container.wait(timeout=TIMEOUT_SECONDS)
        assert ended["StatusCode"] == 0, container.logs().decode()
        chunks, _ = container.get_archive("/tmp/model")
        packed = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as saved,
            zipfile.ZipFile(packed, "w") as archive,
        ):
            for entry in saved:
                file = saved.extractfile(entry) if entry.isreg() else None
                if file:
                    archive.writestr(entry.name.removeprefix("model/"), file.read())
        return packed.getvalue()
    finally:
        container.remove(force=True, v=True)


def _status(client: httpx.Client) -> int | None:
    try:
        return client.get("/ready").status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("builder", BuilderKind)
def test_spark_pipeline_is_scored(
    builds: Builds, engine: docker.DockerClient, served: Callable[..., httpx.Client], builder: BuilderKind
) -> None:
    url = "data:application/zip;base64," + base64.b64encode(_trained(engine)).decode()
    pipeline = ModelInput(name="pipeline", version=1, source=Source(url=url, unpack=True))
    request = builds.request(pipeline, driver=DRIVER, base_image=BASE, spark=True, builder=builder)
    ran = builds.run(request)
    assert ran.code == 0, ran.log
    begun = time.monotonic()
    image = f"{request.repository}@{ran.result.digest}"
    limits = {"mem_limit": MEMORY, "memswap_limit": MEMORY}
    client = served(image, tmpfs={"/tmp": "exec"}, **limits)
    (container,) = engine.containers.list(filters={"ancestor": image})
    while _status(client) != 200:
        assert time.monotonic() < begun + TIMEOUT_SECONDS, container.logs().decode()
        time.sleep(0.1)
    print(f"ready after {time.monotonic() - begun:.1f} s")  # the figure in docs/spark.md
    for turn in range(20):
        begun = time.monotonic()
        answer = client.post("/score", json=["GOOD and GREAT", "awful"], timeout=TIMEOUT_SECONDS)
        assert (answer.status_code, answer.json()) == (200, [1.0, 0.0]), answer.text
        if turn in {0, 19}:
            print(f"answer {turn + 1} after {time.monotonic() - begun:.2f} s")
    used = container.stats(stream=False)["memory_stats"]["usage"]
    print(f"{used / 1024**2:.0f} MiB of memory")
