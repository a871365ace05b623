"""Packages of Azure ML that drivers of 2017 to 2020 import, for environments without them.

The client of 2017 requires azure-ml-api-sdk 0.1.0a11 for each driver. Its classes are here with the same
names, arguments and results; `legacy_imports` has the table of modules.
"""
