"""The index of names under random changes: it equals one from scratch, and says exactly what a change touched."""

from collections.abc import Iterable
from functools import partial
from random import Random

import pytest
from msgspec.structs import replace

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import (
    BlockAffinity,
    Endpoint,
    Endpoints,
    EndpointSlice,
    IPPool,
    Key,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Service,
    Subset,
)
from dnsbridge.wire import addresses
from dnsbridge.wire import name as names
from dnsbridge.wire.constants import Type
from dnsbridge.zone import lookup, reverse
from dnsbridge.zone.index import EVERYTHING, REVERSE_TREE, Index
from dnsbridge.zone.lookup import Asked, PodsMode, ZoneSettings
from dnsbridge.zone.outcome import Alias, Found, NoSuchName, Outcome
from tests.support.random_cluster import Maker

ZONE = names.from_text("cluster.local")
TYPES = (Type.A, Type.AAAA, Type.SRV, Type.CNAME, Type.ANY, Type.TXT)
REVERSE_TYPES = (Type.PTR, Type.NS, Type.ANY)
STEPS = 40
PREFIXES = (reverse.Prefixes(), reverse.Prefixes(addresses.networks_of(["10.96.0.0/12"]), ()))

Said = tuple[object, ...]
"""What of an outcome reaches a client, without the serial."""
Question = tuple[bytes, Type]
Answers = dict[Question, tuple[Said, tuple[bytes, ...]]]
"""To each question of the universe what is said, and the keys it depends on."""


def said(outcome: Outcome) -> Said:
    """What a client sees of an outcome."""
    match outcome:
        case Found():
            return ("found", outcome.answer, outcome.additional)
        case Alias():
            return ("alias", outcome.cname)
        case NoSuchName():
            return ("no such name", outcome.defined)
        case _:
            return ("no data",)


class View:
    """All answers of an index."""

    def __init__(self, pods: PodsMode, prefixes: reverse.Prefixes) -> None:
        self.settings = ZoneSettings(pods=pods)
        self.prefixes = prefixes

    def of(self, index: Index, universe: Iterable[bytes]) -> Answers:
        """What it says to every name of the universe."""
        found: Answers = {}
        for name in universe:
            if name.endswith(b"\x04arpa\x00"):
                found |= self.reverse(index, name)
            else:
                for qtype in TYPES:
                    got = lookup.lookup(index, self.settings, Asked(name + ZONE, name, ZONE, qtype))
                    found[name, qtype] = said(got), got.depends
        return found

    def reverse(self, index: Index, name: bytes) -> Answers:
        """The answers to a reverse name; where it is not owned there is none, and so nothing to keep."""
        prefix = addresses.reverse_prefix(name)
        assert prefix
        bits = reverse.owned_bits(index, self.prefixes, prefix)
        if bits is None:
            return {(name, qtype): (("not ours",), ()) for qtype in REVERSE_TYPES}
        found: Answers = {}
        for qtype in REVERSE_TYPES:
            got = reverse.lookup(index, self.settings, Asked(name, name, b"", qtype), prefix, bits, ZONE)
            found[name, qtype] = (bits, *said(got)), got.depends
        return found


def forward_names(index: Index) -> Iterable[bytes]:
    """Names of the index's services and pods, with the names above them and spellings beside them."""
    for namespace, held in index.namespaces.items():
        yield names.from_labels(namespace, b"svc")
        yield names.from_labels(namespace, b"pod")
        for service in held.services.values():
            yield service.relative
            for labels in [(host,) for host in service.hosts] + list(service.ports):
                yield names.from_labels(*labels) + service.relative
            yield from (names.from_labels(protocol) + service.relative for protocol in service.protocols())
        for address in held.pods:
            spelled = [addresses.to_label(address)]
            if len(address) == 16:
                spelled.append(b"-".join([b"%x" % int(address.hex()[at : at + 4], 16) for at in range(0, 32, 4)]))
            yield from (names.from_labels(label, namespace, b"pod") for label in spelled)


def all_names(index: Index) -> Iterable[bytes]:
    """Names of the index, with reverse names whole, part-way, and one label too long."""
    yield from (b"", names.from_labels(b"svc"), names.from_labels(b"none", b"svc"), names.from_labels(b"other"))
    yield from forward_names(index)
    for address in index.pointers:
        whole = addresses.reverse_name(address)
        yield names.from_labels(b"x") + whole
        labels = names.labels(whole)
        for count in range(len(labels) - 2 if len(address) == 4 else 4):
            yield names.from_labels(*labels[count:]) + b"\x00"


def drawn_changes(random: Random) -> list[Change]:
    """A cluster's objects one by one, then changes to them."""
    maker = Maker(random)
    held: dict[Key, Object] = {}
    changes: list[Change] = []
    for _ in range(STEPS):
        change = maker.change(held)
        changes.append(change)
        if isinstance(change, Put):
            held[change.object.key] = change.object
        else:
            held.pop(change.key, None)
    return changes


def universe_of(changes: list[Change], pod_names: bool) -> list[bytes]:
    """Every name that ever exists while the changes happen."""
    index = Index(pod_names)
    found: dict[bytes, None] = {}
    for change in changes:
        index.apply([change], 1)
        found |= dict.fromkeys(all_names(index))
    return list(found)


def from_scratch(random: Random, index: Index, pod_names: bool) -> Index:
    """An index of the same objects, put at once in any order."""
    objects = list(index.objects.values())
    random.shuffle(objects)
    made = Index(pod_names)
    made.apply([Put(obj) for obj in objects], 1)
    return made


def pod_addresses(index: Index) -> set[tuple[bytes, bytes]]:
    """Which addresses which services' slices call those of pods."""
    services = [service for held in index.namespaces.values() for service in held.services.values()]
    return {(service.relative, address) for service in services for address in service.pod_addresses()}


@pytest.mark.parametrize("pods", ["insecure", "verified"])
@pytest.mark.parametrize("seed", range(12))
def test_changes_one_at_a_time(seed: int, pods: PodsMode) -> None:
    """All answers are those of an index from scratch; the keys cover all that changed, and no more.

    So it is when its memory is put in order in between.
    """
    random = Random(seed)
    pod_names = seed % 2 == 0
    view = View(pods, PREFIXES[seed % 3 == 0])
    changes = drawn_changes(random)
    universe = universe_of(changes, pod_names)
    index = Index(pod_names)
    before = view.of(index, universe)
    for step, change in enumerate(changes):
        serial, pods_before = index.serial.value, pod_addresses(index)
        # A clock that was set back must not take the serial along.
        keys = index.apply([change], random.choice((5, 1000 + step)))
        assert index.serial.value >= serial
        if step % 7 == 3:
            index.compact()
        after = view.of(index, universe)
        assert after == view.of(from_scratch(random, index, pod_names), universe), f"step {step}: {change}"
        changed = [question for question in after if before[question][0] != after[question][0]]
        if changed:
            assert index.serial.value == max(serial, index.serial.value) > 0
        if EVERYTHING not in keys:
            for question in changed:
                depends = before[question][1]
                # What is not ours is never kept prepared.
                assert not depends or keys & {*depends}, f"step {step}: {question} changed, {change} said {keys}"
            moved = {name for name, _ in changed}
            idle = {key for key in keys if key != REVERSE_TREE and key not in moved}
            # It is told of prefixes by the cluster alone, and does not know those of the settings.
            idle = {key for key in idle if after.get((key, Type.PTR)) != (("not ours",), ())}
            # Nor whether an address needs to be a pod's to be the cluster's: it may lie in such a prefix.
            idle -= {addresses.reverse_name(address) for _, address in pods_before ^ pod_addresses(index)}
            if pods == "insecure":
                # The index does not know that names of pods answer whether the pod exists or not.
                idle = {key for key in idle if not key.endswith(b"\x03pod")}
            assert not idle, f"step {step}: nothing changed at {idle}, {change}"
        before = after


@pytest.mark.parametrize("seed", range(12))
def test_many_changes_at_once(seed: int) -> None:
    """A batch leads to the same index as its changes one by one, and touches what any of them touches in the end."""
    random = Random(1000 + seed)
    changes = drawn_changes(random)
    universe = universe_of(changes, False)
    view = View("verified", PREFIXES[0])
    one_by_one, batched = Index(), Index()
    for start in range(0, STEPS, 8):
        batch = changes[start : start + 8]
        for change in batch:
            one_by_one.apply([change], 1)
        before = view.of(batched, universe)
        keys = batched.apply(batch, 1)
        after = view.of(batched, universe)
        assert after == view.of(one_by_one, universe)
        for question, (now, _) in after.items():
            was, depends = before[question]
            assert was == now or not depends or EVERYTHING in keys or keys & {*depends}


Slice = partial(EndpointSlice, namespace="shop", name="web-1", service="web")
Old = partial(Endpoints, namespace="shop", name="web")
HEADLESS = Service(namespace="shop", name="web", headless=True)
CLUSTER_IP = Service(namespace="shop", name="web", cluster_ips=(b"\x0a\x60\x00\x01",), ports=(Port("http", "TCP", 80),))
ONE, TWO = b"\x0a\xf4\x00\x01", b"\x0a\xf4\x00\x02"
FORWARD = "web.shop.svc"


@pytest.mark.parametrize(
    ("held", "change", "expected"),
    [
        # A pod restarts: its own name, the service's, and the reverse name.
        (
            [HEADLESS, Slice(endpoints=(Endpoint((ONE,)), Endpoint((TWO,))))],
            Slice(endpoints=(Endpoint((ONE,)), Endpoint((TWO,), ready=False))),
            {"10-244-0-2." + FORWARD, FORWARD, "2.0.244.10.in-addr.arpa.", "arpa"},
        ),
        # Behind a ClusterIP it is the endpoint's name alone: neither the service nor its ports move.
        (
            [CLUSTER_IP, Slice(endpoints=(Endpoint((ONE,)),))],
            Slice(endpoints=()),
            {"10-244-0-1." + FORWARD, "1.0.244.10.in-addr.arpa.", "arpa"},
        ),
        # A named port of a headless service is one SRV answer and an empty non-terminal.
        (
            [HEADLESS, Slice(endpoints=(Endpoint((ONE,)),))],
            Slice(endpoints=(Endpoint((ONE,)),), ports=(Port("http", "TCP", 80),)),
            {FORWARD, "_tcp." + FORWARD, "_http._tcp." + FORWARD},
        ),
        # A hostname without ports: the names of the endpoint, not the service's addresses.
        (
            [HEADLESS, Slice(endpoints=(Endpoint((ONE,)),))],
            Slice(endpoints=(Endpoint((ONE,), "web-0"),)),
            {"10-244-0-1." + FORWARD, "web-0." + FORWARD, "1.0.244.10.in-addr.arpa.", "arpa"},
        ),
        # An address outside all declared prefixes is the cluster's own while it is a pod's.
        (
            [HEADLESS, Slice(endpoints=(Endpoint((ONE,), pod="web-0"),))],
            Slice(endpoints=(Endpoint((ONE,)),)),
            {"1.0.244.10.in-addr.arpa."},
        ),
        # Endpoints of a service without a slice: as a slice.
        (
            [HEADLESS, Old(subsets=(Subset((Endpoint((ONE,)), Endpoint((TWO,)))),))],
            Old(subsets=(Subset((Endpoint((ONE,)), Endpoint((TWO,), ready=False))),)),
            {"10-244-0-2." + FORWARD, FORWARD, "2.0.244.10.in-addr.arpa.", "arpa"},
        ),
        # Beside a slice Endpoints say nothing, whatever they say and become.
        ([HEADLESS, Slice(endpoints=(Endpoint((ONE,)),))], Old(subsets=(Subset((Endpoint((TWO,)),)),)), set()),
        ([HEADLESS, Slice(endpoints=())], Old(subsets=(Subset((Endpoint((TWO,)),)),)), set()),
        # A slice that comes takes the place of Endpoints: where both say the same, nothing moves.
        (
            [HEADLESS, Old(subsets=(Subset((Endpoint((ONE,), "web-0"),)),))],
            Slice(endpoints=(Endpoint((ONE,), "web-0"),)),
            set(),
        ),
        (
            [HEADLESS, Old(subsets=(Subset((Endpoint((ONE,)), Endpoint((TWO,)))),))],
            Slice(endpoints=(Endpoint((ONE,)),)),
            {"10-244-0-2." + FORWARD, FORWARD, "2.0.244.10.in-addr.arpa.", "arpa"},
        ),
        # The same Endpoints written anew, as an elected leader does every two seconds, and those of no service.
        (
            [HEADLESS, Old(subsets=(Subset((Endpoint((ONE,)),)),))],
            Old(subsets=(Subset((Endpoint((ONE,)),)),), resource_version="2"),
            set(),
        ),
        ([HEADLESS], Old(name="kube-scheduler", subsets=(Subset((Endpoint((ONE,)),)),)), set()),
        # The first object of a namespace makes it exist; a pod that shares its node's address adds nothing.
        ([], Pod(namespace="shop", name="a", addresses=(ONE,)), {"10-244-0-1.shop.pod", "shop.svc", "shop.pod"}),
        ([Pod(namespace="shop", name="a", addresses=(ONE,))], Pod(namespace="shop", name="b", addresses=(ONE,)), set()),
        # A namespace that is only written anew was there all the time.
        ([Namespace(name="shop")], Namespace(name="shop", resource_version="2"), set()),
        # Prefixes: everything; but not where the same ones are said in another way.
        ([], Node(name="a", pod_cidrs=("10.244.0.0/24",)), {"."}),
        ([Node(name="a", pod_cidrs=("10.244.0.0/24",))], IPPool(name="p", cidr="10.244.0.0/24"), set()),
        ([Node(name="a", pod_cidrs=("10.244.0.0/24",))], IPPool(name="p", cidr="10.244.0.128/25"), set()),
        ([Node(name="a")], Node(name="a", addresses=(ONE,)), set()),
        ([Node(name="a", pod_cidrs=("10.244.0.0/24",))], Node(name="a", pod_cidrs=("10.244.1.0/24",)), {"."}),
        # A pool that gives no more addresses, and who has which block, is nothing to names.
        ([], IPPool(name="p", cidr="10.244.0.0/24", disabled=True), set()),
        ([IPPool(name="p", cidr="10.244.0.0/24")], IPPool(name="p", cidr="10.244.0.0/24", disabled=True), {"."}),
        ([], BlockAffinity(name="b", cidr="10.244.0.0/26", node="a"), set()),
    ],
)
def test_touched_keys(held: list[Object], change: Object, expected: set[str]) -> None:
    """The keys of typical changes, written out."""
    index = Index()
    index.apply([Put(obj) for obj in held], 1)
    assert index.apply([Put(change)], 2) == {key_of(text) for text in expected}


def test_a_slice_that_goes_leaves_its_service_to_endpoints() -> None:
    """Where the last slice of a service goes its Endpoints answer, until a slice comes again."""
    index = Index()
    old = Old(subsets=(Subset((Endpoint((TWO,)),), (Port("http", "TCP", 80),)),))
    new = Slice(endpoints=(Endpoint((ONE,)),))
    index.apply([Put(HEADLESS), Put(old), Put(new)], 1)
    web = index.namespaces[b"shop"].services
    assert (web[b"web"].ipv4, web[b"web"].sources) == ((ONE,), (new,))
    touched = index.apply([Gone(new.key)], 2)
    assert (web[b"web"].ipv4, web[b"web"].sources) == ((TWO,), (old,))
    assert touched == {
        key_of(text)
        for text in (
            FORWARD, "_http._tcp." + FORWARD, "_tcp." + FORWARD, "10-244-0-1." + FORWARD, "10-244-0-2." + FORWARD,
            "1.0.244.10.in-addr.arpa.", "2.0.244.10.in-addr.arpa.", "arpa",
        )
    }  # fmt: skip
    index.apply([Put(new)], 3)
    assert web[b"web"].ipv4 == (ONE,)
    index.apply([Gone(new.key), Gone(old.key)], 4)
    assert not index.namespaces[b"shop"].services[b"web"].exists


def test_a_node_that_says_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefixes are not gathered anew for a node that changed in something else: nodes report every few minutes."""
    index = Index()
    index.apply([Put(Node(name="a", pod_cidrs=("10.244.0.0/24",)))], 1)
    monkeypatch.setattr(index, "_gather_networks", lambda: pytest.fail("gathered"))
    index.apply([Put(Node(name="a", pod_cidrs=("10.244.0.0/24",), ready=False, resource_version="2"))], 2)
    assert [obj.resource_version for obj in index.objects.values()] == ["2"]


def key_of(text: str) -> bytes:
    """A key as the index gives it: only absolute ones, with a final dot, end with the root's octet."""
    return names.from_text(text) if text.endswith(".") else names.from_text(text)[:-1]


def test_shared_address_of_pods() -> None:
    """An address stays while one pod of several that have it is left (`hostNetwork`)."""
    index = Index()
    index.apply([Put(Pod(namespace="shop", name=name, addresses=(ONE,))) for name in "abc"], 1)
    asked = Asked(b"", names.from_labels(b"10-244-0-1", b"shop", b"pod"), ZONE, Type.A)
    for name, left in (("c", 2), ("a", 1), ("b", 0)):
        index.apply([Gone(Key("Pod", "shop", name))], 2)
        got = lookup.lookup(index, ZoneSettings(pods="verified"), asked)
        assert isinstance(got, Found) == bool(left)
        assert len(got.origin if isinstance(got, Found) else ()) == left


def test_everything_gone_leaves_nothing() -> None:
    """An index whose objects have all gone holds nothing at all."""
    for seed in range(20):
        index = Index()
        made = Maker(Random(seed)).cluster()
        index.apply([Put(obj) for obj in made.objects.values()], 1)
        for key in list(made.objects):
            index.apply([Gone(key)], 2)
        assert (index.objects, index.namespaces, index.pointers) == ({}, {}, {})
        assert (index.service_networks, index.pod_networks) == ((), ())


def test_same_object_again_touches_nothing() -> None:
    """A relist that brings nothing new, or only new resource versions, moves neither answers nor the serial."""
    index = Index()
    maker = Maker(Random(3))
    made = maker.cluster()
    puts = [Put(obj) for obj in made.objects.values()]
    assert index.apply(puts, 10)
    assert index.apply(puts, 20) == set()
    versions = [Put(replace(obj, resource_version="later")) for obj in made.objects.values()]
    assert index.apply(versions, 30) == set()
    assert index.serial.value == 10
