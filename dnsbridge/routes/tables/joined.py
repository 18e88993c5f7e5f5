"""Listings of Calico's blocks, joined with other sources about the cluster.

    objects_with     the objects of a cluster and of listings; where both have an object, the listing's
    joined           the picture of these objects and the picture of nodes' tables, as one picture

A listing of etcd's keys names nodes without addresses; a table has addresses without names. A block in both gives its
node the name and the address.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from msgspec import structs

from dnsbridge.cluster.objects import BlockAffinity, Object
from dnsbridge.cluster.objects import Node as NodeObject
from dnsbridge.routes.pictures.picture import Node, Picture, prefix_of


def objects_with(objects: Iterable[Object], listed: Sequence[Object]) -> list[Object]:
    """The objects of a cluster and of listings."""
    return list({each.key: each for each in chain(objects, listed)}.values())


def nodes_by_tables(listed: Sequence[Object], of_tables: Picture) -> list[Object]:
    """The nodes that listings name, with the addresses that tables give for their blocks."""
    addresses = {each.name: each.addresses for each in of_tables.nodes}
    owners = {each.prefix: each.nodes[0] for each in of_tables.blocks if len(each.nodes) == 1}
    found: dict[str, Object] = {}
    for each in listed:
        if isinstance(each, BlockAffinity) and (owner := owners.get(prefix_of(each.cidr))) and addresses[owner]:
            packed = tuple([address.packed for address in addresses[owner]])
            found.setdefault(each.node, NodeObject(name=each.node, addresses=packed))
    return list(found.values())


def joined(of_listing: Picture, of_tables: Picture) -> Picture:
    """Both as one. A node in both has the listing's name; a block in both is the table's if its node has an address."""
    at = {address: node.name for node in of_listing.nodes for address in node.addresses}
    names = {node.name: at[address] for node in of_tables.nodes for address in node.addresses if address in at}
    nodes = {node.name: node for node in of_listing.nodes}
    for node in of_tables.nodes:
        known = nodes.get(names.get(node.name, node.name), Node(names.get(node.name, node.name)))
        merged = tuple(dict.fromkeys((*known.addresses, *node.addresses)))
        nodes[known.name] = structs.replace(known, addresses=merged)
    blocks = {
        block.prefix: structs.replace(
            block, nodes=tuple(dict.fromkeys([names.get(name, name) for name in block.nodes]))
        )
        for block in of_tables.blocks
    }
    for block in of_listing.blocks:
        held = blocks.get(block.prefix)
        if held is None or not any(nodes[name].addresses for name in held.nodes):
            known_nodes = nodes.keys() >= set(block.nodes)
            blocks[block.prefix] = block if known_nodes else structs.replace(block, nodes=())
    return structs.replace(
        of_listing,
        network=of_tables.network,
        mtu=of_listing.mtu or of_tables.mtu,
        nodes=tuple(nodes.values()),
        gateways=tuple([names.get(name, name) for name in of_tables.gateways]),
        blocks=tuple(blocks.values()),
        services=of_tables.services or of_listing.services,
        notes=(*of_tables.notes, *of_listing.notes),
    )
