"""Somebody else starts the proxy: only the routes file is touched, and each change is confirmed by the engine."""

import os
import signal
import stat

import pytest
from conftest import static_file, until

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from jupyterhub_traefik_proxy.program import is_alive
from jupyterhub_traefik_proxy.traefik_utils import TraefikConfigFileHandler


async def test_routes(make_proxy, engine, backend, client, folder):
    proxy = make_proxy(should_start=False)
    rules = folder / "rules.toml"
    rules.touch(mode=0o600)
    text = static_file(proxy)
    await engine(proxy, text)
    target, other = await backend("target"), await backend("other")
    assert await proxy.get_all_routes() == {}
    await proxy.add_route("/user/zoe/", target.url, {"user": "zoe"})
    assert (await client(proxy, "/user/zoe/"))[1]["name"] == "target"
    await proxy.add_route("/user/zoe/", other.url, {"user": "zoe"})
    assert (await client(proxy, "/user/zoe/"))[1]["name"] == "other"
    await proxy.delete_route("/user/zoe/")
    assert (await client(proxy, "/user/zoe/"))[0] == 404
    assert (folder / "engine.toml").read_text() == text
    assert not (folder / "traefik.toml").exists()
    assert not (folder / "jupyterhub-traefik-proxy.json").exists()
    assert stat.S_IMODE(rules.stat().st_mode) == 0o600


async def test_existing_routes_are_found(make_proxy, engine, backend):
    proxy = make_proxy(should_start=False)
    await engine(proxy, static_file(proxy))
    target = await backend()
    await proxy.add_route("/user/zoe/", target.url, {"user": "zoe"})
    await proxy.stop()
    later = make_proxy(should_start=False, public_url=proxy.public_url, traefik_api_url=proxy.traefik_api_url)
    assert (await later.get_all_routes())["/user/zoe/"]["data"] == {"user": "zoe"}


async def test_the_engine_is_left_running(make_proxy, engine):
    proxy = make_proxy(should_start=False)
    process = await engine(proxy, static_file(proxy))
    await proxy.get_all_routes()
    pid = proxy._controller.program.pid
    ended = proxy._controller.program.process
    await proxy.stop()
    # Politely: nobody had to kill it.
    assert ended.returncode == 0
    assert not is_alive(pid)
    assert process.returncode is None


async def test_it_ends_when_the_hub_does(make_proxy, engine):
    proxy = make_proxy(should_start=False)
    await engine(proxy, static_file(proxy))
    await proxy.get_all_routes()
    process = proxy._controller.program.process
    # What the end of the hub's process does.
    proxy._controller.program = None
    process.stdin.close()
    await until("the program to end", lambda: process.poll() == 0)


async def test_a_route_that_does_not_appear(make_proxy, engine, backend):
    proxy = make_proxy(should_start=False, check_route_timeout=1)
    await engine(proxy, static_file(proxy, "somewhere-else.toml"))
    with pytest.raises(TimeoutError) as caught:
        await proxy.add_route("/user/zoe/", (await backend()).url, {})
    message = str(caught.value)
    for part in ("rules.toml was written", proxy.traefik_api_url, "router__2Fuser_2Fzoe_2F@file", "within 1 s"):
        assert part in message


async def test_wrong_credentials_fail_at_once(make_proxy, engine, backend):
    right = make_proxy(should_start=False)
    await engine(right, static_file(right))
    await right.add_route("/", (await backend()).url, {})
    await right.stop()
    proxy = make_proxy(
        should_start=False,
        public_url=right.public_url,
        traefik_api_url=right.traefik_api_url,
        traefik_api_password="wrong",
        enable_setup_dynamic_config=False,
    )
    with pytest.raises(RuntimeError, match='refuses user "api_admin"'):
        await proxy.add_route("/user/zoe/", (await backend()).url, {})


async def test_nothing_but_routes_without_setup(make_proxy, engine, backend, folder):
    proxy = make_proxy(should_start=False, enable_setup_dynamic_config=False)
    (folder / "api.toml").write_text("")
    text = static_file(proxy).replace("[api]", "[api]\ninsecure = false")
    (folder / "rules.toml").write_text("")
    await engine(proxy, text)
    proxy.check_route_timeout = 1
    with pytest.raises((TimeoutError, RuntimeError)):
        # Nobody has opened the engine's API, and it is not ours to open.
        await proxy.add_route("/user/zoe/", (await backend()).url, {})
    http = TraefikConfigFileHandler("rules.toml").load()["http"]
    assert list(http["routers"]) == ["router__2Fuser_2Fzoe_2F"]
    assert "middlewares" not in http


async def test_the_controller_is_started_again(make_proxy, engine, backend, client):
    proxy = make_proxy(should_start=False)
    await engine(proxy, static_file(proxy))
    target = await backend()
    await proxy.add_route("/user/zoe/", target.url, {})
    first = proxy._controller.program.pid
    os.kill(first, signal.SIGKILL)
    await proxy.add_route("/user/other/", target.url, {})
    assert sorted(await proxy.get_all_routes()) == ["/user/other/", "/user/zoe/"]
    assert (await client(proxy, "/user/other/"))[0] == 200


async def test_yaml(make_proxy, engine, backend, client, folder):
    proxy = make_proxy(should_start=False, dynamic_config_file="rules.yaml")
    await engine(proxy, static_file(proxy, "rules.yaml"))
    await proxy.add_route("/user/zoe/", (await backend()).url, {"user": "zoe"})
    assert (await client(proxy, "/user/zoe/"))[0] == 200
    routes = TraefikConfigFileHandler(folder / "rules.yaml").load()["jupyterhub"]["routes"]
    assert routes["router__2Fuser_2Fzoe_2F"]["data"] == {"user": "zoe"}


async def test_a_truncated_file_is_written_again(make_proxy, engine, backend, client, folder):
    proxy = make_proxy(should_start=False)
    await engine(proxy, static_file(proxy))
    await proxy.add_route("/user/zoe/", (await backend()).url, {"user": "zoe"})
    os.truncate(folder / "rules.toml", 0)

    async def is_back():
        return "/user/zoe/" in (folder / "rules.toml").read_text() and (await client(proxy, "/user/zoe/"))[0] == 200

    await until("the routes", is_back)


def test_it_is_made_without_a_running_loop():
    proxy = TraefikFileProviderProxy(public_url="http://127.0.0.1:8000", should_start=False)
    assert proxy.should_start is False
