//! Intel's AMX: eight registers of sixteen rows of 64 bytes, and an instruction that adds the product of two of them,
//! full of bfloat16, to a third in single precision.

use super::Multiply;
use super::block::{Block, Step};
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

static GRANTED: LazyLock<bool> = LazyLock::new(|| {
    let there = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & AMX == AMX;
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

impl Multiply for Configured {
    fn multiply(
        &self,
        [top, bottom]: [&[Step]; 2],
        [left, right]: [&[Step]; 2],
        block: &mut Block,
        ahead: &[Step],
    ) {
        assert!(
            !top.is_empty() && [bottom, left, right].iter().all(|steps| steps.len() == top.len()),
            "as many steps of all lines, and some"
        );
        // SAFETY: the registers are configured as sixteen rows of 64 bytes on this thread. Every round reads the three tiles
        // of one step of each of the four, whose number is that of the rounds; what is stored is the whole of `block`.
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
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetcht1 [{ahead} + 0]",
                "tileloadd tmm7, [{right} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "prefetcht1 [{ahead} + 64]",
                "tileloadd tmm5, [{bottom} + {row} + 2048]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "prefetcht1 [{ahead} + 128]",
                // The middle one and the largest.
                "tileloadd tmm4, [{top} + {row} + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetcht1 [{ahead} + 192]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{bottom} + {row} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "prefetcht1 [{ahead} + 256]",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "prefetcht1 [{ahead} + 320]",
                // Both middle ones.
                "tileloadd tmm6, [{left} + {row} + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "prefetcht1 [{ahead} + 384]",
                "tileloadd tmm7, [{right} + {row} + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "prefetcht1 [{ahead} + 448]",
                "tdpbf16ps tmm3, tmm5, tmm7",
                // The largest one and the middle one.
                "tileloadd tmm4, [{top} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetcht1 [{ahead} + 512]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "prefetcht1 [{ahead} + 576]",
                "tileloadd tmm5, [{bottom} + {row}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "prefetcht1 [{ahead} + 640]",
                // The largest one and the smallest.
                "tileloadd tmm6, [{left} + {row} + 2048]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "prefetcht1 [{ahead} + 704]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tileloadd tmm7, [{right} + {row} + 2048]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "prefetcht1 [{ahead} + 768]",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "prefetcht1 [{ahead} + 832]",
                // Both largest ones.
                "tileloadd tmm6, [{left} + {row}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "prefetcht1 [{ahead} + 896]",
                "tileloadd tmm7, [{right} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "prefetcht1 [{ahead} + 960]",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {top}, 3072",
                "add {bottom}, 3072",
                "add {left}, 3072",
                "add {right}, 3072",
                "add {ahead}, 1024",
                "dec {rounds}",
                "jnz 2b",
                "tilestored [{block} + {row}], tmm0",
                "tilestored [{block} + {row} + 1024], tmm1",
                "tilestored [{block} + {row} + 2048], tmm2",
                "tilestored [{block} + {row} + 3072], tmm3",
                top = inout(reg) top.as_ptr() => _,
                bottom = inout(reg) bottom.as_ptr() => _,
                left = inout(reg) left.as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                ahead = inout(reg) ahead.as_ptr() => _,
                rounds = inout(reg) top.len() => _,
                block = in(reg) block,
                row = in(reg) 64usize,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
