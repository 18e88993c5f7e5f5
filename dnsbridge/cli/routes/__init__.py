"""The command `dnsbridge routes` and its five subcommands."""
