"""What ``--help`` says beyond the flags: a page for the program and for each of its commands."""

from dataclasses import dataclass

Entries = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a command; entries are a term and what is to be said of it.

    An example is a command line, which must be valid, and what it does.
    """

    summary: str
    description: str
    examples: Entries
    exit_status: Entries
    environment: Entries = ()
    files: Entries = ()
    signals: Entries = ()

    @property
    def sections(self) -> tuple[tuple[str, Entries], ...]:
        """Return the sections that have something to say, in the order of manual pages."""
        sections = (
            ("signals", self.signals),
            ("environment", self.environment),
            ("files", self.files),
            ("exit status", self.exit_status),
            ("examples", self.examples),
        )
        return tuple(one for one in sections if one[1])


_WRONG_USE = ("2", "the command line is wrong")
_INTERRUPTED = ("130", "interrupted by Ctrl-C")
_MISTAKE = (
    "1",
    "the configuration cannot be read or has mistakes; each is on standard error, with its place",
)
_VARIABLES = "variables that the configuration names so; one that is not set is a mistake"
_CONFIG_FILES = (
    (
        "config.yaml",
        (
            "the configuration, in the working directory unless --config.file says otherwise;"
            " relative paths in it start at its own folder"
        ),
    ),
    (
        "*_file",
        (
            "the secrets that the configuration gives so, such as password_file; read again at each"
            " use, so that rotating one needs no reload"
        ),
    ),
)

OVERVIEW = Page(
    summary="probe remote consoles",
    description=(
        "Probe the remote consoles of bare-metal servers in Huawei Cloud CloudDC and expose what"
        " was seen to Prometheus. A verdict is only given on evidence: an exhausted quota or an"
        " expired password says nothing about a console, and turns none red. 'console-exporter"
        " COMMAND --help' is the manual of a command."
    ),
    examples=(
        ("console-exporter demo", "see it all against a pretend cloud, with no account"),
        ("console-exporter check-config --config.file=my.yaml", "find every mistake at once"),
        ("console-exporter serve --config.file=my.yaml", "run it"),
    ),
    exit_status=(
        ("0", "what was asked for went well"),
        ("1", "it did not; standard error says why"),
        ("2", "the command line is wrong, or the probes of check-config do not fit"),
        _INTERRUPTED,
    ),
    environment=(("COLUMNS", "the width of this text; the terminal's if not set"),),
)

PAGES = {
    "serve": Page(
        summary="run the exporter",
        description=(
            "Probe every configured server on its own schedule, below the project's rate limit, and"
            " answer /metrics, the status pages and the JSON API from what was seen. A scrape never"
            " waits for a probe. Log lines go to standard error."
        ),
        examples=(
            (
                "console-exporter serve --config.file=my.yaml --web.listen-address=127.0.0.1:10429",
                "answer this machine alone",
            ),
            (
                "console-exporter serve --config.file=my.yaml --web.config.file=web.yml",
                "answer over TLS, and only who logs in",
            ),
            (
                "console-exporter serve --shard.index=auto --shard.count=3 --state.file=state.db",
                "be one of three that share the servers, and remember across a restart",
            ),
            (
                "console-exporter serve --config.file=my.yaml --log.level=debug --log.format=json",
                "say more, for a log collector",
            ),
        ),
        signals=(
            (
                "SIGHUP",
                (
                    "load the configuration again, as POST /-/reload does: all or nothing; servers"
                    " that did not change keep their phase, counts and history"
                ),
            ),
            ("SIGTERM, SIGINT", "let running probes end, then stop, within 5 seconds"),
        ),
        environment=(
            ("${VAR}", _VARIABLES + "; read at the start, not at a reload"),
            (
                "LISTEN_FDS",
                "sockets that systemd has opened: listened on in place of --web.listen-address",
            ),
            ("NOTIFY_SOCKET", "where systemd is told of readiness, reloads and the end"),
            ("WATCHDOG_USEC", "how often systemd wants a sign of life, in microseconds"),
        ),
        files=(
            *_CONFIG_FILES,
            (
                "server_files",
                "lists that the configuration names; read again within seconds of a change",
            ),
            (
                "--web.config.file",
                "TLS and users; in force at the next connection or request",
            ),
            (
                "--state.file",
                "a SQLite database, made where there is none; a damaged one is set aside",
            ),
        ),
        exit_status=(
            ("0", "stopped by a signal"),
            (
                "1",
                _MISTAKE[1] + "; or the address cannot be listened on; or another exporter uses the"
                " state file",
            ),
            _WRONG_USE,
        ),
    ),
    "check-config": Page(
        summary="validate the configuration and show what it asks of the rate limits",
        description=(
            "Read the configuration as serve does, and say every mistake with file, line, column,"
            " path and cure. Where there is none, list the projects, their servers, and the probe"
            " budget: the probes a second that the intervals ask for, against the rate limit."
            " Nothing is asked of the cloud."
        ),
        examples=(
            ("console-exporter check-config --config.file=my.yaml", "before it is rolled out"),
        ),
        environment=(("${VAR}", _VARIABLES),),
        files=_CONFIG_FILES,
        exit_status=(
            ("0", "valid, and the probes fit the rate limits"),
            _MISTAKE,
            ("2", "valid, but the probes do not fit; or the command line is wrong"),
        ),
    ),
    "discover": Page(
        summary="print the servers that each project's sources yield",
        description=(
            "Ask every source of the configuration's servers once, the cloud included, and print"
            " what serve would probe. No console is probed."
        ),
        examples=(("console-exporter discover --config.file=my.yaml", "what would be probed"),),
        environment=(("${VAR}", _VARIABLES),),
        files=_CONFIG_FILES,
        exit_status=(
            ("0", "every source answered"),
            ("1", _MISTAKE[1] + "; or a source did not answer"),
            _WRONG_USE,
            _INTERRUPTED,
        ),
    ),
    "probe": Page(
        summary="probe one server now; exit 0 only when its console is reachable",
        description=(
            "Probe one configured server and print the stages as a waterfall: how long each took,"
            " and where it failed. It is a request to the real cloud, with a log-in if one is"
            " needed, and is not paced by an exporter that runs elsewhere. Neither the address of"
            " the console nor its token is printed."
        ),
        examples=(
            ("console-exporter probe --config.file=my.yaml db-01", "as the configuration says"),
            (
                "console-exporter probe --config.file=my.yaml --depth=rfb db-01",
                "all the way to the machine's first bytes",
            ),
            (
                "console-exporter probe --config.file=my.yaml --format=json db-01",
                "for a program",
            ),
        ),
        environment=(("${VAR}", _VARIABLES),),
        files=_CONFIG_FILES,
        exit_status=(
            ("0", "every stage passed"),
            (
                "1",
                (
                    "the console is not reachable, nothing could be said about it (throttled, no"
                    " login), the server is not configured, or the configuration has mistakes"
                ),
            ),
            _WRONG_USE,
            _INTERRUPTED,
        ),
    ),
    "simulate": Page(
        summary="run the pretend cloud alone",
        description=(
            "Speak the cloud's API, its logins and its consoles, for rehearsals: a scenario says"
            " how slow it is, what quota it has, and what breaks when. It prints its address, and"
            " needs no account. It is no place for real secrets."
        ),
        examples=(
            ("console-exporter simulate", "the cloud that the shipped config.yaml probes"),
            (
                "console-exporter simulate --servers=10000 --seed=1 --listen=127.0.0.1:8080",
                "a large one, the same each time",
            ),
            ("console-exporter simulate --scenario=quota-cut", "a shipped story"),
        ),
        signals=(("SIGTERM, SIGINT", "stop"),),
        exit_status=(
            ("0", "stopped by a signal"),
            ("1", "the scenario or an address is wrong; standard error says what"),
            _WRONG_USE,
        ),
    ),
    "demo": Page(
        summary="run the pretend cloud and an exporter that probes it, on loopback",
        description=(
            "Show what the exporter does, with the shipped config.yaml: the pretend cloud listens"
            " on 127.0.0.1:18080 and the exporter on 127.0.0.1:10429, with --prometheus also"
            " Prometheus on 127.0.0.1:9090 and Alertmanager on 127.0.0.1:9093. The addresses to"
            " open are printed. Nothing is left behind."
        ),
        examples=(
            ("console-exporter demo", "a cloud with a few broken consoles"),
            (
                "console-exporter demo --prometheus --scenario=gateway-dead",
                "an outage, and the alerts that it raises",
            ),
        ),
        signals=(
            ("SIGHUP", "load the configuration again"),
            ("SIGTERM, SIGINT", "stop everything"),
        ),
        exit_status=(
            ("0", "stopped by a signal"),
            ("1", "a port is taken, a program is missing, or the scenario is wrong"),
            _WRONG_USE,
        ),
    ),
    "config-schema": Page(
        summary="print the JSON Schema of the configuration",
        description=(
            "Print the schema on standard output, for editors that complete and check YAML."
            " check-config knows more: it also sees what contradicts itself."
        ),
        examples=(("console-exporter config-schema", "such as into a file, with > schema.json"),),
        exit_status=(("0", "printed"), _WRONG_USE),
    ),
}
