"""JupyterHub's internal_ssl: the hub's own certificates between the proxy and everything behind it."""

import asyncio
import ssl

import pytest
import pytest_asyncio
from aiohttp import web
from jupyterhub.app import JupyterHub

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from jupyterhub_traefik_proxy.traefik_utils import TraefikConfigFileHandler


@pytest_asyncio.fixture(scope="module")
async def app(tmp_path_factory):
    """A hub that has made its certificates, and does nothing else."""
    folder = tmp_path_factory.mktemp("hub")
    app = JupyterHub(internal_ssl=True, internal_certs_location=str(folder / "certificates"))
    app.init_internal_ssl()
    yield app
    JupyterHub.clear_instance()


async def serve(app, certificate=None):
    """A server with the hub's certificate, or another, that lets in whom the hub knows; with its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=app.internal_ssl_ca)
    context.load_cert_chain(*(certificate or (app.internal_ssl_cert, app.internal_ssl_key)))
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(request):
        return web.json_response({"peer": str(request.transport.get_extra_info("peercert")["subject"])})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return runner, f"https://127.0.0.1:{runner.addresses[0][1]}"


@pytest.mark.parametrize("extension", ["toml", "yaml"])
async def test_both_sides_show_the_hubs_certificates(make_proxy, client, app, extension):
    proxy = make_proxy(app=app, dynamic_config_file=f"rules.{extension}")
    await proxy.start()
    runner, url = await serve(app)
    await proxy.add_route("/", url, {"hub": True})
    status, answer = await client(proxy, "/hub/")
    assert (status, "proxy-client" in answer["peer"]) == (200, True)
    transport = TraefikConfigFileHandler(proxy.dynamic_config_file).load()["http"]["serversTransports"]["jupyterhub"]
    assert transport["rootCAs"] == [app.internal_trust_bundles["proxy-client-ca"]]
    # An administrator's own target is judged by the machine's authorities, and gets no certificate of the hub's.
    await proxy.add_route("/extra/", url, {"extra": True})
    assert (await client(proxy, "/extra/"))[0] in (500, 502)
    await runner.cleanup()


async def test_a_server_that_is_not_the_hubs_is_refused(make_proxy, client, app):
    process = await asyncio.create_subprocess_exec(
        *"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1".split(),
        *["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "other.key", "-out", "other.crt"],
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    proxy = make_proxy(app=app)
    await proxy.start()
    runner, url = await serve(app, ("other.crt", "other.key"))
    await proxy.add_route("/", url, {"hub": True})
    assert (await client(proxy, "/hub/"))[0] in (500, 502)
    await runner.cleanup()


def test_other_certificates_make_another_program(app):
    proxy = TraefikFileProviderProxy(app=app, public_url="http://127.0.0.1:8000", traefik_api_password="x")
    before = proxy._digest(proxy._settings())
    assert before == proxy._digest(proxy._settings())
    with open(app.internal_proxy_certs["proxy-client"]["certfile"], "a") as file:
        file.write("\n")
    assert proxy._digest(proxy._settings()) != before
