"""Tables and facts of earlier versions, translated to the current names.

Schema 1 called an incompatible module "unfit", a shifted test set a "variant", and named repairs and analyses
differently.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

STATUSES = {"unfit": "incompatible"}
COLUMNS = {"variant": "test_set", "figure": "quantity"}
REPAIRS = {"remap": "procrustes"}
REPAIR_LABELS = {"remap": "Procrustes alignment"}


def modernise(table: pd.DataFrame) -> pd.DataFrame:
    """A table as this version would have written it."""
    table = table.rename(columns={old: new for old, new in COLUMNS.items() if new not in table})
    if "label" in table and "strategy" in table:  # of the repair analysis
        table = table.rename(columns={"strategy": "repair"})
        table["repair"] = table["repair"].replace(REPAIRS)
        table["label"] = table["label"].replace(REPAIR_LABELS)
    if "status" in table:
        table["status"] = table["status"].replace(STATUSES)
    return table


def modern_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """The content of run.json as this version would have written it."""
    datasets = facts.get("datasets")
    for dataset in datasets.values() if isinstance(datasets, dict) else ():
        if isinstance(dataset, dict) and "variant_of" in dataset:
            dataset["shift_of"] = dataset.pop("variant_of")
    return facts
