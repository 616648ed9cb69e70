"""Is a card payment fraud? Makes the payments up, trains a model, exports it to ONNX.

Writes into this folder:

    model.onnx       the model, one input per column
    reference.csv    payments of February that the model was not trained on
    events.jsonl     payments of two days in March; on the second one things go wrong

Everything follows from one seed. The payments are made up: fraud is far more frequent than in
life, so that a few thousand rows show it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

SEED = 20_260_301
WORDS = ["country", "merchant", "channel"]
NUMBERS = ["amount", "payments_1h", "account_days", "km_from_home"]
COUNTRIES = ["DE", "FR", "NL", "PL", "US"]
MERCHANTS = ["groceries", "fuel", "travel", "electronics", "gaming"]
CHANNELS = ["chip", "contactless", "online"]

HISTORY_BEGINS, HISTORY_DAYS = pd.Timestamp("2026-02-01", tz="UTC"), 28
EVENTS_BEGIN, EVENTS_DAYS = pd.Timestamp("2026-03-02", tz="UTC"), 2
WAVE_BEGINS = EVENTS_BEGIN + pd.Timedelta(hours=30)
# Of the payments from then on: the attack, accounts without an age, and amounts that get lost.
WRONG_SHARES = (0.15, 0.01, 0.1)


def main() -> None:
    """Write model, reference and events."""
    random = np.random.default_rng(SEED)
    history = payments(random, 16_000, HISTORY_BEGINS, HISTORY_DAYS)
    training, reference = train_test_split(history, test_size=0.5, random_state=SEED)
    model = train(training)
    fraud = model.predict_proba(reference[WORDS + NUMBERS])[:, 1]
    auc = roc_auc_score(reference["outcome"] == "fraud", fraud)
    print(
        f"trained on {len(training):,} payments, ROC AUC {auc:.3f} on {len(reference):,} others"
    )

    Path("model.onnx").write_bytes(export(model))
    reference.sort_values("time").to_csv("reference.csv", index=False)
    today = payments(random, 6_000, EVENTS_BEGIN, EVENTS_DAYS).drop(columns="outcome")
    lines = [json.dumps(event) for event in events(go_wrong(random, today))]
    Path("events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote model.onnx, reference.csv and events.jsonl with {len(lines):,} payments")


# --- payments --------------------------------------------------------------------------------


def payments(
    random: np.random.Generator, count: int, begin: pd.Timestamp, days: int
) -> pd.DataFrame:
    """Make payments up, with their outcome.

    Args:
        random: Where chance comes from.
        count: How many.
        begin: Time of the first.
        days: They are spread evenly over so many.
    """
    channel = random.choice(CHANNELS, count, p=[0.35, 0.35, 0.3])
    online = channel == "online"
    merchant = np.where(
        online,
        random.choice(MERCHANTS, count, p=[0.15, 0.0, 0.3, 0.35, 0.2]),
        random.choice(MERCHANTS, count, p=[0.6, 0.25, 0.05, 0.1, 0.0]),
    )
    typical = pd.Series(merchant).map(
        {"groceries": 28, "fuel": 55, "travel": 260, "electronics": 180, "gaming": 22}
    )
    frame = pd.DataFrame(
        {
            "time": begin + pd.to_timedelta(np.arange(count) * days * 86_400 // count, "s"),
            "amount": (typical * random.lognormal(0.0, 0.7, count)).round(2),
            "payments_1h": random.poisson(0.3, count),
            "account_days": random.gamma(1.5, 600, count).astype(int) + 1,
            "km_from_home": random.gamma(0.5, 60, count).round(1),
            "country": random.choice(COUNTRIES, count, p=[0.6, 0.12, 0.12, 0.1, 0.06]),
            "merchant": merchant,
            "channel": channel,
        }
    )
    frame["outcome"] = np.where(_commit_fraud(random, frame), "fraud", "clear")
    # A payment on the web has no place.
    frame.loc[frame["channel"] == "online", "km_from_home"] = np.nan
    return frame


def _commit_fraud(random: np.random.Generator, frame: pd.DataFrame) -> Any:
    """Let some payments be fraud, and look like it: quick, young, far away, costly.

    Returns:
        Which ones are.
    """
    online = frame["channel"] == "online"
    is_fraud = random.random(len(frame)) < np.where(online, 0.12, 0.02)

    def some() -> Any:
        """Give the frauds that show one of the signs; few show all."""
        return is_fraud & (random.random(len(frame)) < 0.6)

    quick, young, far, costly = some(), some(), some(), some()
    frame.loc[quick, "payments_1h"] += random.poisson(2.0, int(quick.sum()))
    frame.loc[young, "account_days"] = (frame.loc[young, "account_days"] * 0.2).astype(int) + 1
    frame.loc[far, "km_from_home"] = random.gamma(1.5, 500, int(far.sum())).round(1)
    frame.loc[costly, "amount"] = (frame.loc[costly, "amount"] * 2.5).round(2)
    return is_fraud


def go_wrong(random: np.random.Generator, frame: pd.DataFrame) -> pd.DataFrame:
    """Let an attack and two faulty releases come over the last 18 hours.

    A gang tries stolen cards: tiny payments to game shops, many per hour, from a country that
    was never seen. The web shop's release loses the amount now and then. A partner's release
    sends the age of the account as text.
    """
    late = frame["time"] >= WAVE_BEGINS
    attack, worded, lost = (
        late & (random.random(len(frame)) < share) for share in WRONG_SHARES
    )
    count = int(attack.sum())
    frame.loc[attack, "amount"] = random.uniform(0.5, 3.0, count).round(2)
    frame.loc[attack, "payments_1h"] = random.integers(5, 13, count)
    frame.loc[attack, ["country", "merchant", "channel"]] = ["BR", "gaming", "online"]
    frame.loc[attack, "km_from_home"] = np.nan
    frame.loc[lost & (frame["channel"] == "online"), "amount"] = np.nan
    frame["account_days"] = frame["account_days"].astype(object)
    frame.loc[worded, "account_days"] = "unknown"
    return frame


def events(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Give each payment as the event that a producer sends; what is missing is null."""
    for number, row in enumerate(frame.astype(object).to_dict("records")):
        time = row.pop("time").isoformat().replace("+00:00", "Z")
        features = {name: None if pd.isna(value) else value for name, value in row.items()}
        yield {"id": f"p{number:05d}", "time": time, "features": features}


# --- model -----------------------------------------------------------------------------------


def train(frame: pd.DataFrame) -> Pipeline:
    """Fit boosted trees, which know what to do with a number that is missing."""
    prepare = ColumnTransformer(
        [
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), WORDS),
            ("numbers", "passthrough", NUMBERS),
        ]
    )
    trees = HistGradientBoostingClassifier(
        max_iter=80, max_depth=4, learning_rate=0.1, min_samples_leaf=40, random_state=SEED
    )
    # `clear` comes before `fraud`, so the score is the probability of fraud.
    return make_pipeline(prepare, trees).fit(frame[WORDS + NUMBERS], frame["outcome"])


def export(model: Pipeline) -> bytes:
    """Convert to ONNX: one input per column keeps names and types."""
    kinds: dict[str, Any] = {
        "country": StringTensorType([None, 1]),
        "merchant": StringTensorType([None, 1]),
        "channel": StringTensorType([None, 1]),
        "amount": FloatTensorType([None, 1]),
        "payments_1h": Int64TensorType([None, 1]),
        "account_days": Int64TensorType([None, 1]),
        "km_from_home": FloatTensorType([None, 1]),
    }
    converted = skl2onnx.to_onnx(
        model,
        initial_types=list(kinds.items()),
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    return converted.SerializeToString()


if __name__ == "__main__":
    main()
