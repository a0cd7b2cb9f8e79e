"""Finds and runs the Node program."""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ._checkout import CHECKOUT

#: Names of the program on the PATH.
NAMES = ("jupyterhub-traefik-proxy", "jtp")
SCRIPT = Path("bin") / "jupyterhub-traefik-proxy.js"
#: The oldest Node that runs it.
MINIMUM_NODE = (20, 19)

HOW_TO_INSTALL = (
    "The jupyterhub-traefik-proxy program (Node.js) was not found. Install it with "
    "'npm install -g jupyterhub-traefik-proxy', or run 'npm ci && npm run build' in a checkout and set "
    "c.TraefikProxy.command = ['node', '/path/to/checkout/bin/jupyterhub-traefik-proxy.js']."
)


class ProgramError(RuntimeError):
    """The program cannot be found or did not start; the message is one line for the administrator."""


def find_command():
    """The command line of the program, as a list. Raises ProgramError with what to install."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return [found]
    for checkout in _checkouts():
        script = checkout / SCRIPT
        if script.is_file():
            if not (checkout / "dist" / "src" / "cli" / "main.js").is_file():
                raise ProgramError(
                    f"The program in {checkout} has not been built: run 'npm ci && npm run build' there."
                )
            return [_node(), str(script)]
    for folder in (Path.cwd(), *Path.cwd().parents):
        for name in NAMES:
            found = folder / "node_modules" / ".bin" / name
            if found.exists():
                return [str(found)]
    raise ProgramError(HOW_TO_INSTALL)


def _checkouts():
    if CHECKOUT:
        yield Path(CHECKOUT)
    # An editable installation: python/jupyterhub_traefik_proxy/program.py
    yield Path(__file__).resolve().parent.parent.parent


def _node():
    node = shutil.which("node")
    if node is None:
        raise ProgramError(
            f"Node.js was not found on the PATH: install Node.js {'.'.join(map(str, MINIMUM_NODE))} or newer."
        )
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)
    version = answer.stdout.strip().lstrip("v")
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(parts) == 2 and parts < MINIMUM_NODE:
        raise ProgramError(
            f"Node.js {version} at {node} is too old: {'.'.join(map(str, MINIMUM_NODE))} or newer is needed."
        )
    return node


class Program:
    """One running program, started by us or found running."""

    def __init__(self, pid, api_url, token, process=None):
        self.pid = pid
        self.api_url = api_url
        self.token = token
        self.process = process

    def is_alive(self):
        if self.process is not None:
            return self.process.poll() is None
        return is_alive(self.pid)

    def stop(self, timeout):
        """SIGTERM, then SIGKILL after `timeout` seconds. Blocks."""
        end_process(self.pid, timeout, self.is_alive)
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()


def is_alive(pid):
    """Whether a process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # "pid (name) S ...": the name may contain anything, the state follows the last parenthesis.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def end_process(pid, timeout, alive):
    """Ends a process, politely first. Blocks up to `timeout` seconds and a little more."""
    for sig, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, 5)):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not alive():
                return
            time.sleep(0.02)


def start_program(command, settings, *, timeout, env):
    """Starts the program and waits until it serves. Blocks; raises ProgramError with the program's own reason."""
    read_end, write_end = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                [*command, "hub", "--settings", "-", "--ready-fd", str(write_end)],
                stdin=subprocess.PIPE,
                pass_fds=(write_end,),
                # Its own session: Ctrl-C in the hub's terminal is the hub's, and the program outlives a hub that
                # keeps it.
                start_new_session=True,
                env=env,
            )
        except OSError as error:
            raise ProgramError(f"{command[0]} cannot be started: {error.strerror}") from error
        finally:
            os.close(write_end)
        try:
            process.stdin.write(json.dumps(settings).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            # It has ended already; the ready pipe says why.
            pass
        answer = _read_line(read_end, process, timeout)
    finally:
        os.close(read_end)
    if "error" in answer:
        process.wait()
        raise ProgramError(answer["error"])
    return Program(answer["pid"], answer["apiUrl"], settings["apiToken"], process)


def _read_line(fd, process, timeout):
    deadline = time.monotonic() + timeout
    received = b""
    while b"\n" not in received:
        left = deadline - time.monotonic()
        if left <= 0:
            end_process(process.pid, 2, lambda: process.poll() is None)
            return {"error": f"the proxy was not ready after {timeout:g} seconds; its log lines say why"}
        readable, _, _ = select.select([fd], [], [], min(left, 1))
        if not readable:
            continue
        chunk = os.read(fd, 65536)
        if not chunk:
            code = process.wait()
            return {"error": f"the proxy ended with exit code {code} before it was ready; its log lines say why"}
        received += chunk
    return json.loads(received.split(b"\n", 1)[0])
