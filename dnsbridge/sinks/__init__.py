"""The sinks that routes are pushed to. Each module or folder is a `routes.sink.Sink`, named as in `routes.sinks`."""
