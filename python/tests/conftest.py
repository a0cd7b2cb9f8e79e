"""Fixtures: proxies that run the real program in a folder of their own, and servers for them to send requests to."""

import asyncio
import base64
import json
import os
import random
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from jupyterhub_traefik_proxy.program import find_command, is_alive

#: How long anything may take on a busy machine, in seconds.
PATIENCE = 60
#: Below the range from which the kernel gives ports to outgoing connections.
PORTS = range(11_000, 32_000)


def free_port():
    """A port that nobody used a moment ago."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def until(what, is_true):
    """Asks again until `is_true` says so; `what` is for the error."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        answer = is_true()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited too long for {what}")


def basic_auth(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Backend:
    """A server that answers with its own name and what it was asked."""

    def __init__(self, name):
        self.name = name
        self.port = 0
        self._runner = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def start(self):
        async def answer(request):
            seen = {"name": self.name, "path": request.raw_path, "headers": dict(request.headers)}
            return web.json_response(seen)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self):
        await self._runner.cleanup()


@pytest_asyncio.fixture
async def backend():
    """Makes servers by name."""
    made = []

    async def make(name="one"):
        made.append(await Backend(name).start())
        return made[-1]

    yield make
    for each in made:
        await each.stop()


@pytest_asyncio.fixture
async def client():
    """Asks a proxy for a path, byte for byte; returns the status and what the backend said."""
    async with aiohttp.ClientSession() as session:

        async def get(proxy, path, host=None):
            url = URL(proxy.public_url.rstrip("/") + path, encoded=True)
            headers = {"Host": host} if host else {}
            async with session.get(url, headers=headers, allow_redirects=False, ssl=False) as response:
                text = await response.text()
                return response.status, json.loads(text) if text.startswith("{") else text

        yield get


def settings(**given):
    """Traits with ports of their own."""
    traits = {
        "public_url": f"http://127.0.0.1:{free_port()}",
        "traefik_api_url": f"http://127.0.0.1:{free_port()}",
        "traefik_api_username": "api_admin",
        "traefik_api_password": "admin",
        "check_route_timeout": PATIENCE,
        "workers": 1,
        **given,
    }
    return {name: value for name, value in traits.items() if value is not None}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, where nothing of a real home is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest_asyncio.fixture
async def make_proxy(folder):
    """Makes proxies that are ended after the test, whatever has become of them."""
    made = []

    def make(cls=TraefikFileProviderProxy, **given):
        made.append(cls(**settings(**given)))
        return made[-1]

    yield make
    pids = {proxy._controller.program.pid for proxy in made if proxy._controller.program is not None}
    await asyncio.gather(*(proxy.stop() for proxy in made))
    pids.update(_noted_pids(folder))
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest_asyncio.fixture(scope="module")
async def shared_proxy(tmp_path_factory):
    """One proxy for the tests of a file; `proxy` empties it before each."""
    folder = tmp_path_factory.mktemp("shared")
    files = {
        "static_config_file": str(folder / "traefik.toml"),
        "dynamic_config_file": str(folder / "rules.toml"),
        "state_file": str(folder / "state.json"),
    }
    proxy = TraefikFileProviderProxy(**settings(**files, concurrency=20))
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest_asyncio.fixture
async def proxy(shared_proxy):
    """A running proxy without routes."""
    for routespec in await shared_proxy.get_all_routes():
        await shared_proxy.delete_route(routespec)
    return shared_proxy


def _noted_pids(folder):
    for file in folder.glob("*.json"):
        try:
            yield int(json.loads(file.read_text())["pid"])
        except (ValueError, KeyError, OSError):
            # Some test's own file.
            continue


@pytest_asyncio.fixture
async def engine(folder):
    """Starts an engine that JupyterHub does not start; returns the process."""
    running = []

    async def start(proxy, text, name="engine.toml"):
        (folder / name).write_text(text)
        process = await asyncio.create_subprocess_exec(
            *find_command(), "traefik", "--configfile", name, "--workers", "1", cwd=folder
        )
        running.append(process)

        async def serves():
            assert process.returncode is None, "the engine has ended"
            try:
                async with aiohttp.ClientSession() as session:
                    async with session.get(f"{proxy.traefik_api_url}/ping") as response:
                        return response.status > 0
            except aiohttp.ClientError:
                return False

        await until("the engine", serves)
        return process

    yield start
    for process in running:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def static_file(proxy, rules="rules.toml"):
    """What an administrator would write for an engine of his own."""
    port = URL(proxy.public_url).port
    api = URL(proxy.traefik_api_url).port
    return f"""
[api]
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "{Path(rules).absolute()}"
watch = true
[entryPoints.http]
address = "127.0.0.1:{port}"
[entryPoints.auth_api]
address = "127.0.0.1:{api}"
"""


def fake_program(path, script):
    """An executable in Python, for what the real program never does."""
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o755)
    return path
