"""The commands. Each imports what it needs when it runs, so that ``--help`` is quick."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from exporter.help_text import ManualParser
from exporter.manual import OVERVIEW, PAGES
from exporter.model import Stage

if TYPE_CHECKING:
    from exporter.config.config import Config

_PROG = "console-exporter"
_OK, _FAILED, _DOES_NOT_FIT = 0, 1, 2
_SIMULATOR_ADDRESS = "127.0.0.1:18080"
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = command_line().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands and their flags."""
    parser = ManualParser(page=OVERVIEW, prog=_PROG)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        page = PAGES[name]
        sub = commands.add_parser(name, help=page.summary, page=page)
        sub.set_defaults(run=run)
        return sub

    _serve_arguments(command("serve", _serve))
    _config_argument(command("check-config", _check_config))
    _probe_arguments(command("probe", _probe))
    _simulate_arguments(command("simulate", _simulate))
    _demo_arguments(command("demo", _demo))
    command("config-schema", _config_schema)
    return parser


class _Version(argparse.Action):
    def __call__(self, *_: object) -> None:
        _say(f"{_PROG} {installed_version(_PROG)}", sys.stdout)
        sys.exit(_OK)


def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution."""
    # Half of what --help would import otherwise.
    from importlib.metadata import version  # noqa: PLC0415

    return version(distribution)


def _config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="the configuration",
    )


def _log_arguments(parser: argparse.ArgumentParser) -> None:
    # Spelled out here, so that --help need not import the logging room.
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="the least level that is logged",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=("logfmt", "json"),
        default="logfmt",
        help="the form of log lines",
    )


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    _config_argument(parser)
    parser.add_argument(
        "--web.listen-address",
        dest="listen_address",
        default=":10429",
        metavar="[HOST]:PORT",
        help="where to listen",
    )
    _log_arguments(parser)


def _probe_arguments(parser: argparse.ArgumentParser) -> None:
    _config_argument(parser)
    parser.add_argument("server", metavar="SERVER", help="the id or name of a configured server")
    parser.add_argument("--project", help="the server's project, where its name is not unique")
    parser.add_argument(
        "--depth",
        choices=tuple(Stage),
        help="the last stage to go to; what the configuration says if left out. Beyond page, a"
        " console that lets one viewer in at a time may be busy for as long as the probe takes",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to answer")


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", default=_SIMULATOR_ADDRESS, metavar="HOST:PORT", help="where to listen"
    )
    parser.add_argument("--servers", type=int, metavar="N", help="servers of the first project")
    _scenario_argument(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="the seed of all that is random")
    for name, what in (("cert", "a certificate"), ("key", "its key")):
        parser.add_argument(
            f"--tls.{name}-file",
            dest=f"{name}_file",
            type=Path,
            metavar="FILE",
            help=f"{what}, PEM: serve over TLS",
        )


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    _scenario_argument(parser)
    parser.add_argument(
        "--prometheus",
        action="store_true",
        help="also run Prometheus and Alertmanager, where they are installed, with the shipped"
        " rules: an alert fires within three minutes",
    )
    _log_arguments(parser)


def _scenario_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scenario",
        default="default",
        metavar="NAME|FILE",
        help="what happens in the pretend cloud: a file, or a shipped story; an unknown name lists"
        " them",
    )


def _load(path: Path) -> "Config | None":
    """Return the configuration, or None after saying on standard error what is wrong with it."""
    from exporter.config.load import ConfigError, load  # noqa: PLC0415

    try:
        return load(path, os.environ)
    except ConfigError as error:
        _say(str(error))
        return None


def _say(text: str, stream: TextIO | None = None) -> None:
    print(text, file=stream or sys.stderr, flush=True)


def _serve(options: argparse.Namespace) -> int:
    import gc  # noqa: PLC0415

    # Nothing is garbage until all is built; looking for some takes a tenth of a start, and half of
    # it at 50,000 servers. It is switched on again when serving begins.
    gc.disable()
    from exporter.serve import Settings, serve  # noqa: PLC0415

    config = _load(options.config_file)
    if config is None:
        return _FAILED
    return serve(
        config,
        Settings(
            config_file=options.config_file,
            listen_address=options.listen_address,
            log_level=options.log_level,
            log_format=options.log_format,
            version=installed_version(_PROG),
        ),
    )


def _check_config(options: argparse.Namespace) -> int:
    from exporter.plan import plans  # noqa: PLC0415

    config = _load(options.config_file)
    if config is None:
        return _FAILED
    _say(f"{options.config_file}: the configuration is valid", sys.stdout)
    made = plans(config)
    for plan in made:
        _say(str(plan), sys.stdout)
        for server in plan.project.servers:
            _say(
                f"  {server.name} ({server.id}) every {server.interval:g} s,"
                f" within {server.timeout:g} s, depth {server.depth}",
                sys.stdout,
            )
    return _OK if all(plan.fits for plan in made) else _DOES_NOT_FIT


def _probe(options: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415
    import json  # noqa: PLC0415
    from dataclasses import replace  # noqa: PLC0415

    from exporter import log  # noqa: PLC0415
    from exporter.app import probe_once  # noqa: PLC0415
    from exporter.clock import SystemClock  # noqa: PLC0415
    from exporter.cloud.errors import CloudError  # noqa: PLC0415
    from exporter.config.secret import SecretUnreadableError  # noqa: PLC0415
    from exporter.outcome import Verdict  # noqa: PLC0415
    from exporter.probe.report import as_json, waterfall  # noqa: PLC0415
    from exporter.targets import TargetNotFoundError, find_target, targets_of  # noqa: PLC0415

    config = _load(options.config_file)
    if config is None:
        return _FAILED
    log.configure(level="error", form="logfmt")
    try:
        target = find_target(targets_of(config), options.server, options.project)
        if options.depth:
            target = replace(target, depth=Stage(options.depth))
        project = next(one for one in config.projects if one.name == target.key.project)
        result = asyncio.run(probe_once(project, target, SystemClock()))
    except (TargetNotFoundError, CloudError, SecretUnreadableError, OSError) as error:
        _say(f"{_PROG}: {error}")
        return _FAILED
    if options.format == "json":
        _say(json.dumps(as_json(result), indent=2), sys.stdout)
    else:
        _say(waterfall(result), sys.stdout)
    return _OK if result.verdict is Verdict.SUCCESS else _FAILED


def _simulate(options: argparse.Namespace) -> int:
    from exporter.simulator import run  # noqa: PLC0415

    if options.servers is not None and options.servers < 1:
        _say(f"{_PROG}: --servers must be 1 or more")
        return _FAILED
    host, separator, port = options.listen.rpartition(":")
    if not separator or not host or not port.isdigit():
        _say(f"{_PROG}: --listen must be HOST:PORT, such as {_SIMULATOR_ADDRESS}")
        return _FAILED
    if (options.cert_file is None) != (options.key_file is None):
        _say(f"{_PROG}: --tls.cert-file and --tls.key-file go together")
        return _FAILED
    return run(
        host.strip("[]"),
        int(port),
        scenario=options.scenario,
        servers=options.servers,
        seed=options.seed,
        certificate=(options.cert_file, options.key_file) if options.cert_file else None,
    )


def _demo(options: argparse.Namespace) -> int:
    from exporter.demo import Demo, demo  # noqa: PLC0415

    asked = Demo(
        simulator_address=_SIMULATOR_ADDRESS,
        scenario=options.scenario,
        log_level=options.log_level,
        log_format=options.log_format,
        version=installed_version(_PROG),
    )
    return demo(asked, prometheus=options.prometheus)


def _config_schema(_options: argparse.Namespace) -> int:
    import json  # noqa: PLC0415

    from exporter.config.load import json_schema  # noqa: PLC0415

    _say(json.dumps(json_schema(), indent=2), sys.stdout)
    return _OK
