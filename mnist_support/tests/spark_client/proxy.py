"""Stands in for what is in front of a Databricks cluster: TLS, a token, a header, limits and cuts.

usage: proxy.py CERTIFICATE KEY SERVER TOKEN CLUSTER

SERVER is the HOST:PORT of a Spark Connect server. The ports go to standard output as JSON, and when
standard input is closed, how many connections there were and how many of them were cut.
"""
import concurrent.futures
import http.server
import json
import select
import socket
import ssl
import sys
import threading

import grpc

# Less than the cluster of these tests lets a stream last.
IDLE_SECONDS = 3
STREAM_SECONDS = 60
MESSAGE_BYTES = 128 << 20
OWN_HEADERS = ("authorization", "user-agent", "x-databricks-cluster-id")


class Proxy(grpc.GenericRpcHandler):
    """Passes calls on to a server, as bytes."""

    def __init__(self, server, token, cluster):
        sizes = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
        self.channel = grpc.insecure_channel(server, sizes)
        self.token, self.cluster = token, cluster

    def service(self, details):
        call = self.channel.stream_stream(details.method)
        headers = dict(details.invocation_metadata)

        def handle(requests, context):
            self.check(headers, context)
            others = [(name, value) for name, value in headers.items() if name not in OWN_HEADERS]
            answers = call(requests, metadata=others)
            cut = threading.Event()
            timer = threading.Timer(STREAM_SECONDS, lambda: (cut.set(), answers.cancel()))
            timer.start()
            context.add_callback(answers.cancel)
            try:
                yield from answers
            except grpc.RpcError as error:
                if cut.is_set():
                    context.abort(grpc.StatusCode.UNAVAILABLE, "a stream ends after %d s" % STREAM_SECONDS)
                context.set_trailing_metadata(error.trailing_metadata() or ())
                context.abort(error.code(), error.details())
            finally:
                timer.cancel()

        return grpc.stream_stream_rpc_method_handler(handle)

    def check(self, headers, context):
        given = headers.get("authorization")
        if given is None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Credential was not sent")
        if given != "Bearer " + self.token:
            # As unwise as a server can be.
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid access token: " + given)
        if headers.get("x-databricks-cluster-id") != self.cluster:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "There is no such cluster")
        if "user_id" in headers:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The user is the token's")


class Relay:
    """Passes connections on to a port, and closes those that are idle."""

    def __init__(self, port):
        self.target, self.opened, self.cut = port, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.opened += 1
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            other = {client: server, server: client}
            while True:
                ready, _, _ = select.select([client, server], [], [], IDLE_SECONDS)
                if not ready:
                    self.cut += 1
                    return
                for end in ready:
                    try:
                        data = end.recv(1 << 16)
                        other[end].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return


def serve_http1(certificate, key):
    """Serves HTTP/1 alone, over TLS, and returns the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.set_alpn_protocols(["http/1.1"])
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def main(certificate, key, server, token, cluster):
    sizes = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    proxy = grpc.server(concurrent.futures.ThreadPoolExecutor(32), [Proxy(server, token, cluster)], options=sizes)
    with open(key, "rb") as key_file, open(certificate, "rb") as certificate_file:
        credentials = grpc.ssl_server_credentials([(key_file.read(), certificate_file.read())])
    port = proxy.add_secure_port("127.0.0.1:0", credentials)
    proxy.start()
    relay = Relay(port)
    print(json.dumps({"proxy": relay.port, "http1": serve_http1(certificate, key)}), flush=True)
    sys.stdin.read()
    print(json.dumps({"opened": relay.opened, "cut": relay.cut}), flush=True)
    proxy.stop(None)


main(*sys.argv[1:])
