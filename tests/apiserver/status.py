"""Refusals, as the API says them: a `v1.Status` object, raised where the request is found wanting."""

import msgspec

from tests.apiserver.resources import Object, Resource


class Failure(Exception):
    """A request that is refused with a Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Object | None = None,
        retry_after: int | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        """Seconds, for the header Retry-After."""
        if retry_after is not None:
            details = {**(details or {}), "retryAfterSeconds": retry_after}
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": continue_token} if continue_token else {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }

    def event(self) -> bytes:
        """The same as an ERROR event of a watch."""
        return msgspec.json.encode({"type": "ERROR", "object": self.status}) + b"\n"


def details_of(resource: Resource, name: str = "", **more: object) -> Object:
    """The details of a Status about a resource, or one object of it."""
    named = {"name": name} if name else {}
    group = {"group": resource.group} if resource.group else {}
    return {**named, **group, "kind": resource.plural, **more}


def not_found(resource: Resource, name: str) -> Failure:
    """There is no such object."""
    return Failure(404, "NotFound", f'{resource.qualified} "{name}" not found', details_of(resource, name))


def no_such_path() -> Failure:
    """There is no such resource."""
    return Failure(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> Failure:
    """An object of that name is there."""
    message = f'{resource.qualified} "{name}" already exists'
    return Failure(409, "AlreadyExists", message, details_of(resource, name))


def conflict(resource: Resource, name: str) -> Failure:
    """The object changed since the resourceVersion (or uid) in the request."""
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return Failure(409, "Conflict", message, details_of(resource, name))


def invalid(group: str, kind: str, name: str, *causes: tuple[str, str, str]) -> Failure:
    """Fields that do not validate: (field, cause's reason, what is wrong with it)."""
    said = [f"{field}: {message}" for field, _, message in causes]
    text = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    qualified = f"{kind}.{group}" if group else kind
    details: Object = {
        **({"name": name} if name else {}),
        **({"group": group} if group else {}),
        "kind": kind,
        "causes": [{"reason": reason, "message": message, "field": field} for field, reason, message in causes],
    }
    return Failure(422, "Invalid", f'{qualified} "{name}" is invalid: {text}', details)


def bad_request(message: str) -> Failure:
    """A request that cannot be understood."""
    return Failure(400, "BadRequest", message)


def too_old(asked: int, oldest: int) -> Failure:
    """History before `oldest` is gone; what a watch's cache says."""
    return Failure(410, "Expired", f"too old resource version: {asked} ({oldest})")


def too_large(asked: int, current: int) -> Failure:
    """A version that does not exist yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Too large resource version: {asked}, current: {current}"
    return Failure(504, "Timeout", message, {"causes": [cause]}, retry_after=1)
