"""kube-proxy on a node, as one table of nftables: ClusterIPs are addresses that no host has, and lead to pods.

    kube_proxy(node, "10.244.0.0/16", {"10.96.1.1:80": ["10.244.1.9:80", "10.244.2.9:80"]})

As kube-proxy's nftables mode does: what comes to a service, from outside or from the node itself, gets the address of a
pod; what comes from outside the cluster gets the node's own address as its sender, so that a pod elsewhere answers by
this node; other ports, and services without a pod, are refused. Pods take turns where kube-proxy draws them at random,
so that a test that asks twice sees two.
"""

from collections.abc import Mapping, Sequence

from tests.support.links import must
from tests.support.namespace import Namespace

_TO_BE_MASQUERADED = "0x4000"


def kube_proxy(node: Namespace, pods: str, services: Mapping[str, Sequence[str]]) -> None:
    """Have these services on a node in place of those before; `pods` is the prefix of all pods.

    They are pods' `ADDRESS:PORT` by `ADDRESS:PORT`, of TCP, or `ADDRESS:PORT/udp`.
    """
    chains, jumps = "", ""
    for number, (service, behind) in enumerate(services.items()):
        address, _, more = service.partition(":")
        port, _, protocol = more.partition("/")
        if not behind:
            continue
        jumps += f"    ip daddr {address} {protocol or 'tcp'} dport {port} goto service-{number}\n"
        for turn, pod in enumerate(behind):
            chains += f"  chain pod-{number}-{turn} {{ meta l4proto {protocol or 'tcp'} dnat to {pod}; }}\n"
        turns = ", ".join(f"{turn} : goto pod-{number}-{turn}" for turn in range(len(behind)))
        chains += f"""  chain service-{number} {{
    ip saddr != {pods} meta mark set {_TO_BE_MASQUERADED}
    numgen inc mod {len(behind)} vmap {{ {turns} }}
  }}
"""
    addresses = ", ".join(sorted({service.partition(":")[0] for service in services}))
    must(
        node,
        "nft",
        f"""table ip kube-proxy
delete table ip kube-proxy
table ip kube-proxy {{
{chains}  chain services {{
{jumps}  }}
  chain without-pod {{ ct state new ip daddr {{ {addresses} }} reject; }}
  chain prerouting {{ type nat hook prerouting priority -100; jump services; }}
  chain output {{ type nat hook output priority -100; jump services; }}
  chain postrouting {{ type nat hook postrouting priority 100; meta mark {_TO_BE_MASQUERADED} masquerade; }}
  chain forwarded {{ type filter hook forward priority 0; jump without-pod; }}
  chain sent {{ type filter hook output priority 0; jump without-pod; }}
}}""",
    )
