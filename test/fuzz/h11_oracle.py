"""Reads lines of JSON, {"id": …, "bytes": "hex"}, and answers each with what the h11 library makes of the bytes as a server:
requests with method, target and body, and the error that ended them, if any."""

import json
import sys

import h11


def parse(data):
    requests = []
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    current = None
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return requests, current, None
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return requests, current, "closed"
            if isinstance(event, h11.Request):
                current = {"method": event.method.decode("latin1"), "target": event.target.decode("latin1"), "body": ""}
            elif isinstance(event, h11.Data):
                current["body"] += bytes(event.data).decode("latin1")
            elif isinstance(event, h11.EndOfMessage):
                requests.append(current)
                current = None
                # Not a success, so that neither CONNECT nor an upgrade changes the protocol.
                connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return requests, None, "closed"
                connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        return requests, current, str(error)


for line in sys.stdin:
    message = json.loads(line)
    found, partial, problem = parse(bytes.fromhex(message["bytes"]))
    print(json.dumps({"id": message["id"], "requests": found, "partial": partial is not None, "error": problem}), flush=True)
