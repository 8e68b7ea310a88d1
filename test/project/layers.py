"""The folders, who may include whom, and where third-party headers live.

What the checks of this folder share; the rules are those of CONTRIBUTING.md.
"""

import os

# Bottom up, each with the layers whose headers it may include.
LAYERS = {
    "core/base": [],
    "codec": ["core/base"],
    "transport": ["codec", "core/base"],
    "discovery": ["transport", "codec", "core/base"],
    "balancer": ["core/base"],
    "core/rpc": ["balancer", "discovery", "transport", "codec", "core/base"],
}

# A test's folder, and the layer whose private headers it may see.
TESTED = {
    "test/base": "core/base",
    "test/codec": "codec",
    "test/transport": "transport",
    "test/discovery": "discovery",
    "test/balancer": "balancer",
    "test/rpc": "core/rpc",
    # These look at several layers, by what the layers show each other.
    "test/conformance": "core/rpc",
    "test/cluster": "core/rpc",
    "test/interop": "core/rpc",
    "test/fuzz": "core/rpc",
    "test/support": "core/rpc",
    # A benchmark of the wire, which no public header shows.
    "bench/micro": "codec",
}

# Public headers only.
OUTSIDE = ["examples", "bench", "tools", "test/examples", "test/project"]

# Prefix of a third-party header: the files or folders of the library that may
# include it.  Tests, examples, benchmarks and tools may include what they link.
THIRD_PARTY = {
    "event2/http": ["transport/http_client.c"],
    "event2/bufferevent_ssl.h": ["transport/tls_context.c"],
    "event2/": ["core/base", "transport"],
    "evhtp": ["transport/http_server.c"],
    "protobuf-c/": ["codec", "core/rpc"],
    "yajl/": ["discovery/consul_json.c"],
    "openssl/": ["transport/tls_context.c"],
    "uthash.h": list(LAYERS),
    "utlist.h": list(LAYERS),
}

# What public headers may bring upon their users, beyond the system's headers.
PUBLIC_THIRD_PARTY = ["protobuf-c/"]

# Linux only: one file of ours has them, with a portable fallback beside it.
LINUX_ONLY = {
    "sys/epoll.h": ["core/base/sys.c"],
    "sys/eventfd.h": ["core/base/sys.c"],
    "sys/signalfd.h": ["core/base/sys.c"],
    "sys/timerfd.h": ["core/base/sys.c"],
    "sys/random.h": ["core/base/sys.c"],
    "sys/prctl.h": ["core/base/sys.c"],
    "sys/ioctl.h": ["core/base/sys.c"],
    "linux/": ["core/base/sys.c"],
}

# C11 and POSIX.
SYSTEM = set(
    """assert.h ctype.h errno.h fcntl.h float.h inttypes.h limits.h locale.h
    math.h netdb.h poll.h pthread.h sched.h setjmp.h signal.h stdalign.h
    stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
    stdnoreturn.h string.h strings.h time.h unistd.h
    arpa/inet.h net/if.h netinet/in.h netinet/tcp.h sys/file.h sys/mman.h
    sys/resource.h sys/select.h sys/socket.h sys/stat.h sys/time.h sys/types.h
    sys/uio.h sys/un.h sys/wait.h""".split()
)

SKIPPED_FOLDERS = {".git", ".ci", "build", ".cache"}


def files(root, *suffixes):
    """Paths of the tree relative to its root, sorted; without build output."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        for name in sorted(names):
            if name not in SKIPPED_FOLDERS and (not suffixes or name.endswith(suffixes)):
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return found


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    return next((layer for layer in LAYERS if within(path, layer)), None)


def headers(root, layer, kind):
    """What a layer offers as <weft/...>: kind is "include" or "internal"."""
    folder = os.path.join(root, layer, kind)
    if not os.path.isdir(folder):
        return []
    return [path for path in files(folder, ".h")]
