"""``python3 -m jupyterhub_traefik_proxy.install``, against releases on a server of our own."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import free_port

VERSION = "3.9.9"
BINARY = f"#!/bin/sh\necho 'Version:      {VERSION}'\n".encode()


class Releases:
    def __init__(self, folder):
        self.folder = folder / f"v{VERSION}"
        self.folder.mkdir()
        self.asked = []
        releases = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self):
                releases.asked.append(self.path)
                super().do_GET()

            def log_message(self, *args):
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.sums = {}

    def add(self, platform, binary=BINARY):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            for name, content in [("LICENSE.md", b"a licence"), ("traefik", binary)]:
                about = tarfile.TarInfo(name)
                about.size = len(content)
                archive.addfile(about, io.BytesIO(content))
        name = f"traefik_v{VERSION}_{platform}.tar.gz"
        (self.folder / name).write_bytes(data.getvalue())
        self.sums[name] = hashlib.sha256(data.getvalue()).hexdigest()
        self.publish()
        return self.sums[name]

    def publish(self):
        lines = [f"{digest}  {name}\n" for name, digest in self.sums.items()]
        (self.folder / f"traefik_v{VERSION}_checksums.txt").write_text("".join(lines))


@pytest.fixture
def releases(tmp_path_factory):
    made = Releases(tmp_path_factory.mktemp("releases"))
    for platform in ("linux_amd64", "linux_arm64", "darwin_arm64"):
        made.add(platform)
    yield made
    made.server.shutdown()
    made.server.server_close()


def install(*args, url=None):
    base = [f"--base-url={url}"] if url else []
    return subprocess.run(
        [sys.executable, "-m", "jupyterhub_traefik_proxy.install", "--from=release", *base, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )


def test_a_release(releases, folder):
    done = install("--traefik", f"--traefik-version=v{VERSION}", "--platform=linux-amd64", url=releases.url)
    assert done.returncode == 0, done.stderr
    assert "--- Done ---" in done.stdout
    assert "--traefik is ignored" in done.stderr
    assert os.listdir(folder / "dependencies") == ["traefik"]
    binary = folder / "dependencies" / "traefik"
    assert binary.read_bytes() == BINARY
    assert binary.stat().st_mode & 0o777 == 0o755


def test_another_folder_and_platform(releases, folder):
    wanted = folder / "deep" / "down"
    done = install(f"--output={wanted}", f"--traefik-version={VERSION}", "--platform=darwin-arm64", url=releases.url)
    assert done.returncode == 0, done.stderr
    assert os.listdir(wanted) == ["traefik"]
    assert any(path.endswith("_darwin_arm64.tar.gz") for path in releases.asked)


@pytest.mark.parametrize("platform", ["linux-x86_64", "Linux_AMD64", "linux-aarch64"])
def test_other_names_of_a_platform(releases, folder, platform):
    assert install(f"--traefik-version={VERSION}", f"--platform={platform}", url=releases.url).returncode == 0
    wanted = "arm64" if platform.endswith("aarch64") else "amd64"
    assert any(path.endswith(f"_linux_{wanted}.tar.gz") for path in releases.asked)


def test_what_is_there_is_not_fetched_again_unless_it_is_another_version(releases, folder):
    assert install(f"--traefik-version={VERSION}", url=releases.url).returncode == 0
    (releases.folder / f"traefik_v{VERSION}_checksums.txt").unlink()
    again = install(f"--traefik-version={VERSION}", url=releases.url)
    assert again.returncode == 0
    assert "already there" in again.stdout
    releases.publish()
    binary = folder / "dependencies" / "traefik"
    binary.write_text("#!/bin/sh\necho 'Version: 3.0.0'\n")
    assert install(f"--traefik-version={VERSION}", url=releases.url).returncode == 0
    assert binary.read_bytes() == BINARY


def test_a_wrong_checksum(releases, folder):
    for name in releases.sums:
        releases.sums[name] = "0" * 64
    releases.publish()
    done = install(f"--traefik-version={VERSION}", url=releases.url)
    assert done.returncode == 1
    assert "Checksum failed" in done.stderr
    assert os.listdir(folder / "dependencies") == []


def test_a_checksum_of_the_administrators(releases, folder):
    right = releases.sums[f"traefik_v{VERSION}_linux_amd64.tar.gz"]
    (releases.folder / f"traefik_v{VERSION}_checksums.txt").unlink()
    common = [f"--traefik-version={VERSION}", "--platform=linux-amd64"]
    missing = install(*common, url=releases.url)
    assert missing.returncode == 1
    assert "_checksums.txt does not exist" in missing.stderr
    wrong = install(*common, f"--sha256={'1' * 64}", url=releases.url)
    assert wrong.returncode == 1
    assert "Checksum failed" in wrong.stderr
    assert install(*common, f"--sha256={right}", url=releases.url).returncode == 0


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--traefik-version=3.9.8"], "is there such a version"),
        ([f"--traefik-version={VERSION}", "--platform=openbsd-amd64"], "has no checksum of"),
        (["--traefik-version=newest"], "expected a version such as"),
        (["--platform=amiga"], "expected a name such as linux-amd64"),
        (["--etcd"], "--etcd: etcd is not installed by this program, and not needed"),
        (["--consul"], "--consul: consul is not installed by this program, and not needed"),
        (["--traefik", "--etcd-version=3.3.10"], "--etcd-version: etcd is not installed by this program"),
        (["--consul-version", "1.6.1"], "--consul-version: consul is not installed by this program"),
        (["--output=a-file/below"], "cannot be written"),
    ],
)
def test_what_is_said_when_it_cannot_be(releases, folder, args, reason):
    (folder / "a-file").touch()
    done = install(*args, url=releases.url)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "dependencies").exists() or os.listdir(folder / "dependencies") == []


def test_nobody_answers():
    done = install(url=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "cannot be reached (ECONNREFUSED)" in done.stderr
