"""What is said about commands, in help, manual pages and completions, is what they understand."""
import glob
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import time

import pytest

import imgfs as program
from images import Layout, tar_of
from processes import run
from registry import Registry
from shells import Shell

SOURCE = os.environ["IMGFS_SOURCE"]
BREAKS = " \t\n\"'@><=;|&(:"
ODD_NAMES = ["sp ace", "it's", 'quo"te', "do$lar", "back\\slash", "st*r", "semi;colon", "eq=ual", "col:on", "tilde~", "a&b", "ünï",
             "(paren)", "#hash", "!bang", "`tick`", "[box]", "at@sign"]


def say(*words, columns=80, **more):
    return run(program.BINARY, *words, env=program.environment(COLUMNS=str(columns)), **more).stdout


def commands():
    """Every command as words: ["index", "build"]."""
    return [page.split("-")[1:] for page in say("help", "--scdoc").split()]


def options_of(words):
    """(names, text) of every option row that --help prints."""
    rows, text = [], say(*words, "--help", columns=1000)
    for names, meaning in re.findall(r"^  (-\S.*?)  +(.*)$", text.split("\nExamples:")[0], re.M):
        rows.append((re.findall(r"--?[\w-]+", names), meaning))
    return rows


def needs(*tools):
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")


def until_operator(line):
    """The words of a shell's first simple command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    return list(itertools.takewhile(lambda word: not re.fullmatch(r"[|&;<>]+", word), lexer))


# ---- help


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_fits_the_window(columns):
    for words in [["help"], ["help", "exit-codes"], ["help", "environment"], ["help", "files"], *[[*c, "--help"] for c in commands()]]:
        text = say(*words, columns=columns)
        told = text.split("\nExamples:")[0]  # what is to be copied stays whole
        long = [line for line in told.splitlines() if len(line) > columns and " " in line.strip()]
        assert not long, (words, long)
        wide = say(*words, columns=1000).split("\nExamples:")[0]
        assert told.split() == wide.split(), words


def test_help_without_a_terminal_has_80_columns():
    env = {key: value for key, value in program.environment().items() if key != "COLUMNS"}
    assert run(program.BINARY, "mount", "--help", env=env).stdout == say("mount", "--help")


def test_every_command_has_examples_that_parse():
    names = commands()
    texts = {" ".join(words): say(*words, "--help") for words in names}
    texts = {name: text for name, text in texts.items() if "\nCommands:\n" not in text}
    assert not [name for name, text in texts.items() if "\nExamples:\n" not in text]
    for words, text in texts.items():
        lines = text.split("\nExamples:\n")[1].replace("\\\n", " ").splitlines()
        typed = [line.strip() for line in lines if not line.strip().startswith("#")]
        assert typed, words
        for line in typed:
            told = until_operator(line)
            if told[0] == "imgfs":
                n = 3 if told[1:3] in names else 2
                say(*told[1:n], "--help", *told[n:])  # options are checked before help is printed


def test_topics_and_what_is_read():
    """Every environment variable that the source asks for is in `imgfs help environment`."""
    told = set(re.findall(r"\b\w+", "\n".join(line[:28] for line in say("help", "environment", columns=200).splitlines())))
    read = set()
    for path in glob.glob(f"{SOURCE}/[a-z]*/*.c"):
        if "/build" not in path:
            with open(path, encoding="utf-8") as file:
                read |= set(re.findall(r'(?:getenv|copy_env|environment)\("(\w+)"\)', file.read()))
    assert len(read) > 10 and read <= told, read - told


def test_unknown_words_of_help():
    for words, said in [(["lss"], "did you mean 'ls'"), (["index", "bulid"], "did you mean 'build'"), (["ls", "x"], "has no commands"),
                        (["exit-code"], "did you mean 'exit-codes'"), (["index", "build", "x"], "has no commands")]:
        done = run(program.BINARY, "help", *words, check=False)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


# ---- manual pages


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    needs("scdoc")
    folder = tmp_path_factory.mktemp("man")
    run(f"{SOURCE}/tools/man/build", folder, program.BINARY, env=program.environment())
    return folder


def rendered(path):
    needs("mandoc")
    text = run("mandoc", "-T", "utf8", "-O", "width=1000", path).stdout
    return " ".join(re.sub(r".\x08", "", text).split())


def test_a_page_for_every_command(pages):
    names = {path.name for path in pages.iterdir()}
    assert {f"imgfs-{'-'.join(words)}.1" for words in commands()} | {"imgfs.1", "imgfs-index.5", "imgfs.conf.5", "mount.imgfs.8", "mount.fuse.imgfs.8"} == names


def test_pages_say_all_options(pages):
    for words in commands():
        text = rendered(pages / f"imgfs-{'-'.join(words)}.1")
        for names, meaning in options_of(words):
            for name in names:
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), (words, name)
            if names != ["--help"]:
                assert " ".join(meaning.split()) in text, (words, meaning)
    whole = rendered(pages / "imgfs.1")
    for words in commands():
        assert f"imgfs-{'-'.join(words)}(1)" in whole
    for code in say("help", "exit-codes").splitlines():
        assert " ".join(code.split()) in whole


def test_a_page_says_the_keys_of_the_conf(pages):
    text = rendered(pages / "imgfs.conf.5")
    keys = re.findall(r"^([a-z-]+) = ", say("config", "--keys", columns=200), re.M)
    assert len(keys) > 10
    for key in keys:
        assert f"{key} = " in text, key


def test_the_conf_of_the_page_is_one(scratch):
    with open(f"{SOURCE}/tools/man/imgfs.conf.5.scd", encoding="utf-8") as file:
        example = file.read().split("```\n")[1]
    (scratch / "example.pem").write_text("")
    (scratch / "imgfs.conf").write_text(example.replace("/etc/imgfs/", f"{scratch}/"))
    said = run(program.BINARY, "config", "--config", scratch / "imgfs.conf", "registry.example.com/models/llama:1",
               env=program.environment()).stdout
    assert "on-error" in said and "wait" in said and "models/*" in said


def test_pages_render_without_warnings(pages):
    needs("mandoc", "man")
    for path in sorted(pages.iterdir()):
        done = run("mandoc", "-T", "lint", "-W", "warning", path, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout
        done = run("man", "--warnings=w", "-l", path, env=program.environment(MANWIDTH="80"))
        text = re.sub(r".\x08", "", done.stdout)
        assert not done.stderr and "\nNAME\n" in text, (path, done.stderr)
        told = text.split("\nEXAMPLES\n")[0]  # what is to be copied stays whole; tables of details stand in by 11
        assert max(map(len, told.splitlines())) <= 80 + 11 and "\u2010" not in told, path


def test_pages_refer_to_pages_that_are_there(pages):
    names = {path.name for path in pages.iterdir()}
    for path in pages.iterdir():
        for name, section in re.findall(r"\b((?:mount\.)?imgfs[\w.-]*)\((\d)\)", rendered(path)):
            assert f"{name}.{section}" in names, (path.name, name, section)


# ---- completions: what the program answers


def answer(*words, shell="zsh", **more):
    """(what the shell adds, candidates)"""
    done = run(program.BINARY, "__complete", shell, *map(os.fspath, words), env=program.environment(**{"IMGFS_RUNTIME_DIR": "/nonexistent", **more}))
    head, *lines = done.stdout.split("\n")[:-1]
    assert not done.stderr
    return head.strip(), [line.split("\t")[0] for line in lines]


def test_commands_and_options_are_offered():
    kind, names = answer("")
    overview = re.findall(r"^  ([a-z]+) ", say("help", columns=200), re.M)
    assert (kind, names) == ("words", overview)
    assert answer("index", "")[1] == [words[1] for words in commands() if words[0] == "index" and len(words) == 2]
    for words in commands():
        if words == ["help"] or any(other[:-1] == words for other in commands()):
            continue
        wanted = {next((n for n in names if n.startswith("--")), names[0]) for names, _ in options_of(words)}
        assert wanted <= set(answer(*words, "-")[1]), words


@pytest.mark.parametrize("words, kind, expected", [
    (["mount", "--fill", ""], "words", ["off", "idle", "full"]), (["mount", "--fill=i"], "words", ["--fill=idle"]),
    (["mount", "--on-error", "w"], "words", ["wait"]), (["ls", "--trust-index", ""], "words", ["any"]),
    (["mount", "--log", ""], "files", []), (["mount", "--log=/x"], "files --log=", []), (["mount", "x", ""], "directories", []),
    (["ls", "--store", ""], "directories", []), (["profile", "set", "x", ""], "files", []), (["umount", ""], "words", []),
    (["ls", "--platform", "linux/amd"], "words", ["linux/amd64"]), (["mount", "-"], "words", None), (["mount", "--", "-"], "words", []),
    (["help", "exi"], "words", ["exit-codes"]), (["help", "index", "b"], "words", ["build"]), (["nonsense", ""], "words", []),
    (["index", "nonsense", ""], "words", []), (["mount", "-o", "allow_other,none"], "words", ["allow_other,nonempty"]),
    (["mount", "-fo", "rea"], "words", ["read_ahead="]), (["mount", "-fo"], "words", []),
    (["store", "du", ""], "words", []), (["--v"], "words", ["--version"]), (["index", "build", "--output", "n"], "words", ["none"]),
    (["ls", "--color", ""], "words", ["auto", "always", "never"]), (["tree", "--color=n"], "words", ["--color=never"]), (["map", "--format", "h"], "words", ["html"]),
    (["find", "x", "-type", ""], "words", list("fdlbcps")), (["find", "x", "-empty", "-type", "d"], "words", ["d"]),
    (["find", "x", "-gid", ""], "words", []), (["find", "x", "-print0", "-pr"], "words", ["-print", "-print0", "-printf", "-prune"]),
])
def test_kinds_of_words(words, kind, expected):
    got_kind, got = answer(*words)
    assert got_kind == kind and (expected is None or got == expected)


def test_unknown_shell_is_an_error():
    assert run(program.BINARY, "__complete", "csh", "", check=False).returncode == 2
    assert run(program.BINARY, "__complete", check=False).returncode == 2


def test_nothing_is_made_by_asking(scratch):
    store = scratch / "none" / "store"
    assert answer("ls", "--store", store, "")[1] == ["oci:"]
    assert answer("ls", "--store", store, "oci:/nowhere", "/")[1] == []
    assert not (scratch / "none").exists()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """(reference in a registry that is gone, reference of a layout, store)"""
    folder = tmp_path_factory.mktemp("words")
    layout = Layout(folder / "lay out")
    files = {f"d/{name}": b"x" for name in ODD_NAMES}
    files |= {"d/new\nline": b"x", "d/esc\x1b[2J": b"x", "d/.hidden": b"x", "etc/passwd": b"x", "etc/deep/file": b"x"}
    layout.add_layer(tar_of(files))
    layout_reference = "oci:" + layout.write()
    registry = Registry(folder / "registry").start()
    reference = registry.push(layout_reference[4:], "team/words")
    made = program.Imgfs(folder / "imgfs")
    try:
        made.run("ls", reference)
        made.run("ls", layout_reference)
    finally:
        registry.stop()
    return reference, layout_reference, made.store


def test_references_and_paths_without_network(image):
    reference, layout_reference, store = image
    assert answer("ls", "--store", store, "localhost:") == ("words", [reference])
    offered = answer("ls", "--store", store, "")[1]
    assert offered[0] == reference and offered[-1] == "oci:"
    for of in (reference, layout_reference):
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert answer("ls", "--store", store, of, "/") == ("words", ["/d/", "/etc/"])
            took.append(time.monotonic() - began)
        assert min(took) < 0.1 * program.SLOWER
        assert answer("cat", f"--store={store}", of, "/etc/passwd", "etc/")[1] == ["etc/deep/", "etc/passwd"]
        assert answer("ls", "--store", store, of, "/d/.")[1] == ["/d/.hidden"]
        assert sorted(answer("ls", "--store", store, of, "/d/")[1]) == sorted(f"/d/{name}" for name in ODD_NAMES)
        assert answer("ls", "--store", store, of, "/none/")[1] == []
        assert answer("ls", "--store", store, of, "/etc/passwd/")[1] == []
    assert answer("ls", "--store", store, reference.replace("words", "other"), "/") == ("words", [])


def test_digests_and_paths_of_tests(image):
    reference, layout_reference, store = image
    listed = json.loads(run(program.BINARY, "store", "ls", "--json", "--store", store, env=program.environment()).stdout)["images"]
    (digest,) = {row["digest"] for row in listed}
    short = digest[len("sha256:"):][:12]
    assert answer("store", "rm", "--store", store, short[:2]) == ("words", [short])
    assert answer("store", "rm", "--store", store, reference, "sha256:") == ("words", [f"sha256:{short}"])
    assert short in answer("store", "rm", "--store", store, "")[1] and reference in answer("store", "rm", "--store", store, "")[1]
    assert answer("ls", "--store", store, "--index", short[:2]) == ("words", [])
    assert answer("find", "--store", store, reference, "-newer", "/e") == ("words", ["/etc/"])
    assert answer("find", "--store", store, reference, "-empty", "-samefile", "/etc/p") == ("words", ["/etc/passwd"])
    assert answer("find", "--store", store, layout_reference, "-name", "/") == ("words", [])


def test_layouts(image):
    _, layout_reference, _ = image
    folder = layout_reference.rsplit(":", 1)[0]
    parent = os.path.dirname(folder)
    assert f"{folder}" in answer("ls", f"{parent}/")[1] and f"{parent}/imgfs/" in answer("ls", f"{parent}/")[1]
    assert answer("ls", f"{folder}:")[1] == [layout_reference]
    assert answer("ls", "oci:/etc/passwd/")[1] == []


def test_the_store_of_the_conf(image, scratch):
    (scratch / "imgfs.conf").write_text(f"[default]\nstore = {image[2]}\n")
    assert answer("ls", "--config", scratch / "imgfs.conf", "local")[1] == [image[0]]
    assert answer("ls", image[0], "/et", IMGFS_CONFIG=os.fspath(scratch / "imgfs.conf"))[1] == ["/etc/"]
    assert answer("ls", "--config", scratch / "none", "local") == ("words", [])


@pytest.mark.root
def test_mounts(image, imgfs, scratch):
    runtime = {"IMGFS_RUNTIME_DIR": os.fspath(scratch / "run")}
    folder = imgfs.mount(image[1], env=runtime)
    assert answer("umount", "", **runtime) == ("words", [folder])
    assert answer("status", "/nowhere", **runtime)[1] == []
    imgfs.run("umount", folder, env=runtime)
    imgfs.mounts.remove(folder)
    assert answer("umount", "", **runtime) == ("words", [])


def test_store_is_not_believed(image, scratch):
    """Rotten tags, and a store that others may write, give nothing, and no word."""
    reference, _, store = image
    copy = scratch / "store"
    shutil.copytree(store, copy)
    for path in glob.glob(f"{copy}/v1/tags/*"):
        with open(path, "wb") as file:
            file.write(b"sha256:00\n" + b"x" * 10_000)
    assert answer("ls", "--store", copy, "local")[1] == []
    os.chmod(copy, 0o777)
    assert answer("ls", "--store", copy, reference, "/") == ("words", [])


# ---- completions: in real shells


@pytest.fixture
def environment(scratch, image):
    os.makedirs(scratch / "bin")
    os.symlink(program.BINARY, scratch / "bin" / "imgfs")
    env = program.environment(PATH=f"{scratch}/bin:{os.environ['PATH']}", TERM="dumb", LC_ALL="C.UTF-8", IMGFS_STORE=image[2], PS1="$ ")
    return {**env, "HOME": os.fspath(scratch)}


@pytest.fixture(params=["bash", "zsh"])
def shell(request, environment):
    needs(request.param)
    if request.param == "bash":
        made = Shell(["bash", "--norc", "-i"], f". {SOURCE}/tools/completions/imgfs.bash\n", environment)
    else:
        setup = f"fpath=({SOURCE}/tools/completions $fpath); autoload -U compinit; compinit -u -D; bindkey -e; unsetopt beep\n"
        made = Shell(["zsh", "-f", "-i"], setup, environment)
    made.name = request.param
    yield made
    made.stop()


def test_typing(shell, image, scratch):
    reference, layout_reference, _ = image
    (scratch / "a file").write_text("")
    assert shell.complete("imgfs mou") == ["imgfs", "mount"]
    assert shell.complete("imgfs index bu") == ["imgfs", "index", "build"]
    assert shell.complete("imgfs mount --fill=i") == ["imgfs", "mount", "--fill=idle"]
    assert shell.complete("imgfs mount --fill i") == ["imgfs", "mount", "--fill", "idle"]
    assert shell.complete("imgfs ls local") == ["imgfs", "ls", reference]
    assert shell.complete(f"imgfs ls {reference} /et") == ["imgfs", "ls", reference, "/etc/"]
    assert shell.complete(f"imgfs ls {reference} /etc/p") == ["imgfs", "ls", reference, "/etc/passwd"]
    assert shell.complete(f"imgfs ls {reference} \"/etc/p") == ["imgfs", "ls", reference, "/etc/passwd"]
    assert shell.complete("imgfs ls " + layout_reference[:-4].replace(" ", "\\ ")) == ["imgfs", "ls", layout_reference[:-2]]
    assert shell.complete("imgfs ls " + layout_reference[:-1].replace(" ", "\\ ")) == ["imgfs", "ls", layout_reference]
    assert shell.complete(f"imgfs mount --log {scratch}/a") == ["imgfs", "mount", "--log", f"{scratch}/a file"]
    assert shell.complete(f"imgfs mount --log={scratch}/a") == ["imgfs", "mount", f"--log={scratch}/a file"]
    assert shell.complete(f"imgfs mount x {scratch}/bi") in [["imgfs", "mount", "x", f"{scratch}/bin{end}"] for end in ("/", "")]
    assert shell.complete("~/bin/imgfs umo") == [f"{scratch}/bin/imgfs", "umount"]


def test_odd_names(shell, image):
    reference = image[0]
    for name in ODD_NAMES:
        begin = re.match(r"[\w~]*", name).group(0) if name != "a&b" else "a"
        if not begin:
            continue
        begin = begin[:3]
        others = [other for other in ODD_NAMES if other.startswith(begin)]
        if others == [name]:
            assert shell.complete(f"imgfs cat {reference} /d/{begin}") == ["imgfs", "cat", reference, f"/d/{name}"], name


def test_fish(environment, image):
    needs("fish")
    reference, layout_reference, _ = image

    def offered(line):
        script = f"source {SOURCE}/tools/completions/imgfs.fish; complete -C {shlex.quote(line)}"
        return [text.split("\t")[0] for text in run("fish", "--no-config", "-c", script, env=environment).stdout.splitlines()]

    assert offered("imgfs mou") == ["mount"]
    assert offered("imgfs index b") == ["build"]
    assert offered("imgfs mount --fill ") == ["full", "idle", "off"]
    assert offered("imgfs mount --fill=i") == ["--fill=idle"]
    assert offered("imgfs ls local") == [reference]
    assert offered(f"imgfs ls {reference} /etc/") == ["/etc/deep/", "/etc/passwd"]
    assert offered("imgfs ls " + layout_reference[:-1].replace(" ", "\\ ")) == [layout_reference]
    assert offered("imgfs mount --log /etc/hostn") == ["/etc/hostname"]
    assert offered("imgfs mount --log=/etc/hostn") == ["--log=/etc/hostname"]
    assert offered("imgfs mount x /et") == ["/etc/"]
    assert f"/d/{ODD_NAMES[0]}" in offered(f"imgfs ls {reference} /d/")


def test_bash_function_alone(environment, image):
    """As a script would call it: no terminal, no bash-completion package."""
    reference = image[0]
    script = f'. {SOURCE}/tools/completions/imgfs.bash; COMP_LINE="imgfs ls {reference} /e"; COMP_POINT=${{#COMP_LINE}}\n' \
             'COMP_WORDS=($COMP_LINE); COMP_CWORD=3; _imgfs; printf "[%s]" "${COMPREPLY[@]}"'
    assert subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True).stdout == "[/etc/]"
