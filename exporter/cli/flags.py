"""The flags of each command, in Prometheus' style."""

import argparse
from pathlib import Path

from exporter.model import Stage

LISTEN_ADDRESS = ":10429"
SIMULATOR_ADDRESS = "127.0.0.1:18080"


def config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names the configuration."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="the configuration",
    )


def web_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names the web configuration."""
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=Path,
        metavar="FILE",
        help="TLS and log-in of the web server, in the format of Prometheus' exporter-toolkit",
    )


def log_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the log."""
    # Spelled out here, so that --help need not import the logging room.
    parser.add_argument(
        "--log.level",
        dest="log_level",
        type=lambda level: "warning" if level == "warn" else level,
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


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``serve``."""
    config_argument(parser)
    parser.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        action="append",
        default=argparse.SUPPRESS,
        metavar="[HOST]:PORT",
        help=f"where to listen; may be given several times (default: {LISTEN_ADDRESS})",
    )
    web_config_argument(parser)
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        help="where browsers reach the exporter, if a proxy stands in front of it",
    )
    parser.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        metavar="PATH",
        help="what all paths begin with (default: the path of --web.external-url)",
    )
    parser.add_argument(
        "--web.open-health-checks",
        dest="open_health_checks",
        action="store_true",
        help="answer /-/healthy and /-/ready without a login",
    )
    parser.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="fail unless systemd hands over sockets to listen on; if it does, they are used in"
        " place of --web.listen-address in any case",
    )
    log_arguments(parser)
    parser.add_argument(
        "--shard.index",
        dest="shard_index",
        default="0",
        metavar="N|auto",
        help="which of the exporters that share the servers this is, from 0; auto: the number at"
        " the end of the host name, as in name-3",
    )
    parser.add_argument(
        "--shard.count",
        dest="shard_count",
        type=int,
        default=1,
        metavar="N",
        help="how many exporters share the servers; each paces itself below its part of the rate"
        " limit",
    )
    parser.add_argument(
        "--state.file",
        dest="state_file",
        type=Path,
        metavar="FILE",
        help="where to keep verdicts, histories, the pace and the login across a restart; for this"
        " exporter and its user alone",
    )


def probe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``probe``."""
    config_argument(parser)
    parser.add_argument("server", metavar="SERVER", help="the id or name of a configured server")
    parser.add_argument("--project", help="the server's project, where its name is not unique")
    parser.add_argument(
        "--depth",
        choices=[stage.value for stage in Stage],
        help="the last stage to go to; what the configuration says if left out. Beyond page, a"
        " console that lets one viewer in at a time may be busy for as long as the probe takes",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to answer")


def simulate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``simulate``."""
    parser.add_argument(
        "--listen", default=SIMULATOR_ADDRESS, metavar="HOST:PORT", help="where to listen"
    )
    parser.add_argument("--servers", type=int, metavar="N", help="servers of the first project")
    scenario_argument(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="the seed of all that is random")
    for name, what in (("cert", "a certificate"), ("key", "its key")):
        parser.add_argument(
            f"--tls.{name}-file",
            dest=f"{name}_file",
            type=Path,
            metavar="FILE",
            help=f"{what}, PEM: serve over TLS",
        )


def demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``demo``."""
    scenario_argument(parser)
    parser.add_argument(
        "--prometheus",
        action="store_true",
        help="also run Prometheus and Alertmanager, where they are installed, with the shipped"
        " rules: an alert fires within three minutes",
    )
    log_arguments(parser)


def scenario_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag that chooses what happens in the pretend cloud."""
    parser.add_argument(
        "--scenario",
        default="default",
        metavar="NAME|FILE",
        help="what happens in the pretend cloud: a file, or a shipped story; an unknown name lists"
        " them",
    )
