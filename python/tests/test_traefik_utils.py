"""Helpers that code around this package has come to use."""

import os
import stat

import pytest

from jupyterhub_traefik_proxy.traefik_utils import (
    TraefikConfigFileHandler,
    atomic_writing,
    deep_merge,
    generate_alias,
    generate_rule,
)


@pytest.mark.parametrize(
    ("routespec", "rule"),
    [
        ("/", "PathPrefix(`/`)"),
        ("/user/zoe/", "( PathPrefix(`/user/zoe/`) || Path(`/user/zoe`) )"),
        ("h.org/user/zoe/", "Host(`h.org`) && ( PathPrefix(`/user/zoe/`) || Path(`/user/zoe`) )"),
        ("h.org/", "Host(`h.org`) && PathPrefix(`/`)"),
        ("/user/%E7%A7%80%E6%A8%B9/", "( PathPrefix(`/user/秀樹/`) || Path(`/user/秀樹`) )"),
    ],
)
def test_generate_rule(routespec, rule):
    assert generate_rule(routespec) == rule


@pytest.mark.parametrize("routespec", ["/user/zoe", "/user/%60/"])
def test_generate_rule_refuses(routespec):
    with pytest.raises(ValueError):
        generate_rule(routespec)


@pytest.mark.parametrize(
    ("routespec", "alias"),
    [
        ("/", "router__2F"),
        ("/user/zoe/", "router__2Fuser_2Fzoe_2F"),
        ("/user/has@/", "router__2Fuser_2Fhas_40_2F"),
        ("/user/~TestJH/", "router__2Fuser_2F_7ETestJH_2F"),
        ("/has%20space/foo/", "router__2Fhas_2520space_2Ffoo_2F"),
        ("/user/a_b/", "router__2Fuser_2Fa_5Fb_2F"),
        ("/user/a-b.c/", "router__2Fuser_2Fa-b_2Ec_2F"),
        ("host.name/path/", "router_host_2Ename_2Fpath_2F"),
    ],
)
def test_generate_alias(routespec, alias):
    assert generate_alias(routespec, "router") == alias


def test_atomic_writing(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text("before")
    file.chmod(0o640)
    with atomic_writing(file) as new:
        new.write("after")
        assert file.read_text() == "before"
    assert file.read_text() == "after"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["rules.toml"]


def test_atomic_writing_that_fails(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text("before")
    with pytest.raises(KeyError):
        with atomic_writing(file) as new:
            new.write("after")
            raise KeyError
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["rules.toml"]


def test_deep_merge():
    first = {"a": {"b": 1, "c": [1]}, "d": 1}
    second = {"a": {"b": 2}, "d": {"e": 3}}
    assert deep_merge(first, second) is first
    assert first == {"a": {"b": 2, "c": [1]}, "d": {"e": 3}}
    first["d"]["e"] = 4
    assert second == {"a": {"b": 2}, "d": {"e": 3}}


@pytest.mark.parametrize("extension", ["toml", "yaml", "yml"])
def test_files(tmp_path, extension):
    handler = TraefikConfigFileHandler(tmp_path / f"rules.{extension}")
    data = {"http": {"routers": {"x": {"rule": "PathPrefix(`/`)", "entryPoints": ["http"], "priority": 3}}}}
    handler.dump(data)
    assert handler.load() == data
    handler.atomic_dump({"empty": {}})
    assert handler.load() == {"empty": {}}


def test_other_files_are_refused(tmp_path):
    with pytest.raises(TypeError):
        TraefikConfigFileHandler(tmp_path / "rules.json")
