"""What code around the former jupyterhub-traefik-proxy reads and calls."""

import logging

import pytest
from conftest import static_file, until
from jupyterhub.objects import Hub

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy


async def test_the_files_as_they_are(proxy, backend):
    await proxy.add_route("/user/zoe/", (await backend()).url, {"user": "zoe"})
    name = "router__2Fuser_2Fzoe_2F"
    routes = (await proxy._get_jupyterhub_dynamic_config())["routes"]
    assert routes[name]["data"] == {"user": "zoe"}
    assert routes[name]["service"] == "service__2Fuser_2Fzoe_2F"
    assert "auth_api" in proxy.dynamic_config["http"]["middlewares"]
    assert set(proxy.static_config["entryPoints"]) == {"http", "auth_api"}
    # The file may be a second behind.
    await until("the file", lambda: name in proxy.dynamic_config["jupyterhub"]["routes"])
    assert proxy.dynamic_config_handler.load() == proxy.dynamic_config


async def test_waiting(proxy, backend):
    await proxy._wait_for_static_config()
    await proxy.add_route("/user/zoe/", (await backend()).url, {})
    await proxy._wait_for_route("/user/zoe/")
    assert await proxy._check_for_traefik_service("/user/zoe/", "router")
    assert not await proxy._check_for_traefik_service("/user/other/", "service")


async def test_an_application_that_is_hardly_one(proxy):
    """Other people's tests check the routes with an object that has nothing but a hub."""

    class App:
        hub = Hub(routespec="/")

    proxy.app = App()
    proxy.hub = App.hub
    try:
        await proxy.check_routes({}, {})
        assert list(await proxy.get_all_routes()) == ["/"]
    finally:
        proxy.app = proxy.hub = None


async def test_a_hub_that_begins_to_use_subdomains(proxy, backend):
    """The routes of its former life are found in the file, and can be taken away."""

    class App:
        hub = Hub(routespec="/")
        subdomain_host = "http://hub.example.org"

    target = (await backend()).url
    await proxy.add_route("/user/zoe/", target, {"user": "zoe"})
    proxy.app = App()
    proxy.hub = App.hub
    proxy.host_routing = True
    try:
        with pytest.raises(ValueError):
            await proxy.add_route("/user/other/", target, {})
        with pytest.raises(ValueError):
            await proxy.delete_route("/user/other/")
        await proxy.check_routes({}, {})
        assert list(await proxy.get_all_routes()) == ["/"]
    finally:
        proxy.app = proxy.hub = None
        proxy.host_routing = False


async def test_the_start_of_an_external_one_can_be_awaited(make_proxy, engine):
    proxy = make_proxy(should_start=False)
    await engine(proxy, static_file(proxy))
    await proxy._start_future
    assert (await proxy._traefik_api_request("/api/overview")).code == 200


@pytest.mark.parametrize("method", ["_start_traefik", "_setup_traefik_static_config", "_cleanup"])
def test_methods_that_are_never_called_are_warned_about(caplog, method):
    replaced = type("Mine", (TraefikFileProviderProxy,), {method: lambda self: None})
    with caplog.at_level(logging.WARNING):
        replaced(public_url="http://127.0.0.1:8000")
    assert f"Mine.{method} is never called" in caplog.text


def test_the_routes_file_is_found(folder):
    assert TraefikFileProviderProxy(public_url="http://127.0.0.1:8000").dynamic_config_file == "rules.toml"
    (folder / ".traefik").mkdir()
    (folder / ".traefik" / "rules.toml").touch()
    found = TraefikFileProviderProxy(public_url="http://127.0.0.1:8000").dynamic_config_file
    assert found == str(folder / ".traefik" / "rules.toml")
