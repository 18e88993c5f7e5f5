"""Changes on their way to workers: what comes out is what went in, in its order."""

from random import Random

import pytest

from dnsbridge.cluster import transfer
from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import ClusterConfiguration, IPPool, Key, Namespace, Node, Object, Pod, ServiceCIDR
from tests.support.random_cluster import Maker

OTHERS: list[Change] = [
    Put(Node(name="node-1", addresses=(b"\x0a\0\0\1",), pod_cidrs=("10.244.1.0/24",))),
    Put(Pod(namespace="shop", name="web-0", addresses=(b"\x0a\xf4\0\1", bytes(16)))),
    Put(ServiceCIDR(name="kubernetes", cidrs=("10.96.0.0/12", "fd00::/108"))),
    Put(IPPool(name="pool", cidr="10.244.0.0/16")),
    Put(ClusterConfiguration(namespace="kube-system", name="kubeadm-config", service_cidrs=("10.96.0.0/12",))),
    Put(Namespace(name="shop", resource_version="7")),
    Gone(Key("Namespace", "", "shop")),
]


@pytest.mark.parametrize("seed", range(5))
def test_there_and_back(seed: int) -> None:
    """Objects of every kind, put and gone."""
    maker = Maker(Random(seed))
    held: dict[Key, Object] = {}
    changes = list(OTHERS)
    for _ in range(100):
        change = maker.change(held)
        changes.append(change)
        if isinstance(change, Put):
            held[change.object.key] = change.object
        else:
            held.pop(change.key, None)
    assert any(isinstance(change, Gone) for change in changes[len(OTHERS) :])
    assert transfer.decode(transfer.encode(changes)) == changes
    assert transfer.decode(transfer.encode([])) == []
