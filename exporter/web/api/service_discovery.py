"""Servers as targets for Prometheus' HTTP service discovery, to be probed through ``/probe``."""

from exporter.model import Target
from exporter.web.api.query import place


def target_group(target: Target) -> dict[str, object]:
    """Return the group of one server.

    ``__param_…`` is what Prometheus puts into the query of ``/probe``, so that only the address
    is left to relabel. ``instance`` tells apart what ids alone would not: they are unique within
    a project only.
    """
    key = target.key
    meta = {
        "project": key.project,
        "server_id": key.server_id,
        "server": target.name,
        "region": target.region,
        "depth": target.depth.value,
        **{f"label_{name}": text for name, text in target.labels},
    }
    return {
        "targets": [key.server_id],
        "labels": {
            "instance": place(target),
            "__param_target": key.server_id,
            "__param_project": key.project,
            **{f"__meta_console_{name}": text for name, text in meta.items()},
        },
    }
