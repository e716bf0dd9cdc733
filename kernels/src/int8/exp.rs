//! The exponential of what is not positive, with 30 fractional bits, and shares of sums of them.

use super::requantise::reciprocal;

/// `2^31 * exp(-i / 4)`, rounded.
#[rustfmt::skip]
static HIGH: [u32; 64] = [
    2147483648, 1672461947, 1302514674, 1014399448, 790015084, 615264366, 479168370, 373176702,
    290630308, 226343111, 176276192, 137284037, 106916915, 83266977, 64848387, 50503975, 39332535,
    30632209, 23856388, 18579374, 14469631, 11268960, 8776275, 6834970, 5323080, 4145619, 3228611,
    2514445, 1958252, 1525088, 1187740, 925013, 720401, 561048, 436945, 340293, 265021, 206398,
    160743, 125187, 97496, 75930, 59134, 46054, 35867, 27933, 21754, 16942, 13195, 10276, 8003,
    6233, 4854, 3780, 2944, 2293, 1786, 1391, 1083, 844, 657, 512, 398, 310,
];

/// `2^31 * exp(-i / 128)`, rounded.
#[rustfmt::skip]
static LOW: [u32; 32] = [
    2147483648, 2130771798, 2114190000, 2097737243, 2081412522, 2065214841, 2049143212, 2033196653,
    2017374191, 2001674861, 1986097703, 1970641768, 1955306112, 1940089800, 1924991901, 1910011495,
    1895147668, 1880399512, 1865766126, 1851246619, 1836840104, 1822545701, 1808362538, 1794289749,
    1780326475, 1766471864, 1752725071, 1739085257, 1725551588, 1712123239, 1698799390, 1685579228,
];

/// The upper half of a product.
#[inline(always)]
fn product(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// `2^30 * exp(-u / 2^24)` to some 23 bits; 0 from `2^28` on.
#[inline(never)]
pub fn exp(u: i32) -> u32 {
    let high = usize::try_from(u >> 22).ok().and_then(|i| HIGH.get(i));
    let low = LOW.get(((u >> 17) & 31) as usize);
    match (high, low) {
        (Some(high), Some(low)) => {
            let e = product(*high, *low);
            // Between the entries `exp(-x)` is `1 - (x - x^2 / 2)`; `x^2` from 15 of the 17 bits.
            let x = u as u32 & 0x1_ffff;
            e - product(e, (x << 8) - (((x >> 2) * (x >> 2)) >> 13))
        }
        _ => 0,
    }
}

/// What turns exponentials into shares of their sum.
#[derive(Clone, Copy)]
pub struct Shares {
    up: u32,
    inverse: u32,
}

impl Shares {
    /// Of a sum that is not 0.
    #[inline(always)]
    pub fn of(sum: u32) -> Shares {
        let up = sum.leading_zeros();
        Shares {
            up,
            inverse: reciprocal(61, sum << up) as u32,
        }
    }

    /// A share with `bits` fractional bits, at most 28.
    #[inline(always)]
    pub fn share(self, e: u32, bits: u32) -> u32 {
        ((product(e << self.up, self.inverse) >> (28 - bits)) + 1) >> 1
    }
}
