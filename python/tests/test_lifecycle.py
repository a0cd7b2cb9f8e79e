"""JupyterHub starts the proxy: start, stop, death, adoption, and what is said when it does not start."""

import asyncio
import json
import logging
import os
import signal
import stat
from pathlib import Path

import aiohttp
import pytest
from conftest import basic_auth, fake_program, free_port, until

from jupyterhub_traefik_proxy import program as program_module
from jupyterhub_traefik_proxy.controller import find_running
from jupyterhub_traefik_proxy.program import ProgramError, find_command, is_alive
from jupyterhub_traefik_proxy.toml import TraefikTomlProxy
from jupyterhub_traefik_proxy.traefik_utils import TraefikConfigFileHandler

LOG = logging.getLogger(__name__)


async def test_start_and_stop(make_proxy, folder):
    proxy = make_proxy()
    await proxy.start()
    pid = proxy._controller.program.pid
    assert proxy.traefik_process.pid == pid
    static = TraefikConfigFileHandler("traefik.toml").load()
    assert set(static["entryPoints"]) == {"http", "auth_api"}
    assert static["providers"]["file"]["filename"] == str(folder / "rules.toml")
    state = folder / "jupyterhub-traefik-proxy.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "rules.toml").stat().st_mode) == 0o600
    await proxy.stop()
    assert not is_alive(pid)
    assert not state.exists()
    # A real Traefik started in this folder would take it for its own.
    assert not (folder / "traefik.toml").exists()
    assert (folder / "rules.toml").exists()


async def test_api_auth(make_proxy):
    proxy = make_proxy()
    await proxy.start()
    url = f"{proxy.traefik_api_url}/api/overview"
    async with aiohttp.ClientSession() as session:
        for credentials, status in [
            (basic_auth("api_admin", "admin"), 200),
            (basic_auth("api_admin", "wrong"), 401),
            ({}, 401),
        ]:
            async with session.get(url, headers=credentials) as response:
                assert response.status == status


async def test_one_more_entry_point_redirects_to_https(make_proxy, backend):
    public, plain = free_port(), free_port()
    redirection = {"address": f"127.0.0.1:{plain}", "http": {"redirections": {"entryPoint": {"to": "https"}}}}
    proxy = make_proxy(
        public_url=f"https://127.0.0.1:{public}",
        extra_static_config={"entryPoints": {"redirect": redirection}},
    )
    await proxy.start()
    await proxy.add_route("/", (await backend()).url, {})
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{plain}/user/zoe/lab?a=b"
        async with session.get(url, allow_redirects=False) as response:
            assert response.status == 301
            assert response.headers["Location"] == f"https://127.0.0.1:{public}/user/zoe/lab?a=b"
        async with session.get(url, ssl=False) as response:
            assert (await response.json())["path"] == "/user/zoe/lab?a=b"


async def test_it_is_started_again_with_its_routes(make_proxy, backend, client):
    proxy = make_proxy()
    await proxy.start()
    target = await backend()
    await proxy.add_route("/user/zoe/", target.url, {"user": "zoe"})
    first = proxy._controller.program
    os.kill(first.pid, signal.SIGKILL)
    # A change asked for at once waits for the new program.
    await proxy.add_route("/user/other/", target.url, {})
    # Unless the old program's last process was quick enough to make it: it is durable, and the new one has it.
    await until("the new program", lambda: proxy._controller.program and proxy._controller.program.pid != first.pid)
    assert proxy._controller.program.token == first.token
    assert sorted(await proxy.get_all_routes()) == ["/user/other/", "/user/zoe/"]
    assert (await client(proxy, "/user/zoe/"))[0] == 200


async def test_the_watchdog_needs_no_call(make_proxy):
    proxy = make_proxy()
    await proxy.start()
    first = proxy._controller.program.pid
    os.kill(first, signal.SIGKILL)
    await until(
        "another program", lambda: proxy._controller.program.pid != first and proxy._controller.program.is_alive()
    )


async def test_a_restarted_hub_goes_on_with_the_same_program(make_proxy, backend, client):
    given = {"public_url": f"http://127.0.0.1:{free_port()}", "traefik_api_url": f"http://127.0.0.1:{free_port()}"}
    former = make_proxy(**given)
    await former.start()
    target = await backend()
    await former.add_route("/user/zoe/", target.url, {"user": "zoe"})
    pid = former._controller.program.pid
    # The former hub is gone without a farewell; its watchdog with it.
    former._controller.program = None
    later = make_proxy(**given)
    await later.start()
    assert later._controller.program.pid == pid
    assert later.traefik_process is None
    assert list(await later.get_all_routes()) == ["/user/zoe/"]
    assert (await client(later, "/user/zoe/"))[0] == 200
    await later.stop()
    assert not is_alive(pid)


async def test_an_adopted_program_that_dies_is_started_again(make_proxy, backend):
    given = {"public_url": f"http://127.0.0.1:{free_port()}", "traefik_api_url": f"http://127.0.0.1:{free_port()}"}
    former = make_proxy(**given)
    await former.start()
    await former.add_route("/user/zoe/", (await backend()).url, {})
    process, former._controller.program = former._controller.program.process, None
    later = make_proxy(**given)
    await later.start()
    os.kill(later._controller.program.pid, signal.SIGKILL)
    await asyncio.get_running_loop().run_in_executor(None, process.wait)
    assert list(await later.get_all_routes()) == ["/user/zoe/"]


async def test_a_program_with_other_settings_is_replaced(make_proxy):
    given = {"public_url": f"http://127.0.0.1:{free_port()}", "traefik_api_url": f"http://127.0.0.1:{free_port()}"}
    former = make_proxy(**given)
    await former.start()
    process = former._controller.program.process
    former._controller.program = None
    # Somebody has to see the child's end, as init does when the hub is gone.
    reaper = asyncio.get_running_loop().run_in_executor(None, process.wait)
    later = make_proxy(**given, extra_dynamic_config={"http": {"middlewares": {}}})
    await later.start()
    await reaper
    assert later._controller.program.pid != process.pid


async def test_a_state_file_of_somebody_else_is_not_believed(make_proxy, folder):
    state = folder / "state.json"
    strange = json.dumps({"pid": 1, "apiUrl": "http://127.0.0.1:1", "token": "x"})
    for text in ["", "{", "[]", "7", '{"pid": 1}', strange]:
        state.write_text(text)
        state.chmod(0o600)
        assert await find_running(str(state), "digest", LOG) == (None, None), text
    proxy = make_proxy(state_file=str(state))
    await proxy.start()
    assert proxy._controller.program.pid > 1


async def test_a_state_file_that_others_can_write_is_not_believed(make_proxy, folder, caplog):
    given = {"public_url": f"http://127.0.0.1:{free_port()}", "traefik_api_url": f"http://127.0.0.1:{free_port()}"}
    proxy = make_proxy(**given)
    await proxy.start()
    (folder / proxy.state_file).chmod(0o644)
    digest = proxy._digest(proxy._settings())
    assert await find_running(proxy._state_path(), digest, LOG) == (None, None)
    (folder / proxy.state_file).chmod(0o600)
    program, state = await find_running(proxy._state_path(), digest, LOG)
    assert program.pid == proxy._controller.program.pid
    assert state["traefikApiPassword"] == proxy.traefik_api_password


async def test_a_made_up_password_is_taken_over(make_proxy):
    given = {
        "public_url": f"http://127.0.0.1:{free_port()}",
        "traefik_api_url": f"http://127.0.0.1:{free_port()}",
        "traefik_api_password": None,
    }
    former = make_proxy(**given)
    await former.start()
    former._controller.program = None
    later = make_proxy(**given)
    await later.start()
    assert later.traefik_api_password == former.traefik_api_password
    response = await later._traefik_api_request("/api/overview")
    assert response.code == 200


async def test_two_proxies_with_one_port(make_proxy):
    first = make_proxy(state_file="first.json")
    await first.start()
    second = make_proxy(public_url=first.public_url, state_file="second.json", dynamic_config_file="second.toml")
    with pytest.raises(ProgramError, match="EADDRINUSE|in use|uses the port"):
        await second.start()


async def test_a_program_that_ends_before_it_is_ready(make_proxy, folder):
    command = fake_program(folder / "broken", "raise SystemExit(7)")
    with pytest.raises(ProgramError, match="exit code 7 before it was ready"):
        await make_proxy(command=[str(command)]).start()


async def test_a_command_that_does_not_exist(make_proxy):
    with pytest.raises(ProgramError, match="/nowhere/jtp cannot be started"):
        await make_proxy(command=["/nowhere/jtp"]).start()


def test_the_program_is_missing(monkeypatch, folder):
    monkeypatch.setattr(program_module, "_checkouts", lambda: [folder])
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ProgramError, match="npm install -g jupyterhub-traefik-proxy"):
        find_command()


def test_the_checkout_has_not_been_built(monkeypatch, folder):
    (folder / "bin").mkdir()
    (folder / "bin" / "jupyterhub-traefik-proxy.js").touch()
    monkeypatch.setattr(program_module, "_checkouts", lambda: [folder])
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ProgramError, match="npm ci && npm run build"):
        find_command()


@pytest.mark.parametrize(
    ("version", "reason"), [("v18.20.4", "18.20.4 .* too old: 20.19 or newer"), (None, "not found")]
)
def test_node_is_missing_or_too_old(monkeypatch, tmp_path, version, reason):
    monkeypatch.setenv("PATH", str(tmp_path))
    if version:
        fake_program(tmp_path / "node", f"print('{version}')")
    with pytest.raises(ProgramError, match=reason):
        find_command()


def test_the_program_on_the_path_comes_first(monkeypatch, folder):
    found = fake_program(folder / "jtp", "")
    monkeypatch.setenv("PATH", str(folder))
    assert find_command() == [str(found)]


async def test_calls_before_the_start_say_so(make_proxy):
    with pytest.raises(RuntimeError, match="has not been started"):
        await make_proxy().get_all_routes()


def about(pid, name):
    return Path(f"/proc/{pid}/{name}").read_bytes()


async def test_environment(make_proxy):
    proxy = make_proxy(traefik_env={"FROM_THE_HUB": 7})
    await proxy.start()
    environment = about(proxy._controller.program.pid, "environ").split(b"\0")
    assert b"FROM_THE_HUB=7" in environment


async def test_secrets_are_no_arguments(make_proxy):
    proxy = make_proxy(traefik_api_password="a-secret-of-the-tests")
    await proxy.start()
    arguments = about(proxy._controller.program.pid, "cmdline")
    assert b"a-secret-of-the-tests" not in arguments
    assert proxy._controller.program.token.encode() not in arguments


async def test_the_class_of_the_old_documentation(make_proxy, folder, backend, client):
    proxy = make_proxy(
        TraefikTomlProxy, toml_static_config_file="old-static.toml", toml_dynamic_config_file="old-rules.toml"
    )
    await proxy.start()
    target = await backend()
    await proxy.add_route("/user/zoe/", target.url, {})
    assert (await client(proxy, "/user/zoe/"))[0] == 200
    assert (folder / "old-static.toml").exists()
    await until("the file", lambda: "/user/zoe/" in (folder / "old-rules.toml").read_text())
