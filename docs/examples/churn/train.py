"""Will a subscriber leave? Makes subscribers up, trains a model, and plays the model service.

Writes into this folder:

    model.onnx       the model, one input for all columns
    reference.csv    subscribers of January that the model was not trained on
    events.jsonl     two weeks of February, each event with what the service decided

Everything follows from one seed; the subscribers are made up.
The service is part of the story: its release 10, of the second week, feeds the model wrong
numbers and does not notice.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxmltools
import pandas as pd
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

SEED = 20_260_201
FEATURES = [
    "tenure_months",
    "contract_months",
    "monthly_charge",
    "usage_gb",
    "support_calls",
    "autopay",
]
HISTORY_BEGINS, HISTORY_DAYS = pd.Timestamp("2026-01-01", tz="UTC"), 31
EVENTS_BEGIN, EVENTS_DAYS = pd.Timestamp("2026-02-02", tz="UTC"), 14
RELEASE_10 = EVENTS_BEGIN + pd.Timedelta(days=7)
PRICES_RISE = EVENTS_BEGIN + pd.Timedelta(days=10)


def main() -> None:
    """Write model, reference and events."""
    random = np.random.default_rng(SEED)
    history = subscribers(random, 12_000, HISTORY_BEGINS, HISTORY_DAYS)
    training, reference = train_test_split(history, test_size=0.5, random_state=SEED)
    model = train(training)
    leaves = model.predict_proba(reference[FEATURES])[:, 1]
    auc = roc_auc_score(reference["churned"] == "yes", leaves)
    print(f"trained on {len(training):,} rows, ROC AUC {auc:.3f} on {len(reference):,} others")

    Path("model.onnx").write_bytes(export(model))
    reference.sort_values("time").to_csv("reference.csv", index=False)
    asked = subscribers(random, 7_000, EVENTS_BEGIN, EVENTS_DAYS).drop(columns="churned")
    rise = asked["time"] >= PRICES_RISE
    asked.loc[rise, "monthly_charge"] = (asked.loc[rise, "monthly_charge"] * 1.15).round(2)
    lines = [json.dumps(event) for event in events(asked, *serve(model, asked))]
    Path("events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote model.onnx, reference.csv and events.jsonl with {len(lines):,} predictions")


# --- subscribers -----------------------------------------------------------------------------


def subscribers(
    random: np.random.Generator, count: int, begin: pd.Timestamp, days: int
) -> pd.DataFrame:
    """Make subscribers up, with whether they leave within three months.

    Args:
        random: Where chance comes from.
        count: How many.
        begin: Time at which the service is asked about the first.
        days: They are spread evenly over so many.
    """
    frame = pd.DataFrame(
        {
            "time": begin + pd.to_timedelta(np.arange(count) * days * 86_400 // count, "s"),
            "tenure_months": random.gamma(1.3, 22, count).astype(int) + 1,
            "contract_months": random.choice([1, 12, 24], count, p=[0.45, 0.35, 0.2]),
            "monthly_charge": (15 + random.gamma(3.0, 9.0, count)).round(2),
            "usage_gb": random.gamma(1.6, 14.0, count).round(1),
            "support_calls": random.poisson(1.1, count),
            "autopay": random.binomial(1, 0.6, count),
        }
    )
    # Old meters do not report: the model has to do without, and learns to.
    frame.loc[random.random(count) < 0.06, "usage_gb"] = np.nan
    logit = (
        -0.8
        + 0.9 * frame["support_calls"]
        + 0.03 * (frame["monthly_charge"] - 42)
        - 0.025 * frame["tenure_months"]
        - 0.9 * (frame["contract_months"] > 1)
        - 0.7 * (frame["contract_months"] > 12)
        - 0.6 * frame["autopay"]
        - 0.015 * frame["usage_gb"].fillna(20)
    )
    leaves = random.random(count) < 1 / (1 + np.exp(-logit))
    return frame.assign(churned=np.where(leaves, "yes", "no"))


# --- model and service -----------------------------------------------------------------------


def train(frame: pd.DataFrame) -> lightgbm.LGBMClassifier:
    """Fit boosted trees; the same on every machine."""
    model = lightgbm.LGBMClassifier(
        n_estimators=80,
        num_leaves=15,
        learning_rate=0.08,
        min_child_samples=40,
        random_state=SEED,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )
    return model.fit(frame[FEATURES], frame["churned"])


def export(model: lightgbm.LGBMClassifier) -> bytes:
    """Convert to ONNX: a single input, with the columns in the order of `FEATURES`."""
    kinds = [("features", FloatTensorType([None, len(FEATURES)]))]
    converted = onnxmltools.convert_lightgbm(
        model, initial_types=kinds, zipmap=False, target_opset=15
    )
    return converted.SerializeToString()


def serve(model: lightgbm.LGBMClassifier, frame: pd.DataFrame) -> tuple[Any, Any]:
    """Decide as the service does: right in release 9, without the support calls in 10.

    Returns:
        Probability of leaving, and the release that said so.
    """
    seen = frame[FEATURES].copy()
    new = frame["time"] >= RELEASE_10
    seen.loc[new, "support_calls"] = 0
    return model.predict_proba(seen)[:, 1].round(6), np.where(new, "10", "9")


def events(frame: pd.DataFrame, score: Any, version: Any) -> Iterator[dict[str, Any]]:
    """Give each question with its answer, as the service sends them after it decided."""
    rows = frame.astype(object).to_dict("records")
    for number, (row, said, release) in enumerate(zip(rows, score, version, strict=True)):
        time = row.pop("time").isoformat().replace("+00:00", "Z")
        yield {
            "id": f"s{number:05d}",
            "time": time,
            "features": {
                name: None if pd.isna(value) else value for name, value in row.items()
            },
            "prediction": {
                "label": "yes" if said >= 0.5 else "no",
                "score": float(said),
                "model": "churn",
                "version": str(release),
            },
        }


if __name__ == "__main__":
    main()
