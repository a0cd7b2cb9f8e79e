"""The base class: traits on one side, the program's REST API on the other. Decisions are taken in the program."""

import asyncio
import hashlib
import json
import os
import secrets
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

import aiohttp
from jupyterhub.proxy import Proxy
from traitlets import Any, Bool, Dict, Integer, List, Unicode, default, observe, validate

from .program import Program, ProgramError, end_process, find_command, is_alive, start_program

#: How often the watchdog looks, in seconds.
WATCH_INTERVAL = 0.25
#: How long a call waits for a program that is being started again, in seconds.
RESTART_PATIENCE = 20
#: The program lets requests finish for up to ten seconds when it is told to stop.
STOP_PATIENCE = 15


class TraefikProxy(Proxy):
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
        "",
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

    concurrency = Integer(10, config=True, help="How many route changes are sent at once; waiting ones share a write.")

    #: The subprocess, when this object has started it.
    traefik_process = Any()
    #: Kept for code that reads them; the files themselves are the program's business.
    static_config = Dict()
    dynamic_config = Dict()

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._program = None
        self._session = None
        self._watchdog = None
        self._starting = None
        self._limit = None
        self._is_stopping = False

    # Configuration.

    @default("traefik_entrypoint")
    def _default_traefik_entrypoint(self):
        return "https" if self.is_https else "http"

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

    @validate("public_url", "traefik_api_url")
    def _check_url(self, proposal):
        url = urlparse(proposal.value)
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
        self._take_old_name(change, "static_config_file", "TraefikProxy")

    def _take_old_name(self, change, new, owner):
        if change.new == getattr(self, new):
            return
        self.log.warning(
            "%s.%s is deprecated in jupyterhub-traefik-proxy 1.0, use %s.%s instead",
            type(self).__name__,
            change.name,
            owner,
            new,
        )
        setattr(self, new, change.new)

    @property
    def is_https(self):
        """Whether clients reach the public entry point by TLS."""
        return urlparse(self.public_url).scheme == "https"

    def _settings(self):
        """What the program is told; the names are those of the traits."""
        if getattr(self.app, "internal_ssl", False):
            raise ProgramError(
                "JupyterHub.internal_ssl is not supported by this proxy yet: set c.JupyterHub.internal_ssl = False"
            )
        settings = {
            "publicUrl": self.public_url,
            "shouldStart": self.should_start,
            "staticConfigFile": os.path.abspath(self.static_config_file),
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
            "dynamicConfigFile": os.path.abspath(self.dynamic_config_file) if self.dynamic_config_file else "",
            "traefikApiHashedPassword": self.traefik_api_hashed_password,
            "traefikLogLevel": self.traefik_log_level,
        }
        settings.update((name, value) for name, value in optional.items() if value)
        return settings

    def _digest(self, settings):
        """Two hubs with equal settings can use the same program; a password made up at start does not count."""
        stable = dict(settings)
        if "traefik_api_password" not in self._trait_values_given():
            stable.pop("traefikApiPassword", None)
        text = json.dumps(stable, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _trait_values_given(self):
        given = set(self._constructor_names)
        for cls in type(self).__mro__:
            given.update(self.config.get(cls.__name__, {}))
        return given

    @property
    def _constructor_names(self):
        return self.__dict__.get("_given_names", ())

    def __new__(cls, *args, **kwargs):
        instance = super().__new__(cls, *args, **kwargs)
        instance.__dict__["_given_names"] = tuple(kwargs)
        return instance

    # Life cycle.

    async def start(self):
        """Starts the program, or goes on with the one that a former hub has left running."""
        self._is_stopping = False
        self._program = await self._adopt() or await self._launch()
        self._watch()

    async def stop(self):
        """Ends the program; requests that are being answered are finished first."""
        self._is_stopping = True
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        await self._close_session()
        program, self._program = self._program, None
        if program is not None:
            await _in_thread(program.stop, STOP_PATIENCE)

    async def _wait_for_static_config(self):
        """When the proxy is managed by somebody else: returns when its API answers."""
        await self._ready()

    @property
    def _start_future(self):
        return asyncio.ensure_future(self._ready())

    async def _ready(self):
        """The running program; in the external mode it is started by the first call that needs it."""
        program = self._program
        if program is not None and program.is_alive():
            return program
        if self.should_start and program is None and not self._is_stopping and self._starting is None:
            raise RuntimeError("the proxy has not been started")
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._launch())
            self._starting.add_done_callback(self._started)
        return await asyncio.shield(self._starting)

    def _started(self, future):
        self._starting = None
        if not future.cancelled() and future.exception() is None:
            self._program = future.result()
            self._watch()

    async def _launch(self):
        settings = self._settings()
        settings["digest"] = self._digest(settings)
        settings["apiToken"] = secrets.token_hex(32)
        if self.state_file and self.should_start:
            settings["stateFile"] = self._state_path()
        if self._program is not None:
            # Started again after it died: everything stays where the hub and others expect it.
            settings["apiToken"] = self._program.token
        command = self.command or await _in_thread(find_command)
        env = {**os.environ, **{name: str(value) for name, value in self.traefik_env.items()}}
        program = await _in_thread(
            partial(start_program, command, settings, timeout=self.check_route_timeout + 10, env=env)
        )
        self.traefik_process = program.process
        self.log.info("Proxy running as process %s, its REST API at %s", program.pid, program.api_url)
        return program

    def _state_path(self):
        return os.path.abspath(self.state_file)

    def _read_state(self):
        return json.loads(Path(self.state_file).read_text()) if self.state_file else None

    async def _adopt(self):
        """The program noted in the state file, if it runs with our settings; ended if it runs with others."""
        try:
            state = self._read_state()
            program = Program(int(state["pid"]), state["apiUrl"], state["token"]) if state else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.log.warning("%s cannot be read and is not used: %s", self.state_file, error)
            return None
        if program is None or not is_alive(program.pid):
            return None
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
                headers = {"Authorization": f"token {program.token}"}
                async with session.get(f"{program.api_url}/api/health", headers=headers) as response:
                    health = await response.json() if response.status == 200 else {}
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError):
            health = {}
        if health.get("pid") != program.pid:
            # Another program may have the number by now: it is none of our business.
            return None
        if health.get("digest") == self._digest(self._settings()):
            self.log.info("Going on with the proxy that runs as process %s", program.pid)
            return program
        self.log.info("Ending the proxy of a former hub (process %s): its settings were different", program.pid)
        await _in_thread(end_process, program.pid, STOP_PATIENCE, partial(is_alive, program.pid))
        return None

    def _watch(self):
        if self._watchdog is None or self._watchdog.done():
            self._watchdog = asyncio.ensure_future(self._keep_alive())

    async def _keep_alive(self):
        """Starts the program again when it has died."""
        delay = 0.1
        while not self._is_stopping:
            await asyncio.sleep(WATCH_INTERVAL)
            if self._program is None or self._program.is_alive():
                continue
            self.log.error("The proxy (process %s) has died and is started again", self._program.pid)
            try:
                await self._ready()
                delay = 0.1
            except ProgramError as error:
                self.log.error("The proxy cannot be started: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 10)

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
        """Returns when nothing is sent there any more; a route that does not exist is deleted already."""
        await self._call("POST", "/api/routespecs", {"remove": [self.validate_routespec(routespec)]})

    async def get_all_routes(self):
        return await self._call("GET", "/api/routespecs")

    async def get_route(self, routespec):
        return (await self.get_all_routes()).get(self.validate_routespec(routespec))

    async def _call(self, method, path, body=None):
        """One request to the program; waits while it is being started again."""
        if self._limit is None:
            self._limit = asyncio.Semaphore(self.concurrency)
        async with self._limit:
            deadline = asyncio.get_running_loop().time() + RESTART_PATIENCE
            while True:
                program = await self._ready()
                try:
                    return await self._request(program, method, path, body)
                except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                    # Nothing is lost by asking again: adding and deleting are idempotent.
                    if asyncio.get_running_loop().time() > deadline:
                        raise RuntimeError(
                            f"the proxy's REST API at {program.api_url} does not answer: {error}"
                        ) from error
                await asyncio.sleep(0.1)

    async def _request(self, program, method, path, body):
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.check_route_timeout + 30),
                connector=aiohttp.TCPConnector(limit=self.concurrency),
            )
        headers = {"Authorization": f"token {program.token}"}
        async with self._session.request(method, program.api_url + path, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status < 300:
                return answer
            reason = answer.get("error") if isinstance(answer, dict) else None
            message = reason or f"the proxy answered {response.status}"
            if isinstance(answer, dict) and answer.get("code") == "JTP_ERR_ROUTE_TIMEOUT":
                raise TimeoutError(message)
            if isinstance(answer, dict) and answer.get("code") == "JTP_ERR_ROUTE_INVALID":
                raise ValueError(message)
            raise RuntimeError(message)

    async def _close_session(self):
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _in_thread(function, *args):
    return await asyncio.get_running_loop().run_in_executor(None, partial(function, *args))
