"""Modelyard: from a trained model to a scoring endpoint on Kubernetes."""
