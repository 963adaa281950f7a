"""machine: what was measured on, its caches, and C helpers for it."""
import hashlib
import os
import platform
import re
import subprocess
import time

TOOLS = {"containerd": ["containerd", "--version"], "runc": ["runc", "--version"], "igzip": ["igzip", "--version"],
         "curl": ["curl", "--version"], "mkfs.erofs": ["mkfs.erofs", "--version"], "gzip": ["gzip", "--version"],
         "docker-registry": ["docker-registry", "--version"], "python": ["/usr/bin/python3", "--version"]}


def first_line(command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
    except OSError:
        return None
    return (done.stdout.splitlines() or [""])[0]


def sha256(path):
    """Of the program: it may be older than the revision."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load():
    return [round(value, 2) for value in os.getloadavg()]


def facts(source, program):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(re.search(r"MemTotal:\s*(\d+)", file.read())[1])
    git = ["git", "-c", "safe.directory=*", "-C", source]
    return {
        "cpu": model[1] if model else platform.machine(), "cores": os.cpu_count(), "memory_mib": memory // 1024,
        "kernel": platform.release(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "revision": first_line([*git, "rev-parse", "HEAD"]),
        "changed": bool(first_line([*git, "status", "--porcelain", "-uno"])),
        "imgfs": first_line([program, "--version"]), "program_sha256": sha256(program), "load_before": load(),
        "versions": {name: line for name, line in ((n, first_line(c)) for n, c in TOOLS.items()) if line},
    }


def cold():
    """No page, no dentry, no inode of anything is cached, for all contenders alike."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def memory_of(pid):
    """MiB of a live process: rss, peak, and which part of rss are pages of files."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        found = dict(re.findall(r"^(VmRSS|VmHWM|RssAnon|RssFile):\s*(\d+) kB", file.read(), re.M))
    return {"rss_mib": int(found["VmRSS"]) / 1024, "peak_mib": int(found["VmHWM"]) / 1024,
            "anonymous_mib": int(found["RssAnon"]) / 1024, "file_mib": int(found["RssFile"]) / 1024}


def compile_probe(folder):
    """probe.c, compiled for this machine; its path."""
    program = os.path.join(folder, "probe")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.c")
    subprocess.run(["cc", "-O2", "-Wall", "-pthread", "-o", program, source], check=True, timeout=60)
    return program


def seconds_of(program, *words):
    """What the probe says: seconds, and bytes that it read."""
    command = [program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    nanoseconds, count = map(int, done.stdout.split())
    return nanoseconds / 1e9, count


def timed(*command, seconds=1800, **more):
    """Run to its end without output; the seconds it took."""
    start = time.monotonic()
    done = subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          timeout=seconds, check=False, **more)
    taken = time.monotonic() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-500:]}")
    return taken
