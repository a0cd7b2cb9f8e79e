"""Every trait of the documentation, in old and new names: it works, or a warning says why it cannot."""

import asyncio
import logging
from importlib import metadata
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from conftest import basic_auth, free_port
from jupyterhub.objects import Hub
from traitlets.config import Config

import jupyterhub_traefik_proxy
from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from jupyterhub_traefik_proxy.proxy import TraefikProxy
from jupyterhub_traefik_proxy.toml import TraefikTomlProxy
from jupyterhub_traefik_proxy.traefik_utils import TraefikConfigFileHandler


def test_both_ways_to_import():
    assert jupyterhub_traefik_proxy.TraefikTomlProxy is TraefikTomlProxy
    assert jupyterhub_traefik_proxy.TraefikFileProviderProxy is TraefikFileProviderProxy
    assert jupyterhub_traefik_proxy.TraefikProxy is TraefikProxy
    assert jupyterhub_traefik_proxy.__version__ == metadata.version("jupyterhub-traefik-proxy")
    with pytest.raises(AttributeError):
        jupyterhub_traefik_proxy.TraefikCoffeeProxy  # noqa: B018


def test_entry_points():
    found = {each.name: each.load() for each in metadata.entry_points(group="jupyterhub.proxies")}
    assert found["traefik_toml"] is TraefikTomlProxy
    assert found["traefik_file"] is TraefikFileProviderProxy


def test_defaults():
    proxy = TraefikFileProviderProxy(public_url="http://127.0.0.1:8000")
    assert proxy.static_config_file == "traefik.toml"
    assert proxy.traefik_api_url == "http://localhost:8099"
    assert proxy.traefik_api_username == "jupyterhub"
    assert len(proxy.traefik_api_password) >= 32
    assert proxy.traefik_api_validate_cert is True
    assert proxy.traefik_api_entrypoint == "auth_api"
    assert proxy.traefik_entrypoint == "http"
    assert proxy.traefik_providers_throttle_duration == "0s"
    assert proxy.check_route_timeout == 30
    assert proxy.concurrency == 10
    assert proxy.provider_name == "file"
    assert proxy.enable_setup_dynamic_config is True
    for name in ("traefik_env", "extra_static_config", "extra_dynamic_config"):
        assert getattr(proxy, name) == {}


@pytest.mark.parametrize(
    ("section", "cls"),
    [
        ("Proxy", TraefikTomlProxy),
        ("TraefikProxy", TraefikTomlProxy),
        ("TraefikFileProviderProxy", TraefikTomlProxy),
        ("TraefikTomlProxy", TraefikTomlProxy),
        ("TraefikProxy", TraefikFileProviderProxy),
    ],
)
def test_configuration_of_any_base_counts(section, cls):
    config = Config()
    config[section].should_start = False
    assert cls(config=config, public_url="http://127.0.0.1:8000").should_start is False


@pytest.mark.parametrize(
    ("cls", "old", "new", "value"),
    [
        (TraefikFileProviderProxy, "toml_static_config_file", "static_config_file", "other.toml"),
        (TraefikTomlProxy, "toml_static_config_file", "static_config_file", "other.toml"),
        (TraefikTomlProxy, "toml_dynamic_config_file", "dynamic_config_file", "other.toml"),
    ],
)
def test_old_names(caplog, cls, old, new, value):
    config = Config()
    config[cls.__name__][old] = value
    with caplog.at_level(logging.WARNING):
        proxy = cls(config=config, public_url="http://127.0.0.1:8000")
    assert getattr(proxy, new) == value
    assert f"{new} instead" in caplog.text


@pytest.mark.parametrize("trait", ["public_url", "traefik_api_url"])
def test_urls(trait):
    def make(url):
        given = {"public_url": "http://127.0.0.1:8000", trait: url}
        return getattr(TraefikFileProviderProxy(**given), trait)

    assert make("http://hub.example.org") == "http://hub.example.org:80"
    assert make("https://hub.example.org/base/") == "https://hub.example.org:443/base/"
    assert make("http://[::1]") == "http://[::1]:80"
    assert make("http://127.0.0.1:8000") == "http://127.0.0.1:8000"
    with pytest.raises(ValueError, match=f"TraefikFileProviderProxy.{trait}"):
        make("ftp://hub.example.org")


@pytest.mark.parametrize("trait", ["static_config_file", "dynamic_config_file"])
def test_the_extension_says_the_format(trait):
    with pytest.raises(TypeError, match=f"{trait} must end in .toml or .yaml"):
        TraefikFileProviderProxy(**{"public_url": "http://127.0.0.1:8000", trait: "rules.json"})


def test_missing_credentials_are_warned_about(caplog):
    proxy = TraefikFileProviderProxy(public_url="http://127.0.0.1:8000", should_start=False)
    with caplog.at_level(logging.WARNING):
        assert (proxy.traefik_api_username, proxy.traefik_api_password) == ("", "")
    assert "traefik_api_username is not set" in caplog.text
    assert "traefik_api_password is not set" in caplog.text


async def test_they_reach_the_files(make_proxy):
    proxy = make_proxy(
        static_config_file="static.yaml",
        dynamic_config_file="dynamic.yaml",
        traefik_entrypoint="users",
        traefik_api_entrypoint="watch",
        traefik_log_level="WARN",
        traefik_providers_throttle_duration="1s",
        traefik_api_hashed_password="$apr1$eS/j3kum$q/X2khsIEG/bBGsteP.x./",
        extra_static_config={"log": {"level": "ERROR"}},
        extra_dynamic_config={"http": {"middlewares": {"mine": {"basicAuth": {"users": ["x:y"]}}}}},
    )
    await proxy.start()
    static = TraefikConfigFileHandler("static.yaml").load()
    assert set(static["entryPoints"]) == {"users", "watch"}
    assert static["providers"]["providersThrottleDuration"] == "1s"
    assert static["log"]["level"] == "ERROR"
    http = TraefikConfigFileHandler("dynamic.yaml").load()["http"]
    assert http["middlewares"]["auth_api"]["basicAuth"]["users"] == ["api_admin:$apr1$eS/j3kum$q/X2khsIEG/bBGsteP.x./"]
    assert "mine" in http["middlewares"]


async def test_the_hubs_own_error_pages(make_proxy, client):
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.Response(text="<h1>the hub's page</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hub = Hub(ip="127.0.0.1", port=runner.addresses[0][1], base_url="/base/hub/")
    proxy = make_proxy(hub=hub, error_pages="hub")
    await proxy.start()
    await proxy.add_route("/base/user/zoe/", f"http://127.0.0.1:{free_port()}", {})
    assert await client(proxy, "/base/user/zoe/lab") == (502, "<h1>the hub's page</h1>")
    assert asked == ["/base/hub/error/503"]
    await runner.cleanup()


async def test_a_unix_socket_for_the_public(make_proxy, folder, backend):
    socket = folder / "proxy.sock"
    proxy = make_proxy(public_url=f"http+unix://{quote(str(socket), safe='')}/base/")
    assert proxy.traefik_entrypoint == "http"
    await proxy.start()
    assert TraefikConfigFileHandler("traefik.toml").load()["entryPoints"]["http"]["address"] == str(socket)
    await proxy.add_route("/base/", (await backend()).url, {})
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
        async with session.get("http://hub.example.org/base/x") as response:
            seen = await response.json()
    assert (seen["path"], seen["headers"]["Host"]) == ("/base/x", "hub.example.org")
    await proxy.stop()
    assert not socket.exists()


async def test_https(make_proxy, folder, backend, client):
    process = await asyncio.create_subprocess_exec(
        *"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hub.example.org".split(),
        *["-keyout", "hub.key", "-out", "hub.crt"],
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    proxy = make_proxy(
        ssl_key="hub.key", ssl_cert="hub.crt", public_url=make_proxy().public_url.replace("http:", "https:")
    )
    assert proxy.traefik_entrypoint == "https"
    await proxy.start()
    await proxy.add_route("/", (await backend()).url, {})
    assert (await client(proxy, "/"))[0] == 200
    store = TraefikConfigFileHandler("rules.toml").load()["tls"]["stores"]["default"]["defaultCertificate"]
    assert store == {"certFile": str(folder / "hub.crt"), "keyFile": str(folder / "hub.key")}
    reader, writer = await asyncio.open_connection(*proxy.public_url[8:].split(":"), ssl=_any_certificate())
    served = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert served == _der(folder / "hub.crt")


def _any_certificate():
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _der(file):
    import ssl

    return ssl.PEM_cert_to_DER_cert(file.read_text())


async def test_an_api_with_a_path(make_proxy):
    base = make_proxy()
    proxy = make_proxy(traefik_api_url=f"{base.traefik_api_url}/below/api")
    await proxy.start()
    async with aiohttp.ClientSession(headers=basic_auth("api_admin", "admin")) as session:
        async with session.get(f"{base.traefik_api_url}/below/api/overview") as response:
            assert response.status == 200
