"""A Kubernetes API server for tests: what clients of lists and watches see, TLS, access control, and faults on demand.

resources  which resources there are, one table
store      objects as encoded JSON, their history, resource versions
admission  what the server itself fills in and refuses: metadata, ClusterIPs
listing    a page of a list; watching: the stream of a watch; output: how both reach the client
faults     what goes wrong on purpose, and for whom
access     who may do what; tls: certificates
server     ApiServer, which tests start; seed: clusters of any size
__main__   the same by hand: python -m tests.apiserver --help
"""
