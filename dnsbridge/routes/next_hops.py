"""The routes that one place needs to one cluster, and their next hops, from the cluster's picture.

    via         blocks of pods                               services, DNS, external addresses
    nodes       each to its own node                         all Ready nodes on link
    gateways    the gateways                                 the gateways
    auto        its own node where that is on link,          the gateways where some are named,
                the gateways elsewhere                       else all Ready nodes on link

A node that is not Ready gets no routes; routes to other nodes stay as they are. A host in the cluster's network needs
no routes, and neither does a host on the same link as the pods. A tunnel is of no use outside: the next hop is a node's
address on the link, never an address inside IPIP or VXLAN.
"""

from operator import itemgetter

from dnsbridge.routes.choice import Choice
from dnsbridge.routes.gateways import Ways, can_be_next_hop, first_of
from dnsbridge.routes.host import Host
from dnsbridge.routes.line import number, span
from dnsbridge.routes.model import Kind, NextHop, Note, Prefix, Route, Severity, covers, order
from dnsbridge.routes.notes import some
from dnsbridge.routes.pictures.picture import Block, Picture, by_owners, host_prefix

MEMBER_DEVICES = ("flannel", "cni0", "cali", "cilium_", "vxlan.calico", "vxlan-v6.calico", "tunl0", "kube-bridge")
"""Interfaces of a host that takes part in a pod network."""
NAME_GATEWAY = "name a gateway on its links, with --gateway ADDR (routes.gateways.addresses)"
Hops = tuple[NextHop, ...]


_Links = list[tuple[int, int, int, str]]
"""This host's subnets: the places of their first and last address (see line), the prefix length, a text for people."""
_Whole = list[tuple[Prefix, Hops]]
"""Prefixes routed as a whole: blocks within with the same next hops need no routes of their own."""


def routes_to(picture: Picture, choice: Choice, host: Host) -> tuple[list[Route], list[Note]]:
    """The routes to a cluster, in no order, and the notes about them.

    Two routes may have the same prefix, where two sources claim it.
    """
    return _Finder(picture, choice, host).find()


class _Finder:
    def __init__(self, picture: Picture, choice: Choice, host: Host) -> None:
        self._picture = picture
        self._choice = choice
        self._host = host
        self._ways = Ways(picture, choice, host)
        self._owned = by_owners(picture.blocks)
        self._routes: list[Route] = []
        self._notes: list[Note] = list(picture.notes)
        self._to_pods: list[Hops] = []
        # Gathered on the way for the notes at the end.
        self._unready: dict[str, int] = {}
        self._off_link: dict[str, list[Prefix]] = {}
        self._by_gateway: dict[str, int] = {}
        self._by_node = 0
        self._lost: dict[tuple[str, int], list[Prefix]] = {}
        self._passed_over: dict[str, None] = {}
        self._absences: dict[int, str] = {}

    def find(self) -> tuple[list[Route], list[Note]]:
        strangers = {name for names, _ in self._owned for name in names} - self._ways.by_name.keys()
        if strangers and self._choice.via != "gateways":
            text = f"pods are said to be at {some(sorted(strangers))}, but there is no such Node; those prefixes are "
            self._note(Severity.WARNING, f"{text}left out")
        if not self._choice.recurse and (why := self._membership()):
            return [], [*self._notes, Note(Severity.INFO, self._picture.cluster, why)]
        self._find_pods()
        for declared in self._picture.services:
            self._serve(declared.prefix, Kind.SERVICE, declared.origin)
        for declared in self._picture.dns:
            if not any(covers(service.prefix, declared.prefix) for service in self._picture.services):
                self._serve(declared.prefix, Kind.DNS, declared.origin)
        self._find_external()
        self._explain()
        if not (self._routes or self._notes):
            text = "nothing is known that needs a route, neither pods of a node nor a service; see what is read of it"
            self._note(Severity.WARNING, text)
        return self._routes, self._notes

    def _note(self, severity: Severity, text: str) -> None:
        self._notes.append(Note(severity, self._picture.cluster, text))

    def _add(self, prefix: Prefix, hops: Hops, kind: Kind, origin: str) -> None:
        self._routes.append(Route(prefix, hops, kind, origin, self._picture.cluster))

    def _membership(self) -> str:
        """Why this host, as a part of the cluster's network, needs no route; empty: it is not a part."""
        for each in self._ways.nodes:
            if each.here:
                return f"this host is its node {each.node.name} ({each.here}): nothing to route"
        inside = tuple(
            (interface.name, address.ip)
            for interface in self._host.interfaces
            if interface.name.startswith(MEMBER_DEVICES)
            for address in interface.addresses
        )
        if inside:
            prefixes = [*(block.prefix for block in self._picture.blocks), *self._picture.pools]
            for name, address in inside:
                alone = host_prefix(address)
                if any(covers(prefix, alone) for prefix in prefixes):
                    return f"this host is a member of its pod network ({name}, {address}): nothing to route"
        return ""

    def _find_pods(self) -> None:
        # Pods behind a tunnel are on no other host's link, however large its subnets are.
        links: _Links = [] if self._choice.recurse or self._picture.mtu else _links(self._host)
        on_link: set[str] = set()
        whole, lost = self._find_loose(links, on_link)
        owned: list[Block] = []
        for (names, version), of_owner in self._owned.items():
            if not names:
                continue
            blocks, on = _off_the_links(of_owner, links)
            on_link.update(on)
            owned += blocks
            if blocks and (hops := self._to_owner(names, version, blocks)):
                self._to_pods.append(hops)
                around = [prefix for prefix, held in whole if held == hops]
                for block in blocks:
                    if not (around and any(covers(prefix, block.prefix) for prefix in around)):
                        self._add(block.prefix, hops, Kind.POD, block.origin)
        for block, why in lost:
            if not any(covers(block.prefix, inner.prefix) for inner in owned):
                self._lose(block.prefix, why)
        self._find_spare(links)
        if on_link:
            text = f"its pods are on link ({some(sorted(on_link))}): nothing to route to them"
            self._note(Severity.INFO, text)
        if not self._picture.blocks and self._picture.pods:
            self._explain_pods()

    def _find_loose(self, links: _Links, on_link: set[str]) -> tuple[_Whole, list[tuple[Block, str]]]:
        """Route blocks without a known node as a whole; the blocks that cannot be routed come back with the reason."""
        whole: _Whole = []
        lost: list[tuple[Block, str]] = []
        for version in (4, 6):
            blocks, on = _off_the_links(self._owned.get(((), version), []), links)
            on_link.update(on)
            hops = self._ways.to_gateways(version)
            for block in blocks:
                if self._choice.via == "nodes":
                    lost.append((block, "no source says which nodes have it and where they are, and via is nodes"))
                elif isinstance(hops, str):
                    lost.append((block, f"no source says which nodes have it and where they are, and {hops}"))
                else:
                    whole.append((block.prefix, hops))
                    self._to_pods.append(hops)
                    self._add(block.prefix, hops, Kind.POD, block.origin)
        return whole, lost

    def _find_spare(self, links: _Links) -> None:
        """Route pools that no pod has an address from, as far as is known."""
        idle: list[Prefix] = []
        for pool in self._picture.spare:
            hops = self._ways.to_gateways(pool.prefix.version)
            if _link_of(pool.prefix, links):
                continue
            if isinstance(hops, str) or self._choice.via == "nodes":
                idle.append(pool.prefix)
            else:
                self._to_pods.append(hops)
                self._add(pool.prefix, hops, Kind.POD, pool.origin)
        if idle:
            self._note(Severity.INFO, f"no node has a block of the pool {some(idle)} yet: nothing to route to it")

    def _to_owner(self, names: tuple[str, ...], version: int, blocks: list[Block]) -> Hops:
        """The next hops to the blocks of some nodes; if there are none, the reason is noted."""
        if self._choice.via == "gateways":
            hops = self._ways.to_gateways(version)
            if not isinstance(hops, str):
                return hops
            for block in blocks:
                self._lose(block.prefix, hops)
            return ()
        known = [each for name in names if (each := self._ways.by_name.get(name))]
        ready = [each for each in known if each.node.ready]
        if ready:
            if near := first_of(each.hop(version) for each in ready):
                self._by_node += len(blocks)
                return near
            return self._around(ready[0].node.name, version, blocks)
        if known:
            for name in names:
                self._unready[name] = self._unready.get(name, 0) + len(blocks)
        return ()  # `find` notes unknown nodes

    def _around(self, node: str, version: int, blocks: list[Block]) -> Hops:
        """The gateways to the blocks of a node off this host's links; if there are none, the reason is noted."""
        if self._absent(version):
            why = ""
        elif self._choice.via == "auto" and not isinstance(hops := self._ways.to_gateways(version), str):
            self._by_gateway[node] = self._by_gateway.get(node, 0) + len(blocks)
            return hops
        elif self._ways.addresses(node, version):
            self._off_link.setdefault(node, []).extend([block.prefix for block in blocks])
            return ()
        else:
            why = f"its node has no IPv{version} address that can be a next hop"
        for block in blocks:
            self._lose(block.prefix, why)
        return ()

    def _explain_pods(self) -> None:
        """Note the pods whose prefixes no source names: they may be on this host's own link."""
        of_nodes = {address for node in self._picture.nodes for address in node.addresses}
        pods = [address for address in self._picture.pods if address not in of_nodes]
        outside = [address for address in pods if not self._host.on_link(address)]
        if not pods:
            return
        if not outside:
            links = {str(each.name) for address in pods if (each := self._host.on_link(address))}
            text = f"its pods are on link ({', '.join(sorted(links))}), such as {pods[0]}: nothing to route to them"
            self._note(Severity.INFO, text)
        else:
            text = (
                f"no source says which prefixes its pods have, such as {outside[0]}; let the companion read nodes "
                "and what the pod network keeps, or set routes.pod_cidrs and gateways"
            )
            self._note(Severity.ERROR, text)

    def _serve(self, prefix: Prefix, kind: Kind, origin: str) -> None:
        """Route a prefix or an address that every node serves."""
        version = prefix.version
        auto = self._choice.via == "auto"
        hops: Hops | str = ()
        if self._choice.via == "gateways" or (auto and self._ways.explicit_gateways()):
            hops = self._ways.to_gateways(version)
        if self._choice.via != "gateways" and (not hops or isinstance(hops, str)):
            why = hops
            hops = self._ways.to_nodes(version) or self._no_nodes()
            if isinstance(hops, str) and auto:
                gateways = self._ways.to_gateways(version)
                hops = f"{hops}, and {gateways}" if isinstance(gateways, str) else gateways
            elif isinstance(why, str):
                self._passed_over[why] = None
        if isinstance(hops, str):
            self._lose(prefix, hops)
        else:
            self._add(prefix, hops, kind, origin)

    def _no_nodes(self) -> str:
        """Why no node can be a next hop."""
        if not self._picture.nodes:
            return "no node of it is known"
        if not any(node.ready for node in self._picture.nodes):
            return "none of its nodes is Ready"
        return "none of its Ready nodes is on this host's links"

    def _lose(self, prefix: Prefix, why: str) -> None:
        self._lost.setdefault((why, prefix.version), []).append(prefix)

    def _find_external(self) -> None:
        """Route the addresses of services beside ClusterIPs, where the settings ask for them."""
        if not self._choice.external:
            return
        nodes = {address for node in self._picture.nodes for address in node.addresses}
        own: list[str] = []
        on_link: list[str] = []
        for each in self._picture.external:
            if each.source not in self._choice.external:
                continue
            address = each.prefix.network_address
            if address in nodes or self._host.has(address):
                own.append(str(address))
            elif each.source == "load_balancer" and not self._ways.everywhere and self._host.on_link(address):
                on_link.append(str(address))
            else:
                self._serve(each.prefix, Kind.EXTERNAL, each.origin)
        if own:
            self._note(Severity.INFO, f"external addresses that are nodes' own need no route: {some(own)}")
        if on_link:
            text = f"load balancers' addresses on this host's links answer for themselves: {some(on_link)}"
            self._note(Severity.INFO, text)

    def _explain(self) -> None:
        """Add the notes that sum up what happened to many prefixes."""
        if self._picture.gateways and not self._picture.services:
            text = "a table does not say which prefixes services have, so none is routed; set routes.service_cidrs"
            self._note(Severity.WARNING, text)
        if self._unready:
            count = sum(self._unready.values())
            text = f"not Ready: {some(sorted(self._unready))}; {_prefixes(count)} left out until then"
            self._note(Severity.WARNING, text)
        if self._off_link:
            lost = sorted((prefix for prefixes in self._off_link.values() for prefix in prefixes), key=order)
            nodes = some(sorted(self._off_link))
            gateways = self._ways.to_gateways(lost[0].version)
            if self._choice.via == "nodes" or not isinstance(gateways, str):
                why, do = "", "set routes.via to auto or gateways"
            else:
                why, do = f", and {gateways}", NAME_GATEWAY
            text = f"no route to {some(lost)}: {nodes} not on this host's links{why}; {do}"
            self._note(Severity.ERROR, text)
        absent: dict[str, list[Prefix]] = {}
        for (why, version), prefixes in sorted(self._lost.items(), key=itemgetter(0)):
            prefixes.sort(key=order)
            if nobody := self._absent(version):
                absent.setdefault(nobody, []).extend(prefixes)
            else:
                do = "" if self._choice.via == "nodes" else f"; {NAME_GATEWAY}"
                self._note(Severity.ERROR, f"no route to {some(prefixes)}: {why}{do}")
        for nobody, prefixes in absent.items():
            prefixes.sort(key=order)
            self._note(Severity.WARNING, f"no route to {some(prefixes)}: {nobody}")
        for address, names in self._ways.shared():
            text = f"{some(names)} all say that they are at {address}, so packets for one go to another; see --node-ip"
            self._note(Severity.WARNING, f"{text} of kubelet")
        for why in self._passed_over:
            self._note(Severity.WARNING, f"{why}; services are reached through its nodes instead")
        if self._choice.via == "auto" and not self._ways.everywhere:
            self._explain_auto()
        if self._picture.mtu and not self._ways.everywhere:
            self._explain_mtu()

    def _absent(self, version: int) -> str:
        """Why a family has no route, which is no fault: the cluster or this host has no address of it."""
        if version not in self._absences:
            self._absences[version] = self._find_absent(version)
        return self._absences[version]

    def _find_absent(self, version: int) -> str:
        if any(address.version == version for address in self._choice.gateways):
            return ""
        addresses = [*self._choice.gateways, *(address for node in self._picture.nodes for address in node.addresses)]
        if addresses and not any(address.version == version for address in addresses):
            return f"no node and no gateway has an IPv{version} address"
        own = [each.ip for interface in self._host.interfaces for each in interface.addresses]
        if not (self._ways.everywhere or any(each.version == version and can_be_next_hop(each) for each in own)):
            return f"this host has no IPv{version} address"
        return ""

    def _explain_auto(self) -> None:
        if self._by_node:
            own = "its own node, which is on link" if self._by_node == 1 else "their own nodes, which are on link"
            self._note(Severity.INFO, f"{_prefixes(self._by_node)} to {own}")
        if self._by_gateway:
            count = sum(self._by_gateway.values())
            nodes = some(sorted(self._by_gateway))
            text = f"{_prefixes(count)} through gateways: {nodes} not on this host's links"
            self._note(Severity.INFO, text)

    def _explain_mtu(self) -> None:
        mtu = self._picture.mtu
        addresses = {hop.address for hops in self._to_pods for hop in hops if hop.address}
        links = [self._host.on_link(address) for address in addresses]
        names = {each.name for each in links if each}
        devices = [each for each in self._host.interfaces if each.name in names]
        for device in sorted(devices, key=lambda each: each.name):
            if device.mtu > mtu:
                text = (
                    f"packets of over {mtu} octets do not fit its pod network ({self._picture.network}), and "
                    f"{device.name} has an MTU of {device.mtu}; let ICMP `fragmentation needed` through, or lower it"
                )
                self._note(Severity.WARNING, text)


def _prefixes(count: int) -> str:
    return "1 prefix" if count == 1 else f"{count} prefixes"


def _links(host: Host) -> _Links:
    return [
        (*span(own.network), own.network.prefixlen, f"{own.network} on {interface.name}")
        for interface in host.interfaces
        for own in interface.addresses
        if own.network.prefixlen < own.max_prefixlen
    ]


def _link_of(prefix: Prefix, links: _Links) -> str:
    """The link that a prefix is on; empty: on none."""
    first, length = number(prefix.network_address), prefix.prefixlen
    for start, end, bits, text in links:
        if start <= first <= end and bits <= length:
            return text
    return ""


def _off_the_links(blocks: list[Block], links: _Links) -> tuple[list[Block], set[str]]:
    """The blocks that are on none of this host's links, and the links that hold the others."""
    if not links:
        return blocks, set()
    kept: list[Block] = []
    found = set[str]()
    for block in blocks:
        if link := _link_of(block.prefix, links):
            found.add(link)
        else:
            kept.append(block)
    return kept, found
