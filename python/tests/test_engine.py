"""A real Traefik instead of the embedded engine, started and stopped by us."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from conftest import fake_program, free_port, until

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from jupyterhub_traefik_proxy.program import ProgramError, is_alive
from jupyterhub_traefik_proxy.traefik_utils import TraefikConfigFileHandler

CACHE = Path(__file__).resolve().parents[2] / ".cache"
#: The newest and the oldest that `npm test` installs.
TRAEFIKS = [CACHE / "traefik-3.7.15" / "bin" / "traefik", CACHE / "traefik-3.0.4" / "bin" / "traefik"]


def need(binary):
    if binary.exists():
        return
    assert os.environ.get("JTP_CI") != "1", f"{binary} is missing: npm test installs it"
    pytest.skip(f"{binary} is missing: npm test installs it")


def traefik_pid(folder):
    return json.loads((folder / "traefik.toml.pid").read_text())["pid"]


def ends(folder):
    pid = traefik_pid(folder)
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.mark.parametrize("binary", TRAEFIKS, ids=["newest", "oldest"])
async def test_a_real_traefik(make_proxy, backend, client, folder, binary):
    need(binary)
    proxy = make_proxy(engine=str(binary), extra_static_config={"accessLog": {"format": "json"}})
    await proxy.start()
    target, other = await backend("target"), await backend("other")
    names = ["zoe", "a%20b", "bob+test@x.org", "%E7%A7%80%E6%A8%B9"]
    if binary is TRAEFIKS[0]:
        # Before 3.4.1 an escaped slash is a slash to Traefik: that user gets a 404, and never somebody else's server.
        names.append("a%2Fb")
    for name in names:
        path = f"/user/{name}/"
        await proxy.add_route(path, target.url, {"user": name})
        status, answer = await client(proxy, f"{path}tree")
        assert (status, answer["name"], answer["path"]) == (200, "target", f"{path}tree")
    await proxy.add_route("/user/zoe/", other.url, {"user": "zoe"})
    assert (await client(proxy, "/user/zoe/"))[1]["name"] == "other"
    await proxy.delete_route("/user/zoe/")
    assert (await client(proxy, "/user/zoe/"))[0] == 404
    assert (await proxy._traefik_api_request("/api/overview")).code == 200
    # Only Traefik itself says what it can be told.
    assert TraefikConfigFileHandler("traefik.toml").load()["accessLog"] == {"format": "json"}
    pid = traefik_pid(folder)
    await proxy.stop()
    assert not is_alive(pid)
    assert not (folder / "traefik.toml.pid").exists()
    assert not (folder / "traefik.toml").exists()


async def test_a_target_with_a_path(make_proxy, backend, client):
    need(TRAEFIKS[0])
    proxy = make_proxy(engine=str(TRAEFIKS[0]))
    await proxy.start()
    target = await backend()
    await proxy.add_route("/extra/", f"{target.url}/below", {})
    assert (await client(proxy, "/extra/x"))[1]["path"] == "/below/extra/x"


async def test_traefik_is_started_again(make_proxy, backend, client, folder):
    need(TRAEFIKS[0])
    proxy = make_proxy(engine=str(TRAEFIKS[0]))
    await proxy.start()
    target = await backend()
    await proxy.add_route("/user/zoe/", target.url, {})
    killed = ends(folder)
    await until("another Traefik", lambda: traefik_pid(folder) != killed)
    await proxy.add_route("/user/other/", target.url, {})
    assert (await client(proxy, "/user/zoe/"))[0] == 200


async def test_traffic_goes_on_when_our_program_is_killed(make_proxy, backend, client, folder):
    need(TRAEFIKS[0])
    proxy = make_proxy(engine=str(TRAEFIKS[0]))
    await proxy.start()
    target = await backend()
    await proxy.add_route("/user/zoe/", target.url, {})
    traefik = traefik_pid(folder)
    ours = proxy._controller.program.pid
    os.kill(ours, signal.SIGKILL)
    assert (await client(proxy, "/user/zoe/"))[0] == 200
    await proxy.add_route("/user/other/", target.url, {})
    assert proxy._controller.program.pid != ours
    # The same Traefik as before: nobody's connection was cut.
    assert traefik_pid(folder) == traefik
    assert is_alive(traefik)


async def test_a_traefik_with_other_settings_is_replaced(make_proxy, folder):
    need(TRAEFIKS[0])
    ports = {"public_url": f"http://127.0.0.1:{free_port()}", "traefik_api_url": f"http://127.0.0.1:{free_port()}"}
    former = make_proxy(engine=str(TRAEFIKS[0]), **ports)
    await former.start()
    killed, former._controller.program = former._controller.program, None
    os.kill(killed.pid, signal.SIGKILL)
    await asyncio.get_running_loop().run_in_executor(None, killed.process.wait)
    left = traefik_pid(folder)
    assert is_alive(left)
    later = make_proxy(engine=str(TRAEFIKS[0]), traefik_log_level="WARN", **ports)
    await later.start()
    assert not is_alive(left)
    assert is_alive(traefik_pid(folder))


async def test_a_traefik_that_does_not_stay_up(make_proxy, folder):
    proxy = make_proxy(engine=str(fake_program(folder / "traefik", "raise SystemExit(3)")))
    with pytest.raises(ProgramError, match="does not stay up: it ended with exit code 3"):
        await proxy.start()


async def test_there_is_no_traefik(make_proxy, folder, monkeypatch):
    with pytest.raises(ProgramError, match="/nowhere/traefik does not exist: install Traefik"):
        await make_proxy(engine="/nowhere/traefik").start()


async def test_a_port_in_use(make_proxy, backend):
    need(TRAEFIKS[0])
    taken = await backend()
    proxy = make_proxy(engine=str(TRAEFIKS[0]), public_url=taken.url)
    with pytest.raises(ProgramError, match="a port in use"):
        await proxy.start()


def test_by_name():
    given = {"public_url": "http://127.0.0.1:8000"}
    assert TraefikFileProviderProxy(engine="traefik", **given)._engine_command().endswith("traefik")
    assert TraefikFileProviderProxy(engine="external", **given).should_start is False
    assert TraefikFileProviderProxy(engine="embedded", **given)._engine_command() == "embedded"
    with pytest.raises(ValueError, match="engine must be one of embedded, traefik, external"):
        TraefikFileProviderProxy(engine="caddy", **given)
