"""The base class: traits on one side, the program's REST API on the other. Decisions are taken in the program."""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlencode, urlparse

from jupyterhub.proxy import Proxy
from jupyterhub.utils import url_path_join
from traitlets import Bool, Dict, Enum, Integer, List, Unicode, default, observe, validate

from .controller import Controller, Refused, end_with, find_running, in_thread
from .interface import FormerInterface
from .program import find_command, start_program

#: The engines that are known by name; everything else is the path of a Traefik.
ENGINES = ("embedded", "traefik", "external")
#: The routes file is the first that exists.
ROUTES_FOLDERS = ("/etc/traefik", "~/.traefik")


class TraefikProxy(FormerInterface, Proxy):
    """JupyterHub proxy with Traefik's configuration and an embedded engine."""

    #: The provider in Traefik's names: ``router@file``.
    provider_name = "file"

    command = List(
        Unicode(),
        config=True,
        help="""Command line of the jupyterhub-traefik-proxy program.

        Empty: it is looked for on the PATH, in the checkout this package was installed from, and in node_modules.
        """,
    )

    engine = Unicode(
        "embedded",
        config=True,
        help="""What carries the traffic.

        embedded: the engine of this package. traefik: a real Traefik 3, found on the PATH, started and stopped as the
        embedded one is; anything with a slash is the path of one. external: somebody else starts it, the same as
        should_start = False.
        """,
    )

    workers = Integer(0, config=True, help="Worker processes of the embedded engine; 0 means one per core.")

    state_file = Unicode(
        "jupyterhub-traefik-proxy.json",
        config=True,
        help="""Where the program's process id and token are noted (mode 0600), relative to the working directory.

        A hub that was restarted finds the program of its predecessor there and goes on using it. Empty: none is kept.
        """,
    )

    static_config_file = Unicode(
        "traefik.toml",
        config=True,
        help="""The static configuration, TOML or YAML by its extension.

        Written once at start when JupyterHub starts the proxy; never touched when it does not.
        """,
    )

    toml_static_config_file = Unicode(config=True, help="Deprecated name of static_config_file.")

    dynamic_config_file = Unicode(
        config=True,
        help="""The routes file, TOML or YAML by its extension.

        Not set: the first rules.toml in /etc/traefik/, $HOME/.traefik/ and the working directory; made in the working
        directory when there is none.
        """,
    )

    traefik_api_url = Unicode("http://localhost:8099", config=True, help="URL of the engine's API.")

    traefik_api_username = Unicode(config=True, help="User name for the engine's API.")

    traefik_api_password = Unicode(config=True, help="Password for the engine's API.")

    traefik_api_hashed_password = Unicode(
        config=True,
        help="""Hash of the API password for the engine's configuration (bcrypt, apr1 or {SHA}).

        Not set: made from traefik_api_password.
        """,
    )

    traefik_api_validate_cert = Bool(True, config=True, help="Check the certificate of an https API.")

    traefik_api_entrypoint = Unicode("auth_api", config=True, help="Name of the entry point that serves the API.")

    traefik_entrypoint = Unicode(
        config=True, help="Name of the public entry point; not set: https or http, as in the public URL."
    )

    traefik_log_level = Unicode(config=True, help="Log level of the engine: DEBUG, INFO, WARN or ERROR.")

    traefik_providers_throttle_duration = Unicode(
        "0s", config=True, help="providersThrottleDuration of the static configuration."
    )

    traefik_env = Dict(config=True, help="Environment variables to add for the program.")

    check_route_timeout = Integer(
        30, config=True, help="How long to wait for the engine at start and for each route, in seconds."
    )

    extra_static_config = Dict(config=True, help="Merged into the static configuration when it is written.")

    extra_dynamic_config = Dict(config=True, help="Merged into the routes file at start.")

    enable_setup_dynamic_config = Bool(
        True,
        config=True,
        help="""Whether the route to the API and the certificate are written into the routes file.

        Only looked at when JupyterHub does not start the proxy.
        """,
    )

    error_pages = Enum(
        ["proxy", "hub"],
        "proxy",
        config=True,
        help="""What people see while their server is stopped, starting or dead.

        proxy: a page of the proxy's own, for which the hub is never asked. hub: JupyterHub's error page with whatever
        templates it has (503.html, 404.html, error.html), asked for once in ten seconds and worker. Scripts and
        WebSockets get short answers in any case. Only with the embedded engine.
        """,
    )

    concurrency = Integer(10, config=True, help="How many route changes are sent at once; waiting ones share a write.")

    def __init__(self, **kwargs):
        self._given = frozenset(kwargs)
        super().__init__(**kwargs)
        self._warn_about_replaced_methods()
        self._controller = Controller(
            self._launch, log=self.log, concurrency=self.concurrency, timeout=self.check_route_timeout + 30
        )

    # Configuration.

    @default("traefik_entrypoint")
    def _default_traefik_entrypoint(self):
        return "https" if self.is_https else "http"

    @default("dynamic_config_file")
    def _default_dynamic_config_file(self):
        for folder in ROUTES_FOLDERS:
            file = Path(folder).expanduser() / "rules.toml"
            if file.exists():
                return str(file)
        return "rules.toml"

    @default("traefik_api_username")
    def _default_traefik_api_username(self):
        if not self.should_start:
            self.log.warning("%s.traefik_api_username is not set", type(self).__name__)
            return ""
        return "jupyterhub"

    @default("traefik_api_password")
    def _default_traefik_api_password(self):
        if not self.should_start:
            self.log.warning("%s.traefik_api_password is not set", type(self).__name__)
            return ""
        return secrets.token_hex(32)

    @validate("engine")
    def _check_engine(self, proposal):
        if proposal.value not in ENGINES and os.sep not in proposal.value:
            raise ValueError(
                f"{type(self).__name__}.engine must be one of {', '.join(ENGINES)}, or the path of a Traefik, "
                f"got {proposal.value!r}"
            )
        return proposal.value

    @observe("engine")
    def _engine_is_chosen(self, change):
        if change.new == "external":
            self.should_start = False

    @validate("public_url", "traefik_api_url")
    def _check_url(self, proposal):
        url = urlparse(proposal.value)
        if proposal.trait.name == "public_url" and url.scheme == "http+unix":
            return proposal.value
        if url.scheme not in ("http", "https") or (proposal.trait.name == "traefik_api_url" and not url.hostname):
            raise ValueError(
                f"{type(self).__name__}.{proposal.trait.name} must be of the form http[s]://host:port/, "
                f"got {proposal.value}"
            )
        if url.port is None:
            port = 443 if url.scheme == "https" else 80
            return url._replace(netloc=f"{url.netloc.rstrip(':')}:{port}").geturl()
        return proposal.value

    @observe("toml_static_config_file")
    def _static_name_is_old(self, change):
        self._take_old_name(change, "static_config_file", type(self).__name__)

    def _take_old_name(self, change, new, owner):
        if change.new == getattr(self, new):
            return
        name = type(self).__name__
        # Complete before it is logged: what is looked for in logs is the text, not a pattern.
        self.log.warning(f"{name}.{change.name} is deprecated in {name} 1.0, use {owner}.{new} instead")
        setattr(self, new, change.new)

    @property
    def is_https(self):
        """Whether clients reach the public entry point by TLS."""
        return urlparse(self.public_url).scheme == "https"

    @property
    def traefik_process(self):
        """The program's process, when this object has started it."""
        program = self._controller.program
        return None if program is None else program.process

    def _settings(self):
        """What the program is told; the names are those of the traits."""
        settings = {
            "publicUrl": self.public_url,
            "shouldStart": self.should_start,
            "engine": self._engine_command(),
            "staticConfigFile": os.path.abspath(self.static_config_file),
            "dynamicConfigFile": os.path.abspath(self.dynamic_config_file),
            "traefikEntrypoint": self.traefik_entrypoint,
            "traefikApiUrl": self.traefik_api_url,
            "traefikApiUsername": self.traefik_api_username,
            "traefikApiPassword": self.traefik_api_password,
            "traefikApiEntrypoint": self.traefik_api_entrypoint,
            "traefikApiValidateCert": self.traefik_api_validate_cert,
            "traefikProvidersThrottleDuration": self.traefik_providers_throttle_duration,
            "checkRouteTimeout": self.check_route_timeout,
            "enableSetupDynamicConfig": self.enable_setup_dynamic_config,
            "extraStaticConfig": self.extra_static_config,
            "extraDynamicConfig": self.extra_dynamic_config,
            "workers": self.workers,
        }
        optional = {
            "sslKey": os.path.abspath(self.ssl_key) if self.ssl_key else "",
            "sslCert": os.path.abspath(self.ssl_cert) if self.ssl_cert else "",
            "traefikApiHashedPassword": self.traefik_api_hashed_password,
            "traefikLogLevel": self.traefik_log_level,
            "errorTarget": url_path_join(self.hub.url, "error") if self.error_pages == "hub" else "",
            **self._internal_ssl_files(),
        }
        settings.update((name, value) for name, value in optional.items() if value)
        return settings

    def _internal_ssl_files(self):
        """What JupyterHub has made for a proxy to know its servers by, and to be known to them."""
        if not getattr(self.app, "internal_ssl", False):
            return {}
        certificate = self.app.internal_proxy_certs["proxy-client"]
        return {
            "internalSslCa": os.path.abspath(self.app.internal_trust_bundles["proxy-client-ca"]),
            "internalSslCert": os.path.abspath(certificate["certfile"]),
            "internalSslKey": os.path.abspath(certificate["keyfile"]),
        }

    def _engine_command(self):
        """The engine by its name, or the Traefik to start; one on the PATH may have come with pip."""
        if self.engine == "traefik":
            beside = Path(sys.executable).parent / "traefik"
            return shutil.which("traefik") or (str(beside) if beside.exists() else "traefik")
        return os.path.abspath(os.path.expanduser(self.engine)) if os.sep in self.engine else self.engine

    def _digest(self, settings):
        """Two hubs with equal settings can use the same program; a password made up at start does not count."""
        stable = dict(settings)
        for name in self._internal_ssl_files():
            stable[name] = hashlib.sha256(Path(settings[name]).read_bytes()).hexdigest()
        if not self._is_given("traefik_api_password"):
            stable.pop("traefikApiPassword", None)
        text = json.dumps(stable, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _is_given(self, trait):
        return trait in self._given or any(trait in self.config.get(cls.__name__, {}) for cls in type(self).__mro__)

    # Life cycle.

    async def start(self):
        """Starts the program, or goes on with the one that a former hub has left running."""
        program = None
        if self.state_file:
            program, state = await find_running(self._state_path(), self._digest(self._settings()), self.log)
            if program is not None and not self._is_given("traefik_api_password"):
                self.traefik_api_password = state.get("traefikApiPassword") or self.traefik_api_password
        await self._controller.start(program)

    async def stop(self):
        """Ends the program; requests that are being answered are finished first."""
        await self._controller.stop()

    def _state_path(self):
        return os.path.abspath(self.state_file)

    @property
    def _start_future(self):
        """When the proxy is managed by somebody else: done when the program is ready and the engine is there."""
        return None if self.should_start else asyncio.ensure_future(self._start_external())

    async def _start_external(self):
        await self._controller.ready()
        await self._wait_for_static_config()

    async def _launch(self, token):
        settings = self._settings()
        settings["digest"] = self._digest(settings)
        # Started again after it died: everything stays where the hub and others expect it.
        settings["apiToken"] = token or secrets.token_hex(32)
        if self.state_file and self.should_start:
            settings["stateFile"] = self._state_path()
        command = self.command or await in_thread(find_command)
        env = {**os.environ, **{name: str(value) for name, value in self.traefik_env.items()}}
        program = await in_thread(
            partial(start_program, command, settings, timeout=self.check_route_timeout + 10, env=env)
        )
        if not self.should_start:
            end_with(self, program)
        self.log.info("Proxy running as process %s, its REST API at %s", program.pid, program.api_url)
        return program

    # Routes.

    def validate_routespec(self, routespec):
        """Ends with a slash; in a hub, of the form (path or host) that the hub uses."""
        if self.app is not None:
            return super().validate_routespec(routespec)
        return routespec if routespec.endswith("/") else f"{routespec}/"

    async def add_route(self, routespec, target, data):
        """Returns when the route is on disk and in force everywhere."""
        route = {"routespec": self.validate_routespec(routespec), "target": target, "data": data or {}}
        await self._call("POST", "/api/routespecs", {"add": [route]})

    async def delete_route(self, routespec):
        """Returns when nothing is sent there any more; a route that does not exist is deleted already.

        A hub that has just been told to use subdomains, or not to, finds the other kind of routes in the file.
        """
        try:
            wanted = self.validate_routespec(routespec)
        except ValueError:
            wanted = routespec
            if routespec not in await self.get_all_routes():
                raise
        await self._call("POST", "/api/routespecs", {"remove": [wanted]})

    async def get_all_routes(self):
        """Routes that were used have `last_activity` in their data, with our own engine: JupyterHub looks for that."""
        return await self._call("GET", "/api/routespecs?activity=1")

    async def get_route(self, routespec):
        wanted = self.validate_routespec(routespec)
        return (await self._call("GET", f"/api/routespecs?{urlencode({'routespec': wanted})}")).get(wanted)

    async def _call(self, method, path, body=None):
        if self.should_start and self._controller.program is None:
            raise RuntimeError("the proxy has not been started")
        try:
            return await self._controller.request(method, path, body)
        except Refused as error:
            kind = {"JTP_ERR_ROUTE_TIMEOUT": TimeoutError, "JTP_ERR_ROUTE_INVALID": ValueError}
            raise kind.get(error.code, RuntimeError)(str(error)) from None
