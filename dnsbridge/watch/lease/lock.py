"""The Lease as the library's election reads and writes it: failures are values, and each request has a time limit."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from kubernetes.aio.client import ApiClient, V1Lease, V1LeaseSpec, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

_LIBRARY = "kubernetes.aio.leaderelection"
_Got = TypeVar("_Got")
_WHAT_TO_GRANT = 'a Role must grant apiGroups: ["coordination.k8s.io"], resources: ["leases"]'


class Told(Protocol):
    """The receiver of news about the Lease."""

    def renewed(self, began: float) -> None:
        """The Lease is ours, by a request begun at `began` (monotonic seconds)."""
        ...

    async def seen(self, holder: str) -> None:
        """The Lease has this holder; empty: nobody."""
        ...

    def complain(self, problem: str) -> None:
        """The Lease could not be read or written."""
        ...


class Lock(LeaseLock):
    """One Lease; no method raises, whatever the server does."""

    def __init__(
        self,
        name: str,
        namespace: str,
        identity: str,
        client: ApiClient,
        duration: float,
        patience: float,
        told: Told,
    ) -> None:
        """`duration` of the Lease in seconds; `patience` in seconds for each request."""
        super().__init__(name, namespace, identity, client)
        self._duration = duration
        self._patience = patience
        self._told = told
        # The library logs each failed attempt with a traceback; we log a problem once, in one line.
        logging.getLogger(_LIBRARY).setLevel(logging.CRITICAL)

    async def get(
        self, name: str, namespace: str
    ) -> tuple[bool, LeaderElectionRecord] | tuple[bool, Exception] | tuple[bool, None]:
        """Whether the Lease could be read, and its record or the error."""
        got = await self._bounded(self.api_instance.read_namespaced_lease(name, namespace))
        if isinstance(got, ApiException):
            if got.status != 404:
                self._told.complain(_reason(got))
            return False, got
        self.lease_reference = got
        record = self.election_record(got)
        await self._told.seen(record.holder_identity or "")
        return True, record

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Create the Lease; returns whether it exists now and is ours."""
        # The library's own method passes `pretty` as a boolean, which its client of the same version refuses.
        body = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._write(self.api_instance.create_namespaced_lease(namespace, body))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Write the Lease; returns whether it is ours. The server refuses if another was quicker (resourceVersion)."""
        lease = self.lease_reference
        if lease is None:
            return False
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._write(self.api_instance.replace_namespaced_lease(name, namespace, lease))

    async def release(self) -> None:
        """Remove the holder from the Lease, so that the next candidate may lead at once."""
        if self.lease_reference is None or not self.lease_reference.spec:
            return
        got = await self._bounded(self.api_instance.read_namespaced_lease(self.name, self.namespace))
        if isinstance(got, ApiException) or not got.spec or got.spec.holder_identity != self.identity:
            return
        got.spec.holder_identity = ""
        got.spec.lease_duration_seconds = 1
        await self._bounded(self.api_instance.replace_namespaced_lease(self.name, self.namespace, got))

    def update_lease(
        self, leader_election_record: LeaderElectionRecord, current_spec: V1LeaseSpec | None = None
    ) -> V1LeaseSpec:
        """The spec of a Lease that is ours from now on, with times in UTC."""
        spec = current_spec or V1LeaseSpec()
        now = datetime.now(UTC)
        if spec.holder_identity != leader_election_record.holder_identity or not spec.acquire_time:
            spec.acquire_time = now
            spec.lease_transitions = (spec.lease_transitions or 0) + 1
        spec.holder_identity = leader_election_record.holder_identity
        spec.lease_duration_seconds = max(1, round(self._duration))
        spec.renew_time = now
        return spec

    async def _write(self, request: Awaitable[V1Lease]) -> bool:
        began = time.monotonic()
        done = await self._bounded(request)
        if isinstance(done, ApiException):
            if done.status != 409:  # another was quicker
                self._told.complain(_reason(done))
            return False
        self._told.renewed(began)
        return True

    async def _bounded(self, request: Awaitable[_Got]) -> _Got | ApiException:
        try:
            async with asyncio.timeout(self._patience):
                return await request
        except ApiException as error:
            return error
        except TimeoutError:
            return ApiException(status=0, reason=f"no answer within {self._patience:g} s")
        except Exception as error:  # a broken connection, or an answer that is no Lease
            return ApiException(status=0, reason=f"{type(error).__name__}: {error}")


def _reason(error: ApiException) -> str:
    if error.status == 403:
        return f'not allowed; {_WHAT_TO_GRANT}, verbs: ["get", "create", "update"]'
    return f"{error.status} {error.reason}" if error.status else str(error.reason)
