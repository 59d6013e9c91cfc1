#!/usr/bin/env python3
"""Stands in for K3s where only its membership matters: a test's servers need no Kubernetes to find one another.

It does what a server's K3s does at its start, and no more: refuses wrong kernel settings, initialises (`cluster-init`), joins a peer
that serves (`server`), or starts with the data it has; then it serves readyz on the API port and tells systemd that it is ready.
"""

import base64
import glob
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import urllib.request

import yaml

STATE = "/var/lib/rancher/k3s/server"
MEMBER = f"{STATE}/db/etcd/member"
PROTECTED = {"vm.panic_on_oom": "0", "vm.overcommit_memory": "1", "kernel.panic": "10", "kernel.panic_on_oops": "1"}


def configuration():
    merged = {}
    for name in ["/etc/rancher/k3s/config.yaml", *sorted(glob.glob("/etc/rancher/k3s/config.yaml.d/*.yaml"))]:
        with open(name, encoding="utf-8") as file:
            merged.update(yaml.safe_load(file) or {})
    return merged


def setting(name):
    with open(f"/proc/sys/{name.replace('.', '/')}", encoding="utf-8") as file:
        return file.read().strip()


def authorization(options):
    return "Basic " + base64.b64encode(f"node:{options['agent-token']}".encode()).decode()


def cluster_of(options):
    """The identity of the cluster this server is a member of, kept as etcd keeps it: on its disk."""
    if os.path.isdir(MEMBER):
        with open(f"{MEMBER}/cluster", encoding="utf-8") as file:
            return file.read(), "with its own data"
    if options.get("cluster-init"):
        return base64.b32encode(os.urandom(5)).decode(), "as the first member"
    context = ssl.create_default_context(cafile=f"{STATE}/tls/server-ca.crt")
    request = urllib.request.Request(f"{options['server']}/v1-k3s/readyz", headers={"authorization": authorization(options)})
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return answer.read().decode(), f"joined {options['server']}"


class Supervisor(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers.get("authorization") == authorization(self.server.options)
        self.send_response(200 if known and self.path == "/v1-k3s/readyz" else 401)
        self.end_headers()
        if known:
            self.wfile.write(self.server.cluster.encode())

    def log_message(self, format, *args):
        pass


def certificate(options):
    names = ",".join(f"IP:{name}" for name in options["tls-san"])
    subprocess.run(
        ["openssl", "req", "-x509", "-CA", f"{STATE}/tls/server-ca.crt", "-CAkey", f"{STATE}/tls/server-ca.key", "-newkey", "ec",
         "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", f"/CN={options['node-name']}",
         "-addext", f"subjectAltName={names}", "-keyout", "/run/small-k3s.key", "-out", "/run/small-k3s.crt"],
        check=True, capture_output=True)


def main():
    options = configuration()
    wrong = {name: setting(name) for name, value in PROTECTED.items() if setting(name) != value}
    if options.get("protect-kernel-defaults") and wrong:
        sys.exit(f"small k3s: invalid kernel flags: {wrong}")
    cluster, how = cluster_of(options)
    os.makedirs(MEMBER, mode=0o700, exist_ok=True)
    with open(f"{MEMBER}/cluster", "w", encoding="utf-8") as file:
        file.write(cluster)
    certificate(options)
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 6443), Supervisor)
    server.options, server.cluster = options, cluster
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/run/small-k3s.crt", "/run/small-k3s.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with open("/dev/console", "w", encoding="utf-8") as console:
        used = {name: options.get(name) for name in ("node-ip", "advertise-address", "flannel-iface")}
        console.write(f"small k3s: serves {cluster} {how} {json.dumps(used)}\n")
    if "NOTIFY_SOCKET" in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
    server.serve_forever()


if __name__ == "__main__":
    main()
