"""Servers that the cloud itself lists: asked for again and again, and never simply believed."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import structlog

from exporter.clock import Clock
from exporter.cloud.server_list import ListedServer
from exporter.config.config import Discovery, Project
from exporter.config.secret import SecretUnreadableError
from exporter.config.value_checks import label_value, server_id, server_name
from exporter.http.errors import RequestError
from exporter.model import Target, TargetKey
from exporter.targets.shrink_guard import ShrinkGuard
from exporter.targets.source import DiscoveryObserver, Source, TargetSink

CONFIRM_SECONDS = 60.0
"""How soon a list that shrank is asked for again, if it is not due sooner."""
_RETRY_SECONDS = 10.0

_STATE = re.compile(r"[A-Za-z0-9_-]{1,32}")

log = structlog.get_logger(__name__)


class ServerLister(Protocol):
    """The cloud's client, as discovery sees it."""

    def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,
    ) -> AsyncIterator[list[ListedServer]]:
        """List all servers, page by page; raises `RequestError`."""


async def list_targets(
    project: Project, discovery: Discovery, lister: ServerLister
) -> tuple[list[Target], Counter[str]]:
    """List a project's servers once; return those to probe, and what of the list was no good.

    Raises `RequestError` and `SecretUnreadableError`.
    """
    # The API filters by one state at most.
    state = discovery.manage_state[0] if len(discovery.manage_state) == 1 else None
    found: dict[TargetKey, Target] = {}
    selection = Selection(project, discovery)
    async for page in lister.server_pages(manage_state=state, timeout=project.timeout):
        # A thread, because a thousand records take longer than the loop may.
        found.update(await asyncio.to_thread(selection.chosen, page))
    return list(found.values()), selection.unfit


class Selection:
    """Chooses of a list what is to be probed. Names and labels keep to the configuration's bounds.

    ``unfit`` counts what did not: servers whose id cannot be used are left out, a name is replaced
    by the id, a label is left out.
    """

    def __init__(self, project: Project, discovery: Discovery) -> None:
        """Choose by what a project's ``discovery`` says."""
        self._project = project
        self._discovery = discovery
        self.unfit: Counter[str] = Counter()

    def chosen(self, page: list[ListedServer]) -> dict[TargetKey, Target]:
        """Return the targets among the records of a page."""
        targets = (self._target(record) for record in page)
        return {target.key: target for target in targets if target}

    def _target(self, record: ListedServer) -> Target | None:
        states = self._discovery.manage_state
        if states and record.manage_state not in states:
            return None
        try:
            key = TargetKey(self._project.name, server_id(record.id))
        except ValueError:
            self.unfit["servers"] += 1
            return None
        try:
            name: str = server_name(record.name)
        except ValueError:
            self.unfit["names"] += 1
            name = key.server_id
        if not self._discovery.name_regex.fullmatch(name):
            return None
        project = self._project
        labels = tuple(sorted(self._labels(record)))
        return Target(
            key, name, project.region, project.interval, project.timeout, project.depth, labels
        )

    def _labels(self, record: ListedServer) -> Iterator[tuple[str, str]]:
        for label, field in self._discovery.labels:
            where, _, key = field.partition(".")
            text = (record.location if where == "location" else record.tags).get(key, "")
            try:
                if value := label_value(text):
                    yield label, value
            except ValueError:
                self.unfit["labels"] += 1
        for label, state in (
            ("power_state", record.power_state),
            ("health_state", record.health_state),
        ):
            if _STATE.fullmatch(state):
                yield label, state
            elif state:
                self.unfit["labels"] += 1


class CloudDiscovery:
    """Lists the servers of one project at an interval, and sends the whole set each time."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        project: Project,
        discovery: Discovery,
        lister: ServerLister,
        *,
        send: TargetSink,
        observer: DiscoveryObserver,
        clock: Clock,
        known: int = 0,
    ) -> None:
        """Ask ``lister``; ``known`` servers are had by the same discovery already."""
        self._project = project
        self._discovery = discovery
        self._lister = lister
        self._send = send
        self._observer = observer
        self._clock = clock
        self._known = known
        self._guard = ShrinkGuard()
        self._failures = 0
        self._told_unfit: Counter[str] = Counter()

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            try:
                pause = await self.refresh()
            except Exception as fault:  # the next one must come, whatever happened in this one
                log.exception(
                    "discovery failed by a fault of the exporter", project=self._project.name
                )
                pause = self._failed(type(fault).__name__)
            await self._clock.sleep(pause)

    async def refresh(self) -> float:
        """List the servers once; return the seconds until it is to be done again.

        A list that fails, or that lost over half of the servers and is not confirmed yet, leaves
        the last good set in effect.
        """
        every = self._discovery.refresh_interval
        try:
            targets, unfit = await list_targets(self._project, self._discovery, self._lister)
        except (RequestError, SecretUnreadableError) as error:
            return self._failed(str(error))
        self._failures = 0
        self._tell_unfit(unfit)
        if not self._guard.confirms(self._known, len(targets)):
            confirm = min(every, CONFIRM_SECONDS)
            log.warning(
                "the cloud lists less than half of the servers; asking again before they go",
                project=self._project.name,
                listed=len(targets),
                kept=self._known,
                again_in_seconds=confirm,
            )
            self._observer.refreshed(Source.CLOUD, self._clock.time())
            return confirm
        await self._send(targets)
        self._known = len(targets)
        self._observer.refreshed(Source.CLOUD, self._clock.time())
        return every

    def _failed(self, why: str) -> float:
        pause = min(self._discovery.refresh_interval, _RETRY_SECONDS * (1 << self._failures))
        self._failures = min(self._failures + 1, 20)
        self._observer.refresh_failed(Source.CLOUD)
        log.warning(
            "servers not listed by the cloud",
            project=self._project.name,
            why=why,
            kept=self._known,
            again_in_seconds=pause,
        )
        return pause

    def _tell_unfit(self, unfit: Counter[str]) -> None:
        if unfit and unfit != self._told_unfit:
            log.warning(
                "the cloud lists what cannot be used: such servers and labels are left out,"
                " such names replaced by ids",
                project=self._project.name,
                **{kind: unfit[kind] for kind in ("servers", "names", "labels")},
            )
        self._told_unfit = unfit
