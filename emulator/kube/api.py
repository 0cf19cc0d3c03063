"""The HTTP front of the Kubernetes slice: a Starlette app over a ``KubeStore``.

Served: namespaces, nodes, pods, events and leases; get, list, watch, create, update, patch,
delete; Pod binding; discovery and OpenAPI. Everything else answers as an API server without it.
https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from emulator.kube import discovery
from emulator.kube.authorization import authorize
from emulator.kube.errors import KubeError, method_not_allowed, no_such_path, unauthorized
from emulator.kube.listing import list_response
from emulator.kube.requests import (
    Target,
    read_body,
    read_delete_options,
    read_patch,
    table_asked,
    wanted,
    wants_watch,
)
from emulator.kube.resources import Obj
from emulator.kube.schema import prune
from emulator.kube.store import KubeStore
from emulator.kube.tables import table
from emulator.kube.watching import watch_response

_HEALTH_PATHS = ("/healthz", "/livez", "/readyz")  # open to all, as /version
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def kube_app(
    store: KubeStore, tokens: Mapping[str, str], *, version: str = "v1.32.1-aliyun.1"
) -> Starlette:
    """Return the API server of one cluster.

    :param tokens: bearer token -> user; read at each request, so tokens may come and go.
    """
    front = _Front(store, tokens, version)
    app = Starlette(routes=[Route("/{path:path}", front.answer, methods=_METHODS)])
    app.add_exception_handler(KubeError, _error_response)
    app.add_exception_handler(Exception, _internal_error)  # answered so, and logged with its trace
    return app


async def _error_response(_request: Request, error: Exception) -> Response:
    assert isinstance(error, KubeError)  # noqa: S101  # registered for this class alone
    return JSONResponse(error.status(), status_code=error.code)


async def _internal_error(_request: Request, error: Exception) -> Response:
    message = f"Internal error occurred: {error!r}"
    return JSONResponse(KubeError(500, "InternalError", message).status(), status_code=500)


class _Front:
    """One method an HTTP verb; each returns the response of an authenticated request."""

    def __init__(self, store: KubeStore, tokens: Mapping[str, str], version: str) -> None:
        self._store = store
        self._tokens = tokens
        self._version = version

    async def answer(self, request: Request) -> Response:
        path = request.url.path.rstrip("/")
        if path in _HEALTH_PATHS:
            return PlainTextResponse("ok")
        if path == "/version":
            return JSONResponse(discovery.version_info(self._version))
        user = self._user(request)
        if request.method == "GET" and (document := _document(path)) is not None:
            return JSONResponse(document)
        target = Target.from_path(path)
        if target.subresource:
            _check_subresource(target, request.method)
        if request.method == "GET":
            return self._read(request, target, user)
        writes = {"POST": self._create, "PUT": self._replace, "PATCH": self._patch}
        return await writes.get(request.method, self._delete)(request, target, user)

    def _user(self, request: Request) -> str:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            for token, user in self._tokens.items():
                if secrets.compare_digest(sent.strip().encode(), token.encode()):
                    return user
        raise unauthorized()

    def _read(self, request: Request, target: Target, user: str) -> Response:
        watch = wants_watch(request)
        verb = "watch" if watch else "get" if target.name else "list"
        authorize(self._store, user, verb, target, None)
        if watch:
            return watch_response(self._store, request, target)
        if target.name:
            plural = target.resource.plural
            obj = self._store.get(plural, target.namespace, target.name)
            return self._shown(request, target, obj)
        return list_response(self._store, request, target)

    async def _create(self, request: Request, target: Target, user: str) -> Response:
        body = await read_body(request)
        authorize(self._store, user, "create", target, body)
        if target.subresource == "binding":
            return self._bind(target, body)
        if target.name:
            raise method_not_allowed()
        warnings = _checked(request, target, body)
        obj = self._store.create(target.resource.plural, body, target.namespace)
        return self._shown(request, target, obj, 201, warnings)

    def _bind(self, target: Target, body: Obj) -> Response:
        node = str((body.get("target") or {}).get("name", ""))
        self._store.get("nodes", None, node)
        self._store.bind(target.namespace or "default", target.name, node)
        return JSONResponse(_success(), status_code=201)

    async def _replace(self, request: Request, target: Target, user: str) -> Response:
        body = await read_body(request)
        if not target.name:
            raise method_not_allowed()
        authorize(self._store, user, "update", target, body)
        warnings = _checked(request, target, body)
        obj = self._store.replace(
            target.resource.plural,
            target.namespace,
            target.name,
            body,
            subresource=target.subresource,
        )
        return self._shown(request, target, obj, warnings=warnings)

    async def _patch(self, request: Request, target: Target, user: str) -> Response:
        if not target.name:
            raise method_not_allowed()
        patch, media_type = await read_patch(request)
        authorize(self._store, user, "patch", target, None)
        warnings: list[str] = []
        obj = self._store.patch(
            target.resource.plural,
            target.namespace,
            target.name,
            patch,
            media_type=media_type,
            subresource=target.subresource,
            check=lambda result: warnings.extend(_checked(request, target, result)),
        )
        return self._shown(request, target, obj, warnings=warnings)

    async def _delete(self, request: Request, target: Target, user: str) -> Response:
        options = await read_delete_options(request)
        plural, namespace = target.resource.plural, target.namespace
        if not target.name:
            authorize(self._store, user, "deletecollection", target, None)
            found, version = self._store.select(plural, wanted(request, target))
            for obj in found:
                metadata = obj["metadata"]
                self._store.delete(plural, metadata.get("namespace"), metadata["name"], **options)
            return JSONResponse(_success({"resourceVersion": str(version)}))
        authorize(self._store, user, "delete", target, None)
        obj, gone = self._store.delete(plural, namespace, target.name, **options)
        if plural == "pods" or not gone:  # as the real server: Pods answer with themselves
            return self._shown(request, target, obj)
        details = {"name": target.name, "kind": plural, "uid": obj["metadata"]["uid"]}
        return JSONResponse({**_success(), "details": details})

    def _shown(
        self,
        request: Request,
        target: Target,
        obj: Obj,
        status: int = 200,
        warnings: list[str] | None = None,
    ) -> Response:
        if table_asked(request):
            include = request.query_params.get("includeObject", "Metadata")
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            now = self._store.clock.now()
            obj = table(target.resource.plural, [obj], now, metadata, include)
        response = JSONResponse(obj, status_code=status)
        for warning in warnings or []:
            response.headers.append("Warning", f'299 - "{warning}"')
        return response


def _document(path: str) -> Obj | None:
    """Return what discovery serves at a path, or nothing."""
    match path:
        case "/api":
            return discovery.core_versions()
        case "/apis":
            return discovery.group_list()
        case "/openapi/v3":
            return discovery.openapi_index()
    if path.startswith("/openapi/v3/"):
        return discovery.openapi(path.removeprefix("/openapi/v3/"))
    return discovery.resource_list(path.removeprefix("/apis/").removeprefix("/api/"))


def _check_subresource(target: Target, method: str) -> None:
    match target.subresource:
        case "status" if target.resource.has_status and method in {"GET", "PUT", "PATCH"}:
            return
        case "binding" if target.resource.plural == "pods" and method == "POST":
            return
    raise no_such_path()


def _checked(request: Request, target: Target, body: Obj) -> list[str]:
    """Apply ``fieldValidation``: refuse, warn of, or ignore fields that the kind has not."""
    mode = request.query_params.get("fieldValidation") or "Warn"
    unknown = prune(target.resource.kind, body)
    if unknown and mode == "Strict":
        fields = ", ".join(f'unknown field "{field}"' for field in unknown)
        kind = target.resource.kind
        message = f'{kind} in version "{target.resource.version}" cannot be handled as a {kind}:'
        raise KubeError(400, "BadRequest", f"{message} strict decoding error: {fields}")
    return [f'unknown field \\"{field}\\"' for field in unknown] if mode == "Warn" else []


def _success(metadata: Any = None) -> Obj:
    return {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Success"}
