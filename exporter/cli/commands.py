"""Run each command. Commands import their dependencies when they run, to keep ``--help`` fast.

Every command takes the parsed flags and returns the exit status.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from exporter.cli.flags import LISTEN_ADDRESS, SIMULATOR_ADDRESS
from exporter.model import Stage

if TYPE_CHECKING:
    from exporter.config.config import Config

PROG = "console-exporter"
OK, FAILED, DOES_NOT_FIT = 0, 1, 2


def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution."""
    # Importing this at the top would double the imports of --help.
    from importlib.metadata import version  # noqa: PLC0415

    return version(distribution)


def _load(path: Path) -> "Config | None":
    """Return the configuration; print its errors to stderr and return None if it is invalid."""
    from exporter.config.load import ConfigError, load  # noqa: PLC0415

    try:
        return load(path, os.environ)
    except ConfigError as error:
        say(str(error))
        return None


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a message, by default to standard error."""
    print(text, file=stream or sys.stderr, flush=True)


def serve(options: argparse.Namespace) -> int:
    """Run the exporter."""
    from exporter.process import gc_tuning  # noqa: PLC0415

    gc_tuning.pause()

    import socket  # noqa: PLC0415

    from exporter.app.serve import Access, Settings, serve  # noqa: PLC0415
    from exporter.config.errors import ConfigError  # noqa: PLC0415
    from exporter.targets.sharding import ShardError, shard_of  # noqa: PLC0415
    from exporter.web.access.external_url import ExternalUrl, ExternalUrlError  # noqa: PLC0415
    from exporter.web.access.live_config import OPEN, load_rules  # noqa: PLC0415

    try:
        shard = shard_of(options.shard_index, options.shard_count, socket.gethostname())
    except ShardError as error:
        say(f"{PROG}: {error}")
        return FAILED
    config = _load(options.config_file)
    if config is None:
        return FAILED
    web_config_file = options.web_config_file
    try:
        access = Access(
            rules=load_rules(web_config_file) if web_config_file else OPEN,
            external=ExternalUrl.of_flags(options.external_url, options.route_prefix),
            open_health_checks=options.open_health_checks,
            systemd_socket=options.systemd_socket,
        )
    except (ConfigError, ExternalUrlError) as error:
        say(str(error))
        return FAILED
    return serve(
        config,
        Settings(
            config_file=options.config_file,
            listen_addresses=tuple(getattr(options, "listen_addresses", [LISTEN_ADDRESS])),
            log_level=options.log_level,
            log_format=options.log_format,
            version=installed_version(PROG),
            access=access,
            shard=shard,
            state_file=options.state_file,
        ),
    )


def check_config(options: argparse.Namespace) -> int:
    """Validate the configuration and compare the probes it needs with the rate limits."""
    from exporter.config.check import check  # noqa: PLC0415
    from exporter.config.errors import ConfigError  # noqa: PLC0415
    from exporter.targets.capacity import plans  # noqa: PLC0415
    from exporter.web.access.live_config import load_rules  # noqa: PLC0415

    try:
        if options.web_config_file is not None:
            load_rules(options.web_config_file)
            say(f"{options.web_config_file}: the web configuration is valid", sys.stdout)
        config = check(options.config_file, os.environ)
    except ConfigError as error:
        say(str(error))
        return FAILED
    say(f"{options.config_file}: the configuration is valid", sys.stdout)
    capacity_plans = plans(config)
    for plan in capacity_plans:
        say(str(plan), sys.stdout)
        if plan.project.discovery:
            say(
                "  plus the servers listed by the cloud, which are not counted here:"
                f" run {PROG} discover to see them",
                sys.stdout,
            )
        for server in plan.project.servers:
            say(
                f"  {server.name} ({server.id}) every {server.interval:g} s,"
                f" timeout {server.timeout:g} s, depth {server.depth}",
                sys.stdout,
            )
    return OK if all(plan.fits for plan in capacity_plans) else DOES_NOT_FIT


def discover(options: argparse.Namespace) -> int:
    """Print the servers that each source of each project lists."""
    import asyncio  # noqa: PLC0415

    from exporter.app.discover import discover  # noqa: PLC0415
    from exporter.clock import SystemClock  # noqa: PLC0415
    from exporter.process import log  # noqa: PLC0415
    from exporter.targets.source_report import source_reports_text  # noqa: PLC0415

    config = _load(options.config_file)
    if config is None:
        return FAILED
    log.configure(level="error", form="logfmt")
    found = asyncio.run(discover(config, SystemClock()))
    for project, reports in found:
        say(source_reports_text(project, reports), sys.stdout)
    failures = [
        f"{PROG}: project {project.name}, {one.source}: {line}"
        for project, reports in found
        for one in reports
        for line in one.failure.splitlines()
    ]
    if failures:
        say("\n".join(failures))
    return FAILED if failures else OK


def probe(options: argparse.Namespace) -> int:
    """Probe one server and print the result."""
    import asyncio  # noqa: PLC0415
    import json  # noqa: PLC0415
    from dataclasses import replace  # noqa: PLC0415

    import httpx  # noqa: PLC0415

    from exporter.app.discover import find_listed_target  # noqa: PLC0415
    from exporter.app.project import probe_once  # noqa: PLC0415
    from exporter.clock import SystemClock  # noqa: PLC0415
    from exporter.config.secret import SecretUnreadableError  # noqa: PLC0415
    from exporter.outcome import Verdict  # noqa: PLC0415
    from exporter.probe.result_format import as_json, waterfall  # noqa: PLC0415
    from exporter.process import log  # noqa: PLC0415
    from exporter.targets import TargetNotFoundError  # noqa: PLC0415

    config = _load(options.config_file)
    if config is None:
        return FAILED
    log.configure(level="error", form="logfmt")
    try:
        target = asyncio.run(
            find_listed_target(config, options.server, options.project, SystemClock())
        )
        if options.depth:
            target = replace(target, depth=Stage(options.depth))
        project = next(one for one in config.projects if one.name == target.key.project)
        result = asyncio.run(probe_once(project, target, SystemClock()))
    except (TargetNotFoundError, httpx.RequestError, SecretUnreadableError, OSError) as error:
        say(f"{PROG}: {error}")
        return FAILED
    if options.format == "json":
        say(json.dumps(as_json(result), indent=2), sys.stdout)
    else:
        say(waterfall(result), sys.stdout)
    return OK if result.verdict is Verdict.SUCCESS else FAILED


def simulate(options: argparse.Namespace) -> int:
    """Run the simulated cloud without an exporter."""
    from exporter.simulator import run  # noqa: PLC0415

    if options.servers is not None and options.servers < 1:
        say(f"{PROG}: --servers must be 1 or more")
        return FAILED
    host, separator, port = options.listen.rpartition(":")
    if not separator or not host or not port.isdigit():
        say(f"{PROG}: --listen must be HOST:PORT, for example {SIMULATOR_ADDRESS}")
        return FAILED
    if (options.cert_file is None) != (options.key_file is None):
        say(f"{PROG}: --tls.cert-file and --tls.key-file must be set together")
        return FAILED
    return run(
        host.strip("[]"),
        int(port),
        scenario=options.scenario,
        servers=options.servers,
        seed=options.seed,
        certificate=(options.cert_file, options.key_file) if options.cert_file else None,
    )


def demo(options: argparse.Namespace) -> int:
    """Run the simulated cloud and an exporter that probes it."""
    from exporter.cli.demo import Demo, demo  # noqa: PLC0415

    settings = Demo(
        simulator_address=SIMULATOR_ADDRESS,
        scenario=options.scenario,
        log_level=options.log_level,
        log_format=options.log_format,
        version=installed_version(PROG),
    )
    return demo(settings, prometheus=options.prometheus)


def config_schema(_options: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration."""
    import json  # noqa: PLC0415

    from exporter.config.load import json_schema  # noqa: PLC0415

    say(json.dumps(json_schema(), indent=2), sys.stdout)
    return OK
