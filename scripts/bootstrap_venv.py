"""Make or renew .venv from the locked requirements; runs on any Python 3, to be able to complain."""

# Only the standard library, and no newer syntax than Python 3.6: an old interpreter must reach the complaint.
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
OLDEST = (3, 11)
RUNTIME, DEVELOPMENT = "requirements.txt", "requirements-dev.txt"


def fail(text):
    """End with a message for the operator."""
    sys.exit("quefang: " + text)


def fingerprint(names):
    """Return a digest of this interpreter and the named lock files."""
    digest = hashlib.sha256(sys.version.encode() + ROOT.encode())
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as stream:
            digest.update(stream.read())
    return digest.hexdigest()


def read_stamp(name):
    """Return the fingerprint of what was installed last, or an empty text."""
    path = os.path.join(VENV, name + ".installed")
    if not os.path.exists(path):
        return ""
    with open(path) as stream:
        return stream.read()


def write_stamp(name, value):
    """Note what has been installed completely."""
    with open(os.path.join(VENV, name + ".installed"), "w") as stream:
        stream.write(value)


def create_venv():
    """Make an empty environment in place of what stands there."""
    shutil.rmtree(VENV, ignore_errors=True)
    print("Creating .venv with Python %d.%d.%d …" % sys.version_info[:3], flush=True)
    # Whether the interpreter can make environments is a package of its own on Debian.
    if subprocess.call([sys.executable, "-m", "venv", VENV], stdout=subprocess.DEVNULL) != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        fail("this Python cannot create a virtual environment. Install: sudo apt-get install python3-venv")


def install(names):
    """Install lock files; every download is checked against its hash."""
    print("Installing %s …" % " ".join(names), flush=True)
    command = [PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--root-user-action=ignore"]
    for name in names:
        command += ["--requirement", os.path.join(ROOT, name)]
    if subprocess.call(command) != 0:
        fail("installing %s failed; see above" % " ".join(names))


def main(arguments):
    """Bring .venv up to date: `--dev` adds the tools of the tests."""
    if sys.version_info < OLDEST:
        text = "Python 3.11 or newer is needed, but `%s` is %d.%d. Name another: make PYTHON=python3.12 run"
        fail(text % (sys.executable, sys.version_info[0], sys.version_info[1]))
    if not sys.platform.startswith(("linux", "darwin")):
        fail("Linux or macOS is needed")
    runtime, everything = fingerprint([RUNTIME]), fingerprint([RUNTIME, DEVELOPMENT])
    if read_stamp("runtime") != runtime or not os.path.exists(PYTHON):
        create_venv()
        install([RUNTIME, DEVELOPMENT] if "--dev" in arguments else [RUNTIME])
        write_stamp("runtime", runtime)
        if "--dev" in arguments:
            write_stamp("development", everything)
    elif "--dev" in arguments and read_stamp("development") != everything:
        install([RUNTIME, DEVELOPMENT])
        write_stamp("development", everything)


if __name__ == "__main__":
    main(sys.argv[1:])
