"""Routes: the prefixes of a cluster that a host or a router must know, and the way to each. All of it is pure.

    pictures      the prefixes and nodes of a cluster, from its objects or from a gateway's kernel table
    next_hops     the routes that one place needs, and their next hops
    guards        routes that must never exist, whoever wants them
    plan          held routes + wanted routes -> add, change, remove, keep, conflict
    exports       a wanted set as text for another program
    sink          the interface of every place that routes are pushed to (see dnsbridge.sinks)

All use the values in `model`.
"""
