"""The demo's model: the progression of diabetes from ten measurements, on scikit-learn's own data."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split


class Trained:
    """A trained model in a file, with a request to score and the answer to expect."""

    def __init__(self, folder: Path, alpha: float):
        data, target = load_diabetes(return_X_y=True)
        train, test, train_target, test_target = train_test_split(data, target, random_state=0)
        model = Ridge(alpha=alpha).fit(train, train_target)
        self.file = folder / "model.joblib"
        joblib.dump(model, self.file)
        self.rows = len(data)
        self.r2 = r2_score(test_target, model.predict(test))
        self.body = json.dumps({"data": test[:2].tolist()})
        self.expected = model.predict(test[:2]).tolist()
