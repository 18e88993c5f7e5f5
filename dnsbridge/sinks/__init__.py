"""Where routes are pushed to: each module or folder a `routes.sink.Sink`, named as in the setting `routes.sinks`."""
