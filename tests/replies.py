"""What the small servers of the tests send: chat completions, as JSON."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, model="m", finish_reason="stop", **fields) -> dict:
    message = {"role": "assistant", "content": text} | fields
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
    }


def send_json(handler, status: int, reply: dict | str) -> None:
    data = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@contextlib.contextmanager
def serving(reply):
    """The address of a server on this machine that answers with `reply(body of the request) -> (status, reply)`.

    The reply is JSON, or text as it is.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            send_json(self, *reply(body))

        def log_message(self, *args):
            pass

    with served_by(Handler) as url:
        yield url


@contextlib.contextmanager
def served_by(handler):
    """The address of a server on this machine whose requests this class handles."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
