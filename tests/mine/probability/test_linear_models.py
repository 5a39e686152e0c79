"""The driver's solver against MLlib's own, on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import LinearRegression
from pyspark.sql import DataFrame, SparkSession
from shoal.mine.probability.linear_models import fit_logistic, fit_ridge

ROWS, WIDTH = 120, 6


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Sparse vectors of different scales; a number, and a class, that depend on them."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=(ROWS, WIDTH)) * np.array([1, 0.1, 5, 1, 1, 1]) * (draw.random((ROWS, WIDTH)) < 0.7)
    y = 3.0 + x @ np.array([1.0, -4.0, 0.5, 0.0, 2.0, 1.0]) + draw.normal(0, 0.5, ROWS)
    made = [
        (Vectors.sparse(WIDTH, {i: float(v) for i, v in enumerate(row) if v}), float(t), float(t > 3))
        for row, t in zip(x, y, strict=True)
    ]
    return spark.createDataFrame(made, ["features", "number", "is_large"]).coalesce(1).localCheckpoint()


def test_both_models_are_mllibs(rows: DataFrame) -> None:
    settings = {"standardization": False, "maxIter": 300, "tol": 1e-12}
    for penalty in (0.02, 2.0):
        ours = fit_ridge(rows, "features", "number", penalty, ROWS)
        theirs = LinearRegression(labelCol="number", regParam=penalty, solver="l-bfgs", **settings).fit(rows)
        assert ours.coefficients.toArray() == pytest.approx(theirs.coefficients.toArray(), abs=1e-4)
        assert ours.intercept == pytest.approx(theirs.intercept, abs=1e-4)
    ours_too = fit_logistic(rows, "features", "is_large", 0.01, ROWS)
    theirs_too = LogisticRegression(labelCol="is_large", regParam=0.01, **settings).fit(rows)
    assert ours_too.coefficients.toArray() == pytest.approx(theirs_too.coefficients.toArray(), abs=1e-3)
    assert ours_too.intercept == pytest.approx(theirs_too.intercept, abs=1e-3)
    scored = ours_too.transform(rows).select("probability").first()
    assert scored is not None and 0 <= scored[0][1] <= 1


def test_a_label_that_never_varies_is_its_own_prediction(rows: DataFrame) -> None:
    from pyspark.sql import functions as F

    model = fit_ridge(rows.withColumn("number", F.lit(7.0)), "features", "number", 1.0, ROWS)
    assert (model.intercept, model.coefficients.toArray().tolist()) == (7.0, [0.0] * WIDTH)
