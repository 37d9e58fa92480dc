"""What single values of a configuration cannot tell: keys that do not go together.

``refused`` is what the node could not do, so that no command takes the file; ``idle`` is what it
can live with and nobody can have meant, which ``ra-daemon config check`` and ``doctor`` tell.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from ra_daemon.config import Config, Peer, Route
from ra_daemon.errors import ConfigError
from ra_daemon.sop_classes import SOP_CLASSES
from ra_daemon.windows import Window


class Idle(NamedTuple):
    """A setting that can have no effect, in words: what is so, and what to do about it."""

    fault: str
    remedy: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.fault}; {self.remedy}"


def nearest(name: str, known: Sequence[str]) -> str:
    """``; the nearest is X``, or nothing where none is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    return f"; the nearest is {close[0]}" if close else ""


def refused(config: Config) -> Iterator[str]:
    """Faults that keep a node from its work, one sentence each."""
    peers = [p.name for p in config.peer]
    for what, names in (("peer", peers), ("route", [r.name for r in config.route])):
        for name in sorted(_twice(names)):
            yield f"{what}: the name {name!r} is given twice"
    for route in config.route:
        yield from _of_route(config, route, peers)
    yield from _of_window(config.schedule.off_hours)
    if config.delivery.first_retry_s > config.delivery.max_retry_s:
        yield "delivery.first_retry_s must not be above delivery.max_retry_s"
    yield from _of_tls(config)
    if config.store.url and config.store.url_file is not None:
        yield "store: set url or url_file, not both"


def idle(config: Config, today: date | None = None) -> Iterator[Idle]:
    """Settings that can have no effect, or a second time the same one.

    Args:
        config: as ``settings.written`` gives it; ``settings.load`` has taken out what is there
            twice.
    """
    today = today or datetime.now(UTC).date()
    yield from _of_pages(config)
    yield from _without_length(config.schedule.off_hours)
    for route in config.route:
        yield from _never_fits(config, route)
        yield from _never_leaves(config, route)
    if not all(title.strip() for title in config.node.more_titles):
        yield Idle("node: more_titles has a title of spaces, which nobody can call", "remove it")
    for peer in config.peer:
        yield from _blank(peer)
        until = peer.allow_demonstration_until
        if until is not None and until < today and not peer.on_this_machine:
            yield Idle(
                f"peer {peer.name!r}: allow_demonstration_until {until} is past",
                "set a later day, or remove the line",
            )
    yield from _same_peers(config.peer)
    for where, key, values in _lists(config):
        for value in _twice(values):
            yield Idle(f"{where}: {key} has {value!r} twice", "remove one")


def _lists(config: Config) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Table, key and values of lists in which a value does no more a second time."""
    titles = [title.strip() for title in config.node.more_titles]
    yield "node", "more_titles", [*filter(None, titles)]
    for peer in config.peer:
        yield f"peer {peer.name!r}", "networks", [*map(str, peer.networks)]
    for route in config.route:
        where = f"route {route.name!r}"
        yield where, "calling_networks", [*map(str, route.calling_networks)]
        yield where, "destinations", route.destinations
        yield where, "scorers", route.scorers
        yield where, "sop_classes", route.sop_classes
        yield where, "body_parts", [part.upper() for part in route.body_parts]


def _of_route(config: Config, route: Route, peers: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(route.destinations):
        peer = config.peer_named(name)
        if peer is None:
            close = nearest(name, peers)
            yield f"route {route.name!r}: destination {name!r} is no peer{close}"
        elif not peer.send:
            yield f"route {route.name!r}: destination {name!r} has send = false"
    if route.max_age is not None and route.max_age < route.min_age:
        yield (
            f"route {route.name!r}: max_age {route.max_age:g} is below min_age {route.min_age:g}; "
            "raise max_age, or lower min_age"
        )
    if not route.secondary_capture and route.sop_class_uids & set(SOP_CLASSES["SC"]):
        yield (
            f"route {route.name!r}: sop_classes names SC, which secondary_capture = false refuses; "
            "set it to true"
        )


def _of_window(text: str) -> Iterator[str]:
    try:
        Window.parse(text)
    except ConfigError as error:
        yield f"schedule.off_hours: {error}"


def _of_tls(config: Config) -> Iterator[str]:
    tls = config.tls
    if (tls.certificate is None) != (tls.key is None):
        yield "tls: certificate and key belong together"
    if tls.enabled and tls.certificate is None:
        yield "tls.enabled needs tls.certificate and tls.key"
    for peer in config.peer:
        if peer.tls and tls.ca is None:
            yield f"peer {peer.name!r}: tls needs tls.ca, who signed its certificate"


def _of_pages(config: Config) -> Iterator[Idle]:
    """The DICOM port is opened first; the pages then find it taken, and the node goes on."""
    node, web = config.node, config.web
    if web.enabled and web.port == node.port != 0 and _overlap(node.host, web.host):
        yield Idle(
            f"web.port {web.port} is node.port, too, on the same address, so that there are no "
            "pages",
            "give them another port",
        )


def _without_length(text: str) -> Iterator[Idle]:
    """A window that ends when it begins, but for midnight, which says all day."""
    window = Window.parse(text)
    if window.start == window.end != time(0):
        yield Idle(
            f"schedule.off_hours: {text!r} ends when it begins and holds all day",
            "write 00:00-24:00 for that, or give it another end",
        )


def _never_leaves(config: Config, route: Route) -> Iterator[Idle]:
    """Results that stay here, of a route that says they leave."""
    called = bool(config.peer) or config.node.allow_unknown  # else no image can come yet
    if called and not route.destinations and route.deliver != "database-only":
        yield Idle(
            f"route {route.name!r}: deliver = {route.deliver!r} without destinations, so that "
            "nothing ever leaves",
            "name a peer in destinations, or set deliver to 'database-only'",
        )


def _blank(peer: Peer) -> Iterator[Idle]:
    """A peer that is listed, and cannot be called or call us."""
    if not peer.ae_title.strip():
        where = f"peer {peer.name!r}"
        yield Idle(f"{where}: ae_title is of spaces, which no association takes", "correct it")
    if peer.host.strip():
        return
    if peer.send:
        yield Idle(
            f"peer {peer.name!r}: host is empty, so that nothing reaches it",
            "name its address, or set send = false",
        )
    elif not peer.networks:
        yield Idle(
            f"peer {peer.name!r}: host and networks are empty, so that it may not call us",
            "name its address",
        )


def _never_fits(config: Config, route: Route) -> Iterator[Idle]:
    """A title of ours, a peer or an address that no image can come by."""
    if not route.calling_ae.strip():
        yield Idle(f"route {route.name!r}: calling_ae is empty and fits nobody", '"*" fits any')
        return
    if not any(fnmatchcase(title, route.called_ae) for title in config.node.titles):
        ours = ", ".join(sorted(config.node.titles))
        yield Idle(
            f"route {route.name!r}: called_ae {route.called_ae!r} fits no title of this node "
            f"({ours})",
            "add it to node.more_titles",
        )
    if config.node.allow_unknown or not config.peer:
        return
    callers = [p for p in config.peer if p.receive]
    fitting = [p for p in callers if fnmatchcase(p.ae_title.strip(), route.calling_ae)]
    if not fitting:
        known = ", ".join(sorted({p.ae_title.strip() for p in callers})) or "there is none"
        yield Idle(
            f"route {route.name!r}: calling_ae {route.calling_ae!r} fits no peer that may send to "
            f"us ({known})",
            "correct it, or add that peer with receive = true",
        )
    elif not any(_may_come(peer, route) for peer in fitting):
        names = ", ".join(sorted(p.name for p in fitting))
        yield Idle(
            f"route {route.name!r}: calling_networks holds no address of a peer that fits "
            f"calling_ae ({names})",
            "correct it, or the networks of that peer",
        )


def _may_come(peer: Peer, route: Route) -> bool:
    """Whether a peer may call from the route's networks; the addresses of a name are not asked."""
    networks = peer.networks
    if not networks:
        try:
            networks = (ip_network(peer.host),)
        except ValueError:
            return True
    wanted = route.calling_networks
    return not wanted or any(one.overlaps(other) for one in networks for other in wanted)


def _same_peers(peers: Sequence[Peer]) -> Iterator[Idle]:
    """Two names of one place that we send to; of a pure source host and port mean nothing."""
    first: dict[tuple[str, str, int], str] = {}
    for peer in peers:
        if not peer.send:
            continue
        name = first.setdefault((peer.ae_title.strip(), peer.host.lower(), peer.port), peer.name)
        if name != peer.name:
            yield Idle(
                f"peer {peer.name!r}: AE title, host and port are those of peer {name!r}",
                "remove one, or set send = false where it only calls us",
            )


def _twice(values: Sequence[str]) -> list[str]:
    """What stands there more than once, each once."""
    return [value for value in dict.fromkeys(values) if values.count(value) > 1]


def _overlap(one: str, other: str) -> bool:
    """Whether two sockets with one port would meet; ``::`` takes IPv4 as well."""
    first, second = _address(one), _address(other)
    hosts = {first, second}
    if len(hosts) == 1 or "::" in hosts:
        return True
    return "0.0.0.0" in hosts and not any(":" in host for host in hosts)


def _address(host: str) -> str:
    """One spelling for each address."""
    known = {"": "0.0.0.0", "localhost": "127.0.0.1"}
    try:
        return str(ip_address(known.get(host, host)))
    except ValueError:
        return host.lower()
