"""Routes, through the class and through the public port."""

import asyncio

import pytest
from conftest import until

from jupyterhub_traefik_proxy.traefik_utils import TraefikConfigFileHandler

#: Routespec as JupyterHub writes it, a path below it as a client sends it.
SPECS = [
    ("/", "/anything"),
    ("/user/zoe/", "/user/zoe/tree"),
    ("/user/a%20b/", "/user/a%20b/tree"),
    ("/user/has@/", "/user/has@/tree"),
    ("/user/has@/", "/user/has%40/tree"),
    ("/user/~tilde/", "/user/~tilde/tree"),
    ("/user/~tilde/", "/user/%7Etilde/tree"),
    ("/user/bob+test@x.org/", "/user/bob+test@x.org/tree"),
    ("/user/bob%2Btest@x.org/", "/user/bob%2Btest@x.org/tree"),
    ("/user/50fia/", "/user/50fia/tree"),
    ("/user/%E7%A7%80%E6%A8%B9/", "/user/%E7%A7%80%E6%A8%B9/tree"),
    ("/user/a%2Fb/", "/user/a%2Fb/tree"),
    ("/user/a_b/", "/user/a_b/tree"),
    ("/user/üñîçø∂é/", "/user/%C3%BC%C3%B1%C3%AE%C3%A7%C3%B8%E2%88%82%C3%A9/tree"),
    ("/@/space%20word/user/zoe/", "/@/space%20word/user/zoe/tree"),
    ("/no/slash", "/no/slash/tree"),
    ("host.name/", "/anything"),
    ("host.name/path/", "/path/tree"),
]


async def test_add_get_delete(proxy, backend, client):
    everything, target = await backend("default"), await backend("target")
    for other in range(5):
        await proxy.add_route(f"/other/{other}/", everything.url, {"n": other})
    for spec, path in SPECS:
        host = spec.split("/", 1)[0] or None
        wanted = spec if spec.endswith("/") else f"{spec}/"
        if spec != "/":
            await proxy.add_route("/", everything.url, {})
        await proxy.add_route(spec, target.url, {"user": "zoe", "spec": spec})
        assert await proxy.get_route(spec) == {
            "routespec": wanted,
            "target": target.url,
            "data": {"user": "zoe", "spec": spec},
        }, spec
        status, answer = await client(proxy, path, host)
        assert (status, answer["name"], answer["path"]) == (200, "target", path), spec
        await proxy.delete_route(spec)
        assert await proxy.get_route(spec) is None, spec
        status, answer = await client(proxy, path, host)
        # The very next request: nothing may reach the old target.
        expected = 404 if spec == "/" else 200
        assert (status, "target" in str(answer.get("name") if status == 200 else "")) == (expected, False), spec
    routes = await proxy.get_all_routes()
    assert sorted(routes) == ["/", *(f"/other/{other}/" for other in range(5))]


async def test_get_all_routes_starts_and_ends_empty(proxy, backend):
    assert await proxy.get_all_routes() == {}
    target = (await backend()).url
    data = {"/one/": {"a": 1, "b": [True, None, 1.5]}, "/two/": {}, "/three/": {"nested": {"x": "y"}}}
    for spec, each in data.items():
        await proxy.add_route(spec, target, each)
    routes = await proxy.get_all_routes()
    assert routes == {spec: {"routespec": spec, "target": target, "data": each} for spec, each in data.items()}
    for spec in data:
        await proxy.delete_route(spec)
    assert await proxy.get_all_routes() == {}


async def test_a_route_that_was_used_says_when(proxy, backend, client):
    await proxy.add_route("/user/zoe/", (await backend()).url, {"user": "zoe"})
    await proxy.add_route("/user/other/", (await backend()).url, {"user": "other"})
    await client(proxy, "/user/zoe/")

    async def is_told():
        return "last_activity" in (await proxy.get_all_routes())["/user/zoe/"]["data"]

    # Workers tell once a second.
    await until("the activity", is_told)
    routes = await proxy.get_all_routes()
    assert routes["/user/zoe/"]["data"]["last_activity"].endswith("Z")
    assert routes["/user/other/"]["data"] == {"user": "other"}
    assert (await proxy.get_route("/user/zoe/"))["data"] == {"user": "zoe"}


async def test_a_route_is_replaced_with_all_its_data(proxy, backend, client):
    first, second = await backend("first"), await backend("second")
    await proxy.add_route("/user/zoe/", first.url, {"old": 1})
    await proxy.add_route("/user/zoe/", second.url, {"new": 2})
    assert (await proxy.get_route("/user/zoe/"))["data"] == {"new": 2}
    _, answer = await client(proxy, "/user/zoe/")
    assert answer["name"] == "second"


async def test_deleting_what_is_not_there_is_a_success(proxy):
    await proxy.delete_route("/user/nobody/")


async def test_trailing_slash(proxy, backend, client):
    everything, target = await backend("default"), await backend("target")
    await proxy.add_route("/", everything.url, {})
    await proxy.add_route("/path/prefix/", target.url, {})
    for path, name in {
        "/path/prefix": "target",
        "/path/prefix/": "target",
        "/path/prefix/more": "target",
        "/path/prefixnoslash": "default",
    }.items():
        assert (await client(proxy, path))[1]["name"] == name, path


async def test_a_user_a_b_is_not_server_b_of_user_a(proxy, backend, client):
    escaped, server = await backend("user a/b"), await backend("server b")
    await proxy.add_route("/user/a%2Fb/", escaped.url, {})
    await proxy.add_route("/user/a/b/", server.url, {})
    assert (await client(proxy, "/user/a%2Fb/"))[1]["name"] == "user a/b"
    assert (await client(proxy, "/user/a/b/"))[1]["name"] == "server b"


async def test_hosts(proxy, backend, client):
    hub, one, two = await backend("hub"), await backend("one"), await backend("two")
    await proxy.add_route("/", hub.url, {})
    await proxy.add_route("one.example.org/", one.url, {})
    await proxy.add_route("two.example.org/user/two/", two.url, {})
    assert (await client(proxy, "/user/x", "one.example.org"))[1]["name"] == "one"
    assert (await client(proxy, "/user/two/", "two.example.org:8000"))[1]["name"] == "two"
    assert (await client(proxy, "/user/two/", "three.example.org"))[1]["name"] == "hub"


async def test_host_and_origin_arrive_unchanged(proxy, backend, client):
    target = await backend()
    await proxy.add_route("/", target.url, {})
    _, answer = await client(proxy, "/", "hub.example.org:8443")
    assert answer["headers"]["Host"] == "hub.example.org:8443"


async def test_a_target_with_a_path(proxy, backend, client):
    target = await backend()
    await proxy.add_route("/extra/", f"{target.url}/below", {})
    assert (await client(proxy, "/extra/x"))[1]["path"] == "/below/extra/x"


async def test_many_at_once(proxy, backend):
    target = (await backend()).url
    names = [f"/user/u{number}/" for number in range(100)]
    await asyncio.gather(*(proxy.add_route(name, target, {"user": name}) for name in names))
    assert sorted(await proxy.get_all_routes()) == sorted(names)
    file = TraefikConfigFileHandler(proxy.dynamic_config_file)
    # The file may be a second behind; it is complete then.
    await until("the file", lambda: len(file.load().get("jupyterhub", {}).get("routes", {})) == 100)
    await asyncio.gather(*(proxy.delete_route(name) for name in names))
    assert await proxy.get_all_routes() == {}


@pytest.mark.parametrize(
    ("spec", "target", "part"),
    [
        ("", "http://127.0.0.1:1", "routespec"),
        ("/user/%zz/", "http://127.0.0.1:1", "percent-encoding"),
        ("/user/a\nb/", "http://127.0.0.1:1", "control characters"),
        ("/user/zoe/", "127.0.0.1:1", "target"),
        ("/user/zoe/", "ftp://127.0.0.1", "target"),
    ],
)
async def test_what_cannot_be_a_route_is_a_value_error(proxy, spec, target, part):
    if spec == "":
        # The missing slash is added first: this is the root.
        await proxy.add_route(spec, target, {})
        assert list(await proxy.get_all_routes()) == ["/"]
        return
    with pytest.raises(ValueError, match=part):
        await proxy.add_route(spec, target, {})
    assert await proxy.get_all_routes() == {}


async def test_a_name_with_backticks_is_no_rule(proxy, backend, client):
    everything, evil = await backend("default"), await backend("evil")
    await proxy.add_route("/", everything.url, {})
    await proxy.add_route("/user/%60%29%20%7C%7C%20PathPrefix%28%60/", evil.url, {})
    assert (await client(proxy, "/user/zoe/"))[1]["name"] == "default"
    assert (await client(proxy, "/user/%60%29%20%7C%7C%20PathPrefix%28%60/"))[1]["name"] == "evil"
