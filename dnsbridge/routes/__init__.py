"""Routes: which prefixes of a cluster a host or a router must know, and the way to each of them.

    picture       what a cluster's objects, or a gateway's kernel table, say of its prefixes and nodes      (pure)
    next_hops     which of them this place needs, and through whom                                          (pure)
    guards        what must never be routed, whoever wants it                                               (pure)
    plan          what is there + what is wanted -> add, change, remove, keep, conflict                      (pure)
    exports       a wanted set as the text that some other program takes                                    (pure)
    sinks         kernel, BGP, BIRD, FRR, file: take a whole wanted set, return what was reached
    run           keeps sinks in step with the cluster

All speak of the values in `model`.
"""
