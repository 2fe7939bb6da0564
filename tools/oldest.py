#!/usr/bin/env python3
"""Runs the tests on the oldest kernel there is support for, Linux 6.1, in an emulated machine.

The kernel is the one of Debian 12 for cloud machines, which has ext4 and NVMe built in: it needs no
modules and no initramfs. It is downloaded and unpacked under build/oldest, not installed. The
machine's disk is an ext4 image with busybox, the test programs, the examples and the libraries of
this system that they need. Its /init runs one program after the other, reports over the serial
console in lines that start with MARK, and switches the machine off. There is no network in it.

KVM is used where it can boot the machine, else the emulator alone, which is about ten times slower.
Exit status: 0 when the machine reached its end and nothing failed in it.
"""

import argparse
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

WORK = pathlib.Path("build/oldest")
RELEASE = "6.1."
KERNEL_PACKAGE = re.compile(r"linux-image-6\.1\.0-(\d+)-cloud-amd64")
MARK = "@@"  # MARK booted RELEASE, MARK start NAME, MARK end NAME STATUS, MARK done
BOOT_SECONDS = {"kvm": 40, "tcg": 240}
PROGRAM_SECONDS = 900  # the longest takes 15 s on hardware, 100 s emulated, more beside a build
FLAGS = "console=ttyS0 root=/dev/nvme0n1 rootwait rw init=/init quiet panic=-1 nokaslr"
ACCELERATORS = {"kvm": ["-accel", "kvm", "-cpu", "host"],
                "tcg": ["-accel", "tcg", "-cpu", "max"]}

INIT_HEAD = f"""#!/bin/busybox sh
# Nothing is open yet: the console comes with /dev.
/bin/busybox mount -t devtmpfs none /dev
exec </dev/null >/dev/ttyS0 2>&1
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ GTEST_COLOR=no
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
mount -t tmpfs none /dev/shm
mount -t proc none /proc
mount -t sysfs none /sys
ip link set lo up
run() {{
  name="$1"
  shift
  echo "{MARK} start $name"
  timeout -s ABRT {PROGRAM_SECONDS} "$@"
  status=$?
  echo
  echo "{MARK} end $name $status"
}}
echo "{MARK} booted $(uname -r)"
"""
INIT_TAIL = f"echo '{MARK} done'\nsync\npoweroff -f\n"


def fail(message):
    sys.exit(f"oldest: {message}")


def checked(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        fail(f"{shlex.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


# --- The kernel and the disk ----------------------------------------------------------------------
def unpacked(package):
    """The folder with the files of a Debian package, which is downloaded when it is not there."""
    folder = WORK / package
    if not folder.exists():
        downloads = WORK / "packages"
        downloads.mkdir(parents=True, exist_ok=True)
        for old in downloads.glob(f"{package}_*.deb"):
            old.unlink()
        checked("apt-get", "download", package, cwd=downloads)
        partial = WORK / f"{package}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        checked("dpkg", "-x", next(downloads.glob(f"{package}_*.deb")), partial)
        partial.rename(folder)
    return folder


def debian_kernel():
    if not shutil.which("apt-get"):
        fail("this is not a Debian-like system; name a Linux 6.1 with --kernel")
    names = checked("apt-cache", "pkgnames", "linux-image-6.1.0-").split()
    found = {int(m[1]): name for name in names if (m := KERNEL_PACKAGE.fullmatch(name))}
    if not found:
        fail("this distribution has no Linux 6.1 (Debian 12 has). Name one with --kernel: a bzImage "
             "with ext4, NVMe and the serial console built in")
    return next((unpacked(found[max(found)]) / "boot").glob("vmlinuz-*"))


def libraries(programs):
    """The shared libraries of programs, as this system's loader finds them."""
    listed = checked("ldd", *programs)
    return sorted(set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.MULTILINE)))


def example_arguments(source):
    """As cmake/ParkringExamples.cmake has them."""
    first_line = source.read_text().split("\n", 1)[0]
    given = re.match(r"// test-args: *(.*)$", first_line)
    text = given[1] if given else ""
    return text.replace("{source}", f"/examples/{source.name}").replace("{work}", "/work")


def make_disk(build, only):
    """An image with everything in it, and the names of what its /init will run."""
    root, image = WORK / "root", WORK / "disk.img"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "dev", "proc", "sys", "tmp", "etc", "tests", "examples", "work"):
        (root / folder).mkdir(parents=True)
    shutil.copy(unpacked("busybox-static") / "bin/busybox", root / "bin")
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")

    runs = {"parkring-probe": "/tests/parkring-probe"}
    programs = [build / "parkring-probe"]
    for program in sorted((build / "tests").iterdir()):
        if os.access(program, os.X_OK) and program.is_file():
            programs.append(program)
            runs[program.name] = f"/tests/{program.name}"
    for source in sorted(pathlib.Path("examples").glob("*.cpp")):
        program = build / "examples" / f"example_{source.stem}"
        programs.append(program)
        runs[program.name] = f"/tests/{program.name} {example_arguments(source)}"
        shutil.copy(source, root / "examples")
    for program in programs:
        if not program.exists():
            fail(f"{program} was not built")
        shutil.copy(program, root / "tests")
    for library in libraries(programs):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])

    if only:
        unknown = set(only) - set(runs)
        if unknown:
            fail(f"there is no {', '.join(sorted(unknown))}; there are: {' '.join(runs)}")
        runs = {name: command for name, command in runs.items() if name in only}
    script = "".join(f"run {name} {command}\n" for name, command in runs.items())
    (root / "init").write_text(INIT_HEAD + script + INIT_TAIL)
    (root / "init").chmod(0o755)
    (root / "tmp").chmod(0o1777)

    image.unlink(missing_ok=True)
    mke2fs = shutil.which("mke2fs", path=os.environ["PATH"] + ":/sbin:/usr/sbin") or fail(
        "mke2fs is needed (package e2fsprogs)")
    checked(mke2fs, "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", root, image, "1G")
    return image, list(runs)


# --- The machine ----------------------------------------------------------------------------------
def boot(accelerator, kernel, image, log, seconds):
    """Runs the machine to its end. Returns what stopped it early, or None.

    The output goes to `log` as it comes. Whatever happens, the emulator has ended on return."""
    command = ["qemu-system-x86_64", *ACCELERATORS[accelerator], "-smp", "2", "-m", "1024",
               "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
               "-kernel", str(kernel), "-append", FLAGS,
               "-drive", f"file={image},format=raw,if=none,id=disk,cache=unsafe",
               "-device", "nvme,drive=disk,serial=parkring"]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    stopped = []

    def stop(why):
        stopped.append(why)
        machine.kill()

    boot_seconds = BOOT_SECONDS[accelerator]
    limits = [threading.Timer(seconds, stop, [f"it was not done after {seconds} s"]),
              threading.Timer(boot_seconds, stop, [f"it did not boot in {boot_seconds} s"])]
    ended_well = False
    try:
        for limit in limits:
            limit.start()
        with open(log, "w", encoding="utf-8") as out:
            for line in machine.stdout:
                text = line.decode(errors="replace").rstrip()
                out.write(text + "\n")
                out.flush()
                if text.startswith(f"{MARK} booted"):
                    limits[1].cancel()
                    print(f"oldest: booted Linux {text.split()[-1]} ({accelerator})", flush=True)
                elif text.startswith(f"{MARK} end"):
                    print("oldest: ran", text.split()[2], flush=True)
                elif text == f"{MARK} done":
                    ended_well = True
        machine.wait()
    finally:
        for limit in limits:
            limit.cancel()
        machine.kill()
        machine.wait()
    if ended_well:
        return None
    return stopped[0] if stopped else f"it ended early, the emulator with status {machine.returncode}"


# --- What the console said ------------------------------------------------------------------------
def outcome(lines, expected):
    """(passed, skipped as (name, reason), failed as (name, lines of its output)) of a console."""
    passed, skipped, failed = 0, [], []
    name, output, test, ended = "", [], [], set()
    for line in lines:
        words = line.split()
        if line.startswith(f"{MARK} start"):
            name, output, test, any_failed = words[2], [], [], False
        elif line.startswith(f"{MARK} end") and len(words) == 4:
            ended.add(words[2])
            if words[3] != "0" and not any_failed:
                failed.append((f"{words[2]} (status {words[3]})", output))
            elif words[3] == "0" and not any("[==========]" in text for text in output):
                passed += 1  # no program of gtest: the status is all there is
            name = ""
        elif name:
            output.append(line)
            test.append(line)
            if line.startswith("[ RUN      ]"):
                test = []
            elif result := re.match(r"\[ +(OK|SKIPPED|FAILED) +\] ([^ ,]+).* \(\d+ ms\)$", line):
                full = f"{name}.{result[2]}"
                if result[1] == "OK":
                    passed += 1
                elif result[1] == "SKIPPED":
                    skipped.append((full, next((t for t in test if t and "Skipped" not in t), "")))
                else:
                    any_failed = True
                    failed.append((full, test[:-1]))
    failed += [(f"{program} (did not end)", output if program == name else [])
               for program in expected if program not in ended]
    return passed, skipped, failed


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    options.add_argument("--kernel", type=pathlib.Path, help="a bzImage instead of Debian's")
    options.add_argument("--accelerator", choices=list(ACCELERATORS))
    options.add_argument("--seconds", type=int, default=1800, help="the most that the machine may run")
    options.add_argument("program", nargs="*", help="only these, by name")
    o = options.parse_args()
    if platform.machine() != "x86_64":
        fail("this is for x86-64")

    os.chdir(pathlib.Path(__file__).resolve().parent.parent)
    WORK.mkdir(parents=True, exist_ok=True)
    kernel = o.kernel or debian_kernel()
    image, programs = make_disk(o.build, o.program)
    log = WORK / "console.log"
    usable = [o.accelerator] if o.accelerator else ["tcg"]
    if not o.accelerator and os.access("/dev/kvm", os.R_OK | os.W_OK):
        usable.insert(0, "kvm")
    for accelerator in usable:
        started = time.monotonic()
        trouble = boot(accelerator, kernel, image, log, o.seconds)
        lines = log.read_text(encoding="utf-8").splitlines()
        booted = next((line.split()[-1] for line in lines if line.startswith(f"{MARK} booted")), "")
        if booted:
            break
        print(f"oldest: with {accelerator}: {trouble}", flush=True)
    else:
        fail(f"the machine did not boot; see {log}")

    passed, skipped, failed = outcome(lines, programs)
    for name, reason in skipped:
        print(f"skipped {name}: {reason}")
    for name, output in failed:
        print(f"-- failed {name}", *(f"   {line}" for line in output[-40:]), sep="\n")
    if trouble:
        print(f"oldest: {trouble}")
    if not o.kernel and not booted.startswith(RELEASE):
        fail(f"the machine ran Linux {booted}, not {RELEASE}x")
    print(f"Linux {booted} ({accelerator}, {time.monotonic() - started:.0f} s): {passed} passed, "
          f"{len(failed)} failed, {len(skipped)} skipped; all output is in {log}")
    return 1 if failed or trouble or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
