"""Routes: which prefixes of a cluster a host or a router must know, and the way to each of them. All of it is pure.

    pictures      what a cluster's objects, or a gateway's kernel table, say of its prefixes and nodes
    next_hops     which of them this place needs, and through whom
    guards        what must never be routed, whoever wants it
    plan          what is there + what is wanted -> add, change, remove, keep, conflict
    exports       a wanted set as the text that some other program takes
    sink          what every place has in common that routes are pushed to (see dnsbridge.sinks)

All speak of the values in `model`.
"""
