"""The one place that knows all parts and wires them: settings in, a running server out."""
