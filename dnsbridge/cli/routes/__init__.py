"""The command `dnsbridge routes` and the five below it."""
