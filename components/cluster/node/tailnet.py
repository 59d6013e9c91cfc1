#!/usr/bin/env python3
"""Keeps this server in the operators' tailnet, by which alone they reach the Kubernetes API.

Runs beside the boot script, from the first boot on, and needs nothing of K3s: what keeps K3s from starting is seen this way.

  1. Installs the pinned release from Tailscale's own repository, whose key must be the one of the user-data. No other package
     is taken from there, and no later release: another one comes with another user-data.
  2. Logs in whenever Tailscale is not: at the first boot, and after the tailnet has forgotten this server. A reboot in
     between is the same device as before, as Tailscale keeps its key on the disk.

The tailnet is a way in, and nothing else: no names, no routes and no firewall rules come from it. Who gets in is decided by its
policy, and once more by host.nft, which lets port 6443 in and nothing out.
"""

import json
import os
import subprocess
import tempfile
import time
import urllib.request

from boot import Console, Failure, path, read, run, write

REPOSITORY = "https://pkgs.tailscale.com/stable"
SETTINGS = "/etc/trivet/tailnet.json"
AUTH_KEY = "/etc/trivet/tailnet.key"
KEYRING = "/usr/share/keyrings/tailscale.gpg"
SOURCE = "/etc/apt/sources.list.d/tailscale.sources"
PREFERENCES = "/etc/apt/preferences.d/tailscale"
DOWNLOAD_TIMEOUT_SECONDS = 30
LOGIN_TIMEOUT_SECONDS = 60
# After the first failure, the second, ...; the last one is kept.
RETRY_SECONDS = (5, 10, 20, 30)
LOOK_AGAIN_SECONDS = 60

console = Console()


def say(text):
    console.say("tailnet", text)


def apt(*arguments):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments], env=environment)


def installed_version():
    done = subprocess.run(["dpkg-query", "--show", "--showformat=${Status} ${Version}", "tailscale"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    status, _, version = done.stdout.rpartition(" ")
    return version if status == "install ok installed" else None


def system():
    """Distribution and release, as the repository calls them: ("ubuntu", "noble")."""
    pairs = (line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
    values = {name: value.strip("\"'") for name, value in pairs}
    return values["ID"], values["VERSION_CODENAME"]


def download(url):
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:
            return answer.read(1 << 20)
    except OSError as error:
        raise Failure(f"{url}: {error}") from error


def primary_keys(keyring):
    """Fingerprints of every key in it that could sign a repository by itself."""
    found, kind = [], None
    for line in run(["gpg", "--batch", "--show-keys", "--with-colons", keyring]).splitlines():
        fields = line.split(":")
        if fields[0] in ("pub", "sub"):
            kind = fields[0]
        elif fields[0] == "fpr" and kind == "pub":
            found.append(fields[9])
    return found


def trust(url, fingerprint):
    """Puts the repository's key where apt looks for it, and for this repository alone. Every key in the file would be believed."""
    keys = download(url)
    with tempfile.NamedTemporaryFile() as file:
        file.write(keys)
        file.flush()
        found = primary_keys(file.name)
    if found != [fingerprint]:
        raise Failure(f"{url}: the key is {', '.join(found) or 'none'}, wanted {fingerprint}: not trusted")
    target = path(KEYRING)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(keys)
    os.chmod(target, 0o644)


def install(settings):
    version = settings["version"]
    if installed_version() == version:
        return
    say(f"installing Tailscale {version}")
    distribution, release = system()
    if subprocess.run(["sh", "-c", "command -v gpg"], stdout=subprocess.DEVNULL, check=False).returncode != 0:
        apt("update")
        apt("install", "--yes", "gpg")
    trust(f"{REPOSITORY}/{distribution}/{release}.noarmor.gpg", settings["keyFingerprint"])
    write(path(SOURCE), f"Types: deb\nURIs: {REPOSITORY}/{distribution}\nSuites: {release}\nComponents: main\n"
          f"Signed-By: {KEYRING}\n", 0o644)
    origin = REPOSITORY.split("/")[2]
    write(path(PREFERENCES), f"Package: *\nPin: origin {origin}\nPin-Priority: -1\n\n"
          f"Package: tailscale\nPin: version {version}\nPin-Priority: 1001\n", 0o644)
    apt("update")
    apt("install", "--yes", "--no-install-recommends", f"tailscale={version}")


def status():
    # Its warnings are no JSON.
    done = subprocess.run(["tailscale", "status", "--json", "--peers=false"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"tailscale status: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def log_in(settings):
    key = path(AUTH_KEY)
    try:
        # Names, routes and rules of the tailnet stay out: the cluster has its own.
        run(["tailscale", "up", "--reset", f"--auth-key=file:{key}", f"--hostname={settings['hostname']}",
             f"--advertise-tags={settings['tag']}", "--accept-dns=false", "--accept-routes=false",
             "--netfilter-mode=off", f"--timeout={LOGIN_TIMEOUT_SECONDS}s"])
    except Failure as failure:
        # It has no reason to print the key; the console is no place to find out otherwise.
        secret = read(AUTH_KEY).strip().partition("?")[0]
        raise Failure(str(failure).replace(secret, "<the key>")) from None


def keep_in(settings):
    """One look: whatever is missing is made. Gives what the tailnet calls this server."""
    install(settings)
    run(["systemctl", "enable", "--now", "tailscaled.service"])
    state = status()
    if state["BackendState"] != "Running":
        say(f"logging in as {settings['hostname']} with {settings['tag']} (Tailscale says {state['BackendState']})")
        log_in(settings)
        state = status()
    return state["Self"]["DNSName"].rstrip(".")


def main():
    settings = json.loads(read(SETTINGS))
    failures = 0
    while True:
        try:
            name = keep_in(settings)
            say(f"operators reach this server as {name}")
            failures, pause = 0, LOOK_AGAIN_SECONDS
        except (Failure, OSError, ValueError, KeyError) as error:
            say(f"failed: {error}")
            pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            failures += 1
        time.sleep(pause)


if __name__ == "__main__":
    main()
