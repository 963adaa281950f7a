"""A published index, honestly used: one store publishes, another one mounts with a handful of requests, takes only what it
reads, and has proven everything in the end.

Against Debian's docker-registry, which has no referrers API, and against referrers_registry, which has one; both with and
without a password. Two stores stand for two machines.
"""
import json
import os
import re
import secrets
import urllib.request

import pytest

import images
import imgfs as program
from fake_registry import OCI_INDEX, OCI_MANIFEST, redirect
from processes import run, wait_for
from published import FORM, TREE, Asked, Key, LayerForm, Node, get, read_tree
from referrers_registry import ReferrersRegistry
from registry import PASSWORD, USER, Registry, make_certificates
from source_tool import login

# pylint: disable=redefined-outer-name

ANY = "--trust-index=any"
REQUESTS = 6  # from process start to a readable tree
LARGE = "data/large"


class Site:
    """A registry of one kind, what a client needs to get in, and a repository of its own."""

    def __init__(self, registry, env=None):
        self.registry, self.env, self.name = registry, env or {}, f"published-{secrets.token_hex(6)}"

    def put(self, layout, tag="1", name=None):
        """Push an image; its reference."""
        if isinstance(self.registry, Registry):
            return self.registry.push(layout, name or self.name, tag)
        self.registry.add_layout(layout.rsplit(":", 1)[0], name or self.name, tag)
        return self.registry.reference(name or self.name, tag)

    def get(self, digest, kind="blobs"):
        return get(self.registry, self.name, digest, kind)


KINDS = ["docker-registry", "docker-registry with TLS and htpasswd", "referrers", "referrers with TLS and a password",
         "redirects"]


@pytest.fixture(params=KINDS)
def site(request, scratch):
    if request.param == "docker-registry":
        yield Site(request.getfixturevalue("registry"))
    elif request.param.startswith("docker-registry"):
        tls = request.getfixturevalue("registry_tls")
        yield Site(tls, {**login(scratch / "login", tls.host, USER, PASSWORD), "SSL_CERT_FILE": tls.ca})
    else:
        env, certificate = {}, None
        if "password" in request.param:
            env = {"SSL_CERT_FILE": make_certificates(scratch)}
            certificate = (scratch / "server.pem", scratch / "server.key")
        with ReferrersRegistry(certificate=certificate) as registry, ReferrersRegistry() as storage:
            if "password" in request.param:
                registry.basic = (USER, PASSWORD)
                env.update(login(scratch / "login", registry.host, USER, PASSWORD))
            if request.param == "redirects":
                storage.blobs = registry.blobs
                registry.on("GET .*/blobs/sha256:", lambda r: redirect(f"{storage.url}{r.path}"))
            yield Site(registry, env)


@pytest.fixture
def plain(registry):
    return Site(registry)


@pytest.fixture
def api():
    with ReferrersRegistry() as made:
        yield Site(made)


@pytest.fixture
def node(scratch):
    """node() -> a machine with an empty store."""
    made = []

    def new():
        made.append(Node(scratch / f"node{len(made)}"))
        return made[-1]

    yield new
    for one in made:
        one.stop()


@pytest.fixture(scope="session")
def small_layout(tmp_path_factory):
    return images.small_image(tmp_path_factory.mktemp("layout"))


def many_layers(folder, n, compress="gzip"):
    """n layers with one file each, of 20 KB to 1.2 MB."""
    layout = images.Layout(folder)
    for i in range(n):
        size = 1_200_000 if i % 20 == 1 else 20_000
        layout.add_layer(images.tar_of({f"layer{i}/file": images.noise(size, f"{n}.{i}"), "shared": b"%d" % i}), compress)
    return layout.write()


def layers_of(site, reference, some_node):
    return some_node.json("inspect", "--index=none", reference, env=site.env)["layers"]


def parts_of(site, artifact):
    """(forms of layers, the tree's descriptor) as the artifact names them."""
    if site.env and isinstance(site.registry, Registry):
        return [], []  # behind its password
    parts = json.loads(site.get(artifact, "manifests"))["layers"]
    return [p for p in parts if p["mediaType"] == FORM], [p for p in parts if p["mediaType"] == TREE]


# ---- two machines


def test_the_same_tree(site, node, small_layout):
    """What B shows by A's index is what A shows by its own: names, attributes, contents."""
    reference, a, b = site.put(small_layout), node(), node()
    artifact = a.push(reference, env=site.env)
    by_local = a.mount(reference, "--index=none", env=site.env)
    by_published, daemon = b.mount_verbose(reference, ANY, env=site.env)
    assert f"index.used index={artifact} trust=hint" in daemon.output(), daemon.output()
    assert not b.layer_files("index"), "no layer was indexed for the mount"
    assert images.treediff(by_local, by_published) == []
    assert read_tree(by_published)[LARGE] == images.small_content(LARGE)


@pytest.mark.parametrize("name, share", [("debian", 0.03), ("node", 0.03)])
def test_real_images(real, registry, node, name, share):
    reference, a, b = real(name), node(), node()
    artifact = a.push(reference)
    size = sum(layer["size"] for layer in a.json("inspect", reference)["layers"])
    with Asked(registry) as asked:
        by_published, daemon = b.mount_verbose(reference, ANY)
        os.listdir(f"{by_published}/usr")
    assert artifact in daemon.output() and len(asked.answered) <= REQUESTS
    print(f"{name}: {len(asked.answered)} requests, {asked.bytes} bytes, {asked.bytes / size:.3%} of the blobs")
    assert asked.bytes <= size * 0.005
    shown = a.json("index show", reference)
    print(f"{name}: {shown['published_size'] / size:.2%} published, tree of {shown['image']['published']['tree']} bytes")
    assert shown["published_size"] <= size * share and shown["image"]["published"]["tree"] <= 30 * shown["image"]["names"]
    by_local = a.mount(reference, "--index=none")
    assert images.treediff(by_local, by_published) == []


@pytest.mark.parametrize("kind", ["plain", "api"])
def test_platforms(kind, request, node, scratch, small_layout):
    """An artifact of its own for each image of an index."""
    site, a, b = request.getfixturevalue(kind), node(), node()
    host = a.json("inspect", "oci:" + small_layout)["platform"]["architecture"]
    other = "riscv64" if host != "riscv64" else "s390x"
    entries = []
    for number, (arch, layout) in enumerate(((host, small_layout), (other, many_layers(scratch / "other", 3)))):
        got = a.json("inspect", site.put(layout, f"single{number}"))
        entries.append({"mediaType": OCI_MANIFEST, "digest": got["digest"], "size": len(site.get(got["digest"], "manifests")),
                        "platform": {"os": "linux", "architecture": arch}})
    reference = put_index(site, entries)
    artifacts = [a.push(reference, "--platform", f"linux/{arch}") for arch in (host, other)]
    assert artifacts[0] != artifacts[1]
    for arch, artifact, path in ((host, artifacts[0], LARGE), (other, artifacts[1], "layer1/file")):
        with Asked(site.registry) as asked:
            mount, daemon = b.mount_verbose(reference, ANY, "--platform", f"linux/{arch}")
        assert f"index.used index={artifact}" in daemon.output() and len(asked.answered) <= REQUESTS, asked.answered
        assert os.path.exists(f"{mount}/{path}")


def put_index(site, entries):
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    if not isinstance(site.registry, Registry):
        site.registry.add_manifest(body, site.name, "all", OCI_INDEX)
    else:
        url = f"http://{site.registry.host}/v2/{site.name}/manifests/all"
        request = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": OCI_INDEX})
        urllib.request.urlopen(request, timeout=20).close()
    return site.registry.reference(site.name, "all")


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_other_codecs(api, node, scratch, codec):
    def zstd(tar):
        path = scratch / "tar"
        path.write_bytes(tar)
        run("zstd", "-q", "-3", "-f", path, "-o", f"{path}.zst")
        return (scratch / "tar.zst").read_bytes(), "+zstd"

    layout = images.Layout(scratch / "image")
    files = {f"file{i}": images.noise(700_000, f"codec{i}") for i in range(4)}
    layout.add_layer(images.tar_of(files), zstd if codec == "zstd" else "none")
    reference = api.put(layout.write())
    node().push(reference)
    mount, daemon = node().mount_verbose(reference, ANY)
    assert "index.used" in daemon.output() and read_tree(mount) == files


# ---- requests


@pytest.mark.parametrize("n", [1, 4, 60])
def test_requests_of_a_mount(site, node, scratch, n):
    """At most six, whatever the number of layers; none of them for a layer or for the form of one."""
    reference, a = site.put(many_layers(scratch / "image", n)), node()
    layers = layers_of(site, reference, a)
    artifact = a.push(reference, "--min-layer-size", "1", env=site.env)
    with Asked(site.registry) as asked:
        mount = node().mount(reference, ANY, env=site.env)
        assert len(os.listdir(mount)) == n + 1
        for top, folders, names in os.walk(mount):
            for name in folders + names:
                os.lstat(os.path.join(top, name))
    assert 0 < len(asked.answered) <= REQUESTS, asked.answered
    forms, _ = parts_of(site, artifact)
    assert len(forms) == n or site.env
    for digest in [layer["digest"] for layer in layers] + [form["digest"] for form in forms]:
        assert not asked.of(digest), asked.answered


def test_a_command_is_as_cheap(api, node, small_layout):
    reference = api.put(small_layout)
    node().push(reference)
    for words, word in ((("ls", ANY, reference, "/data"), "large"), (("tree", ANY, reference), "large"),
                        (("stat", ANY, reference, "/data/large"), "large")):
        with Asked(api.registry) as asked:
            assert word in node().run(*words).stdout
        assert len(asked.answered) <= REQUESTS, asked.answered


def test_a_read_takes_what_it_touches(api, node, small_layout):
    """The first page of a large file: one request for its group (and what lies beside it, up to 128 KiB), no more than a few
    chunks of its layer, nothing of other layers."""
    reference, a, b = api.put(small_layout), node(), node()
    artifact, layers = a.push(reference), layers_of(api, reference, a)
    forms, _ = parts_of(api, artifact)
    of_large = next(f for f in forms if f["annotations"]["vnd.imgfs.layer"] == layers[1]["digest"])
    groups = LayerForm(api.get(of_large["digest"])).groups
    mount = b.mount(reference, ANY)
    with Asked(api.registry) as asked, open(f"{mount}/{LARGE}", "rb", buffering=0) as file:
        assert file.read(4096) == images.small_content(LARGE)[:4096]
    assert len(groups) >= 2
    (group,) = asked.of(of_large["digest"])
    assert group[2] == 206 and len(groups[0]) <= group[3] <= 128 << 10, asked.answered
    assert sum(r[3] for r in asked.of(layers[1]["digest"])) < 2 << 20
    assert len(asked.answered) == 1 + len(asked.of(layers[1]["digest"])), asked.answered
    with Asked(api.registry) as asked:
        assert b.run("cat", ANY, reference, "/data/many/07", errors="replace").stdout
    assert not asked.of(layers[1]["digest"]) and not asked.of(of_large["digest"])


def test_small_layers_are_fetched_once(api, node, scratch):
    """Whole, with one request each, whoever reads however often, by any process."""
    reference, b = api.put(many_layers(scratch / "image", 8)), node()
    layers = layers_of(api, reference, b)
    node().push(reference)
    with Asked(api.registry) as asked:
        for _ in range(2):
            mount = b.mount(reference, ANY)
            found = read_tree(mount)
            b.umount(mount)
    assert found["layer3/file"] == images.noise(20_000, "8.3") and found["layer1/file"] == images.noise(1_200_000, "8.1")
    for layer in layers:
        if layer["size"] <= 1 << 20:
            assert [(r[2], r[3]) for r in asked.of(layer["digest"])] == [(200, layer["size"])], asked.of(layer["digest"])


# ---- proof


def all_proven(some_node, mount):
    return set(some_node.status(mount)["layers"]) == {"proven"}


def test_proof_in_the_background(api, node, small_layout):
    """After everything was read: proven, and nothing more is needed of the registry. It stays what was published: who does
    not trust that any more does not use it."""
    reference, b = api.put(small_layout), node()
    node().push(reference)
    pinned = re.sub(":1$", "@" + b.json("inspect", reference)["digest"], reference)
    mount, daemon = b.mount_verbose(pinned, ANY)
    assert b.status(mount)["layers"] == ["unindexed", "hint", "hint"]
    before = read_tree(mount)
    wait_for(lambda: all_proven(b, mount), "all layers are proven", 20 * program.SLOWER)
    wait_for(lambda: "tree.proven" in daemon.output(), "the tree is proven", 20 * program.SLOWER)
    assert b.states(pinned, ANY) == ["proven"] * 3 and b.states(pinned, "--index=none")[1:] == ["unindexed"] * 2
    b.umount(mount)
    api.registry.stop()
    again = b.mount(pinned, ANY)
    assert all_proven(b, again) and read_tree(again) == before
    b.umount(again)


def test_proven_is_what_is_built_here(api, node, small_layout):
    """The indexes that the proof gives are those that streaming gives, byte for byte; but only a pass over the blobs
    themselves makes them this store's."""
    reference, a, b = api.put(small_layout), node(), node()
    a.push(reference)
    mount = b.mount(reference, ANY)
    read_tree(mount)
    wait_for(lambda: all_proven(b, mount), "all layers are proven", 20 * program.SLOWER)
    b.umount(mount)
    given = [open(path, "rb").read() for path in b.published_files("index")]
    large = [path for path in a.layer_files("index") if open(path, "rb").read() in given]
    assert len(large) == 2 and len(b.layer_files("index")) == 1, "the small one was streamed"
    b.run("index verify", ANY, reference)
    ours, theirs = a.layer_files("index"), b.layer_files("index")
    assert [p.split("/v1/")[1] for p in ours] == [p.split("/v1/")[1] for p in theirs] and len(ours) == 3
    for one, two in zip(ours, theirs):
        with open(one, "rb") as left, open(two, "rb") as right:
            assert left.read() == right.read(), one


# ---- publishing


def test_the_same_everywhere(scratch, node, small_layout):
    """Two stores, two registries: the same manifest, the same blobs."""
    found = []
    for _ in range(2):
        with ReferrersRegistry() as registry:
            reference, before = Site(registry).put(small_layout, name="app"), set(registry.blobs)
            artifact = node().push(reference)
            blobs = {digest: registry.blobs[digest] for digest in set(registry.blobs) - before}
            found.append((artifact, registry.manifests[artifact], blobs))
    assert found[0] == found[1] and len(found[0][2]) >= 3


def test_a_base_layer_is_stored_once(api, node, scratch, small_layout):
    first = node().push(api.put(small_layout))
    layout = derived(scratch / "derived")
    second = node().push(api.put(layout, "2"))
    forms = [{f["annotations"]["vnd.imgfs.layer"]: f["digest"] for f in parts_of(api, artifact)[0]}
             for artifact in (first, second)]
    assert len(forms[0]) == 2 and forms[0].items() <= forms[1].items() and len(forms[1]) == 3


def derived(folder):
    """small_image with one more layer."""
    name = images.small_image(folder)
    layout = images.Layout(folder)
    with open(f"{folder}/index.json", encoding="ascii") as file:
        top = json.load(file)["manifests"][0]["digest"].split(":")
    with open(f"{folder}/blobs/{top[0]}/{top[1]}", encoding="ascii") as file:
        manifest = json.load(file)
    with open(f"{folder}/blobs/{manifest['config']['digest'].replace(':', '/')}", encoding="ascii") as file:
        layout.diff_ids = json.load(file)["rootfs"]["diff_ids"]
    layout.layers = manifest["layers"]
    layout.add_layer(images.tar_of({"app/new": images.noise(2 << 20, "new")}))
    layout.write()
    return name


def test_pushing_again_uploads_nothing(site, node, small_layout):
    reference, a = site.put(small_layout), node()
    first = a.push(reference, env=site.env)
    with Asked(site.registry) as asked:
        assert a.push(reference, env=site.env) == first
    assert not [r for r in asked.uploads() if "/blobs/" in r[1]], asked.uploads()
    layers = layers_of(site, reference, a)
    assert not [r for layer in layers for r in asked.of(layer["digest"])]


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_signing_again_publishes_nothing_new(site, node, small_layout, scratch, kind):
    """ECDSA gives another signature each time; what the key has signed before is found again."""
    key, reference = Key(scratch, kind), site.put(small_layout)
    artifacts = {node().push(reference, "--sign-key", key.private, env=site.env) for _ in range(3)}
    assert len(artifacts) == 1
    assert node().push(reference, "--sign-key", Key(scratch, kind, "other").private, env=site.env) not in artifacts


def blobs_asked(asked, layers):
    return [layer["number"] for layer in layers if asked.of(layer["digest"])]


def test_what_is_indexed_is_not_streamed(plain, node, small_layout):
    reference, a = plain.put(small_layout), node()
    layers = layers_of(plain, reference, a)
    a.build(reference)
    a.keep_only_indexes()
    with Asked(plain.registry) as asked:
        a.push(reference)
    assert blobs_asked(asked, layers) == []


@pytest.mark.parametrize("kind", ["plain", "api"])
def test_layers_of_a_base(kind, request, node, scratch, small_layout):
    """From an empty store with a trusted base: its large layers are not streamed, and what is published is the same."""
    site, key = request.getfixturevalue(kind), Key(scratch)
    base, image = site.put(small_layout, "base"), site.put(derived(scratch / "derived"))
    node().push(base, "--sign-key", key.private)
    layers = layers_of(site, image, node())
    with Asked(site.registry) as asked:
        with_base = node().push(image, "--base", base, "--trust-key", key.public)
    assert blobs_asked(asked, layers) == [0, 3], "the small one, which has no form, and the new one"
    with Asked(site.registry) as asked:
        assert node().push(image) == with_base
    assert blobs_asked(asked, layers) == [0, 1, 2, 3]


def test_a_base_that_nobody_vouches_for(api, node, scratch, small_layout):
    base, image = api.put(small_layout, "base"), api.put(derived(scratch / "derived"))
    node().push(base)
    a, layers = node(), layers_of(api, image, node())
    with Asked(api.registry) as asked:
        done = a.run("index push", "--base", base, image)
    assert blobs_asked(asked, layers) == [0, 1, 2, 3] and "no published index that is trusted" in done.stderr


@pytest.mark.parametrize("least", ["0", "1"])
def test_every_layer_is_published_if_wanted(api, node, scratch, least):
    artifact = node().push(api.put(many_layers(scratch / "image", 3)), "--min-layer-size", least)
    assert len(parts_of(api, artifact)[0]) == 3


def test_show(api, node, small_layout):
    """What travels, part by part: the same from the store's indexes and from the published one; and as pushed."""
    reference, a, b = api.put(small_layout), node(), node()
    artifact, forms = a.push(reference), {}
    for part in json.loads(api.get(artifact, "manifests"))["layers"]:
        forms[part["digest"]] = len(api.registry.blobs[part["digest"]])
    with Asked(api.registry) as asked:
        shown = [some.json("index show", ANY, reference) for some in (a, b)]
    layers = layers_of(api, reference, a)
    assert blobs_asked(asked, layers) == []
    for one in shown:
        for layer in one["layers"][1:]:
            published = layer["published"]
            assert forms[published["digest"]] == published["size"]
            assert published["size"] == sum(v for k, v in published.items() if k not in ("digest", "size")) or \
                set(published) == {"digest", "size", "head"}, published
        assert forms[one["image"]["published"]["digest"]] == one["image"]["published"]["size"]
    assert shown[0]["published_size"] == shown[1]["published_size"]
    text = a.run("index show", ANY, reference).stdout
    assert "windows" in text and "% of the blob" in text


# ---- OCI layouts


@pytest.mark.parametrize("command", ["push", "build"])
def test_a_layout(node, scratch, command):
    """The artifact lies in the layout, is found there, and the layout is an image for others as it was."""
    layout = images.small_image(scratch / "image")
    reference, a, b = f"oci:{layout}", node(), node()
    if command == "push":
        a.push(reference)
    else:
        a.run("index build", reference)
    mount, daemon = b.mount_verbose(reference, ANY)
    assert "index.used" in daemon.output(), daemon.output()
    assert not b.layer_files("index") and read_tree(mount)[LARGE] == images.small_content(LARGE)
    copy = scratch / "copy"
    run("skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", reference, f"oci:{copy}:1")
    assert read_tree(node().mount(f"oci:{copy}:1"))[LARGE] == images.small_content(LARGE)
    assert json.loads(run("skopeo", "inspect", "--raw", reference).stdout)["layers"]


def test_a_layout_without_its_name(node, scratch):
    """With an artifact beside it, the one image of a layout still needs no name."""
    layout = images.small_image(scratch / "image").rsplit(":", 1)[0]
    node().push(f"oci:{layout}")
    assert node().run("cat", f"oci:{layout}", "/etc/name").stdout == "small\n"
