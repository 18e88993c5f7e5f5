"""A cluster from files of Kubernetes objects."""
