"""The test API server by hand: python -m tests.apiserver --help."""

import asyncio
import contextlib
import time
from pathlib import Path

import click
import msgspec
import uvloop

from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer


@click.command()
@click.option("--port", default=6443, show_default=True, help="0: a free one.")
@click.option("--plain", is_flag=True, help="HTTP without TLS, and without credentials.")
@click.option("--client-certificates", is_flag=True, help="Refuse clients without a certificate.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), default=Path("kubeconfig"), show_default=True)
@click.option("--services", default=Shape().services, show_default=True)
@click.option("--headless", default=Shape().headless, show_default=True, help="How many of them are headless.")
@click.option("--external-names", default=0, show_default=True, help="How many of them are ExternalName.")
@click.option("--dual-stack", default=0, show_default=True, help="How many of them have IPv6, too.")
@click.option("--endpoints-per-slice", default=Shape().endpoints_per_slice, show_default=True)
@click.option("--namespaces", default=Shape().namespaces, show_default=True)
@click.option("--nodes", default=Shape().nodes, show_default=True)
@click.option("--pods", is_flag=True, help="A Pod for each endpoint.")
@click.option("--bookmarks", default=60.0, show_default=True, help="Seconds between bookmarks.")
@click.option("--streaming-lists/--no-streaming-lists", default=True, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(
    port: int,
    plain: bool,
    client_certificates: bool,
    kubeconfig: Path,
    bookmarks: float,
    streaming_lists: bool,
    pods: bool,
    **sizes: int,
) -> None:
    """A Kubernetes API server for tests, with a cluster made up from a seed. Ctrl-C ends it."""
    server = ApiServer(tls=not plain, port=port, client_certificates=client_certificates, seed=sizes["seed"])
    server.watches.bookmark_interval = bookmarks
    server.watches.streaming_lists = streaming_lists
    shape = msgspec.convert({**sizes, "pods": pods}, Shape)
    began = time.monotonic()
    server.load(cluster(shape))
    made = time.monotonic() - began
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(server, kubeconfig, client_certificates, made))


async def _serve(server: ApiServer, kubeconfig: Path, certificate: bool, made: float) -> None:
    async with server:
        server.kubeconfig(kubeconfig, credential="certificate" if certificate else "token")
        counts = ", ".join(
            f"{len(collection.keys)} {resource.plural}"
            for resource, collection in server.store.collections.items()
            if collection.keys
        )
        click.echo(f"{server.url} serves {counts} (made in {made:.1f} s)")
        click.echo(f"kubectl --kubeconfig {kubeconfig} get services --all-namespaces --watch")
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
