#!/usr/bin/env python3
"""Brings this server from a bare image to the point where K3s may start, and decides which cluster it starts into.

Runs before k3s.service at every boot. No server is special and none is told to be the first:

  1. K3s has data here          -> it just starts.
  2. a peer serves this cluster -> join through it.
  3. every peer is up, as fresh as we are, and of our generation -> the lowest name initialises, the others join it.
  4. anything else              -> keep asking, and say why on the console.

So a server that was rebuilt can never begin a second cluster beside the one that lost it.

Until K3s listens, port 6443 is answered from here: to peers (who prove that they know the cluster's token) whether this
server is fresh, to the operator (who shows a certificate of the cluster's client authority) what it is waiting for.
"""

import base64
import collections
import hashlib
import hmac
import http.client
import http.server
import ipaddress
import json
import os
import platform
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

# Tests give a folder and an address of their own.
ROOT = os.environ.get("TRIVET_ROOT", "/")
BIND_ADDRESS = os.environ.get("TRIVET_BIND_ADDRESS", "0.0.0.0")
API_PORT = 6443
RENDEZVOUS_PATH = "/trivet/v1/rendezvous"
PEER_TIMEOUT_SECONDS = 5
ASK_AGAIN_SECONDS = 2
INTERFACE_DEADLINE_SECONDS = 300
DOWNLOAD_ATTEMPTS = 60
REPEAT_REASON_SECONDS = 30
OPERATORS_GROUP = "system:masters"


def path(name):
    return os.path.join(ROOT, name.lstrip("/"))


TLS_DIRECTORY = path("/var/lib/rancher/k3s/server/tls")
DATASTORE = path("/var/lib/rancher/k3s/server/db/etcd")
K3S_BINARY = path("/usr/local/bin/k3s")
DROP_INS = path("/etc/rancher/k3s/config.yaml.d")
NETWORK_FILE = os.path.join(DROP_INS, "10-net.yaml")
CLUSTER_FILE = os.path.join(DROP_INS, "20-cluster.yaml")


class Console:
    """What happened last, for the journal, the console and the operator who asks."""

    def __init__(self):
        self.stage = "starting"
        self.reason = ""
        self.since = time.time()
        self.lines = collections.deque(maxlen=40)
        self._said_at = 0.0

    def say(self, stage, reason):
        """Prints a change at once, the same again every half minute only."""
        now = time.monotonic()
        if (stage, reason) == (self.stage, self.reason) and now - self._said_at < REPEAT_REASON_SECONDS:
            return
        if stage != self.stage:
            self.since = time.time()
        self.stage, self.reason, self._said_at = stage, reason, now
        line = f"trivet: {stage}: {reason}"
        self.lines.append(line)
        print(line, flush=True)
        try:
            # The journal is on this server alone; the console is what Hetzner shows when nothing else works.
            with open("/dev/console", "w", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError:
            pass


console = Console()


def read(name):
    with open(path(name), encoding="utf-8") as file:
        return file.read()


def write(name, text, mode=0o600):
    """In one step: a server that loses power half way has the old file or the new one."""
    os.makedirs(os.path.dirname(name), mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(name))
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(temporary, mode)
    os.replace(temporary, name)


# -- the network ----------------------------------------------------------------------------------------------------------


def private_interface(subnet):
    """Interface and address inside the subnet. The name differs by server type and image (enp7s0, ens10, eth1)."""
    shown = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, text=True, check=True).stdout
    for link in json.loads(shown or "[]"):
        for info in link.get("addr_info", []):
            if ipaddress.ip_address(info["local"]) in subnet:
                return link["ifname"], info["local"]
    return None


def wait_for_private_interface(node):
    """Hetzner attaches the private network after the server has begun to boot."""
    subnet = ipaddress.ip_network(node["subnet"])
    deadline = time.monotonic() + INTERFACE_DEADLINE_SECONDS
    while True:
        found = private_interface(subnet)
        if found and found[1] == node["address"]:
            return found
        if time.monotonic() > deadline:
            got = f"found {found[1]} on {found[0]}" if found else "found no interface"
            sys.exit(f"trivet: no interface has {node['address']} ({node['subnet']}) after "
                     f"{INTERFACE_DEADLINE_SECONDS} s: {got}. Is the server attached to its private network?")
        console.say("network", f"waiting for an interface with {node['address']}")
        time.sleep(1)


# -- K3s itself -----------------------------------------------------------------------------------------------------------


def k3s_release():
    pairs = (line.split("=", 1) for line in read("/etc/trivet/k3s.env").splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, value in pairs}
    version = settings["K3S_VERSION"]
    asset, key = {
        "x86_64": ("k3s", "K3S_SHA256_AMD64"),
        "aarch64": ("k3s-arm64", "K3S_SHA256_ARM64"),
    }[platform.machine()]
    mirror = settings.get("K3S_MIRROR", "https://github.com/k3s-io/k3s/releases/download")
    return f"{mirror}/{urllib.parse.quote(version, safe='')}/{asset}", settings[key]


def sha256_of(name):
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def install_k3s():
    url, wanted = k3s_release()
    if os.path.exists(K3S_BINARY) and sha256_of(K3S_BINARY) == wanted:
        return
    os.makedirs(os.path.dirname(K3S_BINARY), exist_ok=True)
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        console.say("download", f"{url} (attempt {attempt} of {DOWNLOAD_ATTEMPTS})")
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(K3S_BINARY))
        try:
            with urllib.request.urlopen(url, timeout=60) as answer, os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(answer, file, 1 << 20)
            got = sha256_of(temporary)
            if got == wanted:
                os.chmod(temporary, 0o755)
                os.replace(temporary, K3S_BINARY)
                return
            # Not what was pinned: a broken proxy, or worse. It is never run; another try may reach a sane server.
            console.say("download", f"sha256 is {got}, wanted {wanted}: thrown away")
        except (OSError, http.client.HTTPException) as error:
            console.say("download", f"failed: {error}")
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
        time.sleep(min(30, 2 * attempt))
    sys.exit(f"trivet: K3s could not be downloaded from {url}")


# -- the rendezvous -------------------------------------------------------------------------------------------------------


def password_of(token):
    """K10<hash>::<user>:<password>, or the bare password."""
    return token.rpartition(":")[2]


def option(name):
    """A plain scalar of config.yaml, which this package wrote with one key a line."""
    for line in read("/etc/rancher/k3s/config.yaml").splitlines():
        key, separator, value = line.partition(":")
        if separator and key == name:
            return value.strip().strip("\"'")
    raise KeyError(f"/etc/rancher/k3s/config.yaml has no {name}")


def rendezvous_key(token):
    """What peers show each other. The token itself never crosses the wire here."""
    return hmac.new(password_of(token).encode(), b"trivet rendezvous v1", hashlib.sha256).hexdigest()


def serving_certificate(node, directory):
    """A short-lived certificate for this server, signed by the authority that peers and the operator already trust."""
    key, certificate = os.path.join(directory, "rendezvous.key"), os.path.join(directory, "rendezvous.crt")
    addresses = ",".join(f"IP:{address}" for address in (node["address"], node.get("publicAddress")) if address)
    # A file of our own: the distribution's would add CA:TRUE.
    configuration = os.path.join(directory, "openssl.cnf")
    write(configuration, "[req]\ndistinguished_name=dn\nx509_extensions=leaf\n[dn]\n[leaf]\n"
          "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
          f"authorityKeyIdentifier=keyid\nsubjectAltName={addresses}\n")
    subprocess.run(
        ["openssl", "req", "-x509", "-config", configuration, "-CA", os.path.join(TLS_DIRECTORY, "server-ca.crt"),
         "-CAkey", os.path.join(TLS_DIRECTORY, "server-ca.key"), "-newkey", "ec",
         "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-sha256",
         "-subj", f"/O=trivet/CN={node['node']}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key


class Rendezvous(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    timeout = PEER_TIMEOUT_SECONDS
    node = {}
    key = ""

    def setup(self):
        self.request.settimeout(PEER_TIMEOUT_SECONDS)
        self.request.do_handshake()
        super().setup()

    def do_GET(self):
        shown = self.headers.get("authorization", "").removeprefix("Bearer ")
        if self.path == RENDEZVOUS_PATH and hmac.compare_digest(shown.encode(), self.key.encode()):
            self.answer(200, {"cluster": self.node["cluster"], "node": self.node["node"],
                              "generation": self.node["generation"], "fresh": True})
        elif self.is_operator():
            # 503: whoever only looks at the code of /readyz is told the truth as well.
            self.answer(503, {"trivet": {"node": self.node["node"], "stage": console.stage, "reason": console.reason,
                                         "seconds": round(time.time() - console.since), "log": list(console.lines)}})
        else:
            self.answer(401, {"error": "unauthorized"})

    def is_operator(self):
        subject = (self.request.getpeercert() or {}).get("subject", ())
        return any(pair == ("organizationName", OPERATORS_GROUP) for relative in subject for pair in relative)

    def answer(self, status, body):
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format, *args):
        pass


class RendezvousServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass  # a port scan is no news

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def rendezvous_server(node, token, directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*serving_certificate(node, directory))
    context.load_verify_locations(os.path.join(TLS_DIRECTORY, "client-ca.crt"))
    context.verify_mode = ssl.CERT_OPTIONAL
    handler = type("Handler", (Rendezvous,), {"node": node, "key": rendezvous_key(token)})
    server = RendezvousServer((BIND_ADDRESS, API_PORT), handler)
    # The handshake belongs to the connection's own thread: a silent client must not block the others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class Peer:
    """What one other server says of itself, as far as it can prove that it is of this cluster."""

    def __init__(self, name, address):
        self.name, self.address = name, address

    def get(self, target, headers):
        context = ssl.create_default_context(cafile=os.path.join(TLS_DIRECTORY, "server-ca.crt"))
        connection = http.client.HTTPSConnection(self.address, API_PORT, timeout=PEER_TIMEOUT_SECONDS, context=context)
        try:
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(65536)
        finally:
            connection.close()

    def state(self, node, token, agent_token):
        """serving | starting | fresh | foreign | away, and the reason in words."""
        try:
            status, body = self.get(RENDEZVOUS_PATH, {"authorization": f"Bearer {rendezvous_key(token)}"})
            if status == 200:
                said = json.loads(body)
                if said.get("cluster") != node["cluster"] or said.get("node") != self.name:
                    return "foreign", f"it says it is {said.get('node')} of {said.get('cluster')}"
                if said.get("generation") != node["generation"]:
                    return "foreign", f"it is of generation {said.get('generation')}, this server of {node['generation']}"
                return ("fresh", "it is fresh too") if said.get("fresh") is True else ("starting", "it is not fresh")
            # Not the rendezvous, yet a certificate of our authority: K3s. It takes members once it is ready.
            basic = base64.b64encode(f"node:{password_of(agent_token)}".encode()).decode()
            status, _ = self.get("/v1-k3s/readyz", {"authorization": f"Basic {basic}"})
            return ("serving", "it serves") if status == 200 else ("starting", f"its K3s is not ready ({status})")
        except ssl.SSLCertVerificationError as error:
            return "foreign", f"its certificate is not of this cluster ({error.verify_message})"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return "away", f"it does not answer ({error})"


def decide(own_name, states):
    """The rule itself: ("join", peer) | ("initialise", None) | ("wait", why). States are (name, state, reason)."""
    serving = sorted(name for name, state, _ in states if state == "serving")
    if serving:
        return "join", serving[0]
    others = [f"{name}: {reason}" for name, state, reason in states if state != "fresh"]
    if others:
        return "wait", "; ".join(others)
    lowest = min([own_name] + [name for name, _, _ in states])
    if lowest == own_name:
        return "initialise", None
    return "wait", f"all servers are fresh, {lowest} initialises the cluster"


def meet(node):
    token, agent_token = option("token"), option("agent-token")
    peers = [Peer(peer["name"], peer["address"]) for peer in node["peers"] if peer["name"] != node["node"]]
    with tempfile.TemporaryDirectory() as directory, rendezvous_server(node, token, directory):
        while True:
            states = [(peer.name, *peer.state(node, token, agent_token)) for peer in peers]
            decision, detail = decide(node["node"], states)
            if decision != "wait":
                # Everyone who is fresh must have seen that we are too, else the lowest starts and the rest still waits
                # for it: harmless, they see it serve a moment later.
                return decision, next((peer.address for peer in peers if peer.name == detail), None)
            console.say("rendezvous", detail)
            time.sleep(ASK_AGAIN_SECONDS)


# -- putting it together --------------------------------------------------------------------------------------------------


def guard_metadata():
    """Loads the rules that keep everybody from this server's user-data. Without them K3s must not start."""
    if shutil.which("nft") is None:
        console.say("packages", "installing nftables")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-qq", "update"], check=True, env=environment)
        subprocess.run(["apt-get", "-qq", "install", "--yes", "nftables"], check=True, env=environment)
    subprocess.run(["nft", "-f", path("/etc/trivet/metadata.nft")], check=True)


def main():
    node = json.loads(read("/etc/trivet/node.json"))
    os.makedirs(path("/var/lib/rancher/k3s/server/logs"), mode=0o700, exist_ok=True)
    interface, address = wait_for_private_interface(node)
    guard_metadata()  # not before: Hetzner's images ask the metadata service when a network is attached
    write(NETWORK_FILE, f"node-ip: {address}\nadvertise-address: {address}\nflannel-iface: {interface}\n")
    install_k3s()
    if os.path.isdir(DATASTORE) and os.listdir(DATASTORE):
        console.say("start", "K3s has data here: it starts with what it has")
        return
    decision, peer = meet(node)
    if decision == "join":
        write(CLUSTER_FILE, f"server: https://{peer}:{API_PORT}\n")
        console.say("start", f"joining through {peer}")
    else:
        write(CLUSTER_FILE, "cluster-init: true\n")
        console.say("start", "all servers are fresh and this one has the lowest name: initialising the cluster")


if __name__ == "__main__":
    socket.setdefaulttimeout(PEER_TIMEOUT_SECONDS)
    main()
