"""Where routes are pushed to: each module a `sink.Sink`, named as in the setting `routes.sinks`."""
