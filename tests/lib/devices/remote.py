# SPDX-License-Identifier: GPL-2.0-only
"""Storage on another machine, which is this one: a server for a device, a
client of it through loopback, and what cuts and restores the connection."""

import glob
import itertools
import os
import subprocess
import tempfile

import ca
import documents
import scratch
from scratch import write_file

_CONFIG = "/sys/kernel/config"


def _need(*modules):
    """Load modules, or skip what needs them."""
    for name in modules:
        try:
            ca.modprobe(name)
        except subprocess.CalledProcessError:
            ca.skip(f"this kernel has no module {name}")
    if os.path.isdir(_CONFIG) and not os.listdir(_CONFIG):
        ca.run("mount", "-t", "configfs", "none", _CONFIG)


def _appears(pattern):
    """The path that appears."""
    ca.wait_until(lambda: glob.glob(pattern), pattern)
    return glob.glob(pattern)[0]


def _opens(path):
    """A device that has just come can be used, too."""
    def try_it():
        try:
            os.close(os.open(path, os.O_RDONLY))
            return True
        except OSError:
            return False

    ca.wait_until(try_it, f"{path} can be opened")
    return path


def _reads(path):
    """One of the kernel's files."""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _holds(pattern, text):
    """Which of these files has this text, as soon as one has."""
    def those():
        return [path for path in glob.glob(pattern) if _reads(path) == text]

    ca.wait_until(those, f"{pattern} with {text}")
    return those()[0]


def _remove(*paths):
    """Links and directories of configfs, those that are there."""
    for path in paths:
        if os.path.islink(path):
            os.unlink(path)
        elif os.path.isdir(path):
            os.rmdir(path)


class _Remote(scratch.Device):
    """What they have in common. Patience is for how many seconds I/O waits for
    a connection that is cut."""

    path = None             # once it is connected
    modules = ()
    waits = True            # I/O goes on when the connection is back

    def __init__(self, lower):
        self.lower = lower
        _need(*self.modules)
        scratch.register(self)
        self.serve()
        self.connect()

    def _run(self, commands, more=(), fail=True):
        """What docs/howto/storage.md says, with the names of here."""
        names = {"192.0.2.10": "127.0.0.1", "/dev/vdb": self.lower.path,
                 **dict(more)}
        ca.run("bash", "-c", documents.script(commands, names),
               fail=fail)

    @property
    def devno(self):
        """The device, as a table names it."""
        dev = os.stat(self.path).st_rdev
        return f"{os.major(dev)}:{os.minor(dev)}"

    def reconnect(self):
        """After errors, with the server back."""

    def close(self):
        """Client and server end."""
        self.disconnect()
        self.stop()
        scratch.forget(self)


class NvmeTcp(_Remote):
    """NVMe over TCP, served by the kernel."""

    modules = ("nvmet-tcp", "nvme-tcp")
    _NQN = "nqn.2026-01.org.example:secret"
    _SUBSYSTEM = f"{_CONFIG}/nvmet/subsystems/{_NQN}"
    _PORT = f"{_CONFIG}/nvmet/ports/1"
    _LINK = f"{_PORT}/subsystems/{_NQN}"
    _server, _client, _end = documents.section("NVMe over TCP")

    def serve(self):
        """The device as namespace 1, at port 4420."""
        self._run(self._server)

    def connect(self):
        """As an administrator would."""
        self._run(self._client)
        self._control = os.path.dirname(
            _holds("/sys/class/nvme/*/subsysnqn", self._NQN))
        group = os.path.dirname(
            _holds("/sys/class/nvme-subsystem/*/subsysnqn", self._NQN))
        self.path = _opens("/dev/" + os.path.basename(
            _appears(f"{group}/nvme*n1")))

    def set_patience(self, seconds):
        """From the next cut on."""
        write_file(f"{self._control}/fast_io_fail_tmo", seconds)

    def cut(self):
        """The target closes all connections and the port."""
        os.unlink(self._LINK)

    def restore(self):
        """It can be connected to again."""
        os.symlink(self._SUBSYSTEM, self._LINK)

    def reconnect(self):
        """The kernel does it."""
        ca.wait_until(lambda: _reads(f"{self._control}/state") == "live",
                      "the controller is back")

    def disconnect(self):
        """As an administrator would."""
        self._run(self._end, fail=self.path is not None)

    def stop(self):
        """Nothing is served."""
        _remove(self._LINK, self._PORT, f"{self._SUBSYSTEM}/namespaces/1",
                self._SUBSYSTEM)


class Iscsi(_Remote):
    """iSCSI, served by the kernel, with the daemon of open-iscsi."""

    modules = ("target_core_iblock", "iscsi_target_mod", "iscsi_tcp", "sd_mod")
    _STORE = f"{_CONFIG}/target/core/iblock_0/secret"
    _TARGET = f"{_CONFIG}/target/iscsi/iqn.2026-01.org.example:secret"
    _GROUP = f"{_TARGET}/tpgt_1"
    _client, _end = documents.section("iSCSI")[1:]
    _session = None

    def serve(self):
        """The device as a block backstore, at port 3260, for everybody."""
        os.makedirs(self._STORE)
        write_file(f"{self._STORE}/control", f"udev_path={self.lower.path}")
        write_file(f"{self._STORE}/enable", 1)
        os.makedirs(f"{self._GROUP}/np/127.0.0.1:3260")
        os.mkdir(f"{self._GROUP}/lun/lun_0")
        os.symlink(self._STORE, f"{self._GROUP}/lun/lun_0/secret")
        for name, value in (("authentication", 0), ("generate_node_acls", 1),
                            ("cache_dynamic_acls", 1),
                            ("demo_mode_write_protect", 0)):
            write_file(f"{self._GROUP}/attrib/{name}", value)
        self.restore()

    def connect(self):
        """As an administrator would."""
        subprocess.run(["iscsid"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        self._run(self._client)
        self._session = _appears("/sys/class/iscsi_session/session*")
        self.path = _opens("/dev/" + os.path.basename(
            _appears(f"{self._session}/device/target*/*/block/*")))

    def set_patience(self, seconds):
        """From the next cut on."""
        write_file(f"{self._session}/recovery_tmo", seconds)

    def cut(self):
        """The target ends all sessions and takes no others."""
        write_file(f"{self._GROUP}/enable", 0)

    def restore(self):
        """It takes sessions again."""
        write_file(f"{self._GROUP}/enable", 1)

    def reconnect(self):
        """The daemon does it."""
        state = f"/sys/block/{os.path.basename(self.path)}/device/state"
        ca.wait_until(lambda: _reads(state) == "running", "the disk is back")

    def disconnect(self):
        """As an administrator would."""
        self._run(self._end, fail=self.path is not None)
        ca.run("iscsiadm", "-k", "0", fail=self.path is not None)

    def stop(self):
        """Nothing is served."""
        _remove(f"{self._GROUP}/lun/lun_0/secret", f"{self._GROUP}/lun/lun_0",
                f"{self._GROUP}/np/127.0.0.1:3260", self._GROUP, self._TARGET,
                self._STORE, os.path.dirname(self._STORE))


class Nbd(_Remote):
    """A network block device, served by nbd-server. With nbd-client there is
    no waiting for a connection that was lost: I/O fails."""

    modules = ("nbd",)
    waits = False
    _numbers = itertools.count()
    _process = None
    _client, _end = documents.section("NBD")

    def serve(self):
        """The device under a name, at port 10809."""
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115
            "w", suffix=".conf")
        self._file.write("[generic]\nlistenaddr = 127.0.0.1\n"
                         f"[secret]\nexportname = {self.lower.path}\n"
                         "flush = true\nfua = true\n")
        self._file.flush()
        self.restore()

    def connect(self):
        """As an administrator would."""
        self.path = f"/dev/nbd{next(self._numbers)}"
        self._run(self._client, {"/dev/nbd0": self.path})

    reconnect = connect

    def set_patience(self, seconds):
        """There is none."""

    def cut(self):
        """The server is killed."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def restore(self):
        """It is started again."""
        self._process = subprocess.Popen(
            # It closes as many files as it might have, one by one.
            ["prlimit", "--nofile=64:64", "nbd-server", "-d", "-C",
             self._file.name],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ca.wait_until(lambda: ":2A39 00000000:0000 0A" in
                      _reads("/proc/net/tcp"), "it listens to port 10809")

    def disconnect(self):
        """As an administrator would."""
        for path in glob.glob("/sys/block/nbd*/pid"):
            self._run(self._end, {"nbd0": path.split("/")[3]})

    def stop(self):
        """Nothing is served."""
        self.cut()
        self._file.close()
