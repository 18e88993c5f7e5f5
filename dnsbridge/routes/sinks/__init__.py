"""Where routes are pushed to, each a Sink (see routes.sink): kernel, bgp, bird, frr, file."""
