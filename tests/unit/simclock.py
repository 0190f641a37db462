# SPDX-License-Identifier: GPL-2.0-only
"""The clock of simulated machines, scripts/bench/simclock: builds it with
simclock.c here, which has a made-up QEMU, and asks that program."""

import os
import re
import subprocess
import sys
import tempfile

from points import end, equal, point

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.join(HERE, "..", "..")
BENCH = os.path.join(TOP, "scripts", "bench")
SOURCES = [os.path.join(BENCH, "simclock", name)
           for name in ("arm64.c", "clock.c", "qemu.c", "x86.c")]
sys.path.insert(0, BENCH)
import machine  # noqa: E402

# What an assembler is given, by what is to be found: the kind of instruction,
# and of string instructions the bytes of a step.
X86 = {
    "plain 0": """
        mov %rax, (%rdi)
        xchg %rax, %rbx
        pause
        lfence
        movsb
        rep; ret
        mulx %rax, %rbx, %rcx
        shlx %rax, %rbx, %rcx
        andn %rax, %rbx, %rcx
        rorx $3, %rax, %rbx
        movbe (%rdi), %rax
        crc32q %rax, %rbx
        cmpxchg %rax, (%rdi)
        bswap %rax
        cpuid
        rdtsc
        popcnt %rax, %rbx
        xsave (%rdi)
        endbr64
        nopw (%rax,%rax)
        cmovne %rax, %rbx
        repe cmpsb
        """,
    "vector 0": """
        aesenc %xmm1, %xmm2
        aesdec (%rdi), %xmm9
        vaesenc %xmm1, %xmm2, %xmm3
        movdqu (%rdi), %xmm1
        movups %xmm1, (%rdi)
        vmovdqu %ymm1, (%rdi)
        pxor %xmm1, %xmm2
        vpxor %xmm1, %xmm2, %xmm3
        vpxorq %zmm1, %zmm2, %zmm3
        pshufb %xmm1, %xmm2
        pclmulqdq $0, %xmm1, %xmm2
        vpshufd $0x13, %xmm1, %xmm2
        psrldq $8, %xmm1
        movq %rax, %xmm1
        vpinsrq $1, %rax, %xmm1, %xmm2
        """,
    "atomic 0": """
        lock incl (%rdi)
        lock cmpxchgq %rax, (%rdi)
        lock xaddl %eax, 8(%rdi)
        xchg %rax, (%rdi)
        xchgb %al, 1(%rdi)
        lock cmpxchg16b (%rdi)
        lock btsq $1, %gs:(%rdi)
        lock orw $1, (%r9)
        """,
    "string 1": "rep movsb\n rep stosb",
    "string 2": "rep movsw",
    "string 4": "rep movsl\n rep stosl",
    "string 8": "rep movsq\n rep stosq",
}
ARM64 = {
    "plain 0": """
        mov x0, x1
        ldr x0, [x1]
        stp x0, x1, [sp, #-16]!
        ldxr x0, [x1]
        ldaxr w0, [x1]
        ldar x0, [x1]
        stlr x0, [x1]
        ldapr x0, [x1]
        dmb ish
        crc32x w0, w1, x2
        b.ne 8
        mrs x0, cntvct_el0
        ldp x0, x1, [x2, #16]
        madd x0, x1, x2, x3
        """,
    "vector 0": """
        aese v0.16b, v1.16b
        aesmc v0.16b, v0.16b
        eor v0.16b, v1.16b, v2.16b
        ld1 {v0.16b-v3.16b}, [x0], #64
        st1 {v0.2d}, [x1]
        ldr q0, [x1]
        stp q0, q1, [x2]
        pmull v0.1q, v1.1d, v2.1d
        fadd d0, d1, d2
        eor z0.d, z1.d, z2.d
        """,
    "atomic 0": """
        ldadd x0, x1, [x2]
        ldaddal w0, w1, [x2]
        stadd w0, [x1]
        ldset x0, x1, [x2]
        ldclrl x0, x1, [x2]
        swp x0, x1, [x2]
        swpalb w0, w1, [x2]
        cas x0, x1, [x2]
        casal w0, w1, [x2]
        casp x0, x1, x2, x3, [x4]
        stxr w0, x1, [x2]
        stlxr w0, w1, [x2]
        stxp w0, x1, x2, [x3]
        stlxrb w0, w1, [x2]
        """,
}


def assembled(triple, features, text):
    """Pairs of an instruction and its code, in hexadecimal."""
    done = subprocess.run(
        ["llvm-mc", f"--triple={triple}", f"--mattr={features}",
         "--show-encoding"], input=text, text=True, check=True,
        stdout=subprocess.PIPE)
    for line in done.stdout.splitlines():
        found = re.search(r"(.*)(?:#|//) encoding: \[(.*)\]", line)
        if found:
            code = "".join(byte[2:] if byte.startswith("0x") else "00"
                           for byte in found[2].split(","))
            yield found[1].strip(), code


def kinds(arch, triple, features, table):
    """Compare what the plugin finds with a table."""
    wanted = [(text, code, found) for found, block in table.items()
              for text, code in assembled(triple, features, block)]
    assert len(wanted) > 20, f"{len(wanted)} instructions of {arch}"
    answers = subprocess.run(
        [PROGRAM, arch], text=True, check=True, stdout=subprocess.PIPE,
        input="\n".join(code for _, code, _ in wanted)).stdout.splitlines()
    equal(len(answers), len(wanted), "lines")
    wrong = [f"{text}: {got}, not {found}" for (text, _, found), got
             in zip(wanted, answers) if got != found]
    assert not wrong, "\n".join(wrong)


def asked(what):
    """Run a check of the program's own."""
    done = subprocess.run([PROGRAM, what], text=True, check=False,
                          stdout=subprocess.PIPE, timeout=60)
    assert not done.returncode and not done.stdout, \
        f"{done.stdout}ended with {done.returncode}"


with tempfile.TemporaryDirectory() as work:
    PROGRAM = f"{work}/simclock"

    @point
    def builds():
        """The clock compiles without a warning."""
        subprocess.run(["cc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra",
                        "-Wno-unused-parameter", "-Werror",
                        "-fsanitize=address,undefined", "-o", PROGRAM,
                        "-rdynamic", f"-I{BENCH}/simclock",
                        f"{HERE}/simclock.c",
                        *SOURCES, "-lpthread"], check=True)

    @point
    def x86():
        """Instructions of x86-64 are of the right kind."""
        kinds("x86", "x86_64-linux-gnu", "+avx512f,+aes,+pclmul,+bmi,+bmi2",
              X86)

    @point
    def arm64():
        """Instructions of arm64 are of the right kind."""
        kinds("arm64", "aarch64-linux-gnu", "+aes,+lse,+crc,+sve,+rcpc",
              ARM64)

    @point
    def cut_short():
        """An instruction whose code is not to be had is a plain one."""
        for arch, code in (("x86", ""), ("x86", "f0"), ("x86", "0f"),
                           ("x86", "0f38"), ("x86", "c4"), ("x86", "6666"),
                           ("arm64", ""), ("arm64", "0040")):
            answer = subprocess.run([PROGRAM, arch], input=f"{code}\n",
                                    text=True, check=True,
                                    stdout=subprocess.PIPE).stdout.strip()
            equal(answer, "plain 0", f"{arch} {code!r}")

    @point
    def slots():
        """QEMU's clock is replaced, wherever its class has the slots."""
        asked("slots")

    @point
    def refused():
        """A QEMU that cannot be driven is refused, with a sentence."""
        asked("refused")

    @point
    def minimum():
        """Time is that of the slowest processor which is not halted."""
        asked("minimum")

    @point
    def turns():
        """One processor runs at a time, until it is ahead of the other."""
        asked("turns")

    @point
    def outside():
        """One that waits for long does so where QEMU can stop it."""
        asked("outside")

    @point
    def forced():
        """One that goes on without its turn, after long, is counted."""
        asked("forced")

    @point
    def timers():
        """Timers run when time reaches them, whoever lets it go on."""
        asked("timers")

    @point
    def late():
        """A processor that is woken runs after the time that takes."""
        asked("late")

    @point
    def early():
        """It does not run earlier if the host wakes its thread at once."""
        asked("early")

    @point
    def repeats():
        """Processors that wake each other do the same on a slow host."""
        asked("repeats")

    @point
    def jumps():
        """When all are halted, time jumps to the next timer."""
        asked("jumps")

    @point
    def at_once():
        """The last one to halt goes on by itself, if its timer wakes it."""
        asked("halts")

    @point
    def woken():
        """One that a timer wakes as it halts does not wait."""
        asked("woken")

    @point
    def goes_on():
        """Time does not go back when simulation ends."""
        asked("ends")

    @point
    def monotone():
        """Nobody sees it go back, while simulation begins or ends either."""
        asked("monotone")

    @point
    def busy():
        """The time that processors were busy is noted, each millisecond."""
        asked("busy")


@point
def machines():
    """Each machine has all parameters, as numbers, and says what it is."""
    wanted = machine.load("laptop").parameters.keys()
    equal(set(machine.names()) >= {"laptop", "vm", "server", "small",
                                   "noaes"}, True, "the machines")
    for name in machine.names():
        found = machine.load(name)
        assert found.about, f"{name} does not say what it is"
        equal(found.parameters.keys(), wanted, name)
        for key, value in found.parameters.items():
            if key not in ("arch", "cpu"):
                assert int(value) > 0, f"{name}: {key}"
        equal(found.processors % int(found.parameters["sockets"]), 0, name)


@point
def read():
    """A machine's file is read."""
    found = machine.parse("x", "# a machine,\n# made up\n\nprocessors=4\n"
                               "cpu=max,-aes\nplain_ps=666\n")
    equal((found.about, found.processors, found.slowness),
          ("a machine, made up", 4, 2.0), "the machine")
    equal(found.parameters["cpu"], "max,-aes", "a value with a comma")
    other = machine.load("laptop:wake_ns=500:sockets=2")
    equal((other.name, other.parameters["wake_ns"],
           other.parameters["sockets"]),
          ("laptop:wake_ns=500:sockets=2", "500", "2"), "changed")


def problem(text):
    """What is said against a list of machines, or None."""
    try:
        machine.split(text)
    except ValueError as error:
        return str(error)
    return None


@point
def several():
    """Machines are separated by commas, which their values may have, too."""
    found = machine.split("small,noaes:cpu=max,-aes,-sse4.2:wake_ns=9,laptop")
    equal([one.name for one in found],
          ["small", "noaes:cpu=max,-aes,-sse4.2:wake_ns=9", "laptop"], "names")
    equal((found[1].parameters["cpu"], found[1].parameters["wake_ns"]),
          ("max,-aes,-sse4.2", "9"), "values")
    equal([one.has_aes for one in found], [True, False, True], "AES")


@point
def no_machine():
    """What is no machine is refused in a sentence."""
    for text, part in (("lapto", "no machine 'lapto'"),
                       ("small,lapto", "no machine 'lapto'"),
                       ("", "no machine ''"),
                       ("laptop:wake=500", "'wake' is no parameter"),
                       ("laptop:wake_ns=", "wake_ns= is not a whole number"),
                       ("small:wake_ns=500,atomic_ps=9",
                        "wake_ns=500,atomic_ps=9 is not a whole number"),
                       ("small:sockets=3", "cannot be divided")):
        assert part in (problem(text) or ""), f"{text}: {problem(text)}"


end()
