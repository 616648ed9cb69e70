"""How far will diabetes progress within a year? Real patients, a model, their visits replayed.

Writes into this folder:

    model.onnx       the model, one input per column
    reference.csv    the half of the patients that the model was not trained on
    visits.jsonl     60 days of visits as Kafka records with the patient as key

The 442 patients are those of Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression"
(2004), as scikit-learn brings them along. Who comes on which day is made up, from one seed, and
so is what goes wrong on the way in the second month.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 442
FEATURES = ["age", "sex", "bmi", "bp", "s5"]
BEGIN, DAYS, VISITS = pd.Timestamp("2026-03-01", tz="UTC"), 60, 2_400
LAB_CHANGES = BEGIN + pd.Timedelta(days=40)
SCALES_BREAK = BEGIN + pd.Timedelta(days=30)


def main() -> None:
    """Write model, reference and visits."""
    random = np.random.default_rng(SEED)
    patients = load_patients()
    training, reference = train_test_split(patients, test_size=0.5, random_state=SEED)
    model = train(training)
    error = mean_absolute_error(reference["progression"], model.predict(reference[FEATURES]))
    print(f"trained on {len(training)} patients, off by {error:.0f} on {len(reference)} others")
    print_rules(training)

    Path("model.onnx").write_bytes(export(model))
    reference.sort_index().to_csv("reference.csv", index=False)
    lines = [json.dumps(record) for record in records(visits(random, patients))]
    Path("visits.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote model.onnx, reference.csv and visits.jsonl with {len(lines):,} visits")


def load_patients() -> pd.DataFrame:
    """Give the columns of the model, s5 being the log of triglycerides, and the outcome."""
    data = load_diabetes(as_frame=True, scaled=False)
    frame = data.data[FEATURES].astype({"age": int, "sex": int})
    return frame.assign(progression=data.target)


def print_rules(training: pd.DataFrame) -> None:
    """Say what a rule without the model would have to answer: means of the training rows."""
    for text, chosen in (
        ("all", training),
        ("bmi < 23", training[training["bmi"] < 23]),
        ("bmi >= 30 and bp >= 100", training.query("bmi >= 30 and bp >= 100")),
    ):
        print(f"mean progression, {text}: {chosen['progression'].mean():.0f}")


# --- visits ----------------------------------------------------------------------------------


def visits(random: np.random.Generator, patients: pd.DataFrame) -> pd.DataFrame:
    """Let patients come, in any order and some of them often; then let things go wrong.

    In the second month scales that are broken leave one body mass index in five out, and one
    clinic writes blood pressure with a comma. Ten days later the laboratory begins to report
    the logarithm to base 10 in place of the natural one.
    """
    frame = patients.drop(columns="progression").sample(
        VISITS, replace=True, random_state=random
    )
    frame.index.name = "patient"
    frame = frame.reset_index()
    seconds = np.sort(random.integers(0, DAYS * 86_400, VISITS))
    frame.insert(0, "time", BEGIN + pd.to_timedelta(seconds, "s"))
    later = frame["time"] >= SCALES_BREAK
    frame.loc[later & (random.random(VISITS) < 0.2), "bmi"] = np.nan
    commas = later & (random.random(VISITS) < 0.02)
    changed = frame["time"] >= LAB_CHANGES
    frame.loc[changed, "s5"] = (frame.loc[changed, "s5"] / np.log(10)).round(4)
    frame["bp"] = frame["bp"].astype(object)
    frame.loc[commas, "bp"] = frame.loc[commas, "bp"].map(
        lambda value: f"{value}".replace(".", ",")
    )
    return frame


def records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Give each visit as the record that Kafka would hold."""
    for offset, row in enumerate(frame.astype(object).to_dict("records")):
        time = row.pop("time")
        patient = f"patient-{row.pop('patient')}"
        features = {name: None if pd.isna(value) else value for name, value in row.items()}
        yield {
            "topic": "progression.events",
            "partition": 0,
            "offset": offset,
            "timestamp": int(time.timestamp() * 1000),
            "key": patient,
            "value": json.dumps({"id": f"v{offset:05d}", "features": features}),
        }


# --- model -----------------------------------------------------------------------------------


def train(frame: pd.DataFrame) -> Pipeline:
    """Fit small boosted trees: there are few patients."""
    prepare = ColumnTransformer([("numbers", StandardScaler(), FEATURES)])
    trees = GradientBoostingRegressor(
        n_estimators=60, max_depth=2, learning_rate=0.08, subsample=0.8, random_state=SEED
    )
    return make_pipeline(prepare, trees).fit(frame[FEATURES], frame["progression"])


def export(model: Pipeline) -> bytes:
    """Convert to ONNX: one input per column keeps names and types."""
    whole = {"age", "sex"}
    kinds: list[tuple[str, Any]] = [
        (name, Int64TensorType([None, 1]) if name in whole else FloatTensorType([None, 1]))
        for name in FEATURES
    ]
    converted = skl2onnx.to_onnx(
        model, initial_types=kinds, target_opset={"": 17, "ai.onnx.ml": 3}
    )
    return converted.SerializeToString()


if __name__ == "__main__":
    main()
