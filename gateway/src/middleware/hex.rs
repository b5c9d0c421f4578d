//! Numbers as hexadecimal digits, for the ids that each request gets.

/// One in each byte.
const ONES: u64 = u64::MAX / 255;

/// All sixteen digits of a number, in lower case.
pub fn digits(number: u64) -> [u8; 16] {
    let [left, right] = [number >> 32, number & 0xffff_ffff].map(|half| half_digits(half).to_be_bytes());
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&left);
    digits[8..].copy_from_slice(&right);
    digits
}

/// The eight digits of a number below 2^32, the first in the highest byte: all of them at a time.
fn half_digits(number: u64) -> u64 {
    let pairs = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes | bytes << 4) & (ONES * 0x0f);
    // Six more take those that are letters beyond 15.
    let letters = ((nibbles + ONES * 6) >> 4) & ONES;
    nibbles + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_digits_are_written() {
        for number in [0, 1, 0xfedc_ba98_7654_3210, 0x9a9a_0f0f_a9a9_f0f0, u64::MAX] {
            assert_eq!(digits(number), *format!("{number:016x}").as_bytes());
        }
    }
}
