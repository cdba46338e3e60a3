//! Intel's AMX: eight registers of sixteen rows of 64 bytes, and an instruction that adds the product of two of them,
//! full of bfloat16, to a third in single precision.

use super::block::{LINES, Step};
use super::{Multiply, Place};
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::marker::PhantomData;
use std::sync::LazyLock;

/// Linux: a process asks for the registers before it uses them, because every switch of threads saves 8 KiB more then.
const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
const XFEATURE_XTILEDATA: libc::c_long = 18;
/// Bits of EDX in leaf 7 of CPUID: bfloat16 in tiles, and tiles.
const AMX: u32 = 1 << 22 | 1 << 24;

/// The processor's unit, which this process may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit(());

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
pub(crate) struct Configured(PhantomData<*const ()>);

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

/// Adds a product of tiles, and asks for what the next round reads, two lines of each of the four streams of tiles, and for
/// one of what comes later. There are 24 in a round.
macro_rules! multiply {
    ($registers:literal, $number:literal) => {
        concat!(
            concat!("tdpbf16ps ", $registers, "\n"),
            soon!("top", $number),
            soon!("bottom", $number),
            soon!("left", $number),
            soon!("right", $number),
            concat!("prefetcht1 [{ahead} + 64 * ", $number, "]"),
        )
    };
}

macro_rules! soon {
    ($stream:literal, $number:literal) => {
        concat!(
            concat!("prefetcht0 [{", $stream, "} + 3072 + 128 * ", $number, "]\n"),
            concat!("prefetcht0 [{", $stream, "} + 3072 + 128 * ", $number, " + 64]\n"),
        )
    };
}

impl Multiply for Configured {
    fn multiply(
        &self,
        place: Place,
        [top, bottom]: [&[Step]; 2],
        [left, right]: [&[Step]; 2],
        ahead: &[Step],
    ) {
        assert!(
            !top.is_empty() && [bottom, left, right].iter().all(|steps| steps.len() == top.len()),
            "as many steps of all lines, and some"
        );
        assert!(place.is_whole(), "a place for the whole block");
        // SAFETY: the registers are configured as sixteen rows of 64 bytes on this thread. Every round reads the three tiles
        // of one step of each of the four, whose number is that of the rounds; what is asked for ahead need not be there.
        // What is stored are the 32 rows of 32 elements of the place, whose maker answers for it.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                // The smallest part of the rows and the largest of the columns.
                "tileloadd tmm4, [{top} + {row} + 2048]",
                "tileloadd tmm6, [{left} + {row}]",
                multiply!("tmm0, tmm4, tmm6", 0),
                "tileloadd tmm7, [{right} + {row}]",
                multiply!("tmm1, tmm4, tmm7", 1),
                "tileloadd tmm5, [{bottom} + {row} + 2048]",
                multiply!("tmm2, tmm5, tmm6", 2),
                multiply!("tmm3, tmm5, tmm7", 3),
                // The middle one and the largest.
                "tileloadd tmm4, [{top} + {row} + 1024]",
                multiply!("tmm0, tmm4, tmm6", 4),
                multiply!("tmm1, tmm4, tmm7", 5),
                "tileloadd tmm5, [{bottom} + {row} + 1024]",
                multiply!("tmm2, tmm5, tmm6", 6),
                multiply!("tmm3, tmm5, tmm7", 7),
                // Both middle ones.
                "tileloadd tmm6, [{left} + {row} + 1024]",
                multiply!("tmm0, tmm4, tmm6", 8),
                multiply!("tmm2, tmm5, tmm6", 9),
                "tileloadd tmm7, [{right} + {row} + 1024]",
                multiply!("tmm1, tmm4, tmm7", 10),
                multiply!("tmm3, tmm5, tmm7", 11),
                // The largest one and the middle one.
                "tileloadd tmm4, [{top} + {row}]",
                multiply!("tmm0, tmm4, tmm6", 12),
                multiply!("tmm1, tmm4, tmm7", 13),
                "tileloadd tmm5, [{bottom} + {row}]",
                multiply!("tmm2, tmm5, tmm6", 14),
                multiply!("tmm3, tmm5, tmm7", 15),
                // The largest one and the smallest.
                "tileloadd tmm6, [{left} + {row} + 2048]",
                multiply!("tmm0, tmm4, tmm6", 16),
                multiply!("tmm2, tmm5, tmm6", 17),
                "tileloadd tmm7, [{right} + {row} + 2048]",
                multiply!("tmm1, tmm4, tmm7", 18),
                multiply!("tmm3, tmm5, tmm7", 19),
                // Both largest ones.
                "tileloadd tmm6, [{left} + {row}]",
                multiply!("tmm0, tmm4, tmm6", 20),
                multiply!("tmm2, tmm5, tmm6", 21),
                "tileloadd tmm7, [{right} + {row}]",
                multiply!("tmm1, tmm4, tmm7", 22),
                multiply!("tmm3, tmm5, tmm7", 23),
                "add {top}, 3072",
                "add {bottom}, 3072",
                "add {left}, 3072",
                "add {right}, 3072",
                "add {ahead}, 1536",
                "dec {rounds}",
                "jnz 2b",
                "tilestored [{upper} + {stride}], tmm0",
                "tilestored [{upper} + {stride} + 64], tmm1",
                "tilestored [{lower} + {stride}], tmm2",
                "tilestored [{lower} + {stride} + 64], tmm3",
                top = inout(reg) top.as_ptr() => _,
                bottom = inout(reg) bottom.as_ptr() => _,
                left = inout(reg) left.as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                ahead = inout(reg) ahead.as_ptr() => _,
                rounds = inout(reg) top.len() => _,
                upper = in(reg) place.start,
                lower = in(reg) place.start.wrapping_add(LINES * place.stride),
                stride = in(reg) place.stride * size_of::<f32>(),
                row = in(reg) 64usize,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
