"""A driver in the form that the documentation of 2017 teaches."""

# ruff: noqa: PLW0603, PTH123

import json

import joblib
from azureml.api.realtime.services import generate_schema
from azureml.api.schema.dataTypes import DataTypes
from azureml.api.schema.sampleDefinition import SampleDefinition
from azureml.assets import get_local_path
from azureml.datacollector import ModelDataCollector
from lib.units import inches

__all__ = ["DataTypes", "SampleDefinition", "generate_schema"]


def init():
    global model, collector
    model = joblib.load(get_local_path("model.pkl.link"))
    collector = ModelDataCollector("model.pkl", identifier="inputs")
    with open("started.txt", "w") as file:
        file.write("yes")


def run(input_df):
    collector.collect(input_df)
    areas = input_df["sepal width"] * input_df["petal length"] * model["factor"]
    return json.dumps({"areas": inches(areas).tolist(), "year": input_df["picked"].dt.year.tolist()})
