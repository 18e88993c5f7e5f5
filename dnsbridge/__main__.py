"""`python -m dnsbridge`: the same as the command `dnsbridge`."""

from dnsbridge.cli import main

main()
