#!/usr/bin/env python3
"""Brings this node from a bare image to the point where K3s may start, and decides which cluster it starts into.

Runs before K3s at every boot. No server is special and none is told to be the first:

  1. K3s has data here          -> it just starts.
  2. a peer serves this cluster -> join through it.
  3. every peer is up, as fresh as we are, and of our generation -> the lowest name initialises (from a snapshot, where one
     is to be restored), the others join it.
  4. anything else              -> keep asking, and say why on the console.

So a server that was rebuilt can never begin a second cluster beside the one that lost it. An agent only knows rule 2.

Until K3s listens, port 6443 is answered from here: to peers (who prove that they know the cluster's token) whether this
server is fresh, to the operator (who shows a certificate of the cluster's client authority) what it is doing. A step that
fails is tried again for ever, and what failed stays to be read there.
"""

import base64
import collections
import contextlib
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
import urllib.request

# Tests give a folder and an address of their own.
ROOT = os.environ.get("TRIVET_ROOT", "/")
BIND_ADDRESS = os.environ.get("TRIVET_BIND_ADDRESS", "0.0.0.0")
API_PORT = 6443
RENDEZVOUS_PATH = "/trivet/v1/rendezvous"
READY_PATH = "/v1-k3s/readyz"  # K3s' own: whether it takes members
PEER_TIMEOUT_SECONDS = 5
ASK_AGAIN_SECONDS = 2
INTERFACE_DEADLINE_SECONDS = 300
# K3s downloads the snapshot (its own limit is 5 minutes) and starts etcd on it.
RESTORE_DEADLINE_SECONDS = 1200
# After the first failure, the second, ...; the last one is kept.
RETRY_SECONDS = (5, 10, 20, 30)
REPEAT_REASON_SECONDS = 30
OPERATORS_GROUP = "system:masters"
CLOCK_STEP_SECONDS = 30
RESTORED = "Managed etcd cluster membership has been reset"


def path(name):
    return os.path.join(ROOT, name.lstrip("/"))


TLS_DIRECTORY = path("/var/lib/rancher/k3s/server/tls")
DATABASE = path("/var/lib/rancher/k3s/server/db")
# K3s' own test for "has data". It makes the folder above it, with a name, before it knows whether it may join.
DATASTORE = os.path.join(DATABASE, "etcd/member")
AGENT_DATA = path("/var/lib/rancher/k3s/agent/kubelet.kubeconfig")
K3S_BINARY = path("/usr/local/bin/k3s")
CONFIG = "/etc/rancher/k3s/config.yaml"
DROP_INS = path(f"{CONFIG}.d")
NETWORK_FILE = os.path.join(DROP_INS, "10-net.yaml")
CLUSTER_FILE = os.path.join(DROP_INS, "20-cluster.yaml")
# There only while K3s restores: it holds the bucket's keys, and K3s prefers them to the Secret that can be changed.
RESTORE_FILE = os.path.join(DROP_INS, "30-restore.yaml")
# There from the first step of a restore to its good end: data beside it is not to be trusted.
RESTORE_MARK = path("/var/lib/trivet/restoring")


class Failure(Exception):
    """A step that did not work, in words for the operator. It is tried again."""


class Console:
    """What happened last, for the journal, the console and the operator who asks."""

    def __init__(self):
        self.stage = "network"
        self.reason = "has begun"
        self.since = time.monotonic()
        self.lines = collections.deque(maxlen=40)
        self._said_at = 0.0

    def say(self, stage, reason):
        """Prints a change at once, the same again every half minute only."""
        now = time.monotonic()
        if (stage, reason) == (self.stage, self.reason) and now - self._said_at < REPEAT_REASON_SECONDS:
            return
        if stage != self.stage:
            self.since = now
        self.stage, self.reason, self._said_at = stage, reason, now
        self.note(f"{stage}: {reason}")

    def note(self, text):
        line = f"trivet: {text}"
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


def remove(name):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)


def run(command, **options):
    """A command that must work; else its last words are the reason."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        words = done.stdout.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise Failure(f"{' '.join(command[:3])}: {words[-1]}")
    return done.stdout


def has_data(node):
    if node["role"] == "agent":
        return os.path.exists(AGENT_DATA)
    return os.path.isdir(DATASTORE) and not os.path.exists(RESTORE_MARK)


# -- network, clock, firewall ---------------------------------------------------------------------------------------------


def private_interface(subnet):
    """Interface and address inside the subnet. The name differs by server type and image (enp7s0, ens10, eth1)."""
    for link in json.loads(run(["ip", "-json", "-4", "address"]) or "[]"):
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
            raise Failure(f"no interface has {node['address']} ({node['subnet']}) after {INTERFACE_DEADLINE_SECONDS} s: "
                          f"{got}. Is the server attached to its private network?")
        console.say("network", f"waiting for an interface with {node['address']}")
        time.sleep(1)


def authority(node, name):
    """An agent has the authorities' certificates, to check others by; only a server has their keys."""
    return path(f"/etc/trivet/{name}.crt") if node["role"] == "agent" else os.path.join(TLS_DIRECTORY, f"{name}.crt")


def now_in_words():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def check_clock(node):
    """Before the authority's time no certificate is valid, ours neither: K3s would say so less clearly, and end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority(node, "server-ca"))
    for certificate in context.get_ca_certs():
        begin, end = certificate["notBefore"], certificate["notAfter"]
        if not ssl.cert_time_to_seconds(begin) <= time.time() <= ssl.cert_time_to_seconds(end):
            raise Failure(f"this server's clock says {now_in_words()}, but the cluster's authority is valid from {begin} "
                          f"to {end}: waiting for time synchronisation")


def clock_offset():
    """Changes only when the clock is set."""
    return time.time() - time.monotonic()


def close_host():
    """Loads the rules of host.nft: user-data out of reach, the private network closed. Without them K3s must not start."""
    if shutil.which("nft") is None:
        console.say("packages", "installing nftables")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "-qq", "update"], env=environment)
        run(["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "--yes", "nftables"], env=environment)
    run(["nft", "-f", path("/etc/trivet/host.nft")])


# -- K3s itself -----------------------------------------------------------------------------------------------------------


def k3s_release():
    pairs = (line.split("=", 1) for line in read("/etc/trivet/k3s.env").splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, value in pairs}
    architecture = {"x86_64": "AMD64", "aarch64": "ARM64"}[platform.machine()]
    try:
        return settings[f"K3S_URL_{architecture}"], settings[f"K3S_SHA256_{architecture}"]
    except KeyError as missing:
        raise Failure(f"/etc/trivet/k3s.env has no {missing}: this server has another processor than was planned") from None


def sha256_of(name):
    digest = hashlib.sha256()
    with open(name, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def install_k3s():
    url, wanted = k3s_release()
    if os.path.exists(K3S_BINARY) and sha256_of(K3S_BINARY) == wanted:
        return
    console.say("download", url)
    os.makedirs(os.path.dirname(K3S_BINARY), exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(K3S_BINARY))
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(url, timeout=60) as answer:
            shutil.copyfileobj(answer, file, 1 << 20)
        got = sha256_of(temporary)
        if got != wanted:
            # Not what was pinned: a broken proxy, or worse. It is never run; another try may reach a sane server.
            raise Failure(f"{url}: sha256 is {got}, wanted {wanted}: thrown away")
        os.chmod(temporary, 0o755)
        os.replace(temporary, K3S_BINARY)
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{url}: {error}") from error
    finally:
        remove(temporary)


# -- what is answered on the API port -------------------------------------------------------------------------------------


def password_of(token):
    """K10<hash>::<user>:<password>, or the bare password."""
    return token.rpartition(":")[2]


def option(name):
    """A plain scalar of config.yaml, which this package wrote with one key a line."""
    for line in read(CONFIG).splitlines():
        key, separator, value = line.partition(":")
        if separator and key == name:
            return value.strip().strip("\"'")
    raise KeyError(f"{CONFIG} has no {name}")


def rendezvous_key(token):
    """What peers show each other. The token itself never crosses the wire here."""
    return hmac.new(password_of(token).encode(), b"trivet rendezvous v1", hashlib.sha256).hexdigest()


def membership(agent_password):
    """What K3s lets in as a node."""
    return f"Basic {base64.b64encode(f'node:{agent_password}'.encode()).decode()}"


def serving_certificate(node, directory):
    """A server signs one for itself, by the authority that peers and the operator already trust; an agent was given one."""
    if node["role"] == "agent":
        return path("/etc/trivet/status.crt"), path("/etc/trivet/status.key")
    key, certificate = os.path.join(directory, "rendezvous.key"), os.path.join(directory, "rendezvous.crt")
    names = [f"IP:{address}" for address in (node["address"], node.get("publicAddress")) if address]
    names += [f"DNS:{name}" for name in [node.get("apiName")] if name]
    # A file of our own: the distribution's would add CA:TRUE.
    configuration = os.path.join(directory, "openssl.cnf")
    write(configuration, "[req]\ndistinguished_name=dn\nx509_extensions=leaf\n[dn]\n[leaf]\n"
          "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
          f"authorityKeyIdentifier=keyid\nsubjectAltName={','.join(names)}\n")
    run(["openssl", "req", "-x509", "-config", configuration, "-CA", os.path.join(TLS_DIRECTORY, "server-ca.crt"),
         "-CAkey", os.path.join(TLS_DIRECTORY, "server-ca.key"), "-newkey", "ec",
         "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-sha256",
         "-subj", f"/O=trivet/CN={node['node']}", "-keyout", key, "-out", certificate])
    return certificate, key


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    timeout = PEER_TIMEOUT_SECONDS
    node = {}
    accepted = {}

    def setup(self):
        self.request.settimeout(PEER_TIMEOUT_SECONDS)
        self.request.do_handshake()
        super().setup()

    def do_GET(self):
        if self.path in self.accepted and self.shows(self.accepted[self.path]):
            # Whoever asks for K3s hears what K3s would say now; only a wrong token is refused.
            self.answer(*((200, rendezvous_of(self.node)) if self.path == RENDEZVOUS_PATH else (503, {})))
        elif self.is_operator():
            # 503: whoever only looks at the code of /readyz is told the truth as well.
            self.answer(503, {"trivet": {
                "node": self.node["node"], "stage": console.stage, "reason": console.reason,
                "seconds": round(time.monotonic() - console.since), "generation": self.node["generation"],
                "definition": self.node["definition"], "fresh": not has_data(self.node), "log": list(console.lines)}})
        else:
            self.answer(401, {"error": "unauthorized"})

    def shows(self, authorization):
        return hmac.compare_digest(self.headers.get("authorization", "").encode(), authorization.encode())

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


class ApiPort(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass  # a port scan is no news


@contextlib.contextmanager
def answering(node):
    """Answers on the API port as long as the block runs; then the port is K3s'. Gives the clock's offset at its begin."""
    offset = clock_offset()
    with tempfile.TemporaryDirectory() as directory:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*serving_certificate(node, directory))
        context.load_verify_locations(authority(node, "client-ca"))
        context.verify_mode = ssl.CERT_OPTIONAL
        accepted = {} if node["role"] == "agent" else {
            RENDEZVOUS_PATH: f"Bearer {rendezvous_key(option('token'))}", READY_PATH: membership(option("agent-token"))}
        server = ApiPort((BIND_ADDRESS, API_PORT), type("Handler", (Answers,), {"node": node, "accepted": accepted}))
        # The handshake belongs to the connection's own thread: a silent client must not block the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield offset
    finally:
        server.shutdown()
        server.server_close()


# -- the rendezvous -------------------------------------------------------------------------------------------------------


def rendezvous_of(node):
    return {"cluster": node["cluster"], "node": node["node"], "generation": node["generation"],
            "restore": node.get("restore"), "fresh": not has_data(node)}


class Peer:
    """What one other server says of itself, as far as it can prove that it is of this cluster."""

    def __init__(self, name, address):
        self.name, self.address = name, address

    def get(self, node, target, authorization):
        context = ssl.create_default_context(cafile=authority(node, "server-ca"))
        connection = http.client.HTTPSConnection(self.address, API_PORT, timeout=PEER_TIMEOUT_SECONDS, context=context)
        try:
            connection.request("GET", target, headers={"authorization": authorization})
            answer = connection.getresponse()
            return answer.status, answer.read(65536)
        finally:
            connection.close()

    def k3s_state(self, node, agent_password):
        """K3s takes members and agents once it is ready."""
        status, _ = self.get(node, READY_PATH, membership(agent_password))
        if status in (401, 403):
            return "foreign", f"it does not know this server's token ({status})"
        return ("serving", "it serves") if status == 200 else ("starting", f"its K3s is not ready ({status})")

    def rendezvous_state(self, node, said):
        if said.get("cluster") != node["cluster"] or said.get("node") != self.name:
            return "foreign", f"it says it is {said.get('node')} of {said.get('cluster')}"
        if said.get("generation") != node["generation"]:
            return "foreign", f"it is of generation {said.get('generation')}, this server of {node['generation']}"
        if said.get("fresh") is not True:
            return "starting", "it is not fresh"
        if said.get("restore") != node.get("restore"):
            # The one that initialises decides what the cluster begins with: all must mean the same.
            return "foreign", (f"it is to begin with {said.get('restore') or 'no snapshot'}, "
                               f"this server with {node.get('restore') or 'no snapshot'}")
        return "fresh", "it is fresh too"

    def state(self, node):
        """serving | starting | fresh | foreign | away, and the reason in words."""
        try:
            if node["role"] == "agent":
                return self.k3s_state(node, password_of(option("token")))
            status, body = self.get(node, RENDEZVOUS_PATH, f"Bearer {rendezvous_key(option('token'))}")
            # Not the rendezvous, yet a certificate of our authority: K3s.
            return (self.rendezvous_state(node, json.loads(body)) if status == 200
                    else self.k3s_state(node, option("agent-token")))
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in (9, 10):  # not yet valid, expired
                return "foreign", (f"{error.verify_message} by this server's clock ({now_in_words()}): "
                                   "one of the two clocks is wrong")
            return "foreign", f"its certificate is not of this cluster ({error.verify_message})"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return "away", f"it does not answer ({error})"


def decide(own_name, states):
    """A fresh server's rule: ("join", peer) | ("initialise", None) | ("wait", why). States are (name, state, reason)."""
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


def decide_agent(states):
    """An agent's: through any server that serves, and another one next time, should this one be gone by then."""
    serving = sorted(name for name, state, _ in states if state == "serving")
    if serving:
        return "join", serving[0]
    return "wait", "no server serves: " + "; ".join(f"{name}: {reason}" for name, _, reason in states)


def meet(node, offset):
    """Asks the servers until the rule decides: ("join", address) | ("initialise", None)."""
    peers = [Peer(peer["name"], peer["address"]) for peer in node["peers"] if peer["name"] != node["node"]]
    while True:
        if abs(clock_offset() - offset) > CLOCK_STEP_SECONDS:
            raise Failure("the clock was set: once more, with a certificate of the right time")
        states = [(peer.name, *peer.state(node)) for peer in peers]
        decision, detail = decide_agent(states) if node["role"] == "agent" else decide(node["node"], states)
        if decision != "wait":
            # Not everyone who is fresh may have seen that we are too; harmless: they see us serve a moment later.
            return decision, next((peer.address for peer in peers if peer.name == detail), None)
        console.say("rendezvous", detail)
        time.sleep(ASK_AGAIN_SECONDS)


# -- a restore ------------------------------------------------------------------------------------------------------------


def forget_interrupted_restore():
    """Half a restore is no data. Nothing is lost: what was to be restored is in the bucket."""
    remove(RESTORE_FILE)
    if os.path.exists(RESTORE_MARK):
        shutil.rmtree(DATABASE, ignore_errors=True)
        remove(RESTORE_MARK)


def restore(snapshot):
    """Has K3s make a datastore of one member from the snapshot. K3s ends by itself then, and starts as usual afterwards."""
    write(RESTORE_MARK, snapshot)
    write(RESTORE_FILE, read("/etc/trivet/restore.yaml"))
    remove(CLUSTER_FILE)
    with open(f"{RESTORE_MARK}.log", "w+", encoding="utf-8", errors="replace") as log:
        try:
            command = [K3S_BINARY, "server", "--cluster-reset", f"--cluster-reset-restore-path={snapshot}"]
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                   timeout=RESTORE_DEADLINE_SECONDS, check=False)
            how = f"k3s ended with {ended.returncode}"
        except subprocess.TimeoutExpired:
            how = f"k3s did not end within {RESTORE_DEADLINE_SECONDS} s"
        finally:
            remove(RESTORE_FILE)
        log.seek(0)
        lines = [line.strip() for line in log if line.strip()]
    for line in lines[-10:]:
        console.note(f"k3s: {line}")
    if not any(RESTORED in line for line in lines):
        # Its data must not be taken for the cluster's: the mark stays.
        raise Failure(f"{snapshot} was not restored, {how}: {lines[-1] if lines else 'it said nothing'}")
    remove(RESTORE_MARK)


# -- putting it together --------------------------------------------------------------------------------------------------


def prepare(node):
    interface, address = wait_for_private_interface(node)
    close_host()  # not before: Hetzner's images ask the metadata service when a network is attached
    check_clock(node)
    lines = [f"node-ip: {address}", f"flannel-iface: {interface}"]
    if node["role"] == "server":
        lines.append(f"advertise-address: {address}")
    write(NETWORK_FILE, "".join(f"{line}\n" for line in lines))
    install_k3s()
    forget_interrupted_restore()


def start(reason, cluster_file=None):
    if cluster_file is not None:
        write(CLUSTER_FILE, cluster_file)
    console.say("start", reason)


def boot(node):
    """One try. At its end the API port is free, and K3s may start."""
    with answering(node) as offset:
        prepare(node)
        if node["role"] == "server" and has_data(node):
            return start("K3s has data here: it starts with what it has")
        decision, peer = meet(node, offset)
        if decision == "join":
            return start(f"joining through {peer}", f"server: https://{peer}:{API_PORT}\n")
        why = "all servers are fresh and this one has the lowest name" if node["peers"][1:] else "this server is alone"
        snapshot = node.get("restore")
        if snapshot is None:
            return start(f"{why}: initialising the cluster", "cluster-init: true\n")
        console.say("restore", f"{why}: restoring {snapshot}")
    # K3s wants the API port for this, so for a minute nobody is told anything.
    restore(snapshot)
    return start(f"restored {snapshot}", "cluster-init: true\n")


def main():
    node = json.loads(read("/etc/trivet/node.json"))
    if node["role"] == "server":
        os.makedirs(path("/var/lib/rancher/k3s/server/logs"), mode=0o700, exist_ok=True)  # of the audit log
        os.chmod(path("/var/lib/rancher/k3s/server"), 0o700)  # cloud-init made it, for the keys, open to all
    pauses = iter(RETRY_SECONDS)
    pause = next(pauses)
    while True:
        try:
            return boot(node)
        except (Failure, OSError) as error:
            console.say("failed", str(error))
        with answering(node):
            time.sleep(pause)
        pause = next(pauses, pause)


if __name__ == "__main__":
    socket.setdefaulttimeout(PEER_TIMEOUT_SECONDS)
    main()
