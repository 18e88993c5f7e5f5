"""The kernel's routes and interfaces over rtnetlink(7): one codec, one socket, one stream of events."""
