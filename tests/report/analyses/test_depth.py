"""The figure of depth."""

from __future__ import annotations

import pandas as pd

from benchmark.report.analyses.depth import depth_figure


def test_depth_draws_what_lift_loses() -> None:
    rows = [
        {
            "pair": "a->b",
            "method": "m",
            "order": order,
            "place": f"layer {order}",
            "status": "ok",
            "reason": "",
        }
        | {"old": 50.0, "reuse": 60.0, "zs_old": 45.0, "zs_new": 52.0, "lift": 8.0, "lift_low": 7.0, "lift_high": 9.0}
        | {"change": 3.0 - order, "change_low": 1.0 - order, "change_high": 5.0 - order}
        for order in range(3)
    ]
    figure = depth_figure(pd.DataFrame(rows))
    assert figure is not None
    drawn = next(line for line in figure.canvas.axes[0].lines if len(line.get_ydata()) == 3)
    assert list(drawn.get_ydata()) == [3.0, 2.0, 1.0]
    assert [row[3:] for row in figure.data] == [(3.0, 1.0, 5.0), (2.0, 0.0, 4.0), (1.0, -1.0, 3.0)]
