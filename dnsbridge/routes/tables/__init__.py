"""Saved listings of routes and of Calico's blocks: a text goes in, values come out (see reading).

Each form of text has one module:

    kernel_table     `ip route`, `ip -6 route`, `ip -d route`          (beside this package)
    iproute_json     `ip -j route`, also pretty, also -6
    net_tools        `route -n`, `netstat -rn`, `route -6 -n`
    etcd_keys        `etcdctl get /calico --prefix`, with values or `--keys-only`
    ipam_show        `calicoctl ipam show --show-blocks`
    lines            prompts, comments, and how chats and wikis change a text
"""
