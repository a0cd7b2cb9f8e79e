"""The program that works for one proxy object: starting it, finding it again, watching it, and asking its REST API."""

import asyncio
import json
import os
import stat
import weakref
from contextlib import suppress
from functools import partial
from pathlib import Path

import aiohttp

from .program import Program, ProgramError, end_process, is_alive

#: How often the watchdog looks, in seconds.
WATCH_INTERVAL = 0.25
#: How long a call waits for a program that is being started again, in seconds.
RESTART_PATIENCE = 20
#: The program lets requests finish for up to ten seconds when it is told to stop.
STOP_PATIENCE = 15


class Refused(Exception):
    """The program understood a request and says no; `code` is one of its error codes, or empty."""

    def __init__(self, message, code=""):
        super().__init__(message)
        self.code = code


class Controller:
    """One program, started by `launch` whenever it is needed and not running.

    `launch` is a coroutine function that gets the token to use (None for a new one) and returns a Program.
    """

    def __init__(self, launch, *, log, concurrency, timeout):
        self.program = None
        self._launch = launch
        self._log = log
        self._concurrency = concurrency
        self._timeout = timeout
        self._is_stopping = False
        # Things that belong to one event loop; hubs have one, tests have many.
        self._loop = None
        self._session = None
        self._limit = None
        self._starting = None

    async def start(self, program=None):
        """Starts the program, or goes on with one that is running already."""
        self._is_stopping = False
        self.program = program
        await self.ready()
        self._watch()

    async def stop(self):
        """Ends the program; requests that are being answered are finished first."""
        self._is_stopping = True
        if self._session is not None and self._loop is asyncio.get_running_loop():
            await self._session.close()
        self._loop = self._session = None
        program, self.program = self.program, None
        if program is not None:
            await in_thread(program.stop, STOP_PATIENCE)

    async def ready(self):
        """The running program; everybody who asks while it is being started waits for the same one."""
        if self.program is not None and self.program.is_alive():
            return self.program
        self._enter_loop()
        if self._starting is None:
            self._is_stopping = False
            token = self.program.token if self.program is not None else None
            self._starting = asyncio.ensure_future(self._launch(token))
            self._starting.add_done_callback(self._started)
        return await asyncio.shield(self._starting)

    def _started(self, future):
        self._starting = None
        if future.cancelled() or future.exception() is not None:
            return
        self.program = future.result()
        self._watch()

    def _watch(self):
        """Looks from time to time whether the program lives; ends with the loop, or with this object."""
        reference = weakref.ref(self)
        program = self.program
        loop = asyncio.get_running_loop()

        def look():
            controller = reference()
            if controller is None or controller._is_stopping or controller.program is not program:
                return
            if program.is_alive():
                loop.call_later(WATCH_INTERVAL, look)
                return
            controller._log.error("The proxy (process %s) has died and is started again", program.pid)
            loop.create_task(controller._revive())

        loop.call_later(WATCH_INTERVAL, look)

    async def _revive(self):
        delay = 0.1
        while not self._is_stopping:
            try:
                await self.ready()
                return
            except ProgramError as error:
                self._log.error("The proxy cannot be started: %s", error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 10)

    def _enter_loop(self):
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._session is not None:
            # Its loop is over; nobody can close its connections in an orderly way any more.
            self._session.detach()
        self._loop = loop
        self._session = self._starting = None
        self._limit = asyncio.Semaphore(self._concurrency)

    async def request(self, method, path, body=None):
        """One request; waits while the program is being started again. Raises Refused, RuntimeError or ProgramError."""
        self._enter_loop()
        async with self._limit:
            deadline = self._loop.time() + RESTART_PATIENCE
            while True:
                program = await self.ready()
                try:
                    return await self._ask(program, method, path, body)
                except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                    # Nothing is lost by asking again: adding and deleting are idempotent.
                    if self._loop.time() > deadline:
                        raise RuntimeError(
                            f"the proxy's REST API at {program.api_url} does not answer: {error}"
                        ) from error
                await asyncio.sleep(0.1)

    async def _ask(self, program, method, path, body):
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                connector=aiohttp.TCPConnector(limit=self._concurrency),
            )
        headers = {"Authorization": f"token {program.token}"}
        async with self._session.request(method, program.api_url + path, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status < 300:
                return answer
            if not isinstance(answer, dict):
                answer = {}
            raise Refused(answer.get("error") or f"the proxy answered {response.status}", answer.get("code", ""))


async def find_running(state_file, digest, log):
    """The program that a former hub has noted in `state_file`, if it still runs with settings of this digest.

    One that runs with other settings is ended. Returns the program and what is noted about it, or None twice.
    """
    nothing = None, None
    try:
        state = await in_thread(_read_state, state_file)
        program = Program(int(state["pid"]), state["apiUrl"], state["token"])
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be used: %s", state_file, error)
        return nothing
    if not is_alive(program.pid):
        return nothing
    health = await _health(program)
    if health.get("pid") != program.pid:
        # Another program may have the number by now: it is none of our business.
        return nothing
    if health.get("digest") == digest:
        log.info("Going on with the proxy that runs as process %s", program.pid)
        return program, state
    log.info("Ending the proxy of a former hub (process %s): its settings were different", program.pid)
    await in_thread(end_process, program.pid, STOP_PATIENCE, partial(is_alive, program.pid))
    return nothing


def _read_state(file):
    with Path(file).open() as opened:
        about = os.fstat(opened.fileno())
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            # Whoever can write it can send the hub, and its token, anywhere.
            raise ValueError("others can read or write it, or own it")
        return json.load(opened)


async def _health(program):
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            headers = {"Authorization": f"token {program.token}"}
            async with session.get(f"{program.api_url}/api/health", headers=headers) as response:
                health = await response.json() if response.status == 200 else {}
                return health if isinstance(health, dict) else {}
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError):
        return {}


def end_with(owner, program):
    """Ends the program when `owner` is gone, or this process: its input is closed, which it takes as a farewell."""

    def close(stream):
        with suppress(OSError):
            stream.close()

    weakref.finalize(owner, close, program.process.stdin)


async def in_thread(function, *args):
    return await asyncio.get_running_loop().run_in_executor(None, partial(function, *args))
