"""Target groups for Prometheus' HTTP service discovery, to be probed through ``/probe``."""

from exporter.model import Target
from exporter.web.api.query import position


def target_group(target: Target) -> dict[str, object]:
    """Return the target group of one server.

    Prometheus sends ``__param_…`` as query parameters of ``/probe``, so only the address needs
    relabelling. ``instance`` contains the project, because ids are unique only within a project.
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
            "instance": position(target),
            "__param_target": key.server_id,
            "__param_project": key.project,
            **{f"__meta_console_{name}": text for name, text in meta.items()},
        },
    }
