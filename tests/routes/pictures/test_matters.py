"""Which changes of objects may change a picture."""

import pytest
from msgspec import structs

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import BlockAffinity, EndpointSlice, Node, Object, Pod, Service
from dnsbridge.routes.pictures.matters import matters

NODE = Node(name="n1", resource_version="1", ready=True)
BLOCK = BlockAffinity(name="b", cidr="10.0.0.0/26", node="n1")
SLICE = EndpointSlice(namespace="shop", name="web-1", service="web")
POD = Pod(namespace="shop", name="web-1", addresses=(b"\x0a\0\0\1",))
WEB = Service(namespace="shop", name="web", cluster_ips=(b"\x0a\x60\0\1",))
DNS = Service(namespace="kube-system", name="kube-dns", cluster_ips=(b"\x0a\x60\0\x0a",))


@pytest.mark.parametrize(
    ("change", "held", "prefixes_known", "nothing_known"),
    [
        pytest.param(Put(NODE), None, True, True, id="a node comes"),
        pytest.param(Put(structs.replace(NODE, ready=False)), NODE, True, True, id="a node changes"),
        pytest.param(Put(structs.replace(NODE, resource_version="2")), NODE, False, False, id="a node says the same"),
        pytest.param(Gone(NODE.key), NODE, True, True, id="a node goes"),
        pytest.param(Put(BLOCK), None, True, True, id="a block comes"),
        pytest.param(Put(SLICE), None, False, False, id="endpoints come"),
        pytest.param(Gone(SLICE.key), SLICE, False, False, id="endpoints go"),
        pytest.param(Put(POD), None, False, False, id="a pod comes"),
        pytest.param(Put(WEB), None, False, True, id="a service comes"),
        pytest.param(Gone(WEB.key), WEB, False, True, id="a service goes"),
        pytest.param(Put(DNS), None, True, True, id="the cluster's DNS comes"),
        pytest.param(Gone(DNS.key), DNS, True, True, id="the cluster's DNS goes"),
    ],
)
def test_matters(change: Change, held: Object | None, prefixes_known: bool, nothing_known: bool) -> None:
    """Where the prefixes of ClusterIPs are known, and where each service counts."""
    assert matters(change, held, all_services=False) is prefixes_known
    assert matters(change, held, all_services=True) is nothing_known
