//! Intel's AMX: eight registers of sixteen rows of 64 bytes, and an instruction that adds the product of two of them, full
//! of whole numbers of eight bits, to a third of 32.

use super::Multiply;
use super::block::{Step, Sums};
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::marker::PhantomData;
use std::sync::LazyLock;

/// Linux: a process asks for the registers before it uses them, because every switch of threads saves 8 KiB more then.
const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
const XFEATURE_XTILEDATA: libc::c_long = 18;
/// Bits of EDX in leaf 7 of CPUID: tiles, and whole numbers of eight bits in them.
const AMX: u32 = 1 << 24 | 1 << 25;

/// The processor's unit, which this process may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit(());

#[allow(
    unused_unsafe,
    reason = "asking for the processor's name and parts is safe in newer versions of Rust"
)]
static GRANTED: LazyLock<bool> = LazyLock::new(|| {
    // SAFETY: every processor of 64 bits answers, and the second question is asked where it has an answer.
    let there = unsafe { __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & AMX == AMX };
    // SAFETY: the call takes two numbers and touches no memory of the program.
    there && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) } == 0
});

/// Shapes of the registers, as the processor reads them.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static FULL: Shapes = Shapes {
    palette: 1,
    start: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// The unit with registers of full size, on this thread.
pub(super) struct Configured(PhantomData<*const ()>);

impl Unit {
    pub fn here() -> Option<Self> {
        GRANTED.then_some(Self(()))
    }

    pub fn configured(self) -> Configured {
        // SAFETY: the processor has the unit and the process may use it; shapes are 64 readable bytes of palette 1.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const FULL, options(nostack, readonly, preserves_flags))
        };
        Configured(PhantomData)
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the registers were configured on this thread, which nothing of this type leaves, and hold nothing now.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

/// Adds a product of tiles, and asks for six lines of the rows that the next round reads and for one of what comes later.
/// There are eight in a round.
macro_rules! multiply {
    ($registers:literal, $number:literal) => {
        concat!(
            concat!("tdpbssd ", $registers, "\n"),
            soon!($number, 0),
            soon!($number, 1),
            soon!($number, 2),
            soon!($number, 3),
            soon!($number, 4),
            soon!($number, 5),
            concat!("prefetcht1 [{ahead} + 64 * ", $number, "]"),
        )
    };
}

macro_rules! soon {
    ($number:literal, $line:literal) => {
        concat!("prefetcht0 [{rows} + 3072 + 384 * ", $number, " + 64 * ", $line, "]\n")
    };
}

impl Multiply for Configured {
    fn multiply(&self, rows: &[Step], columns: &[Step], sums: &mut Sums, ahead: &[Step]) {
        assert!(!rows.is_empty() && rows.len() == columns.len(), "as many steps of both, and some");
        // SAFETY: the registers are configured as sixteen rows of 64 bytes on this thread. Every round reads the three tiles
        // of one step of rows and of columns, whose number is that of the rounds; what is asked for ahead need not be there.
        // What is stored are the four tiles of the sums.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                // All digits of the rows, and the largest of the columns.
                "tileloadd tmm4, [{rows} + {row}]",
                "tileloadd tmm7, [{columns} + {row}]",
                multiply!("tmm0, tmm4, tmm7", 0),
                "tileloadd tmm5, [{rows} + {row} + 1024]",
                multiply!("tmm1, tmm5, tmm7", 1),
                "tileloadd tmm6, [{rows} + {row} + 2048]",
                multiply!("tmm2, tmm6, tmm7", 2),
                // The middle one of the columns.
                "tileloadd tmm7, [{columns} + {row} + 1024]",
                multiply!("tmm1, tmm4, tmm7", 3),
                multiply!("tmm2, tmm5, tmm7", 4),
                multiply!("tmm3, tmm6, tmm7", 5),
                // The smallest one, but with the smallest of the rows.
                "tileloadd tmm7, [{columns} + {row} + 2048]",
                multiply!("tmm2, tmm4, tmm7", 6),
                multiply!("tmm3, tmm5, tmm7", 7),
                "add {rows}, 3072",
                "add {columns}, 3072",
                "add {ahead}, 512",
                "dec {rounds}",
                "jnz 2b",
                "tilestored [{sums} + {row}], tmm0",
                "tilestored [{sums} + {row} + 1024], tmm1",
                "tilestored [{sums} + {row} + 2048], tmm2",
                "tilestored [{sums} + {row} + 3072], tmm3",
                rows = inout(reg) rows.as_ptr() => _,
                columns = inout(reg) columns.as_ptr() => _,
                ahead = inout(reg) ahead.as_ptr() => _,
                rounds = inout(reg) rows.len() => _,
                sums = in(reg) sums.0.as_mut_ptr(),
                row = in(reg) 64usize,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
