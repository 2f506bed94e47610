"""Write the dashboards, the rules and the metrics page.

``python -m monitoring [--output=DIR] [--scale=60]``. Every field of `Parameters` is also a flag:
``--probe-interval=5m --objective=0.999``.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from monitoring.dashboards import all_dashboards
from monitoring.durations import seconds
from monitoring.metrics_page import metrics_page
from monitoring.parameters import Duration, Parameters
from monitoring.rules_file import all_rules


def generated(parameters: Parameters) -> dict[str, str]:
    """Return the generated files: text by path."""
    return {
        **{f"rules/{name}": text for name, text in all_rules(parameters).items()},
        **{f"dashboards/{name}": text for name, text in all_dashboards(parameters).items()},
        "docs/metrics.md": metrics_page(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Write every generated file to the output folder."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring",
        description="Write the dashboards, the rules and docs/metrics.md.",
    )
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="divide every duration by this, to rehearse outages in less time",
    )
    for each in fields(Parameters):
        if isinstance(each.default, str | int | float):
            reader = seconds if Duration in each.metadata else type(each.default)
            option = f"--{each.name.replace('_', '-')}"
            parser.add_argument(option, type=reader, default=each.default, metavar="VALUE")
    given = vars(parser.parse_args(arguments))
    output, scale = given.pop("output"), given.pop("scale")
    for name, text in generated(Parameters(**given).compressed(scale)).items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
