"""dnsbridge: a Kubernetes cluster as part of the office network, names and packets both."""

__version__ = "0.1.0"
