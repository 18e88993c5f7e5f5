"""From the picture of one cluster to the routes that one place needs, and through whom.

    via         blocks of pods                               services, DNS, external addresses
    nodes       each to its own node                         all Ready nodes on link
    gateways    the gateways                                 the gateways
    auto        its own node where that is on link,          the gateways where somebody named some,
                the gateways elsewhere                       else all Ready nodes on link

A node that is not Ready gets nothing; the routes to the others stay as they are. A host that belongs to the cluster's
network needs no routes, nor does one whose own link the pods are on. A tunnel is of no use outside: the next hop is a
node's address on the link, never one inside IPIP or VXLAN.
"""

from msgspec import Struct

from dnsbridge.routes.calico import covers
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.gateways import Ways, can_be_next_hop
from dnsbridge.routes.grouped import some
from dnsbridge.routes.host import Host, Interface
from dnsbridge.routes.model import Kind, NextHop, Note, Prefix, Route, Severity, hop_order, order
from dnsbridge.routes.picture import Block, Picture, host_prefix

MEMBER_DEVICES = ("flannel", "cni0", "cali", "cilium_", "vxlan.calico", "vxlan-v6.calico", "tunl0", "kube-bridge")
"""Interfaces that a host has which takes part in a pod network."""
NAME_GATEWAY = "name a gateway on its links, with --gateway ADDR (routes.gateways.addresses)"
Hops = tuple[NextHop, ...]


class _Unready(Struct, frozen=True):
    """No node of a block is Ready."""


class _Unknown(Struct, frozen=True):
    """There is no such node."""


class _OffLink(Struct, frozen=True):
    """A block's node is Ready, and not on this host's links."""

    node: str


_Way = Hops | _Unready | _Unknown | _OffLink


def routes_to(picture: Picture, choice: Choice, host: Host) -> tuple[list[Route], list[Note]]:
    """The routes to a cluster, in no order, and what is to be said about them.

    Two of them may be to one prefix, where two sources claim it: the former counts.
    """
    return _Finder(picture, choice, host).find()


class _Finder:
    def __init__(self, picture: Picture, choice: Choice, host: Host) -> None:
        self._picture = picture
        self._choice = choice
        self._host = host
        self._ways = Ways(picture, choice, host)
        self._routes: list[Route] = []
        self._notes: list[Note] = list(picture.notes)
        self._gateways: dict[int, Hops | str] = {}
        # Subjects of one note each, gathered on the way.
        self._ways_to: dict[tuple[tuple[str, ...], int], _Way] = {}
        self._unready: dict[str, int] = {}
        self._off_link: dict[str, list[Prefix]] = {}
        self._by_gateway: dict[str, int] = {}
        self._by_node = 0
        self._lost: dict[tuple[str, int], list[Prefix]] = {}
        self._passed_over: dict[str, None] = {}

    def find(self) -> tuple[list[Route], list[Note]]:
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
        """Why this host needs no route: it is a part of the cluster's network. Empty: it is none."""
        own = {
            address.ip: interface
            for interface in self._host.interfaces
            for address in interface.addresses
            if can_be_next_hop(address.ip)  # every host has 127.0.0.1, whoever says that a node is there
        }
        for node in self._picture.nodes:
            for address in node.addresses:
                if address in own:
                    return f"this host is its node {node.name} ({address}): nothing to route"
        for interface in self._host.interfaces:
            if not interface.name.startswith(MEMBER_DEVICES):
                continue
            for inside in interface.addresses:
                address = inside.ip
                alone = host_prefix(address)
                prefixes = (*self._picture.pools, *(block.prefix for block in self._picture.blocks))
                if any(covers(prefix, alone) for prefix in prefixes):
                    return f"this host is a member of its pod network ({interface.name}, {address}): nothing to route"
        return ""

    def _find_pods(self) -> None:
        blocks, on_link = self._off_the_links()
        if on_link:
            self._note(Severity.INFO, f"its pods are on link ({some(on_link)}): nothing to route to them")
        loose = [block for block in blocks if not block.nodes]
        whole: list[tuple[Prefix, Hops]] = []
        for block in loose:
            hops = self._to_gateways(block.prefix.version)
            if self._choice.via != "nodes" and not isinstance(hops, str):
                whole.append((block.prefix, hops))
                self._add(block.prefix, hops, Kind.POD, block.origin)
            elif not any(each.nodes and covers(block.prefix, each.prefix) for each in blocks):
                why = hops if isinstance(hops, str) else "no source says which nodes have it, and via is nodes"
                self._lose(block.prefix, why)
        for block in blocks:
            if block.nodes and (hops := self._to_block(block)):
                if any(hops == held and covers(prefix, block.prefix) for prefix, held in whole):
                    continue
                self._add(block.prefix, hops, Kind.POD, block.origin)
        if not self._picture.blocks and self._picture.pods:
            self._explain_pods()

    def _off_the_links(self) -> tuple[list[Block], list[str]]:
        """The blocks that are no part of this host's own links, and which links hold others (MACVLAN)."""
        # What a tunnel carries between nodes is on no link of others, however large their subnets are.
        links = [] if self._choice.recurse or self._picture.mtu else self._links()
        # By numbers: there may be many blocks, and hardly ever is one on a link.
        ranges = [
            (network.version, int(network.network_address), int(network.broadcast_address)) for _, network in links
        ]
        kept = []
        found: dict[str, None] = {}
        for block in self._picture.blocks:
            prefix = block.prefix
            version, first = prefix.version, int(prefix.network_address)
            near = [at for at, (of, low, high) in enumerate(ranges) if low <= first <= high and of == version]
            at = next((at for at in near if covers(links[at][1], prefix)), None)
            if at is None:
                kept.append(block)
            else:
                found[f"{links[at][1]} on {links[at][0].name}"] = None
        return kept, list(found)

    def _links(self) -> list[tuple[Interface, Prefix]]:
        return [
            (interface, own.network)
            for interface in self._host.interfaces
            for own in interface.addresses
            if own.network.prefixlen < own.max_prefixlen
        ]

    def _explain_pods(self) -> None:
        """Where nobody says which prefixes pods have: they may be on this host's own link."""
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

    def _to_gateways(self, version: int) -> Hops | str:
        if version not in self._gateways:
            self._gateways[version] = self._ways.to_gateways(version)
        return self._gateways[version]

    def _to_block(self, block: Block) -> Hops:
        """Through whom a block's pods are reached; empty: nobody, and that is noted."""
        version = block.prefix.version
        if self._choice.via == "gateways":
            hops = self._to_gateways(version)
            if isinstance(hops, str):
                self._lose(block.prefix, hops)
                return ()
            return hops
        key = block.nodes, version
        way = self._ways_to.get(key)
        if way is None:
            way = self._ways_to[key] = self._way(*key)
        match way:
            case tuple():
                self._by_node += 1
                return way
            case _Unready():
                for name in block.nodes:
                    self._unready[name] = self._unready.get(name, 0) + 1
            case _OffLink() if self._absent(version):
                self._lose(block.prefix, "")
            case _OffLink() if self._choice.via == "auto" and not isinstance(hops := self._to_gateways(version), str):
                self._by_gateway[way.node] = self._by_gateway.get(way.node, 0) + 1
                return hops
            case _OffLink() if not self._ways.addresses(way.node, version):
                self._lose(block.prefix, f"its node has no IPv{version} address that can be a next hop")
            case _OffLink():
                self._off_link.setdefault(way.node, []).append(block.prefix)
            case _Unknown():
                pass  # the picture's own notes say so
        return ()

    def _way(self, names: tuple[str, ...], version: int) -> "_Way":
        """How the nodes of a block are reached, which is the same for all their blocks."""
        known = [node for name in names if (node := self._ways.node(name))]
        ready = [node for node in known if node.ready]
        if not ready:
            return _Unready() if known else _Unknown()
        found = {hop for node in ready if (hop := self._ways.to_node(node, version))}
        return tuple(sorted(found, key=hop_order)) or _OffLink(ready[0].name)

    def _serve(self, prefix: Prefix, kind: Kind, origin: str) -> None:
        """A prefix or an address that every node serves."""
        version = prefix.version
        auto = self._choice.via == "auto"
        hops: Hops | str = ()
        if self._choice.via == "gateways" or (auto and self._ways.explicit_gateways()):
            hops = self._to_gateways(version)
        if self._choice.via != "gateways" and (not hops or isinstance(hops, str)):
            why = hops
            hops = self._ways.to_nodes(version) or self._no_nodes()
            if isinstance(hops, str) and auto:
                gateways = self._to_gateways(version)
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
        """Addresses of services beside ClusterIPs, where they are asked for."""
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
        """The notes that gather what happened to many prefixes."""
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
            gateways = self._to_gateways(lost[0].version)
            if self._choice.via == "nodes" or not isinstance(gateways, str):
                why, do = "", "set routes.via to auto or gateways"
            else:
                why, do = f", and {gateways}", NAME_GATEWAY
            text = f"no route to {some(lost)}: {nodes} not on this host's links{why}; {do}"
            self._note(Severity.ERROR, text)
        absent: dict[str, list[Prefix]] = {}
        for (why, version), prefixes in self._lost.items():
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
        """Why a whole family has no way, which is no fault: no node has an address of it, or this host has none."""
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
        hops = {hop for route in self._routes if route.kind is Kind.POD for hop in route.next_hops}
        devices = {each.name: each for hop in hops if hop.address and (each := self._host.on_link(hop.address))}
        for device in sorted(devices.values(), key=lambda each: each.name):
            if device.mtu > mtu:
                text = (
                    f"packets of over {mtu} octets do not fit its pod network ({self._picture.network}), and "
                    f"{device.name} has an MTU of {device.mtu}; let ICMP `fragmentation needed` through, or lower it"
                )
                self._note(Severity.WARNING, text)


def _prefixes(count: int) -> str:
    return "1 prefix" if count == 1 else f"{count} prefixes"
